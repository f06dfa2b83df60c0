"""Follow-ups in a chat that exists, once only; and stopping what runs.

A message carries no metadata, so a lost answer is decided by what the chat holds: before each sending its newest
message is written down, and a message of ours after that one is ours. Nothing is sent again before the chat was read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from protokeep.core import absence, polling
from protokeep.core import follow_up as rounds
from protokeep.core import submission as steps
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import IdempotentRequest
from protokeep.core.errors import (
    NotConfigured,
    NotNow,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from protokeep.core.events import Event, Source
from protokeep.core.generation import GONE, RecoveryPoint
from protokeep.core.principals import Principal
from protokeep.core.prototype import UNFINISHED, Prototype, Status, TrackedPrototype
from protokeep.core.provider_keys import missing
from protokeep.core.timing import backoff, may_resend
from protokeep.core.validation import idempotency_key_of, message_of
from protokeep.providers.base import Conversation, Provider, RemoteChat
from protokeep.service.context import Context, status_events
from protokeep.service.delivery import Deliveries
from protokeep.service.visibility import Visibility
from protokeep.store.afterwards import save_request
from protokeep.store.audit import write
from protokeep.store.database import Session, Untouched

log = structlog.get_logger(__name__)

#: Times a change is tried again because somebody else moved the row; every loss means that somebody got on.
MAX_LOSSES = 10
#: Whether an account may send now: (until, code, message) when it may not.
Held = Callable[[str], Awaitable[tuple[datetime, str, str] | None]]


class FollowUps:
    """Claims follow-ups for people, sends them for jobs, and stops what runs."""

    def __init__(
        self,
        context: Context,
        sendings: Deliveries,
        held: Held,
        account_works: Callable[[str], Awaitable[None]],
        visibility: Visibility,
    ) -> None:
        self._context = context
        self._sendings = sendings
        self._held = held
        self._account_works = account_works
        self._visibility = visibility

    # -- for people --------------------------------------------------------------------------------------------

    async def claim(
        self, principal: Principal, prototype: Prototype, message: str, key: str | None
    ) -> tuple[Prototype, bool]:
        """Write down that a message is to be sent; False: the same idempotency key did so before.

        Raises `InvalidInput`, `KeyReused`, and `NotNow` with what has to happen first.
        """
        context = self._context
        text = message_of(message)
        key = idempotency_key_of(key)
        for _ in range(MAX_LOSSES):
            now = context.clock()
            intent = None
            if key is not None:
                asked = ("message", prototype.id, text)
                intent = IdempotentRequest(principal.workspace_id, principal.user_id, key, asked, now)
                if await context.store.afterwards.prototype_of_request(intent) is not None:
                    return prototype, False
            reason = rounds.follow_up_blocked_reason(prototype)
            if reason is not None or not isinstance(prototype, TrackedPrototype):
                reason = reason or ""
                raise NotNow(f"No message can be sent: {reason[0].lower()}{reason[1:]}")
            try:
                saved = await self._claimed(principal, prototype, text, intent, now)
            except Untouched:
                saved = None
            if saved is not None:
                return saved, True
            prototype = await context.store.get_unscoped(prototype.id) or prototype
        raise NotNow("This prototype is being changed by too many at once. Try again in a moment.")

    async def _claimed(
        self,
        principal: Principal,
        prototype: TrackedPrototype,
        text: str,
        intent: IdempotentRequest | None,
        now: datetime,
    ) -> TrackedPrototype | None:
        after = rounds.requested(prototype, text, now)
        event = Event("asked", Source.PERSON, now, actor=principal.user_id, data={"message": text[:2000]})

        async def keep(session: Session) -> None:
            if intent is not None:
                await save_request(session, intent, prototype.id)
            await write(
                session,
                AuditEntry.of(principal, Action.ASKED, now, prototype.id, round=after.generation.follow_up.turn),
            )

        return await self._context.store.save(prototype, after, event, belongs=keep)

    async def stop(self, principal: Principal, prototype: Prototype) -> Prototype:
        """Stop what is being generated. What had ended already is returned as it is. Raises `ProviderError`."""
        context = self._context
        if (
            not isinstance(prototype, TrackedPrototype)
            or prototype.chat_id is None
            or prototype.generation.follow_up_pending
        ):
            raise NotNow("Nothing can be stopped yet: the builder has not taken it. Try again in a moment.")
        generation = prototype.generation
        if prototype.status not in (*UNFINISHED, Status.TIMEOUT):
            return prototype
        await context.providers.refresh()
        provider = context.providers.serving(generation.account, generation.api_version)
        if provider is None:
            raise NotConfigured(missing(generation.account))
        message_id = generation.message_id if generation.api_version == 2 and not generation.awaiting_input else None
        may_begin = self._sendings.within_a_lease()  # Nobody stops what somebody else began while this process slept.
        try:
            if not await provider.cancel(prototype.chat_id, message_id, may_begin=may_begin):
                return prototype
        except ProviderError as error:
            if error.status != 404:
                raise
            raise NotNow(
                f"{prototype.provider} does not show this chat at present, so it could not be stopped. It is looked at "
                "again; try again in a moment."
            ) from error
        current: TrackedPrototype | None = prototype
        while current is not None and current.status in (*UNFINISHED, Status.TIMEOUT):
            if current.generation.follow_up.turn != generation.follow_up.turn:
                return current  # A follow-up has begun since: it is not what was stopped.
            now = context.clock()
            after = rounds.stopped(current, now)
            data = {"code": "stopped", "message": after.generation.error.message}
            event = Event("status", Source.PERSON, now, actor=principal.user_id, status=after.status.value, data=data)
            entry = AuditEntry.of(principal, Action.STOPPED, now, prototype.id)

            async def audit(session: Session, entry: AuditEntry = entry) -> None:
                await write(session, entry)

            saved = await context.store.save(current, after, event, belongs=audit)
            current = saved or await context.store.get_unscoped(prototype.id)
        return current or prototype

    # -- for jobs ----------------------------------------------------------------------------------------------

    async def resume(self, prototype: TrackedPrototype, provider: Provider) -> None:
        """Read the chat, then send the follow-up or take up the one that arrived. The caller holds the row."""
        context = self._context
        read_at = context.clock()
        try:
            talk = await provider.conversation(prototype.chat_id or "")
        except ProviderError as error:
            await self._not_read(prototype, provider, error)
            return
        prototype = absence.recorded_shown(prototype, context.clock(), context.timing)
        generation = prototype.generation
        found = rounds.find_sent_message(prototype, talk, trusted=context.heartbeat.trusts(generation.turn_at))
        sure = isinstance(found, rounds.CertainlyAbsent)
        settled = self._sendings.is_settled(prototype, read_at)
        if isinstance(found, rounds.Found):
            reply = talk.answer_to(found.message) if provider.api_version == 2 else None
            made = RemoteChat(prototype.chat_id or "", message_id=reply, newest_message_id=found.message.id)
            await self._record(prototype, made, "adopted", provider)
            await self._account_works(generation.account)
        elif sure and may_resend(generation, context.timing, settled=settled):
            refusal = steps.deferred_refusal(generation)
            if refusal is None:
                await self._send(prototype, talk, provider)
            else:
                await self._not_taken(prototype, provider, refusal)
        else:
            now = context.clock()
            after = steps.not_found(prototype, now, context.timing, counted=settled and sure)
            await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))

    async def _not_read(self, prototype: TrackedPrototype, provider: Provider, error: ProviderError) -> None:
        context = self._context
        now = context.clock()
        generation = prototype.generation
        if error.status == 404:
            await self._not_shown(prototype, provider)
            return
        if generation.submission.recovery_point is RecoveryPoint.CLAIMED:
            pause = error.retry_after or backoff(generation.submission.attempts + 1, context.timing)
            words = f"{error} The chat is read before anything is sent."
            after = steps.parked(prototype, until=now + pause, code=error.code, message=words)
        else:
            after = steps.outcome_unknown(prototype, None, now, context.timing)
        await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))
        log.warning("chat_not_read", prototype_id=prototype.id, code=error.code, reason=str(error))

    async def _not_shown(self, prototype: TrackedPrototype, provider: Provider) -> None:
        """The chat is not visible: the follow-up waits, ever longer. It ends only with a chat that is gone."""
        context = self._context
        now = context.clock()
        generation = absence.recorded_missing(prototype, now).generation
        in_doubt = absence.may_be_gone(generation, now, context.timing)
        around = await self._visibility.around(generation.account, provider, [prototype], seen=0, in_doubt=in_doubt)
        after = polling.not_shown(prototype, around, now, context.timing)
        if after.status is Status.FAILED and after.generation.error.code == GONE:
            ended = rounds.abandoned(after)
            data = {"code": GONE, "message": rounds.gone_message(prototype)}
            event = Event("status", Source.SUBMIT, now, status=ended.status.value, data=data)
            await context.store.save(prototype, ended, event)
            log.warning("follow_up_ended", prototype_id=prototype.id, code=GONE)
            return
        after = rounds.chat_not_shown(after, now + absence.retry_after(generation, now, context.timing))
        await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))
        log.warning("follow_up_chat_not_visible", prototype_id=prototype.id, looks=generation.absence.missing_polls)

    async def _send(self, prototype: TrackedPrototype, talk: Conversation, provider: Provider) -> None:
        context = self._context
        generation = prototype.generation
        held = await self._held(generation.account)
        if held is not None:
            until, code, message = held
            after = steps.parked(prototype, until=until, code=code, message=message)
            await context.store.save(prototype, after)
            return
        sending = await self._sendings.begin(
            prototype,
            lambda now: rounds.about_to_send_follow_up(prototype, now, context.timing, talk),
        )
        if sending is None:
            return
        sent = sending.prototype
        context.checkpoint("after_follow_up_sent")
        try:
            sending.check()
            message = sent.generation.follow_up.message or ""
            made = await provider.send(sent.chat_id or "", message, may_begin=sending.may_begin)
        except ProviderError as error:
            await self._not_taken(sent, provider, error)
            return
        context.checkpoint("after_follow_up")
        await self._record(sent, made, "continued", provider)
        await self._account_works(generation.account)

    async def _record(self, prototype: TrackedPrototype, made: RemoteChat, kind: str, provider: Provider) -> None:
        """Write that the builder has the message, whoever else moved the row meanwhile."""
        context = self._context
        current: TrackedPrototype | None = prototype
        this_round = prototype.generation.follow_up.turn
        while current is not None:
            generation = current.generation
            if not generation.follow_up_pending or generation.follow_up.turn != this_round:
                return
            now = context.clock()
            after = rounds.follow_up_accepted(
                current,
                message_id=made.message_id,
                seen=made.observation,
                now=now,
                timing=context.timing,
                batched=provider.capabilities.batch_status,
                newest_message_id=made.newest_message_id,
            )
            event = Event(
                kind, Source.SUBMIT, now, status=after.status.value, data={"round": generation.follow_up.turn}
            )
            events = [event, *status_events(current, after, Source.SUBMIT, now)]
            if await context.store.save(current, after, *events) is not None:
                self._sendings.forget(current.id)
                log.info("follow_up_recorded", how=kind, prototype_id=current.id, round=generation.follow_up.turn)
                await context.queue.track(generation.account)
                return
            current = await context.store.get_unscoped(current.id)

    async def _not_taken(self, sent: TrackedPrototype, provider: Provider, error: ProviderError) -> None:
        context = self._context
        now = context.clock()
        generation = sent.generation
        if isinstance(error, ProviderRejected) and error.status == 404:
            await self._not_shown(rounds.not_sent(sent), provider)
            return
        kind = "undecided"
        match error:
            case ProviderRejected():
                batched = provider.capabilities.batch_status
                after, kind = rounds.rejected(sent, error, now, context.timing, batched=batched), "refused"
            case ProviderBusy():
                until = now + (error.retry_after or timedelta(seconds=60))
                await context.store.accounts.hold(generation.account, provider.name, error.code, str(error), until)
                after = steps.parked(sent, until=until, code=error.code, message=str(error))
                kind = "parked"
            case ProviderUnreachable():
                after, kind = steps.unreachable(sent, error, now, context.timing), "parked"
            case OutcomeUnknown() | _:
                after = steps.outcome_unknown(sent, error, now, context.timing)
        data = {"code": error.code, "message": str(error)}
        await context.store.save(sent, after, Event(kind, Source.SUBMIT, now, status=after.status.value, data=data))
        log.warning("follow_up_not_accepted", now=kind, prototype_id=sent.id, code=error.code, reason=str(error))
