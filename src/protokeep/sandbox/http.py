"""The wire format that both API versions share: refusals, times, paging, query values."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeVar

from .state import Api, Chat, Message

#: v0 API v1, components/schemas/*Error. 402 is in neither document; the type is the one that was seen.
_V1_TYPES = {
    401: "unauthorized_error",
    402: "payment_required_error",
    403: "forbidden_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "payload_too_large_error",
    422: "unprocessable_entity_error",
    429: "too_many_requests_error",
}

_MESSAGES = {
    401: "Unauthorized",
    402: "You are out of credits. Add more or enable auto-topup.",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    413: "Payload too large",
    422: "Unprocessable entity",
    429: "Too many requests",
}


class Refusal(Exception):
    """An error answer in the shape of the API version. An operation raises it before it changes anything."""

    def __init__(self, status: int, message: str | None = None, retry_after: float | str | None = None) -> None:
        self.status = status
        self.message = message or _MESSAGES.get(status, "Internal server error")
        self.retry_after = retry_after
        super().__init__(self.message)

    def body(self, api: Api) -> dict[str, Any]:
        """v1: `{error: {message, type}}`; v2: `{message}`."""
        if api == "v2":
            return {"message": self.message}
        fallback = "internal_server_error" if self.status >= 500 else "bad_request_error"
        return {"error": {"message": self.message, "type": _V1_TYPES.get(self.status, fallback)}}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """`Retry-After`, when there is one: whole seconds, or the text as given."""
        if self.retry_after is None:
            return []
        value = self.retry_after
        return [(b"retry-after", (value if isinstance(value, str) else f"{value:g}").encode("latin-1"))]


@dataclass(slots=True)
class Answer:
    """The result of a handler, rendered when it is time to answer."""

    render: Callable[[], Any]
    status: int = 200
    starts_generation: bool = False
    wait_for: Message | None = None  #: a sync call: answer when this message is finished
    content_type: bytes = b"application/json"  #: of another type, `render` returns the bytes of the body


def stamp(instant: datetime) -> str:
    """ISO 8601 in UTC with `Z`, which v0's pattern for date-times insists on."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def http_date(instant: datetime) -> bytes:
    """The value of a `Date` header."""
    return format_datetime(instant.astimezone(UTC), usegmt=True).encode("ascii")


def encode(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def make_cursor(kind: str, position: object) -> str:
    """An opaque cursor for one kind of list."""
    return base64.urlsafe_b64encode(json.dumps([kind, position]).encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str | None) -> Any:
    """The position in a cursor that `make_cursor` made; None without a cursor. Refuses any other cursor."""
    if cursor is None:
        return None
    try:
        cursor_kind, position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, TypeError):
        raise Refusal(422, "cursor: not a cursor of this list") from None
    if cursor_kind != kind or not isinstance(position, (int, str)):
        raise Refusal(422, "cursor: not a cursor of this list")
    return position


def integer(value: str | None, name: str, low: int, high: int, default: int) -> int:
    """A whole number within limits. Refuses any other value."""
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        raise Refusal(422, f"{name}: not a whole number") from None
    if not low <= number <= high:
        raise Refusal(422, f"{name}: must be from {low} to {high}")
    return number


def number(value: str | None, name: str, low: float, high: float, default: int) -> int:
    """A JSON Schema `number` within limits, cut to a whole number. Refuses any other value."""
    if value is None:
        return default
    try:
        given = float(value)
    except ValueError:
        raise Refusal(422, f"{name}: not a number") from None
    if not low <= given <= high:
        raise Refusal(422, f"{name}: must be from {low} to {high}")
    return int(max(given, 0)) if given < 2**53 else 2**53


def instant(value: str | None, name: str) -> datetime | None:
    """A date-time that ends in Z. Refuses any other value."""
    if value is None:
        return None
    try:
        if not value.endswith("Z"):
            raise ValueError
        return datetime.fromisoformat(value)
    except ValueError:
        raise Refusal(422, f"{name}: not a date-time that ends in Z") from None


def boolean(value: str | None, name: str) -> bool | None:
    """`"true"` or `"false"` as a bool. Refuses any other value."""
    if value not in (None, "true", "false"):
        raise Refusal(422, f"{name}: must be true or false")
    return None if value is None else value == "true"


T = TypeVar("T")


def paginate(
    rows: Iterable[T], limit: int, position: Callable[[T], Any], follows: Callable[[Any], bool] | None
) -> tuple[list[T], Any]:
    """Up to `limit` rows for which `follows` holds, and the position of the last one if there are more.

    Rows come in the order of their positions, so a page starts at the right place even if rows were deleted.
    """
    page: list[T] = []
    for row in rows:
        if follows is not None and not follows(position(row)):
            continue
        if len(page) == limit:
            return page, position(page[-1])
        page.append(row)
    return page, None


def ordered(chats: dict[str, Chat], order: str, now: datetime) -> Iterator[Chat]:
    """Chats in the order of the `list_order` knob. `chats` are in the order of creation."""
    if order == "oldest":
        return iter(chats.values())
    if order == "random":
        return iter(sorted(chats.values(), key=lambda chat: chat.shuffled))
    if order == "updated":
        return iter(sorted(chats.values(), key=lambda chat: chat.last_touched(now), reverse=True))
    if order == "favorites":
        newest_first = list(reversed(chats.values()))
        return iter(sorted(newest_first, key=lambda chat: not chat.favorite))
    return reversed(chats.values())
