"""Follow-ups in a chat that exists, once only; and stopping what runs.

A message carries no metadata, so a lost answer is decided by what the chat holds: before each sending its newest
message is written down, and a message of ours after that one is ours. Nothing is sent again before the chat was read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from protokeep.core import absence
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
from protokeep.core.principals import Principal
from protokeep.core.prototype import (
    GONE,
    UNFINISHED,
    Prototype,
    RecoveryPoint,
    Status,
    generation_of,
)
from protokeep.core.provider_keys import missing
from protokeep.core.timing import backoff, may_resend
from protokeep.core.validation import idempotency_key_of, message_of
from protokeep.providers.base import Conversation, Message, Provider, RemoteChat, SupportsFollowUps, with_follow_ups
from protokeep.service.context import LOOK_BACK, Context, status_events
from protokeep.service.delivery import Deliveries
from protokeep.service.visibility import Visibility
from protokeep.store.audit import write
from protokeep.store.idempotency import save_request
from protokeep.store.sql import Connection, Untouched

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
        await self._check_supported(prototype)
        text = message_of(message)
        key = idempotency_key_of(key)
        for _ in range(MAX_LOSSES):
            now = context.clock()
            intent = None
            if key is not None:
                asked = ("message", prototype.id, text)
                intent = IdempotentRequest(principal.workspace_id, principal.user_id, key, asked, now)
                if await context.store.idempotency.prototype_of_request(intent) is not None:
                    return prototype, False
            if reason := rounds.follow_up_blocked_reason(prototype):
                raise NotNow(f"No message can be sent: {reason[0].lower()}{reason[1:]}")
            try:
                saved = await self._claimed(principal, prototype, text, intent, now)
            except Untouched:
                saved = None
            if saved is not None:
                return saved, True
            prototype = await context.store.get(principal.workspace_id, prototype.id) or prototype
        raise NotNow("This prototype is being changed by too many at once. Try again in a moment.")

    async def _check_supported(self, prototype: Prototype) -> None:
        """Raises `NotNow` if the prototype's app builder takes no follow-ups. Without its key nobody can tell."""
        if prototype.generation is None:
            return
        await self._context.providers.refresh()
        provider = self._context.providers.serving(prototype.generation.account, prototype.generation.api_version)
        if provider is not None and with_follow_ups(provider) is None:
            raise NotNow(_not_supported(provider))

    async def _claimed(
        self, principal: Principal, prototype: Prototype, text: str, intent: IdempotentRequest | None, now: datetime
    ) -> Prototype | None:
        after = rounds.requested(prototype, text, now)
        event = Event("asked", Source.PERSON, now, actor=principal.user_id, data={"message": text[:2000]})

        async def keep(connection: Connection) -> None:
            if intent is not None:
                await save_request(connection, intent, prototype.id)
            await write(
                connection, AuditEntry.of(principal, Action.ASKED, now, prototype.id, round=generation_of(after).turn)
            )

        return await self._context.store.save(prototype, after, event, belongs=keep)

    async def stop(self, principal: Principal, prototype: Prototype) -> Prototype:
        """Stop what is being generated. What had ended already is returned as it is. Raises `ProviderError`."""
        context = self._context
        generation = prototype.generation
        if generation is None or prototype.chat_id is None or generation.follow_up_pending:
            raise NotNow("Nothing can be stopped yet: the builder has not taken it. Try again in a moment.")
        if prototype.status not in (*UNFINISHED, Status.TIMEOUT):
            return prototype
        await context.providers.refresh()
        provider = context.providers.serving(generation.account, generation.api_version)
        if provider is None:
            raise NotConfigured(missing(generation.account))
        follow_ups = with_follow_ups(provider)
        if follow_ups is None:
            raise NotNow(f"{provider.label} cannot stop a generation. It ends by itself.")
        tracks_messages = provider.capabilities.tracks_messages
        message_id = generation.message_id if tracks_messages and not generation.awaiting_input else None
        may_begin = self._sendings.within_a_lease()  # Nobody stops what somebody else began while this process slept.
        try:
            if not await follow_ups.cancel(prototype.chat_id, message_id, may_begin=may_begin):
                return prototype
        except ProviderError as error:
            if error.status != 404:
                raise
            raise NotNow(
                f"{prototype.provider} does not show this chat at present, so it could not be stopped. It is looked at "
                "again; try again in a moment."
            ) from error
        current: Prototype | None = prototype
        while current is not None and current.status in (*UNFINISHED, Status.TIMEOUT):
            if generation_of(current).turn != generation.turn:
                return current  # A follow-up has begun since: it is not what was stopped.
            now = context.clock()
            after = rounds.stopped(current, now)
            data = {"code": "stopped", "message": generation_of(after).error_message}
            event = Event("status", Source.PERSON, now, actor=principal.user_id, status=after.status.value, data=data)
            entry = AuditEntry.of(principal, Action.STOPPED, now, prototype.id)

            async def audit(connection: Connection, entry: AuditEntry = entry) -> None:
                await write(connection, entry)

            saved = await context.store.save(current, after, event, belongs=audit)
            current = saved or await context.store.get(principal.workspace_id, prototype.id)
        return current or prototype

    # -- for jobs ----------------------------------------------------------------------------------------------

    async def resume(self, prototype: Prototype, provider: Provider) -> None:
        """Read the chat, then send the follow-up or take up the one that arrived. The caller holds the row."""
        context = self._context
        read_at = context.clock()
        follow_ups = with_follow_ups(provider)
        if follow_ups is None:
            await self._not_taken(prototype, provider, ProviderRejected(_not_supported(provider), code="not_supported"))
            return
        try:
            talk = await follow_ups.conversation(prototype.chat_id or "")
        except ProviderError as error:
            await self._not_read(prototype, provider, error)
            return
        prototype = absence.recorded_shown(prototype, context.clock(), context.timing)
        generation = generation_of(prototype)
        sure, found = find_sent_message(prototype, talk, trusted=context.heartbeat.trusts(generation.turn_at))
        settled = self._sendings.is_settled(prototype, read_at)
        if found is not None:
            reply = _reply_to(found, talk) if provider.capabilities.tracks_messages else None
            made = RemoteChat(prototype.chat_id or "", message_id=reply, newest_message_id=found.id)
            await self._record(prototype, made, "adopted", provider)
            await self._account_works(generation.account)
        elif sure and may_resend(generation, context.timing, settled=settled):
            refusal = steps.deferred_refusal(generation)
            if refusal is None:
                await self._send(prototype, talk, follow_ups)
            else:
                await self._not_taken(prototype, provider, refusal)
        else:
            now = context.clock()
            after = steps.not_found(prototype, now, context.timing, counted=settled and sure)
            await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))

    async def _not_read(self, prototype: Prototype, provider: Provider, error: ProviderError) -> None:
        context = self._context
        now = context.clock()
        generation = generation_of(prototype)
        if error.status == 404:
            await self._not_shown(prototype, provider)
            return
        if generation.recovery_point is RecoveryPoint.CLAIMED:
            pause = error.retry_after or backoff(generation.attempts + 1, context.timing)
            words = f"{error} The chat is read before anything is sent."
            after = steps.parked(prototype, now, until=now + pause, code=error.code, message=words)
        else:
            after = steps.outcome_unknown(prototype, None, now, context.timing)
        await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))
        log.warning("chat_not_read", prototype_id=prototype.id, code=error.code, reason=str(error))

    async def _not_shown(self, prototype: Prototype, provider: Provider) -> None:
        """The chat is not visible: the follow-up waits, ever longer. It ends only with a chat that is gone."""
        context = self._context
        now = context.clock()
        generation = generation_of(absence.recorded_missing(prototype, now))
        in_doubt = absence.may_be_gone(generation, now, context.timing)
        around = await self._visibility.around(generation.account, provider, [prototype], seen=0, in_doubt=in_doubt)
        after = steps.not_shown(prototype, around, now, context.timing)
        if after.status is Status.FAILED and generation_of(after).error_code == GONE:
            ended = rounds.abandoned(after)
            data = {"code": GONE, "message": rounds.gone_message(prototype)}
            event = Event("status", Source.SUBMIT, now, status=ended.status.value, data=data)
            await context.store.save(prototype, ended, event)
            log.warning("follow_up_ended", prototype_id=prototype.id, code=GONE)
            return
        after = rounds.chat_not_shown(after, now + absence.retry_after(generation, now, context.timing))
        await context.store.save(prototype, after, *status_events(prototype, after, Source.SUBMIT, now))
        log.warning("follow_up_chat_not_visible", prototype_id=prototype.id, looks=generation.missing_polls)

    async def _send(self, prototype: Prototype, talk: Conversation, provider: SupportsFollowUps) -> None:
        context = self._context
        generation = generation_of(prototype)
        held = await self._held(generation.account)
        if held is not None:
            until, code, message = held
            after = steps.parked(prototype, context.clock(), until=until, code=code, message=message)
            await context.store.save(prototype, after)
            return
        baseline_message_id = talk.messages[0].id if talk.messages else None
        sending = await self._sendings.begin(
            prototype,
            lambda now: rounds.about_to_send_follow_up(
                prototype,
                now,
                context.timing,
                previous_message_id=talk.previous_message_id,
                baseline_message_id=baseline_message_id,
            ),
        )
        if sending is None:
            return
        sent = sending.prototype
        context.checkpoint("after_follow_up_sent")
        try:
            sending.check()
            message = generation_of(sent).follow_up or ""
            made = await provider.send(sent.chat_id or "", message, may_begin=sending.may_begin)
        except ProviderError as error:
            await self._not_taken(sent, provider, error)
            return
        context.checkpoint("after_follow_up")
        await self._record(sent, made, "continued", provider)
        await self._account_works(generation.account)

    async def _record(self, prototype: Prototype, made: RemoteChat, kind: str, provider: Provider) -> None:
        """Write that the builder has the message, whoever else moved the row meanwhile."""
        context = self._context
        current: Prototype | None = prototype
        this_round = generation_of(prototype).turn
        while current is not None:
            generation = generation_of(current)
            if not generation.follow_up_pending or generation.turn != this_round:
                return
            now = context.clock()
            after = rounds.follow_up_accepted(
                current,
                message_id=made.message_id,
                seen=made.observation,
                now=now,
                pace=context.timing,
                batched=provider.capabilities.batch_status,
                newest_message_id=made.newest_message_id,
            )
            event = Event(kind, Source.SUBMIT, now, status=after.status.value, data={"round": generation.turn})
            events = [event, *status_events(current, after, Source.SUBMIT, now)]
            if await context.store.save(current, after, *events) is not None:
                self._sendings.forget(current.id)
                log.info("follow_up_recorded", how=kind, prototype_id=current.id, round=generation.turn)
                await context.queue.track(generation.account)
                return
            current = await context.store.get_unscoped(current.id)

    async def _not_taken(self, sent: Prototype, provider: Provider, error: ProviderError) -> None:
        context = self._context
        now = context.clock()
        generation = generation_of(sent)
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
                after = steps.parked(sent, now, until=until, code=error.code, message=str(error))
                kind = "parked"
            case ProviderUnreachable():
                after, kind = steps.unreachable(sent, error, now, context.timing), "parked"
            case OutcomeUnknown() | _:
                after = steps.outcome_unknown(sent, error, now, context.timing)
        data = {"code": error.code, "message": str(error)}
        await context.store.save(sent, after, Event(kind, Source.SUBMIT, now, status=after.status.value, data=data))
        log.warning("follow_up_not_accepted", now=kind, prototype_id=sent.id, code=error.code, reason=str(error))


