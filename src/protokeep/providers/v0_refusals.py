"""Maps v0's error answers to `ProviderError`: which of them prove that nothing was made, and when to ask again.

Sources: v0's own documents (`openapi.v1.json`, `openapi.v2.json`), and RFC 9110 where a gateway may have answered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from protokeep.core.errors import (
    UNCLEAR_REFUSAL,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
)
from protokeep.core.foreign_text import one_line

#: Statuses that prove that a POST or a DELETE did nothing, and the source of each. After any other status v0 may
#: have acted: v1's document lists 409 without saying that nothing was made, and 408 and 499 come from a gateway that
#: gave up waiting.
NOTHING_MADE: Mapping[int, str] = {
    400: "RFC 9110, 15.5.1: the server will not process the request",
    401: "both documents, for every operation: unauthorized",
    402: "in no document; seen as payment_required_error: out of credits",
    403: "both documents: forbidden",
    404: "both documents: what the path names is not there",
    413: "v1's document; RFC 9110, 15.5.14: the server refuses to process the request",
    422: "both documents: unprocessable",
    429: "v1's document; RFC 6585, 4: too many requests",
}
#: How to mend an error that something between us and v0 has answered.
_HINTS: Mapping[int, str] = {
    407: " A proxy on the way wants a sign-in: check HTTPS_PROXY and HTTP_PROXY.",
    511: " The network wants a sign-in before it lets anything out.",
}
#: Longer pauses that v0 asks for are cut to this.
LONGEST_PAUSE = timedelta(hours=1)
#: More of v0's own words are not shown.
LONGEST_MESSAGE = 300
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def error_of(
    method: str, status: int, headers: httpx2.Headers, message: str, nothing_made: Collection[int] = ()
) -> ProviderError:
    """The error for an answer that is no success. `message` is v0's own explanation, or empty.

    `nothing_made` are statuses beside those of `NOTHING_MADE` by which v0's documents say that this call did nothing.
    For a GET every 4xx but 408 is a refusal.
    """
    detail = f": {message.rstrip('. ')}." if message else "."
    pause = pause_of(headers)
    if status == 402:
        return ProviderBusy(
            f"The v0 account is out of credits (402){detail}", code="out_of_credits", status=status, retry_after=pause
        )
    if status == 429:
        return ProviderBusy(
            f"v0 asks for fewer requests (429){detail}", code="rate_limited", status=status, retry_after=pause
        )
    if 300 <= status < 400:
        return _redirect(status, headers, pause)
    if _is_certain(method, status, nothing_made):
        return _refusal(status, detail)
    return _unclear(status, detail + _HINTS.get(status, ""), pause)


def _is_certain(method: str, status: int, nothing_made: Collection[int]) -> bool:
    """Whether the status proves that v0 did nothing."""
    if method in ("POST", "DELETE"):
        return status in NOTHING_MADE or status in nothing_made
    return 400 <= status < 500 and status != 408


def _refusal(status: int, detail: str) -> ProviderRejected:
    if status == 401:
        return ProviderRejected(
            f"v0 rejected the API key (401){detail} Set a key that v0 accepts.",
            code="key_refused",
            status=status,
        )
    return ProviderRejected(f"v0 refused the request ({status}){detail}", code="refused", status=status)


def _redirect(status: int, headers: httpx2.Headers, pause: timedelta | None) -> ProviderError:
    """The error for a redirect, which is not followed because the key would go along. It names the target's host.

    The answer does not say whether the server acted before it.
    """
    target = redirect_target(headers.get("location"))
    message = (
        f"v0 answered {status}, which points to {target} and is not followed. If v0 has moved there, set V0_BASE_URL "
        "to its address."
    )
    return OutcomeUnknown(message, code="moved", status=status, retry_after=pause)


def _unclear(status: int, detail: str, pause: timedelta | None) -> OutcomeUnknown:
    if status == 408:
        message, code = f"v0 gave up waiting for the request (408){detail}", "no_answer"
    elif status >= 500:
        message, code = f"v0 had an error of its own ({status}){detail}", "server_error"
    else:
        message, code = f"v0 answered {status}, which does not say whether it acted{detail}", UNCLEAR_REFUSAL
    return OutcomeUnknown(message, code=code, status=status, retry_after=pause)


def redirect_target(location: str | None) -> str:
    """The target of a redirect, for people: scheme and host only, because paths and queries may hold secrets."""
    try:
        parts = urlsplit(location or "")
        host = parts.hostname or ""
    except ValueError:
        return "an address that cannot be read"
    if not host:
        return "another path of the same host" if location else "nowhere"
    shown = one_line(host, 100)
    return f"{parts.scheme}://{shown}" if parts.scheme in ("http", "https") else shown


def error_message_of(value: Any) -> str:
    """The message of v1's `{error: {message, type}}` or v2's `{message}`, shortened; empty if there is none.

    Rows, pages and logs show it, so it is one line without control characters and half surrogate pairs.
    """
    if isinstance(value, dict):
        inner = value.get("error", value)
        message = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(message, str):
            return one_line(message, LONGEST_MESSAGE)
    return ""


def pause_of(headers: httpx2.Headers) -> timedelta | None:
    """The pause that an answer asks for: the longest of its `Retry-After` headers, judged by its own `Date`."""
    answered_at = _http_date(headers.get("date"))
    pauses = [retry_after(value, answered_at) for value in headers.get_list("retry-after")]
    return max((pause for pause in pauses if pause is not None), default=None)


def retry_after(value: str | None, now: datetime | None = None) -> timedelta | None:
    """A `Retry-After` header (RFC 9110: seconds or an HTTP date) as a pause of at most an hour.

    A date is compared with `now`, the answer's own `Date`, because our clock may differ from v0's; without a `Date`,
    with our clock. None: the header asks for no pause, or cannot be understood.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif (moment := _http_date(text)) is not None:
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    else:
        return None
    return timedelta(seconds=min(seconds, LONGEST_PAUSE.total_seconds())) if seconds > 0 else None


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
