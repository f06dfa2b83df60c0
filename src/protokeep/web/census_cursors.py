"""Cursors of the lists of a census: where a page ended, in the order that it was sorted by."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

from protokeep.core.errors import InvalidInput
from protokeep.core.foreign_text import is_id
from protokeep.store.census_reads import Place

#: A name of 100 characters and an id of 200 are up to 900 in base64.
CURSOR_MAX = 1500


def encode_place(sort: str, place: Place | None) -> str | None:
    """The opaque cursor of the page behind a place; None: there is no further page."""
    if place is None:
        return None
    key, name = place
    key = key.isoformat() if isinstance(key, datetime) else key
    text = json.dumps([sort, key, name], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode_place(sort: str, cursor: str | None) -> Place | None:
    """The place that a cursor stands for; None: the first page. Raises `InvalidInput`."""
    if cursor is None:
        return None
    try:
        made_for, key, name = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place = _key_of(sort, key), name
    except (ValueError, TypeError, OverflowError, RecursionError):
        made_for, place = None, (None, "")
    if made_for != sort or not is_id(place[1]):
        raise InvalidInput(
            "This cursor is not one of ours, or of another order. Take next_cursor of the page before, or leave it "
            "out.",
            field="cursor",
        )
    return place


def _key_of(sort: str, key: Any) -> Any:
    """The key of a place as the database compares it. Raises `ValueError`, `TypeError` and `OverflowError`."""
    if sort in ("created", "updated"):
        return datetime.fromisoformat(key).astimezone(UTC)
    if sort == "credits":
        number = float(key)
        if not math.isfinite(number):
            raise ValueError("no number")
        return number
    if sort == "members":
        if not isinstance(key, int) or not 0 <= key < 2**31:
            raise ValueError("no number of chats")
        return key
    if not isinstance(key, str) or "\x00" in key:
        raise ValueError("no name")
    key.encode()  # Half of a surrogate pair is no text.
    return key
