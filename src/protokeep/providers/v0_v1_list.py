"""The chat list of v0's API v1 (`GET /chats`), page after overlapping page of 60 rows."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import datetime
from typing import Any

from protokeep.core.errors import OutcomeUnknown
from protokeep.providers.base import CLOCK_SLACK
from protokeep.providers.v0_fields import instant, list_in
from protokeep.providers.v0_http import TOO_LARGE, V0Http
from protokeep.providers.v0_walks import MAX_PAGES, OVERLAP, PAGE

#: Rows of one page that may be too large to be read. With more of them, v0's answers as a whole count as too large.
MAX_TOO_LARGE = 3
#: Pages read at once. One after the other, seventy pages take longer than a sweep may.
PARALLEL_PAGES = 4
#: Time limit of one page: 60 rows of a few hundred bytes each.
LIST_TIMEOUT_SECONDS = 10.0


class ChatList:
    """Reads the list of one account. Its order is not documented, so it is never relied on unseen."""

    def __init__(self, http: V0Http) -> None:
        self._http = http

    async def page(self, offset: int) -> list[Any]:
        """The rows from `offset` on, at most `PAGE`. A row that is too large to be read is None and hides no other."""
        too_large = 0

        async def rows(first: int, limit: int) -> list[Any]:
            nonlocal too_large
            try:
                return await self._rows_from(first, limit)
            except OutcomeUnknown as error:
                too_large += limit == 1
                if error.code != TOO_LARGE or too_large > MAX_TOO_LARGE:
                    raise
            if limit == 1:
                return [None]
            half = limit // 2
            found = await rows(first, half)
            return found + (await rows(first + half, limit - half) if len(found) == half else [])

        return await rows(offset, PAGE)

    async def rows(self, *, before: datetime | None, pages_needed: Callable[[], int]) -> AsyncIterator[dict[str, Any]]:
        """The rows of the list, for as long as `pages_needed` asks for more pages.

        Ends at a short page. Also ends at a page whose rows are all older than `before`, if every row so far came
        newest first, and some rows visibly so.
        """
        order = _PageOrder(before)
        async with contextlib.aclosing(self._pages(pages_needed)) as pages:
            async for page in pages:
                order.begin_page()
                for row in page:
                    if isinstance(row, dict):
                        order.add(instant(row.get("createdAt")))
                        yield row
                if len(page) < PAGE or order.has_passed():
                    return
                await asyncio.sleep(0)

    async def _pages(self, pages_needed: Callable[[], int]) -> AsyncGenerator[list[Any], None]:
        """Pages in their order, a few read at once, and no more of them than are needed."""
        begun, reading = 0, deque[asyncio.Task[list[Any]]]()
        try:
            while (needed := pages_needed()) and (reading or begun < MAX_PAGES):
                while len(reading) < min(needed, PARALLEL_PAGES) and begun < MAX_PAGES:
                    reading.append(asyncio.create_task(self.page(begun * (PAGE - OVERLAP))))
                    begun += 1
                yield await reading.popleft()
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _rows_from(self, offset: int, limit: int) -> list[Any]:
        params = {"limit": limit, "offset": offset}
        page = await self._http.request("GET", "chats", params=params, time_limit=LIST_TIMEOUT_SECONDS)
        return list_in(page, "data", "list of chats")


class _PageOrder:
    """Whether rows come newest first, and whether the current page holds a row as young as `before`."""

    def __init__(self, before: datetime | None) -> None:
        self._before = before
        self._newest_first = True
        self._is_visible = False
        self._page_is_fresh = False
        self._previous: datetime | None = None

    def begin_page(self) -> None:
        """Begin a page. It overlaps the page before, so their rows are not compared."""
        self._page_is_fresh = False
        self._previous = None

    def add(self, created: datetime | None) -> None:
        """Take the next row of the page."""
        is_fresh = created is None or self._before is None or created >= self._before - CLOCK_SLACK
        self._page_is_fresh = self._page_is_fresh or is_fresh
        if created is not None and self._previous is not None:
            self._newest_first = self._newest_first and created <= self._previous
            self._is_visible = self._is_visible or created < self._previous
        self._previous = created or self._previous

    def has_passed(self) -> bool:
        """Whether all rows to come are older than `before`, as far as the order shows."""
        return self._newest_first and self._is_visible and not self._page_is_fresh
