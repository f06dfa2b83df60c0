"""The lists of prototypes: of one product, and of the whole workspace. Does no I/O, as `operations`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from protokeep.client.models import Prototype
from protokeep.client.operations import Call, Operation, quoted, send, value_of

#: Values by the names of the API's parameters; None and False are left out.
Filters = Mapping[str, str | bool | datetime | None]
#: Prototypes, and the cursor of the next page.
Page = tuple[list[Prototype], str | None]


def page(product_id: str, cursor: str | None, limit: int, filters: Filters) -> Operation[Page]:
    """`GET /api/design/mockups/{product_id}`: one page, newest first, and the cursor of the next page."""
    return (yield from _page(f"/api/design/mockups/{quoted(product_id)}", cursor, limit, filters))


def search_page(words: str, cursor: str | None, limit: int, filters: Filters) -> Operation[Page]:
    """`GET /api/design/mockups`: one page of the workspace's prototypes, and the cursor of the next page."""
    return (yield from _page("/api/design/mockups", cursor, limit, {"q": words or None, **filters}))


def _page(path: str, cursor: str | None, limit: int, filters: Filters) -> Operation[Page]:
    params = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
    for name, value in filters.items():
        if value is not None and value is not False:
            params[name] = "true" if value is True else value.isoformat() if isinstance(value, datetime) else value
    answer = yield from send(Call("GET", path, repeatable=True, params=params))
    return [value_of(Prototype, view) for view in answer.get("mockups", ())], answer.get("next_cursor")
