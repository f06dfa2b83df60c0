"""The chat list of v0's API v2 (`GET /chats`), page after page by cursor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protokeep.core.errors import OutcomeUnknown
from protokeep.providers.v0_fields import list_in
from protokeep.providers.v0_http import TOO_LARGE, V0Http

#: Rows of a page of a list. The smaller sizes are for rows that are too large to be read together.
PAGE_SIZES = (100, 10, 1)


async def page_of(http: V0Http, metadata: Mapping[str, str], cursor: str | None) -> dict[str, Any]:
    """A page of the chats with that metadata: `{chats: [...], cursor}`. Raises `ProviderError`."""
    filters = {f"metadata[{key}]": value for key, value in metadata.items()}
    return await sized_page(http, "chats", filters, cursor, "chats")


async def sized_page(
    http: V0Http, path: str, params: Mapping[str, str], cursor: str | None, rows: str
) -> dict[str, Any]:
    """A page of a list, whose rows are named `rows`; with fewer rows if they are too large to be read together."""
    query: dict[str, str | int] = dict(params)
    if cursor is not None:
        query["cursor"] = cursor
    page: Any = None
    for limit in PAGE_SIZES:
        try:
            page = await http.request("GET", path, params={**query, "limit": limit})
            break
        except OutcomeUnknown as error:
            if error.code != TOO_LARGE or limit == PAGE_SIZES[-1]:
                raise
    list_in(page, rows, f"list of {rows}")
    checked: dict[str, Any] = page
    return checked
