"""Creating once: claimed -> (look up, if something may have been sent) -> sent -> accepted.

Recovery is this same path: a crashed worker's row is taken up, looked up and goes on. No second implementation of
create exists.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from protokeep.core import submission as steps
from protokeep.core.errors import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from protokeep.core.events import Event, Source
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.provider_keys import missing
from protokeep.core.timing import backoff, may_resend, must_look_up_first
from protokeep.providers.base import Provider, RemoteChat
from protokeep.service.chat_metadata import chat_metadata
from protokeep.service.context import Context, renewing, status_events
from protokeep.service.deletion import Deleter
from protokeep.service.delivery import Deliveries
from protokeep.service.follow_ups import FollowUps
from protokeep.service.lookups import LOOK_UP_WAITS, Lookups
from protokeep.service.orphans import OrphanReconciler
from protokeep.service.visibility import Visibility

log = structlog.get_logger(__name__)

#: How long a row waits whose account has no key configured in this process.
NO_KEY_PAUSE = timedelta(seconds=60)


class Submitter:
    """Takes one claimed or sent row as far as it can go now."""

    def __init__(
        self, context: Context, recoverer: OrphanReconciler, remover: Deleter, lookups: Lookups, visibility: Visibility
    ) -> None:
        self._context = context
        self._lookups = lookups
        self._recoverer = recoverer
        self._remover = remover
        self._sendings = Deliveries(context, recoverer)
        self.continuer = FollowUps(context, self._sendings, self._held, self._account_works, visibility)
        self._unfindable: set[str] = set()

    async def submit(self, mockup_id: str) -> None:
        """Send, or look up and then perhaps send. Does nothing when another worker holds the row."""
        context = self._context
        context.checkpoint("before_take")
        if self._sendings.is_working_on(mockup_id):
            return
        prototype = await context.store.take_for_submit(mockup_id, context.clock(), context.timing.lease)
        if prototype is not None:
            await self.submit_held(prototype)

    async def submit_held(self, prototype: TrackedPrototype) -> None:
        """The same for a row that this process holds, as it was when it was taken."""
        if self._sendings.is_working_on(prototype.id):
            return  # It waited for its turn until its lease ended, and was taken up by a sweep.
        with self._sendings.working_on(prototype.id):
            await self._submit(prototype)

    async def _submit(self, prototype: TrackedPrototype) -> None:
        context = self._context
        generation = prototype.generation
        await context.heartbeat.started()
        await context.providers.refresh()
        provider = context.providers.serving(generation.account, generation.api_version)
        if provider is None:
            await self._keyless(prototype)
            return
        if generation.submission.recovery_point is RecoveryPoint.SENT:
            self._sendings.note_sent(prototype)

        async def renew() -> object:
            return await context.store.renew_lease(prototype, context.clock() + context.timing.lease)

        async with renewing(renew, context.timing.lease / 3):
            try:
                await self._recoverer.verify(generation.account, provider)
            except ProviderError as error:
                await self._look_up_failed(prototype, error)
                return
            if generation.follow_up_pending:
                await self.continuer.resume(prototype, provider)
                return
            looking = must_look_up_first(generation, context.clock(), context.timing)
            if not looking or await self._may_send_after_look_up(prototype, provider):
                if generation.deletion_requested_at is not None:
                    await self._remover.forget(prototype)  # It was asked to go, and nothing was made.
                else:
                    await self._send(prototype, provider)

    async def _may_send_after_look_up(self, prototype: TrackedPrototype, provider: Provider) -> bool:
        """Look for a chat with our marker: adopt it, or wait, or (True) be sure that there is none."""
        context = self._context
        generation = prototype.generation
        try:
            looked_up = await self._lookups.find(prototype, provider)
        except ProviderError as error:
            await self._look_up_failed(prototype, error)
            return False
        if looked_up.chats:
            self._unfindable.discard(prototype.id)
            await self.record(prototype, looked_up.chats[0], "adopted", provider)
            for surplus in looked_up.chats[1:]:
                await context.store.note_surplus(prototype, surplus.chat_id, context.clock())
                log.error("surplus_chat", prototype_id=prototype.id, chat_id=surplus.chat_id)
            await self._account_works(generation.account)
            return False
        if looked_up.error is not None and not looked_up.absent:
            await self._look_up_failed(prototype, looked_up.error)
            return False
        self._unfindable.discard(prototype.id)
        now = context.clock()
        settled = self._sendings.is_settled(prototype, looked_up.began_at)
        if looked_up.absent and may_resend(generation, context.timing, settled=settled):
            refusal = steps.deferred_refusal(generation)
            if refusal is None:
                return True
            await self._refused(prototype, provider, refusal)
            return False
        # What is not certain to be absent is not counted as a look-up that found nothing.
        after = (
            steps.not_found(prototype, now, context.timing, counted=settled)
            if looked_up.absent
            else steps.outcome_unknown(prototype, None, now, context.timing)
        )
        await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))
        return False

    async def _look_up_failed(self, prototype: TrackedPrototype, error: ProviderError) -> None:
        context = self._context
        now = context.clock()
        generation = prototype.generation
        if generation.submission.recovery_point is RecoveryPoint.CLAIMED:
            pause = error.retry_after or backoff(generation.submission.attempts + 1, context.timing)
            await self._park(prototype, pause, error.code, f"{error} It is looked up before anything is sent.")
            return
        after = steps.outcome_unknown(prototype, None, now, context.timing)
        await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))
        if prototype.id not in self._unfindable and error.code != LOOK_UP_WAITS:  # Said once, however often.
            self._unfindable.add(prototype.id)
            log.warning("lookup_failed", prototype_id=prototype.id, code=error.code, reason=str(error))

    async def _send(self, prototype: TrackedPrototype, provider: Provider) -> None:
        context = self._context
        generation = prototype.generation
        held = await self._held(generation.account)
        if held is not None:
            until, code, message = held
            await self._park(prototype, until - context.clock(), code, message)
            return
        context.checkpoint("before_sent")
        our_id = await self._lookups.keeper_id()
        sending = await self._sendings.begin(prototype, lambda now: steps.about_to_send(prototype, now, context.timing))
        if sending is None:
            return
        sent = sending.prototype
        context.checkpoint("after_sent")
        began = context.elapsed()
        try:
            sending.check()
            marks = chat_metadata(context.signer, our_id, sent, sent.generation)
            made = await provider.create(prototype.prompt or "", marks, may_begin=sending.may_begin)
        except ProviderError as error:
            await self._refused(sent, provider, error)
            if isinstance(error, OutcomeUnknown) and not self._slept_since(began):
                await self._open_circuit(generation.account, provider, error, context.clock())
            return
        context.checkpoint("after_create")
        await self.record(sent, made, "accepted", provider)
        context.checkpoint("after_record")
        await self._account_works(generation.account)

    async def record(self, prototype: TrackedPrototype, made: RemoteChat, kind: str, provider: Provider) -> None:
        """Write the builder's ids, whoever else moved the row meanwhile: they must not be lost."""
        context = self._context
        current: TrackedPrototype | None = prototype
        while current is not None:
            now = context.clock()
            if current.chat_id == made.chat_id:
                return
            if current.chat_id is not None or current.generation.submission.recovery_point is RecoveryPoint.SETTLED:
                await context.store.note_surplus(current, made.chat_id, now)
                log.error("surplus_chat", prototype_id=current.id, chat_id=made.chat_id)
                return
            after = steps.accepted(
                current,
                chat_id=made.chat_id,
                message_id=made.message_id,
                project_id=made.project_id,
                seen=made.observation,
                now=now,
                timing=context.timing,
                batched=provider.capabilities.batch_status,
                newest_message_id=made.newest_message_id,
            )
            events = [
                Event(kind, Source.SUBMIT, now, status=after.status.value, data={"chat_id": made.chat_id}),
                *status_events(current, after, Source.SUBMIT, now),
            ]
            if await context.store.save(current, after, *events) is not None:
                self._sendings.forget(current.id)
                log.info("prototype_recorded", how=kind, prototype_id=current.id, chat_id=made.chat_id)
                if after.generation.polling.next_poll_at is not None:
                    await context.queue.track(after.generation.account)
                return
            current = await context.store.get_unscoped(current.id)

    async def _refused(self, sent: TrackedPrototype, provider: Provider, error: ProviderError) -> None:
        context = self._context
        now = context.clock()
        generation = sent.generation
        kind = "undecided"
        match error:
            case ProviderRejected() if error.status == 404:  # Not even the place where chats are made is shown.
                after, kind = steps.unreachable(sent, error, now, context.timing), "parked"
            case ProviderRejected():
                after, kind = steps.refused(sent, error, now), "refused"
            case ProviderBusy():
                until = now + (error.retry_after or self._pause(error))
                await context.store.accounts.hold(generation.account, provider.name, error.code, str(error), until)
                after = steps.parked(sent, until=until, code=error.code, message=str(error))
                kind = "parked"
            case ProviderUnreachable():
                after, kind = steps.unreachable(sent, error, now, context.timing), "parked"
            case _:
                after = steps.outcome_unknown(sent, error, now, context.timing)
        events = [
            Event(
                kind, Source.SUBMIT, now, status=after.status.value, data={"code": error.code, "message": str(error)}
            ),
            *(status_events(sent, after, Source.SUBMIT, now) if after.status is not sent.status else ()),
        ]
        await context.store.save(sent, after, *events)
        log.warning("create_not_accepted", now=kind, prototype_id=sent.id, code=error.code, reason=str(error))

    def _slept_since(self, began: float) -> bool:
        """Whether this process was stopped in a call that began then: its silence says nothing about the builder."""
        longest = self._context.timing.create_timeout + self._context.timing.lease
        return self._context.elapsed() - began > longest.total_seconds()

    async def _open_circuit(self, account: str, provider: Provider, error: OutcomeUnknown, now: datetime) -> None:
        """After several creates in a row without a trustworthy answer, the account rests, longer each time."""
        context = self._context
        failures = await context.store.accounts.count_failure(account, provider.name)
        beyond = failures - context.timing.circuit_failures
        if beyond < 0:
            return
        until = now + (error.retry_after or max(backoff(beyond + 4, context.timing), context.timing.lease))
        message = f"{failures} creates in a row had no clear answer. The last: {error}"
        await context.store.accounts.hold(account, provider.name, "unavailable", message, until)
        log.warning("circuit_open", account=account, failures=failures)

    def _pause(self, error: ProviderBusy) -> timedelta:
        return self._context.timing.credits_pause if error.code == "out_of_credits" else timedelta(seconds=30)

    async def _held(self, name: str) -> tuple[datetime, str, str] | None:
        """(until, code, message) when the account may not create now; lets exactly one probe through."""
        context = self._context
        account = await context.store.accounts.get(name)
        if account.hold_code is None or account.hold_until is None:
            return None
        now = context.clock()
        pause = context.timing.credits_pause
        if account.hold_until <= now and await context.store.accounts.take_probe(name, now, now + pause):
            return None
        until = max(account.hold_until, now + timedelta(seconds=1))
        return until, account.hold_code, account.hold_message or "The account is paused."

    async def _account_works(self, account: str) -> None:
        await self._context.store.accounts.release(account, self._context.clock())

    async def _park(self, prototype: TrackedPrototype, pause: timedelta, code: str, message: str) -> None:
        """Nothing was sent; keep a reason that people can read."""
        context = self._context
        now = context.clock()
        after = steps.parked(prototype, until=now + pause, code=code, message=message)
        events = []
        if prototype.generation.hold.code != code:
            events = [Event("parked", Source.SUBMIT, now, data={"code": code, "message": message})]
        await context.store.save(prototype, after, *events)

    async def _keyless(self, prototype: TrackedPrototype) -> None:
        """Nobody can send or look now. What was sent stays sent: it is looked up when there is a key again."""
        context = self._context
        now = context.clock()
        words = missing(prototype.generation.account)
        after = steps.waiting_for_key(prototype, now + NO_KEY_PAUSE, words)
        events = []
        if prototype.generation.hold.code != steps.NO_KEY:
            events = [Event("parked", Source.SUBMIT, now, data={"code": steps.NO_KEY, "message": words})]
        await context.store.save(prototype, after, *events)
