"""A create as a payload of `Delivery`: a chat that carries our marker, so that it is found when its answer is lost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from protokeep import telemetry
from protokeep.core import submission
from protokeep.core.errors import ProviderRejected
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import may_resend, must_look_up_first
from protokeep.providers.base import MayBegin, Provider, RemoteChat
from protokeep.service.chat_metadata import chat_metadata
from protokeep.service.context import Context
from protokeep.service.delivery import (
    Adopt,
    Change,
    Fit,
    LookupFailed,
    Refuse,
    Resolution,
    Send,
    StillUnknown,
    change_after_error,
)
from protokeep.service.lookups import LookupResult, Lookups
from protokeep.service.sendings import Sendings

#: What metrics say of a look-up that did not prove a chat absent.
OUTCOMES: Mapping[type, str] = {Adopt: "found", LookupFailed: "failed"}


class CreatePayload:
    """Makes one chat for one row."""

    name: ClassVar[str] = "create"
    accepted_kind: ClassVar[str] = "accepted"
    check_notice: ClassVar[str] = "It is looked up before anything is sent."
    opens_circuit: ClassVar[bool] = True

    def __init__(self, context: Context, sendings: Sendings, lookups: Lookups) -> None:
        self._context = context
        self._sendings = sendings
        self._lookups = lookups

    async def resolve(self, prototype: TrackedPrototype, provider: Provider) -> tuple[TrackedPrototype, Resolution]:
        """Look the marker up where a chat may exist already. Raises `ProviderError`."""
        await self._lookups.keeper_id()  # A read that fails here fails before anything is marked as sent.
        if not must_look_up_first(prototype.generation, self._context.clock(), self._context.timing):
            return prototype, Send()
        with telemetry.span("prototype.look_up"):
            lookup = await self._lookups.find(prototype, provider)
        resolution = self._resolution_of(prototype, lookup)
        self._context.metrics.lookup("absent" if lookup.absent else OUTCOMES.get(type(resolution), "unknown"))
        return prototype, resolution

    def _resolution_of(self, prototype: TrackedPrototype, lookup: LookupResult) -> Resolution:
        if lookup.chats:
            return Adopt(lookup.chats[0], surplus=lookup.chats[1:])
        if not lookup.absent:
            return StillUnknown(counted=False) if lookup.error is None else LookupFailed(lookup.error)
        settled = self._sendings.is_settled(prototype, lookup.began_at)
        if not may_resend(prototype.generation, self._context.timing, settled=settled):
            return StillUnknown(counted=settled)
        refusal = submission.deferred_refusal(prototype.generation)
        return Send() if refusal is None else Refuse(refusal)

    def about_to_send(self, prototype: TrackedPrototype, now: datetime, send: Send) -> TrackedPrototype:
        """The row as it is committed before the call."""
        return submission.about_to_send(prototype, now, self._context.timing)

    async def call(self, sent: TrackedPrototype, provider: Provider, may_begin: MayBegin) -> RemoteChat:
        """Create the chat, with the metadata by which it is found again. Raises `ProviderError`."""
        metadata = chat_metadata(self._context.signer, await self._lookups.keeper_id(), sent)
        return await provider.create(sent.prompt or "", metadata, may_begin=may_begin)

    async def rejected(self, sent: TrackedPrototype, provider: Provider, error: ProviderRejected) -> Change:
        """The prototype fails. After a 404 it is tried again: not even the place where chats are made was shown."""
        now = self._context.clock()
        if error.status == 404:
            after = submission.unreachable(sent, error, now, self._context.timing)
            return change_after_error("parked", sent, after, error, now)
        return change_after_error("refused", sent, submission.refused(sent, error, now), error, now)

    def fit(self, sent: TrackedPrototype, current: TrackedPrototype, chat: RemoteChat) -> Fit:
        """A row has one chat; any other chat with its marker is a surplus."""
        if current.chat_id == chat.chat_id:
            return Fit.KNOWN
        settled = current.generation.submission.recovery_point is RecoveryPoint.SETTLED
        return Fit.SURPLUS if current.chat_id is not None or settled else Fit.NEW

    def accepted(
        self, current: TrackedPrototype, chat: RemoteChat, now: datetime, *, batched: bool
    ) -> TrackedPrototype:
        """The row with the ids of the chat."""
        return submission.accepted(
            current,
            chat_id=chat.chat_id,
            message_id=chat.message_id,
            project_id=chat.project_id,
            observation=chat.observation,
            now=now,
            timing=self._context.timing,
            batched=batched,
            newest_message_id=chat.newest_message_id,
        )

    def event_data(self, accepted: TrackedPrototype) -> dict[str, object]:
        """The chat that was made."""
        return {"chat_id": accepted.chat_id}
