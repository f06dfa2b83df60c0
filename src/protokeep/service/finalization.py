"""What is read once when a prototype is done: its picture, its cost, and whether its preview opens."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from protokeep.core.errors import ProviderError
from protokeep.core.links import links_checked, next_link_check
from protokeep.core.prototype import TrackedPrototype
from protokeep.providers.base import Image, Provider
from protokeep.service.context import Context
from protokeep.store.afterwards import Picture, save_picture
from protokeep.store.database import Session

log = structlog.get_logger(__name__)

#: Prototypes per pass; each costs at most a picture and a page, and one call for the cost of all.
AT_ONCE = 100
PARALLEL = 4
#: How long a pass may take before another process takes its prototypes up.
LEASE = timedelta(minutes=3)
#: When something could not be read, it is tried again after this, for so long after the end.
PAUSE = timedelta(minutes=1)
PATIENCE = timedelta(minutes=15)


class Finalizer:
    """Wraps up what has ended. Nothing here changes a status."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def sweep(self) -> int:
        """Wrap up what is due. How many there were."""
        context = self._context
        now = context.clock()
        ids = await context.store.afterwards.claim_for_finalizing(now, now + LEASE, AT_ONCE)
        groups: defaultdict[tuple[str, int], list[TrackedPrototype]] = defaultdict(list)
        for prototype in await context.store.get_many(ids):
            generation = prototype.generation
            groups[generation.account, generation.api_version].append(prototype)
        if groups:
            await context.providers.refresh()
        for (account, api_version), prototypes in groups.items():
            try:
                await self._wrap_up(context.providers.serving(account, api_version), prototypes)
            except Exception:
                log.exception("account_finalization_failed", account=account)
        return len(ids)

    async def _wrap_up(self, provider: Provider | None, prototypes: Sequence[TrackedPrototype]) -> None:
        costs = await self._costs(provider, prototypes)
        places = asyncio.Semaphore(PARALLEL)

        async def one(prototype: TrackedPrototype) -> None:
            async with places:
                try:
                    await self._finish(provider, prototype, costs)
                except Exception:  # It comes up again after the lease; the others do not wait for it.
                    log.exception("prototype_finalization_failed", prototype_id=prototype.id)

        async with asyncio.TaskGroup() as group:
            for prototype in prototypes:
                group.create_task(one(prototype))

    async def _costs(self, provider: Provider | None, prototypes: Sequence[TrackedPrototype]) -> Mapping[str, float]:
        """One report for all of them; a builder that cannot answer costs the figure, nothing else."""
        asking = [one for one in prototypes if provider is not None and self._wants_cost(provider, one)]
        if provider is None or not asking:
            return {}
        since = min(one.created_at for one in asking)
        try:
            return await provider.costs([one.chat_id for one in asking if one.chat_id], since=since)
        except ProviderError as error:
            log.warning("cost_not_read", code=error.code, reason=str(error))
            return {}

    @staticmethod
    def _wants_cost(provider: Provider, prototype: TrackedPrototype) -> bool:
        """Where cost does not come with a look, it is asked for once after each round, not with each link's check."""
        generation = prototype.generation
        known = generation.credits is not None and generation.links.broken_since is not None
        return provider.capabilities.cost and provider.capabilities.batch_status and not known

    async def _finish(self, provider: Provider | None, prototype: TrackedPrototype, costs: Mapping[str, float]) -> None:
        context = self._context
        generation = prototype.generation
        image, again = await self._picture(provider, prototype)
        opens = None
        checked = generation.links.demo_url or generation.links.broken_url
        if provider is not None and checked is not None:
            opens = await provider.opens(checked)
        now = context.clock()
        after = links_checked(prototype, opens, now, context.timing)
        told = costs.get(prototype.chat_id or "")
        if provider is not None and self._wants_cost(provider, prototype) and told is None:
            again = True
        recent = now - (generation.settled_at or generation.turn_at) < PATIENCE
        kept = after.generation
        due = now + PAUSE if again and recent else next_link_check(kept.links, now, context.timing)
        kept = replace(kept, finalize_at=due, credits=generation.credits if told is None else told)
        if image is None:
            await context.store.save(prototype, replace(after, generation=kept))
            return
        picture = Picture(image.content_type, image.body, hashlib.sha256(image.body).hexdigest()[:32])

        async def keep(session: Session) -> None:
            await save_picture(session, prototype.id, picture, now)

        kept = replace(kept, picture_etag=_mark(generation.image_source, picture))
        await context.store.save(prototype, replace(after, updated_at=now, generation=kept), belongs=keep)

    async def _picture(self, provider: Provider | None, prototype: TrackedPrototype) -> tuple[Image | None, bool]:
        """(a picture that is not kept yet, whether to try again)."""
        generation = prototype.generation
        source = generation.image_source
        if provider is None or source is None or not provider.capabilities.picture:
            return None, False
        if (generation.picture_etag or "").startswith(_source_mark(source)):
            return None, False
        try:
            image = await provider.picture(source)
        except ProviderError as error:
            log.warning("picture_not_read", prototype_id=prototype.id, code=error.code, reason=str(error))
            return None, True
        if image is None:
            log.warning("picture_refused", prototype_id=prototype.id)
        return image, False


def _mark(source: str | None, picture: Picture) -> str:
    """Names the picture and where it came from, so that one from another version is fetched anew."""
    return _source_mark(source or "") + picture.etag


def _source_mark(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:8] + "-"
