"""Times, durations, numbers and addresses as people read them."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from urllib.parse import quote

from protokeep.core.foreign_text import address_of
from protokeep.core.prototype import NO_TIME

HUES = 12
LAYOUTS = 6
WORDS_SHOWN = 70


def span(duration: timedelta) -> str:
    """ "45 s", "3 min 12 s", "1 h 5 min"."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} days"


def ago(at: datetime, now: datetime) -> str:
    """ "just now", "3 min ago", "5 h ago", "yesterday", "3 May", "3 May 2024"."""
    seconds = int((now - at).total_seconds())
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(seconds // 60, 1)} min ago"
    if seconds < 24 * 3600:
        return f"{seconds // 3600} h ago"
    if seconds < 48 * 3600:
        return "yesterday"
    return day(at, now)


def day(at: datetime, now: datetime) -> str:
    """ "3 May", with the year where it is another one."""
    if at == NO_TIME:
        return "at an unknown time"
    return f"{at.day} {at:%B}" + (f" {at.year}" if at.year != now.year else "")


def on_day(at: datetime, now: datetime) -> str:
    """ "on 3 May", within a sentence."""
    return day(at, now) if at == NO_TIME else f"on {day(at, now)}"


def until(at: datetime, now: datetime) -> str:
    """ "in 2 min", "in 40 s", "in a moment"."""
    seconds = int((at - now).total_seconds())
    if seconds < 5:
        return "in a moment"
    return f"in {seconds} s" if seconds < 60 else f"in {round(seconds / 60)} min"


def usual_text(usual: tuple[timedelta, timedelta] | None) -> str | None:
    """ "usually 2 to 6 min"; None without figures."""
    if usual is None:
        return None
    low, high = (one.total_seconds() for one in usual)
    if high < 90:
        first, last, unit = round(low), round(high), "s"
    else:
        first, last, unit = max(round(low / 60), 1), max(round(high / 60), 1), "min"
    return f"usually {first} {unit}" if first == last else f"usually {first} to {last} {unit}"


def count_text(number: int, counted: int) -> str:
    """ "12", or "1,000+" where counting stopped."""
    return f"{number:,}" + ("+" if number >= counted else "")


def product_path(product_id: str) -> str:
    """The permalink of a product. The ids "." and ".." go into the query: browsers remove them from paths."""
    quoted = quote(product_id, safe="")
    return f"/p?product={quoted}" if product_id in (".", "..") else f"/p/{quoted}"


def compare_path(product_id: str) -> str:
    """The address of the comparison of two of a product's variants; which ones stands in its query."""
    return f"/p/{'_' if product_id in ('.', '..') else quote(product_id, safe='')}/compare"


def safe_link(url: str | None) -> str | None:
    """`url` if it is an http(s) address, else None: app builders may send anything."""
    return url if address_of(url) is not None else None


def credits_text(credits: float | None) -> str | None:
    """ "0.42 credits", "1 credit", "1,206.5 credits"; None when the app builder did not report them."""
    if credits is None:
        return None
    return f"{round(credits, 2):,.12g} credit" + ("" if round(credits, 2) == 1 else "s")


def version_of(etag: str) -> str:
    """A short version of a picture, from its ETag, for its address."""
    return etag[-12:]


def own_picture(*urls: str | None) -> str | None:
    """The first URL on our own origin; None: there is none. Another host would learn who looks at which prototype."""
    return next((url for url in urls if url and url.startswith("/") and not url.startswith("//")), None)


def digest_of(*parts: str) -> str:
    """A short digest of some texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def initials_of(title: str) -> str:
    """One or two letters for a product, or a dot for a title without letters."""
    words = [word for word in re.split(r"[\W_]+", title) if word]
    if not words:
        return "·"
    if len(words) == 1:
        return words[0][:2].upper() if len(words[0]) > 1 else words[0].upper()
    return (words[0][0] + words[1][0]).upper()


def first_words(prompt: str | None, longest: int = WORDS_SHOWN) -> str:
    """The beginning of a prompt, cut between words."""
    text = " ".join((prompt or "")[: longest * 8].split())
    if len(text) <= longest:
        return text
    return text[:longest].rsplit(" ", 1)[0] + "…"
