"""Keeps the index of texts whole: after an update, after a restore, and behind the owner's own programs.

What protokeep writes is indexed by the same transaction. Rows that the owner's programs add are found within a minute,
and what they change or delete within a day: each day everything is compared once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from protokeep.core.errors import NotReady
from protokeep.service.context import Context

log = structlog.get_logger(__name__)

#: From one look for rows that are not indexed to the next, whichever process does it.
EVERY = timedelta(minutes=1)
#: From one comparison of everything to the next.
WALK_EVERY = timedelta(days=1)
#: Rows of one step. Each step is a short transaction, and others go in between.
BATCH = 50
#: The pause between two steps.
PAUSE_SECONDS = 0.01


class TextIndexer:
    """Indexes what is missing or differs, a few rows at a time. Safe in any number of processes at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._texts = context.store.texts
        self._looked_at: datetime | None = None

    async def run_if_due(self) -> None:
        """Index everything if that was not done yet or lately; else, once a minute, what is missing."""
        now = self._context.clock()
        if self._looked_at is not None and timedelta() <= now - self._looked_at < EVERY:
            return
        self._looked_at = now
        table = await self._context.store.owner_table()
        searches = self._context.store.searches
        if table.fault is not None or not await searches.take_turn("texts", now, EVERY):
            return
        is_due = not await self._texts.is_whole() or await searches.take_turn("texts_walk", now, WALK_EVERY)
        if is_due or await self._texts.index_missing(table, BATCH) == BATCH:
            await self.index_all()

    async def index_all(self, tell: Callable[[int], None] = lambda rows: None) -> None:
        """Compare every row with the index and mend what differs. `tell` is told how many were compared so far."""
        table = await self._context.store.owner_table()
        before = await self._texts.state()
        compared = 0
        after = await self._texts.index_after(table, None, BATCH)
        while after is not None:
            tell(compared := compared + BATCH)
            await asyncio.sleep(PAUSE_SECONDS)
            after = await self._texts.index_after(table, after, BATCH)
        gone = BATCH
        while gone == BATCH:
            await asyncio.sleep(PAUSE_SECONDS)
            gone = await self._texts.forget_gone(BATCH)
        if not await self._texts.is_whole():
            await self._texts.set_whole(before)
            log.info("texts_indexed")

    async def make_anew(self, tell: Callable[[int], None] = lambda rows: None) -> tuple[int, bool]:
        """Empty the index and fill it again from the rows, in steps; or go on where an earlier call was ended.

        Returns how many prototypes are indexed, and whether it went on. Searches read the rows themselves meanwhile.
        Raises `NotReady` if the owner's table hides rows.
        """
        table = await self._context.store.owner_table()
        if table.fault is not None:
            raise NotReady(table.fault)
        goes_on = await self._texts.is_being_made_anew()
        if not goes_on:
            await self._texts.reset()
        await self.index_all(tell)
        return await self._texts.count(), goes_on
