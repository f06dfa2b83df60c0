"""The one path of everything that is sent: take the row, look up, mark it sent, call, record.

    claimed -> (look up, if something may have been sent) -> sent -> accepted

Creates and follow-ups are two payloads of this path. Recovery is the same path, too: the row of a crashed process is
taken up, looked up and goes on. No second implementation of sending exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import ClassVar, Protocol

import structlog

from protokeep import telemetry
from protokeep.core import submission
from protokeep.core.conversation import Conversation
from protokeep.core.errors import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from protokeep.core.events import Event, Source
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.provider_keys import missing_key_message
from protokeep.core.timing import backoff
from protokeep.providers.base import MayBegin, Provider, RemoteChat
from protokeep.service.account_gate import AccountGate
from protokeep.service.context import Context, renewing, status_events
from protokeep.service.deletion import Deleter
from protokeep.service.lookups import LOOK_UP_WAITS
from protokeep.service.orphans import OrphanReconciler
from protokeep.service.sendings import Sendings

log = structlog.get_logger(__name__)

#: How long a row waits whose account has no key configured in this process.
NO_KEY_PAUSE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Adopt:
    """The provider has the request already, as `chat`. Every chat of `surplus` carries the same marker."""

    chat: RemoteChat
    surplus: Sequence[RemoteChat] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Certainly nothing of the request is at the provider. `conversation`: the chat before a follow-up, as read."""

    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """An earlier, unclear answer turned out to be a refusal: nothing came of it, twice."""

    error: ProviderRejected


@dataclass(frozen=True, slots=True)
class StillUnknown:
    """Nobody can tell yet whether the provider has the request. `counted`: one more look-up found nothing."""

    counted: bool


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """Nothing could be looked up, so nothing may be sent."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class Change:
    """The row as it shall be written, with the lines of its history."""

    after: TrackedPrototype
    events: Sequence[Event] = ()


Resolution = Adopt | Send | Refuse | StillUnknown | LookupFailed | Change


class Fit(Enum):
    """Whether the ids of a chat, or of a message in it, belong into the row as it is now."""

    NEW = "new"  #: its ids have to be written
    KNOWN = "known"  #: they are written, or belong to an earlier turn
    SURPLUS = "surplus"  #: the row has another chat


class Payload(Protocol):
    """The differences between a create and a follow-up. No method writes to the store."""

    name: ClassVar[str]
    #: The kind of the event that says that the provider accepted it.
    accepted_kind: ClassVar[str]
    #: A sentence for people: how the request is checked before it is sent.
    check_notice: ClassVar[str]
    #: Whether several lost answers hold the whole account.
    opens_circuit: ClassVar[bool]

    async def resolve(self, prototype: TrackedPrototype, provider: Provider) -> tuple[TrackedPrototype, Resolution]:
        """Decide whether the request may be sent. The prototype is returned with what the provider said of its chat.

        Raises `ProviderError` when the provider could not be asked.
        """
        ...

    def about_to_send(self, prototype: TrackedPrototype, now: datetime, send: Send) -> TrackedPrototype:
        """The row as it is committed before the call."""
        ...

    async def call(self, sent: TrackedPrototype, provider: Provider, may_begin: MayBegin) -> RemoteChat:
        """Send the request. Raises `ProviderError`."""
        ...

    async def rejected(self, sent: TrackedPrototype, provider: Provider, error: ProviderRejected) -> Change:
        """The row after the provider refused it for certain."""
        ...

    def fit(self, sent: TrackedPrototype, current: TrackedPrototype, chat: RemoteChat) -> Fit:
        """Whether the ids of `chat` belong into the row, which may have moved since it was sent."""
        ...

    def accepted(
        self, current: TrackedPrototype, chat: RemoteChat, now: datetime, *, batched: bool
    ) -> TrackedPrototype:
        """The row with the ids of `chat`."""
        ...

    def event_data(self, accepted: TrackedPrototype) -> dict[str, object]:
        """The details of the line of history that says that the provider has it."""
        ...


def change_after_error(
    kind: str, before: TrackedPrototype, after: TrackedPrototype, error: ProviderError, now: datetime
) -> Change:
    """The change that follows from an error of the provider, with the provider's reason in the history."""
    data = {"code": error.code, "message": str(error)}
    event = Event(kind, Source.SUBMIT, now, status=after.status.value, data=data)
    if after.status is before.status:
        return Change(after, [event])
    return Change(after, [event, *status_events(before, after, Source.SUBMIT, now)])


