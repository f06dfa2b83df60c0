"""Cursors of lists of cards, whose keys depend on the order: a time, or a name."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from protokeep.core.errors import InvalidInput
from protokeep.service.gallery import Sort
from protokeep.store.gallery import Cursor as Position
from protokeep.web.dependencies import decode_cursor, encode_cursor

#: A name of 200 characters of four bytes each, in base64.
CURSOR_MAX = 1500
CardCursor = Annotated[str | None, Query(max_length=CURSOR_MAX, description="next_cursor of the page before.")]


def encode_position(sort: Sort, after: Position | None) -> str | None:
    """The opaque cursor of the page after this position; None: there is no further page."""
    if after is None:
        return None
    key, mockup_id = after
    if isinstance(key, datetime) and sort in ("newest", "oldest"):
        return encode_cursor((key, mockup_id))
    text = json.dumps([sort, key.isoformat() if isinstance(key, datetime) else key, mockup_id], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_position(sort: Sort, cursor: str | None) -> Position | None:
    """The position that a cursor stands for; None: the first page. Raises `InvalidInput` for one of another order."""
    if cursor is None or sort in ("newest", "oldest"):
        return decode_cursor(cursor)
    try:
        made_for, key, mockup_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if made_for != sort or not isinstance(key, str) or "\x00" in key:
            raise ValueError
        key.encode()  # Half of a surrogate pair is no text.
        position = datetime.fromisoformat(key).astimezone(UTC) if sort == "updated" else key, str(mockup_id)
        named = UUID(position[1])
        if position[1] not in (str(named), named.hex):
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            "This cursor is not one of ours, or of another order. Take next_cursor of the page before, or leave it "
            "out.",
            field="cursor",
        ) from error
    return position
