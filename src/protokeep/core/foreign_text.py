"""Rules for text that somebody else wrote: an app builder, a server that may not be ours, the sender of a hook.

Ids and addresses that break a rule are no ids and no addresses. Words for people are shown without the characters that
a terminal or a line of the log would obey.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TypeGuard
from urllib.parse import SplitResult, urlsplit

from protokeep.core.validation import INVISIBLE_CATEGORIES

ID_MAX, ADDRESS_MAX = 200, 2000
#: Stands in the place of a character that is not shown.
REPLACEMENT = "\ufffd"
#: Formatting characters that emoji and words of several scripts need.
_JOINERS = frozenset("\u200c\u200d")
#: An id is one segment of a path (RFC 3986, 3.3) that means the same with and without escapes.
_ID = re.compile(rf"[A-Za-z0-9._~!$&'()*+,;=:@-]{{1,{ID_MAX}}}")
_DOTS = frozenset({".", ".."})


def is_id(value: object) -> TypeGuard[str]:
    """Whether a value may be an id of an app builder: 1-200 characters that stand for themselves in a path."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None and value not in _DOTS


def address_of(value: object) -> SplitResult | None:
    """The parts of an http(s) address that may be shown as a link; None: it is none.

    It has a host, names no user, and holds neither white space nor characters that are not shown.
    """
    if not isinstance(value, str) or len(value) > ADDRESS_MAX:
        return None
    if not value.isprintable() or any(character in value for character in ' \\"<>`'):
        return None
    try:
        parts = urlsplit(value)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        return None
    usable = usable and parts.scheme in ("http", "https") and "@" not in parts.netloc
    return parts if usable and parts.hostname and parts.netloc.isascii() else None


def visible(text: str) -> str:
    """`text` with a replacement for each character that is not shown, except for line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(character if is_seen(character) or character in "\n\t" else REPLACEMENT for character in text)


def one_line(text: str, longest: int | None = None) -> str:
    """`text` as one line of at most `longest` characters, each of which is shown."""
    if longest is not None:
        text = text[: longest * 10]
    return visible(" ".join(text.split()))[:longest]


def is_seen(character: str) -> bool:
    """Whether a character is shown where it stands, and steers nothing."""
    return character in _JOINERS or unicodedata.category(character) not in INVISIBLE_CATEGORIES
