"""Deleting: here and at the builder, so that nothing is left there that nobody knows.

The wish is written first and frees the product's slot. The row goes when the builder has deleted its chats; until
then it stays in sight, with the reason, and is tried again.
"""

from __future__ import annotations

import contextlib

import structlog

from protokeep.core import absence
from protokeep.core import deletion as steps
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import UNCLEAR_REFUSAL, NotConfigured, NotNow, ProviderError
from protokeep.core.events import Event, Source
from protokeep.core.generation import GONE, RecoveryPoint
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.provider_keys import missing
from protokeep.core.submission import NO_KEY
from protokeep.core.timing import backoff, must_look_up_first
from protokeep.providers.base import Provider
from protokeep.service.context import Context
from protokeep.service.visibility import Visibility
from protokeep.store.afterwards import free_slot
from protokeep.store.audit import write
from protokeep.store.database import Session

log = structlog.get_logger(__name__)

MAX_LOSSES = 10
#: Codes of a deletion that the builder may have carried out. "Not found" after one says that it was: should the chat
#: show up again all the same, the next search of the account deletes it.
DELETED_PERHAPS = ("no_answer", "server_error", "bad_answer", UNCLEAR_REFUSAL)


class Deleter:
    """Writes down that a prototype is to be deleted, and deletes it."""

    def __init__(self, context: Context, visibility: Visibility) -> None:
        self._context = context
        self._visibility = visibility

    async def ask(self, principal: Principal, prototype: Prototype) -> TrackedPrototype | None:
        """Delete a prototype as soon as possible; None: it is gone already. Raises `NotNow`."""
        context = self._context
        if not isinstance(prototype, TrackedPrototype):
            raise NotNow("This row is older than protokeep, which does not track it. Delete it where it came from.")
        current: TrackedPrototype | None = prototype
        for _ in range(MAX_LOSSES):
            if current is None:
                return None
            if current.generation.deletion_requested_at is None:
                now = context.clock()
                event = Event("deleting", Source.PERSON, now, actor=principal.user_id)

                told = AuditEntry.of(principal, Action.DELETED, now, prototype.id, product_id=prototype.product_id)

                async def free(session: Session, told: AuditEntry = told) -> None:
                    await free_slot(session, prototype.id)
                    await write(session, told)

                current = await context.store.save(current, steps.deletion_requested(current, now), event, belongs=free)
            if current is not None:
                return await self._try(current)
            current = await context.store.get_unscoped(prototype.id)
        raise NotNow("This prototype is being changed by too many at once. Try again in a moment.")

    async def sweep(self) -> int:
        """Try again what could not be deleted before. How many there were."""
        await self._context.providers.refresh()
        due = await self._context.store.due_for_deletion(self._context.clock())
        for prototype in due:
            try:
                await self._try(prototype)
            except Exception:  # One that cannot be written keeps none of the others from being deleted.
                log.exception("deletion_failed", prototype_id=prototype.id)
                unwritten = ProviderError("It could not be written down here.", code="not_written")
                with contextlib.suppress(Exception):
                    await self._later(prototype, unwritten)
        return len(due)

    async def forget(self, prototype: TrackedPrototype) -> None:
        """Delete the row: there is nothing at the builder, or not any more."""
        event = Event("deleted", Source.SWEEP, self._context.clock(), data={"chat_id": prototype.chat_id})
        if await self._context.store.afterwards.delete_prototype(prototype, event):
            log.info("prototype_deleted", prototype_id=prototype.id)

    async def _try(self, prototype: TrackedPrototype) -> TrackedPrototype | None:
        """None: deleted. Else the prototype, which is tried again by itself.

        One whose create is under way, or unknown, is first decided by the submit job, which then comes back here.
        """
        context = self._context
        generation = prototype.generation
        if (
            generation.submission.recovery_point in (RecoveryPoint.CLAIMED, RecoveryPoint.SENT)
            and prototype.chat_id is None
        ):
            await context.heartbeat.started()
            young = not must_look_up_first(generation, context.clock(), context.timing)
            if young and generation.submission.attempts == 0 and context.heartbeat.trusts(generation.turn_at):
                await self.forget(prototype)  # A submit that holds it finds nothing to write to, and sends nothing.
                return None
            await context.queue.submit(prototype.id, generation.submission.fence)
            return prototype
        try:
            provider = context.providers.serving(generation.account, generation.api_version)
            chats = [prototype.chat_id, *await context.store.surplus(prototype.id)]
            gone = prototype.chat_id if generation.error.code == GONE else None
            unseen = False
            for chat_id in [chat_id for chat_id in chats if chat_id is not None]:
                if provider is None:
                    raise NotConfigured(missing(generation.account))
                if not await provider.delete(chat_id) and chat_id != gone:
                    unseen = True
            if unseen and provider is not None:
                prototype, done = await self._not_shown(prototype, provider)
                if not done:
                    return prototype
        except (ProviderError, NotConfigured) as error:
            return await self._later(prototype, error)
        await self.forget(prototype)
        return None

    async def _not_shown(self, prototype: TrackedPrototype, provider: Provider) -> tuple[TrackedPrototype, bool]:
        """After a deletion that was answered with "not found": (the prototype, whether its chats are there no more)."""
        context = self._context
        now = context.clock()
        after = absence.recorded_missing(prototype, now)
        generation = after.generation
        in_doubt = absence.missing_long_enough(generation, now, context.timing)
        around = await self._visibility.around(generation.account, provider, [prototype], seen=0, in_doubt=in_doubt)
        lost_its_answer = prototype.generation.hold.code in DELETED_PERHAPS
        if lost_its_answer or absence.deletion_is_done(generation, around, now, context.timing):
            return prototype, True
        until = now + absence.retry_after(generation, now, context.timing)
        saved = await context.store.save(prototype, steps.deletion_not_visible(after, until))
        if generation.absence.missing_polls == 1:
            log.warning("deletion_chat_not_visible", prototype_id=prototype.id)
        return saved or prototype, False

    async def _later(self, prototype: TrackedPrototype, error: ProviderError | NotConfigured) -> TrackedPrototype:
        context = self._context
        now = context.clock()
        if isinstance(error, NotConfigured):
            error = ProviderError(str(error), code=NO_KEY)
        until = now + (error.retry_after or backoff(prototype.generation.submission.attempts + 2, context.timing))
        saved = await context.store.save(prototype, steps.deletion_failed(prototype, error, until))
        if prototype.generation.hold.code != error.code:
            log.warning("prototype_not_deleted", prototype_id=prototype.id, code=error.code, reason=str(error))
        return saved or prototype
