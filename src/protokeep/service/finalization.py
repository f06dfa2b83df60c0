"""Finalizes prototypes whose generation has ended: stores the picture, the cost, and whether the preview opens."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from protokeep.core.errors import ProviderError
from protokeep.core.links import links_checked, next_link_check
from protokeep.core.prototype import TrackedPrototype
from protokeep.providers.base import SupportsMedia, with_media
from protokeep.service.context import Context
from protokeep.store.pictures import Picture, save_picture
from protokeep.store.sql import Connection

log = structlog.get_logger(__name__)

#: Prototypes of one pass. Each needs at most a picture and a page; one call reads the costs of all of them.
BATCH_SIZE = 100
PARALLEL = 4
#: After this, another process may finalize the prototypes of a pass that has not ended.
LEASE = timedelta(minutes=3)
#: Pause before a picture or a cost that could not be read is tried again, until `GIVE_UP_AFTER` the end.
RETRY_PAUSE = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(minutes=15)


def _unchanged(prototype: TrackedPrototype, now: datetime) -> TrackedPrototype:
    return prototype


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one step: its changes to the prototype, and whether to try again because it could not be read.

    `picture` is to be stored together with the changes.
    """

    changes: Callable[[TrackedPrototype, datetime], TrackedPrototype] = _unchanged
    retry: bool = False
    picture: Picture | None = None


class Finalizer:
    """Finalizes prototypes. No step changes a status."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def sweep(self) -> int:
        """Finalize the prototypes that are due, at most one batch. Returns how many were claimed."""
        context = self._context
        now = context.clock()
        ids = await context.store.claim_for_finalizing(now, now + LEASE, BATCH_SIZE)
        groups: defaultdict[tuple[str, int], list[TrackedPrototype]] = defaultdict(list)
        for prototype in await context.store.get_many(ids):
            generation = prototype.generation
            groups[generation.account, generation.api_version].append(prototype)
        if groups:
            await context.providers.refresh()
        for (account, api_version), prototypes in groups.items():
            try:
                await self._finalize_all(with_media(context.providers.serving(account, api_version)), prototypes)
            except Exception:  # The other accounts are finalized all the same.
                log.exception("account_finalization_failed", account=account)
        return len(ids)

    async def _finalize_all(self, provider: SupportsMedia | None, prototypes: Sequence[TrackedPrototype]) -> None:
        """Finalize the prototypes of one account."""
        costs = await self._costs(provider, prototypes)
        slots = asyncio.Semaphore(PARALLEL)

        async def finalize(prototype: TrackedPrototype) -> None:
            async with slots:
                try:
                    await self._finalize(provider, prototype, costs)
                except Exception:  # It is due again after the lease; the other prototypes are finalized all the same.
                    log.exception("prototype_finalization_failed", prototype_id=prototype.id)

        async with asyncio.TaskGroup() as group:
            for prototype in prototypes:
                group.create_task(finalize(prototype))

    async def _costs(
        self, provider: SupportsMedia | None, prototypes: Sequence[TrackedPrototype]
    ) -> Mapping[str, float]:
        """The costs that the provider reports, by chat id. Empty if it cannot answer; the other steps go on."""
        unpaid = [prototype for prototype in prototypes if _needs_cost(provider, prototype)]
        if provider is None or not unpaid:
            return {}
        since = min(prototype.created_at for prototype in unpaid)
        try:
            return await provider.costs([prototype.chat_id for prototype in unpaid if prototype.chat_id], since=since)
        except ProviderError as error:
            log.warning("cost_not_read", code=error.code, reason=str(error))
            return {}

    async def _finalize(
        self, provider: SupportsMedia | None, prototype: TrackedPrototype, costs: Mapping[str, float]
    ) -> None:
        """Read what is missing of one prototype, and save it in one write with the time of the next try."""
        context = self._context
        steps = (
            await self._picture_step(provider, prototype),
            _cost_step(provider, prototype, costs),
            await self._link_step(provider, prototype),
        )
        now = context.clock()
        after = prototype
        for step in steps:
            after = step.changes(after, now)
        after = self._scheduled(after, now, retry=any(step.retry for step in steps))
        pictures = [step.picture for step in steps if step.picture is not None]

        async def save_pictures(connection: Connection) -> None:
            for picture in pictures:
                await save_picture(connection, prototype.id, picture, now)

        await context.store.save(prototype, after, belongs=save_pictures if pictures else None)

    def _scheduled(self, prototype: TrackedPrototype, now: datetime, *, retry: bool) -> TrackedPrototype:
        """`prototype` with the time at which it is finalized again: for a retry, or for the next check of its link."""
        generation = prototype.generation
        is_recent = now - (generation.settled_at or generation.turn_at) < GIVE_UP_AFTER
        due = now + RETRY_PAUSE if retry and is_recent else next_link_check(generation.links, now, self._context.timing)
        return prototype.with_generation(finalize_at=due)

    async def _picture_step(self, provider: SupportsMedia | None, prototype: TrackedPrototype) -> Step:
        """Fetch the picture, unless the stored one came from the same address."""
        generation = prototype.generation
        source = generation.image_source
        if provider is None or source is None or (generation.picture_etag or "").startswith(_source_prefix(source)):
            return Step()
        try:
            image = await provider.picture(source)
        except ProviderError as error:
            log.warning("picture_not_read", prototype_id=prototype.id, code=error.code, reason=str(error))
            return Step(retry=True)
        if image is None:
            log.warning("picture_refused", prototype_id=prototype.id)
            return Step()
        picture = Picture(image.content_type, image.body, hashlib.sha256(image.body).hexdigest()[:32])
        return Step(partial(_with_picture, etag=_source_prefix(source) + picture.etag), picture=picture)

    async def _link_step(self, provider: SupportsMedia | None, prototype: TrackedPrototype) -> Step:
        """Check whether the preview opens."""
        generation = prototype.generation
        address = generation.links.demo_url or generation.links.broken_url
        if provider is None or address is None:
            return Step()
        opens = await provider.opens(address)
        timing = self._context.timing
        return Step(lambda current, now: links_checked(current, opens, now, timing))


def _needs_cost(provider: SupportsMedia | None, prototype: TrackedPrototype) -> bool:
    """Whether the cost is to be read from a report: once after each turn, but not with every check of a link."""
    generation = prototype.generation
    if generation.is_adopted and generation.follow_up.turn == 1:
        return False  # It was paid for before protokeep.
    is_link_check = generation.credits is not None and generation.links.broken_since is not None
    return provider is not None and provider.capabilities.cost_reports and not is_link_check


def _cost_step(provider: SupportsMedia | None, prototype: TrackedPrototype, costs: Mapping[str, float]) -> Step:
    """Take the cost from the report."""
    credits = costs.get(prototype.chat_id or "")
    if credits is None:
        return Step(retry=_needs_cost(provider, prototype))
    return Step(partial(_with_credits, credits=credits))


def _with_credits(prototype: TrackedPrototype, now: datetime, *, credits: float) -> TrackedPrototype:
    return prototype.with_generation(credits=credits)


def _with_picture(prototype: TrackedPrototype, now: datetime, *, etag: str) -> TrackedPrototype:
    return replace(prototype.with_generation(picture_etag=etag), updated_at=now)


def _source_prefix(source: str) -> str:
    """The part of a picture's etag that names its address, so that the picture of another version is fetched anew."""
    return hashlib.sha256(source.encode()).hexdigest()[:8] + "-"