def find_sent_message(prototype: Prototype, talk: Conversation, *, trusted: bool) -> tuple[bool, Message | None]:
    """(whether that is certain, our message in the chat or None).

    Only a message that is newer than the newest one known before can be ours: the same words may have been said
    before. When that one is not in sight any more, time has to tell, and a doubt is no leave to send again.
    `trusted`: the row was claimed since this process knows its database, so that it is no older copy of itself.
    """
    generation = generation_of(prototype)
    words = generation.follow_up or ""
    mine = [said for said in talk.messages if said.role == "user" and rounds.same_text(said.content, words)]
    ids = [said.id for said in talk.messages]
    baseline_message_id = generation.baseline_message_id
    if baseline_message_id is None:  # Nothing was sent in this round, as far as this copy of the rows knows.
        if trusted:
            return True, None
        baseline_message_id = generation.known_message_id
    if baseline_message_id is not None and (baseline_message_id in ids or (talk.whole and not baseline_message_id)):
        newer = set(ids[: ids.index(baseline_message_id)]) if baseline_message_id else set(ids)
        return True, next((said for said in mine if said.id in newer), None)
    return _by_time(prototype, mine)


def _by_time(prototype: Prototype, mine: Sequence[Message]) -> tuple[bool, Message | None]:
    """The same where no message is known that was there before: what is clearly older is not ours."""
    generation = generation_of(prototype)
    since = generation.sent_at or generation.turn_at
    late = [said for said in mine if said.created_at is not None and said.created_at >= since]
    doubtful = [said for said in mine if said.created_at is None or since > said.created_at >= since - LOOK_BACK]
    if late:
        return True, late[-1]
    return not doubtful and generation.recovery_point is RecoveryPoint.CLAIMED, None


def _not_supported(provider: Provider) -> str:
    return f"{provider.label} takes no follow-up messages. Make another prototype with create_new."


def _reply_to(said: Message, talk: Conversation) -> str | None:
    """The answer that came right after a message; None: not there yet."""
    ids = [one.id for one in talk.messages]
    newer = talk.messages[: ids.index(said.id)]
    return newer[-1].id if newer and newer[-1].role == "assistant" else None
