"""The calls of this process that may act at a provider: which rows it works on, and since when a row is sent.

Both are measured by a monotonic clock of this process. No step of a wall clock makes a row look abandoned that this
process is sending, or makes a sending look so old that its chat would be in every list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from protokeep.core.errors import DatabaseWentBack, ProviderUnreachable
from protokeep.core.events import Event, Source
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import settled_since_sent
from protokeep.providers.base import MayBegin
from protokeep.service.context import Context
from protokeep.service.orphans import OrphanReconciler
from protokeep.store.sql import Connection


@dataclass(frozen=True, slots=True)
class MarkedSent:
    """A row that was written as sent, right before its call; `may_begin` says whether the call may still begin."""

    prototype: TrackedPrototype
    may_begin: MayBegin

    def check(self) -> None:
        """Raises `ProviderUnreachable` when the process slept so long that another one may have taken the row over."""
        if not self.may_begin():
            raise ProviderUnreachable("It was too late to send it, so nothing was sent.", code="too_late")


class Sendings:
    """Marks rows as sent, and remembers what this process knows of the rows that it works on."""

    def __init__(self, context: Context, orphans: OrphanReconciler) -> None:
        self._context = context
        self._orphans = orphans
        self._working: set[str] = set()
        #: By row: the turn and the attempt that were sent, and since when this process knows.
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
        """A check that passes for one lease from now: a process that slept for longer begins no call."""
        elapsed, lease = self._context.elapsed, self._context.timing.lease.total_seconds()
        began = elapsed()
        return lambda: elapsed() - began < lease

    async def mark_sent(
        self, prototype: TrackedPrototype, step: Callable[[datetime], TrackedPrototype]
    ) -> MarkedSent | None:
        """Commit the prototype that `step` makes of the current time, as sent. None: the call must not be made.

        The time that the commit takes counts against the lease: the call may begin only while no other process can
        have taken the row over.
        """
        context = self._context
        may_begin = self.within_a_lease()
        now = context.clock()
        after = step(now)
        event = Event("sent", Source.SUBMIT, now, data={"attempt": after.generation.submission.attempts})
        confirmed: list[tuple[int, int]] = []

        async def confirm(connection: Connection) -> None:
            confirmed.append(await context.heartbeat.confirm(connection))
            # Another task of this process may have noticed a restore, and beaten anew, since the account was compared.
            if not self._orphans.is_verified(prototype.generation.account, prototype.generation.api_version):
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
        return MarkedSent(sent, may_begin)

    def note_sent(self, prototype: TrackedPrototype) -> None:
        """Remember that a row is sent, at the latest since now."""
        generation = prototype.generation
        sending = generation.follow_up.turn, generation.submission.attempts
        known = self._known_as_sent.get(prototype.id)
        if known is None or known[0] != sending:
            self._known_as_sent[prototype.id] = sending, self._context.elapsed()

    def forget(self, mockup_id: str) -> None:
        """Forget a row: the outcome of its sending is known."""
        self._known_as_sent.pop(mockup_id, None)

    def is_settled(self, prototype: TrackedPrototype, at: datetime | None = None) -> bool:
        """Whether a chat made by the last sending was in every list at a time, by both clocks.

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
