"""Follow-ups in a chat that exists, once only; and stopping a generation that runs.

A message carries no metadata, so a lost answer is decided by reading the chat: before each sending the chat's newest
message is written down, and a later message with our text is ours. Nothing is sent again before the chat was read.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import structlog

from protokeep.core import absence, follow_up, polling
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.conversation import Conversation
from protokeep.core.create_request import IdempotentRequest
from protokeep.core.errors import NotConfigured, NotNow, ProviderError, ProviderRejected
from protokeep.core.events import Event, Source
from protokeep.core.generation import GONE
from protokeep.core.principals import Principal
from protokeep.core.prototype import UNFINISHED, Prototype, Status, TrackedPrototype
from protokeep.core.provider_keys import missing_key_message
from protokeep.core.submission import deferred_refusal
from protokeep.core.timing import may_resend
from protokeep.core.validation import idempotency_key_of, message_of
from protokeep.providers.base import MayBegin, Provider, RemoteChat, with_follow_ups
from protokeep.service.context import Context, status_events
from protokeep.service.deletion import CHANGED_TOO_OFTEN, MAX_LOSSES
from protokeep.service.delivery import (
    Adopt,
    Change,
    Fit,
    Refuse,
    Resolution,
    Send,
    StillUnknown,
    change_after_error,
)
from protokeep.service.sendings import Sendings
from protokeep.service.visibility import Visibility
from protokeep.store.audit import write
from protokeep.store.idempotency import save_request
from protokeep.store.sql import Connection

log = structlog.get_logger(__name__)

#: Statuses of a generation that can be stopped.
STOPPABLE = frozenset({*UNFINISHED, Status.TIMEOUT})


class FollowUps:
    """Claims follow-ups for people, and stops generations that run."""

    def __init__(self, context: Context, sendings: Sendings) -> None:
        self._context = context
        self._sendings = sendings

    async def claim(
        self, principal: Principal, prototype: Prototype, message: str, key: str | None
    ) -> tuple[TrackedPrototype, bool]:
        """Write down that a message is to be sent. False: a request with the same idempotency key did so before.

        Raises `InvalidInput`, `KeyReused`, `TooMany`, and `NotNow` with what has to happen first.
        """
        await self._check_supported(prototype)
        text, key = message_of(message), idempotency_key_of(key)
        current: Prototype = prototype
        for _ in range(MAX_LOSSES):
            now = self._context.clock()
            request = None
            if key is not None:
                request = IdempotentRequest(
                    principal.workspace_id, principal.user_id, key, ("message", prototype.id, text), now
                )
            await self._context.key_room.require(request)
            tracked, replayed = await self._claimable(current, request)
            if replayed:
                self._context.metrics.claim("follow_up", "replayed")
                return tracked, False
            claimed = await self._try_to_claim(principal, tracked, text, request, now)
            if claimed is not None:
                self._context.metrics.claim("follow_up", "created")
                return claimed, True
            current = await self._context.store.get_unscoped(prototype.id) or tracked
        raise NotNow(CHANGED_TOO_OFTEN)

    async def _check_supported(self, prototype: Prototype) -> None:
        """Raises `NotNow` if the prototype's app builder takes no follow-ups. Without its key nobody can tell."""
        if prototype.generation is None:
            return
        await self._context.providers.refresh()
        provider = self._context.providers.serving(prototype.generation.account, prototype.generation.api_version)
        if provider is not None and with_follow_ups(provider) is None:
            raise NotNow(_not_supported(provider))

    async def _claimable(
        self, prototype: Prototype, request: IdempotentRequest | None
    ) -> tuple[TrackedPrototype, bool]:
        """The prototype, and whether the request was claimed before. Raises `NotNow`, `KeyReused`."""
        requests = self._context.store.idempotency
        replayed = request is not None and await requests.prototype_of_request(request) is not None
        reason = None if replayed else follow_up.follow_up_blocked_reason(prototype)
        if reason is not None:
            raise NotNow(f"The change cannot be sent: {reason[0].lower()}{reason[1:]}")
        if not isinstance(prototype, TrackedPrototype):
            raise NotNow("The change cannot be sent: protokeep no longer tracks this prototype.")
        return prototype, replayed

    async def _try_to_claim(
        self,
        principal: Principal,
        prototype: TrackedPrototype,
        text: str,
        request: IdempotentRequest | None,
        now: datetime,
    ) -> TrackedPrototype | None:
        """Claim the follow-up. None: another request changed the row, or used the key, meanwhile."""
        after = follow_up.requested(prototype, text, now)
        event = Event(
            "asked", Source.PERSON, now, actor=principal.user_id, data={"message": text[: follow_up.MESSAGE_SHOWN]}
        )
        entry = AuditEntry.of(principal, Action.ASKED, now, prototype.id, round=after.generation.follow_up.turn)

        async def save_key_and_audit(connection: Connection) -> None:
            if request is not None:
                await save_request(connection, request, prototype.id)
            await write(connection, entry)

        return await self._context.store.save(prototype, after, event, belongs=save_key_and_audit)

    async def stop(self, principal: Principal, prototype: Prototype) -> TrackedPrototype:
        """Stop a generation. One that has ended already is returned as it is. Raises `NotNow`, `ProviderError`."""
        if not isinstance(prototype, TrackedPrototype) or not _has_arrived(prototype):
            raise NotNow("It cannot be stopped yet: the app builder has not accepted it. Try again in a moment.")
        if prototype.generation.is_in_bin:
            raise NotNow("It is in the bin. Take it back first.")
        if prototype.status not in STOPPABLE or not await self._cancel(prototype):
            return prototype
        turn = prototype.generation.follow_up.turn
        current: TrackedPrototype | None = prototype
        while current is not None and current.status in STOPPABLE:
            if current.generation.follow_up.turn != turn:
                return current  # A follow-up has begun since: the stopped turn is over.
            saved = await self._record_stop(principal, current)
            current = saved or await self._context.store.get_unscoped(prototype.id)
        return current or prototype

    async def _cancel(self, prototype: TrackedPrototype) -> bool:
        """Let the provider stop generating; False: it was not generating."""
        context, generation = self._context, prototype.generation
        await context.providers.refresh()
        provider = context.providers.serving(generation.account, generation.api_version)
        if provider is None:
            raise NotConfigured(missing_key_message(generation.account))
        follow_ups = with_follow_ups(provider)
        if follow_ups is None:
            raise NotNow(f"{provider.label} cannot stop a generation. Wait until it ends.")
        tracks_messages = provider.capabilities.tracks_messages
        message_id = generation.message_id if tracks_messages and not generation.awaiting_input else None
        # A process that slept must not stop a turn that another process began meanwhile.
        may_begin = self._sendings.within_a_lease()
        try:
            return await follow_ups.cancel(prototype.chat_id or "", message_id, may_begin=may_begin)
        except ProviderError as error:
            if error.status != 404:
                raise
            raise NotNow(
                f"{prototype.provider} does not show this chat at present, so it could not be stopped. protokeep "
                "keeps checking; try again in a moment."
            ) from error

    async def _record_stop(self, principal: Principal, prototype: TrackedPrototype) -> TrackedPrototype | None:
        now = self._context.clock()
        after = follow_up.stopped(prototype, now, principal.user_id)
        data = {"code": "stopped", "message": after.generation.error.message}
        event = Event("status", Source.PERSON, now, actor=principal.user_id, status=after.status.value, data=data)
        entry = AuditEntry.of(principal, Action.STOPPED, now, prototype.id)

        async def audit(connection: Connection) -> None:
            await write(connection, entry)

        return await self._context.store.save(prototype, after, event, belongs=audit)