class Delivery:
    """Takes a claimed or sent row as far as possible for now."""

    def __init__(
        self,
        context: Context,
        sendings: Sendings,
        gate: AccountGate,
        orphans: OrphanReconciler,
        deleter: Deleter,
        create: Payload,
        follow_up: Payload,
    ) -> None:
        self._context = context
        self._sendings = sendings
        self._gate = gate
        self._orphans = orphans
        self._deleter = deleter
        self._create = create
        self._follow_up = follow_up
        #: Rows whose look-up failed before: the log says so once for each.
        self._failed_lookups: set[str] = set()

    async def submit(self, mockup_id: str) -> None:
        """Send a row, or look it up and then perhaps send it. Does nothing when another worker holds the row."""
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
            return  # The row waited until its lease ended, and a sweep of this process has taken it up.
        turn = prototype.generation.follow_up.turn
        with self._sendings.working_on(prototype.id), telemetry.turn_span("prototype.deliver", prototype.id, turn):
            await self._deliver(prototype)

    async def _deliver(self, prototype: TrackedPrototype) -> None:
        context = self._context
        generation = prototype.generation
        await context.heartbeat.started()
        await context.providers.refresh()
        provider = context.providers.serving(generation.account, generation.api_version)
        if provider is None:
            await self._wait_for_key(prototype)
            return
        if generation.submission.was_sent:
            self._sendings.note_sent(prototype)
        payload = self._follow_up if generation.follow_up_pending else self._create

        async def renew() -> object:
            return await context.store.renew_lease(prototype, context.clock() + context.timing.lease)

        async with renewing(renew, context.timing.lease / 3):
            found, resolution = await self._resolve(payload, prototype, provider)
            await self._carry_out(payload, found, provider, resolution)

    async def _resolve(
        self, payload: Payload, prototype: TrackedPrototype, provider: Provider
    ) -> tuple[TrackedPrototype, Resolution]:
        try:
            await self._orphans.verify(prototype.generation.account, provider)
            return await payload.resolve(prototype, provider)
        except ProviderError as error:
            return prototype, LookupFailed(error)

    async def _carry_out(
        self, payload: Payload, prototype: TrackedPrototype, provider: Provider, resolution: Resolution
    ) -> None:
        if not isinstance(resolution, LookupFailed):
            self._failed_lookups.discard(prototype.id)
        match resolution:
            case Adopt():
                await self._adopt(payload, prototype, provider, resolution)
            case Send() if prototype.generation.deletion_requested_at is not None:
                await self._deleter.delete_row(prototype)  # The provider has no chat that has to be deleted.
            case Send():
                await self._send(payload, prototype, provider, resolution)
            case Refuse(error):
                await self._not_accepted(payload, prototype, provider, error)
            case StillUnknown(counted):
                now = self._context.clock()
                after = submission.not_found(prototype, now, self._context.timing, counted=counted)
                await self._save(prototype, Change(after, status_events(prototype, after, Source.SUBMIT, now)))
            case LookupFailed(error):
                await self._look_up_failed(payload, prototype, error)
            case Change():
                await self._save(prototype, resolution)

    async def _adopt(self, payload: Payload, prototype: TrackedPrototype, provider: Provider, adopt: Adopt) -> None:
        with telemetry.span("prototype.record", how="adopted"):
            await self.record(payload, prototype, adopt.chat, "adopted", provider)
        for chat in adopt.surplus:
            await self._note_surplus(prototype, chat)
        await self._gate.release(prototype.generation.account)

    async def _send(self, payload: Payload, prototype: TrackedPrototype, provider: Provider, send: Send) -> None:
        context = self._context
        account = prototype.generation.account
        hold = await self._gate.hold_of(account)
        if hold is not None:
            await self._park(prototype, hold.until, hold.code, hold.message)
            return
        context.checkpoint("before_sent")
        marked = await self._sendings.mark_sent(prototype, lambda now: payload.about_to_send(prototype, now, send))
        if marked is None:
            return
        context.checkpoint("after_sent")
        began = context.elapsed()
        try:
            marked.check()
            chat = await payload.call(marked.prototype, provider, marked.may_begin)
        except ProviderError as error:
            await self._not_accepted(payload, marked.prototype, provider, error)
            if isinstance(error, OutcomeUnknown) and payload.opens_circuit and not self._slept_since(began):
                await self._gate.count_lost_answer(account, provider, error, context.clock())
            return
        context.checkpoint("after_call")
        with telemetry.span("prototype.record", how=payload.accepted_kind):
            await self.record(payload, marked.prototype, chat, payload.accepted_kind, provider)
        context.checkpoint("after_record")
        await self._gate.release(account)

    def _slept_since(self, began: float) -> bool:
        """Whether this process slept during a call that began then: the lost answer says nothing about the provider."""
        longest = self._context.timing.create_timeout + self._context.timing.lease
        return self._context.elapsed() - began > longest.total_seconds()

    async def record(
        self, payload: Payload, sent: TrackedPrototype, chat: RemoteChat, kind: str, provider: Provider
    ) -> None:
        """Write the provider's ids, also into a row that another process changed meanwhile: no id may be lost."""
        current: TrackedPrototype | None = sent
        while current is not None:
            fit = payload.fit(sent, current, chat)
            if fit is Fit.SURPLUS:
                await self._note_surplus(current, chat)
            if fit is not Fit.NEW or await self._record_into(payload, current, chat, kind, provider):
                return
            current = await self._context.store.get_unscoped(current.id)

    async def _record_into(
        self, payload: Payload, current: TrackedPrototype, chat: RemoteChat, kind: str, provider: Provider
    ) -> bool:
        """Write the ids into the row as it was read. False: another process changed the row."""
        context = self._context
        now = context.clock()
        after = payload.accepted(current, chat, now, batched=provider.capabilities.batch_status)
        event = Event(kind, Source.SUBMIT, now, status=after.status.value, data=payload.event_data(after))
        events = [event, *status_events(current, after, Source.SUBMIT, now)]
        if await context.store.save(current, after, *events) is None:
            return False
        self._sendings.forget(current.id)
        log.info("request_recorded", request=payload.name, how=kind, prototype_id=current.id, chat_id=chat.chat_id)
        if after.generation.polling.next_poll_at is not None:
            await context.queue.track(after.generation.account)
        return True

    async def _note_surplus(self, prototype: TrackedPrototype, chat: RemoteChat) -> None:
        await self._context.store.note_surplus(prototype, chat.chat_id, self._context.clock())
        log.error("surplus_chat", prototype_id=prototype.id, chat_id=chat.chat_id)

    async def _not_accepted(
        self, payload: Payload, sent: TrackedPrototype, provider: Provider, error: ProviderError
    ) -> None:
        """Write the consequence of an answer that is no acceptance."""
        change = await self._change_after(payload, sent, provider, error)
        await self._save(sent, change)
        log.warning(
            "request_not_accepted",
            request=payload.name,
            now=[event.kind for event in change.events],
            prototype_id=sent.id,
            code=error.code,
            reason=str(error),
        )

    async def _change_after(
        self, payload: Payload, sent: TrackedPrototype, provider: Provider, error: ProviderError
    ) -> Change:
        timing, now = self._context.timing, self._context.clock()
        match error:
            case ProviderRejected():
                return await payload.rejected(sent, provider, error)
            case ProviderBusy():
                until = await self._gate.hold_for(sent.generation.account, provider, error)
                after = submission.parked(sent, until=until, code=error.code, message=str(error))
                return change_after_error("parked", sent, after, error, now)
            case ProviderUnreachable():
                return change_after_error("parked", sent, submission.unreachable(sent, error, now, timing), error, now)
            case _:
                after = submission.outcome_unknown(sent, error, now, timing)
                return change_after_error("undecided", sent, after, error, now)

    async def _look_up_failed(self, payload: Payload, prototype: TrackedPrototype, error: ProviderError) -> None:
        """Wait. A claimed request is parked; a sent request stays undecided."""
        context = self._context
        now = context.clock()
        generation = prototype.generation
        if not generation.submission.was_sent:
            pause = error.retry_after or backoff(generation.submission.attempts + 1, context.timing)
            await self._park(prototype, now + pause, error.code, f"{error} {payload.check_notice}")
            return
        after = submission.outcome_unknown(prototype, None, now, context.timing)
        await self._save(prototype, Change(after, status_events(prototype, after, Source.SUBMIT, now)))
        if prototype.id not in self._failed_lookups and error.code != LOOK_UP_WAITS:
            self._failed_lookups.add(prototype.id)
            log.warning("lookup_failed", prototype_id=prototype.id, code=error.code, reason=str(error))

    async def _park(self, prototype: TrackedPrototype, until: datetime, code: str, message: str) -> None:
        """Nothing was sent; people see the reason."""
        after = submission.parked(prototype, until=until, code=code, message=message)
        await self._save(prototype, Change(after, self._parked_events(prototype, code, message)))

    async def _wait_for_key(self, prototype: TrackedPrototype) -> None:
        """Wait for a key: without one no process can send or look up. A sent request stays sent."""
        message = missing_key_message(prototype.generation.account)
        after = submission.waiting_for_key(prototype, self._context.clock() + NO_KEY_PAUSE, message)
        await self._save(prototype, Change(after, self._parked_events(prototype, submission.NO_KEY, message)))

    def _parked_events(self, prototype: TrackedPrototype, code: str, message: str) -> Sequence[Event]:
        """One line of history for each reason, however often the row is parked for it."""
        if prototype.generation.hold.code == code:
            return []
        return [Event("parked", Source.SUBMIT, self._context.clock(), data={"code": code, "message": message})]

    async def _save(self, before: TrackedPrototype, change: Change) -> None:
        await self._context.store.save(before, change.after, *change.events)
