"""Lists that come in pages, for the operations that read them. Does no I/O, as `operations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protokeep.client.operations import Call, Operation, send

View = Mapping[str, Any]

#: The most lines of one page.
PAGE = 100


def read_pages(
    path: str, field: str, params: Mapping[str, str], limit: int | None, *, size: int = PAGE
) -> Operation[tuple[Sequence[View], bool]]:
    """(up to `limit` lines of a list, None: all; whether there are more). `size`: lines of one request."""
    found: list[View] = []
    cursor: str | None = None
    while True:
        wanted = size if limit is None else min(size, limit - len(found))
        query = {**params, "limit": str(wanted), **({"cursor": cursor} if cursor else {})}
        page = yield from send(Call("GET", path, True, params=query))
        found += page[field]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(found) >= limit):
            return found, cursor is not None