def _not_supported(provider: Provider) -> str:
    return f"{provider.label} accepts no changes. Create another variant instead."


def _has_arrived(prototype: TrackedPrototype) -> bool:
    return prototype.chat_id is not None and not prototype.generation.follow_up_pending


class FollowUpPayload:
    """Sends one message of one turn into the row's chat."""

    name: ClassVar[str] = "follow_up"
    accepted_kind: ClassVar[str] = "continued"
    check_notice: ClassVar[str] = "The chat is read before anything is sent."
    opens_circuit: ClassVar[bool] = False

    def __init__(self, context: Context, sendings: Sendings, visibility: Visibility) -> None:
        self._context = context
        self._sendings = sendings
        self._visibility = visibility

    async def resolve(self, prototype: TrackedPrototype, provider: Provider) -> tuple[TrackedPrototype, Resolution]:
        """Read the chat: is the message there already? Raises `ProviderError`."""
        context = self._context
        read_at = context.clock()
        follow_ups = with_follow_ups(provider)
        if follow_ups is None:
            return prototype, Refuse(ProviderRejected(_not_supported(provider), code="not_supported"))
        try:
            conversation = await follow_ups.conversation(prototype.chat_id or "")
        except ProviderError as error:
            if error.status != 404:
                raise
            return prototype, await self._not_shown(prototype, provider)
        shown = absence.recorded_shown(prototype, context.clock(), context.timing)
        settled = self._sendings.is_settled(shown, read_at)
        return shown, self._resolution_of(shown, conversation, provider, settled=settled)

    def _resolution_of(
        self, prototype: TrackedPrototype, conversation: Conversation, provider: Provider, *, settled: bool
    ) -> Resolution:
        context, generation = self._context, prototype.generation
        trusted = context.heartbeat.trusts(generation.turn_at)
        match follow_up.find_sent_message(prototype, conversation, trusted=trusted):
            case follow_up.Found(message):
                answer = conversation.answer_to(message) if provider.capabilities.tracks_messages else None
                chat = RemoteChat(prototype.chat_id or "", message_id=answer, newest_message_id=message.id)
                return Adopt(chat)
            case follow_up.CannotTell():
                return StillUnknown(counted=False)
            case follow_up.CertainlyAbsent():
                if not may_resend(generation, context.timing, settled=settled):
                    return StillUnknown(counted=settled)
                refusal = deferred_refusal(generation)
                return Send(conversation) if refusal is None else Refuse(refusal)

    async def _not_shown(self, prototype: TrackedPrototype, provider: Provider) -> Change:
        """Let the follow-up wait, ever longer, because its chat is not visible. End it if the chat is gone."""
        context = self._context
        now = context.clock()
        generation = absence.recorded_missing(prototype, now).generation
        in_doubt = absence.may_be_gone(generation, now, context.timing)
        account = await self._visibility.assess(generation.account, provider, [prototype], shown=0, in_doubt=in_doubt)
        after = polling.not_shown(prototype, account, now, context.timing)
        if after.status is Status.FAILED and after.generation.error.code == GONE:
            log.warning("follow_up_ended", prototype_id=prototype.id, code=GONE)
            data = {"code": GONE, "message": follow_up.gone_message(prototype)}
            event = Event("status", Source.SUBMIT, now, status=after.status.value, data=data)
            return Change(follow_up.abandoned(after), [event])
        log.warning("follow_up_chat_not_visible", prototype_id=prototype.id, polls=generation.absence.missing_polls)
        waits = follow_up.chat_not_shown(after, now + absence.retry_after(generation, now, context.timing))
        return Change(waits, status_events(prototype, waits, Source.SUBMIT, now))

    def about_to_send(self, prototype: TrackedPrototype, now: datetime, send: Send) -> TrackedPrototype:
        """The row as it is committed before the call, with how its chat ended."""
        conversation = send.conversation
        if conversation is None:
            raise ValueError("a change is sent only into a chat that was read")
        return follow_up.about_to_send_follow_up(prototype, now, self._context.timing, conversation)

    async def call(self, sent: TrackedPrototype, provider: Provider, may_begin: MayBegin) -> RemoteChat:
        """Send the message. Raises `ProviderError`."""
        follow_ups = with_follow_ups(provider)
        if follow_ups is None:
            raise ProviderRejected(_not_supported(provider), code="not_supported")
        return await follow_ups.send(sent.chat_id or "", sent.generation.follow_up.message or "", may_begin=may_begin)

    async def rejected(self, sent: TrackedPrototype, provider: Provider, error: ProviderRejected) -> Change:
        """The message changed nothing, and the row says why. After a 404 it waits for its chat."""
        if error.status == 404:
            return await self._not_shown(follow_up.not_sent(sent), provider)
        now = self._context.clock()
        batched = provider.capabilities.batch_status
        after = follow_up.rejected(sent, error, now, self._context.timing, batched=batched)
        return change_after_error("refused", sent, after, error, now)

    def fit(self, sent: TrackedPrototype, current: TrackedPrototype, chat: RemoteChat) -> Fit:
        """The message belongs to the turn that it was sent in, for as long as that turn waits for it."""
        same_turn = current.generation.follow_up.turn == sent.generation.follow_up.turn
        return Fit.NEW if same_turn and current.generation.follow_up_pending else Fit.KNOWN

    def accepted(
        self, current: TrackedPrototype, chat: RemoteChat, now: datetime, *, batched: bool
    ) -> TrackedPrototype:
        """The row at the beginning of its new turn."""
        return follow_up.follow_up_accepted(
            current,
            message_id=chat.message_id,
            observation=chat.observation,
            now=now,
            timing=self._context.timing,
            batched=batched,
            newest_message_id=chat.newest_message_id,
        )

    def event_data(self, accepted: TrackedPrototype) -> dict[str, object]:
        """The turn that began."""
        return {"round": accepted.generation.follow_up.turn}
