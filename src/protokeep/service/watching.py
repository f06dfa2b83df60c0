"""Prototypes that somebody has open are polled more often while they are being made."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

import structlog

from protokeep.core.prototype import UNFINISHED, Prototype, TrackedPrototype
from protokeep.core.state_labels import IN_PROGRESS
from protokeep.service.context import Context
from protokeep.store.gallery import GalleryQuery, GalleryStore

log = structlog.get_logger(__name__)

#: How often the prototypes of open pages are marked as watched; much shorter than `Timing.watched_for`.
RENEW_SECONDS = 5.0
#: Views of one workspace that are renewed at a time; of more, some are chosen at random. Each costs a few reads.
VIEWS_MAX = 100
#: Prototypes of a product or workspace that count as watched: the newest unfinished ones, which a page shows first.
WATCHED_MAX = 6


@dataclass(frozen=True, slots=True)
class OpenView:
    """What an open page or stream shows: a workspace, one product of it, or one prototype."""

    workspace_id: str
    product_id: str | None = None
    mockup_id: str | None = None


class Watcher:
    """Marks prototypes as watched, and asks for a poll of those whose status is old."""

    def __init__(self, context: Context, open_views: Callable[[], Iterable[OpenView]]) -> None:
        self._context = context
        self._open_views = open_views
        self._cards = GalleryStore(context.store)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what is open marked as watched for as long as the context lasts."""
        task = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def watch(self, view: OpenView) -> None:
        """Mark the unfinished prototypes of one view as watched."""
        if view.mockup_id is not None:
            mockup_ids = [view.mockup_id]
        else:
            query = GalleryQuery(view.workspace_id, product_id=view.product_id)
            mockup_ids = [mockup_id for _, mockup_id in await self._cards.ids(query, IN_PROGRESS, WATCHED_MAX)]
        for card in (await self._cards.cards(view.workspace_id, mockup_ids)).values():
            await self._request_poll(card.prototype)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                for view in _some_of_each_workspace(self._open_views()):
                    await self.watch(view)
            except Exception as error:  # noqa: BLE001 - the database may be away: the next round tries again
                log.warning("watching_not_renewed", error=type(error).__name__)

    async def _request_poll(self, prototype: Prototype) -> None:
        context = self._context
        if (
            not isinstance(prototype, TrackedPrototype)
            or prototype.chat_id is None
            or prototype.status not in UNFINISHED
        ):
            return
        now = context.clock()
        await context.store.request_poll(
            prototype,
            now,
            stale_before=now - context.timing.poll_interval / 2,
            watched_until=now + context.timing.watched_for,
        )


def _some_of_each_workspace(views: Iterable[OpenView]) -> list[OpenView]:
    """At most `VIEWS_MAX` views of each workspace, the first of each before the second of any."""
    by_workspace: defaultdict[str, list[OpenView]] = defaultdict(list)
    for view in views:
        by_workspace[view.workspace_id].append(view)
    chosen = [random.sample(found, min(len(found), VIEWS_MAX)) for found in by_workspace.values()]
    return [view for turn in zip_longest(*chosen) for view in turn if view is not None]
