"""What creates and follow-ups share when they are sent: the mark before the call, and the last check before it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from protokeep.core.errors import DatabaseWentBack, ProviderUnreachable
from protokeep.core.events import Event, Source
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import settled_since_sent
from protokeep.providers.base import MayBegin
from protokeep.service.context import Context
from protokeep.service.orphans import OrphanReconciler
from protokeep.store.database import Session

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A call that is about to be made: the row as it was written before it, and until when it may begin."""

    prototype: TrackedPrototype
    may_begin: MayBegin

    def check(self) -> None:
        """Raises `ProviderUnreachable` when the process slept so long that another one may have taken over."""
        if not self.may_begin():
            raise ProviderUnreachable("It was too late to send it, so nothing was sent.", code="too_late")


class Deliveries:
    """The sendings of this process: which rows it works on, and how long it has known a row as sent.

    Both are measured by a ruler of this process alone. No step of any host's clock makes a row look abandoned that
    this process is sending, or makes a sending look so old that its chat would be in every list.
    """

    def __init__(self, context: Context, recoverer: OrphanReconciler) -> None:
        self._context = context
        self._recoverer = recoverer
        self._working: set[str] = set()
        self._known_as_sent: dict[str, tuple[tuple[int, int], float]] = {}

    @contextlib.contextmanager
    def working_on(self, mockup_id: str) -> Iterator[None]:
        """For as long as the context lasts, this process does not take the row up a second time."""
        self._working.add(mockup_id)
        try:
            yield
        finally:
            self._working.discard(mockup_id)

    def is_working_on(self, mockup_id: str) -> bool:
        """Whether this process works on a row, perhaps with a call open."""
        return mockup_id in self._working

    def within_a_lease(self) -> MayBegin:
        """Says for as long as a lease from now that a call may begin: a process that slept for longer makes none."""
        elapsed, lease = self._context.elapsed, self._context.timing.lease.total_seconds()
        began = elapsed()
        return lambda: elapsed() - began < lease

    async def begin(self, prototype: TrackedPrototype, step: Callable[[datetime], TrackedPrototype]) -> Delivery | None:
        """Write `step`'s prototype, which says that the call is made. None: it may not be made.

        The time that the commit takes counts against the lease: the call may begin only while no other process can
        have taken the row over.
        """
        context = self._context
        may_begin = self.within_a_lease()
        now = context.clock()
        after = step(now)
        event = Event("sent", Source.SUBMIT, now, data={"attempt": after.generation.submission.attempts})
        confirmed: list[tuple[int, int]] = []
        account, version = prototype.generation.account, prototype.generation.api_version

        async def confirm(session: Session) -> None:
            confirmed.append(await context.heartbeat.confirm(session))
            # Another task of this process may have noticed, and beaten anew, since this one compared the account.
            if not self._recoverer.is_verified(account, version):
                raise DatabaseWentBack

        try:
            sent = await context.store.save(prototype, after, event, belongs=confirm)
        except DatabaseWentBack:
            await context.heartbeat.beat()
            return None
        if sent is None:
            return None
        context.heartbeat.committed(*confirmed[-1])
        self.note_sent(sent)
        return Delivery(sent, may_begin)

    def note_sent(self, prototype: TrackedPrototype) -> None:
        """This process knows a row as sent, from now on at the latest."""
        generation = prototype.generation
        sending = generation.follow_up.turn, generation.submission.attempts
        known = self._known_as_sent.get(prototype.id)
        if known is None or known[0] != sending:
            self._known_as_sent[prototype.id] = sending, self._context.elapsed()

    def forget(self, mockup_id: str) -> None:
        """The outcome of a sending is known."""
        self._known_as_sent.pop(mockup_id, None)

    def is_settled(self, prototype: TrackedPrototype, at: datetime | None = None) -> bool:
        """Whether a chat made by the last sending was in every list at a time, by the clock and by the ruler.

        `at`: when a look-up began; None: now.
        """
        context = self._context
        now = context.clock()
        at = min(at or now, now)
        known = self._known_as_sent.get(prototype.id)
        if known is not None:
            since = context.elapsed() - known[1] - (now - at).total_seconds()
            if since < context.timing.settle.total_seconds():
                return False
        return settled_since_sent(prototype.generation, at, context.timing)
