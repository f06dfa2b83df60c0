"""One account at the app builder, simulated: the real pacing code plans its polls, and the clock is a fake one.

There is no database and no network. What the simulation adds itself is the loop of `jobs.py` (a pass when a poll is
due), the time that calls take, and chats that end when their time has come.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from protokeep.core import polling
from protokeep.core.absence import deadline_extended, polling_paused
from protokeep.core.call_budget import CallAllowance, Limits, Priority, allowance_of
from protokeep.core.generation import Generation, RecoveryPoint, Submission
from protokeep.core.poll_plan import FEW_HOOKED, are_few_hooked, plan_polls
from protokeep.core.prototype import Observation, ObservedState, Status, TrackedPrototype
from protokeep.core.submission import accepted
from protokeep.core.timing import Timing
from protokeep.jobs import GATHER_SECONDS
from protokeep.providers.v0_v1_list import PARALLEL_PAGES
from protokeep.providers.v0_v2 import PARALLEL_READS
from protokeep.providers.v0_walks import OVERLAP, PAGE
from protokeep.service.polling import WRITTEN_TOGETHER

#: When the simulated day's work begins: the day of calls ends at midnight UTC.
BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
#: How long one call to the app builder takes, and a hook to arrive. The sandbox of other benchmarks takes as long.
CALL = timedelta(seconds=0.2)
#: Rows that one pass reads at the most, as `store.prototypes.due` does.
DUE = 10_000
#: Calls after an end: v1 reports the cost and the picture by themselves; v2 tells the cost in the message.
CALLS_AFTER_END = {1: 2, 2: 0}
#: Commits of a prototype beside its polls: claim, sending, answer; then what finalizing takes and stores.
COMMITS_OF_CREATE, COMMITS_AFTER_END = 3, 2
TIMING = Timing()


@dataclass(frozen=True, slots=True)
class Ask:
    """A prototype that is asked for: when, for how long the app builder works on it, and whether a person watches."""

    at: datetime
    lasts: timedelta
    watched: bool = False


@dataclass(slots=True)
class Outcome:
    """What an account's day came to. `lags`: from each end to the row that tells it, in seconds."""

    calls: Counter[datetime] = field(default_factory=Counter)  #: by minute
    days: Counter[datetime] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    unseen: int = 0
    commits: int = 0
    passes: int = 0
    last_end: datetime = BEGIN

    def count(self, at: datetime, calls: int = 1) -> None:
        """Count calls at a time."""
        minute = at.replace(second=0, microsecond=0)
        self.calls[minute] += calls
        self.days[minute.replace(hour=0, minute=0)] += calls

    def lag(self, share: float) -> float:
        """The lag that such a share of all prototypes stays within; infinite where too few are seen at all."""
        ranked = sorted(self.lags) + [float("inf")] * self.unseen
        return ranked[min(int(len(ranked) * share), len(ranked) - 1)]


class Account:
    """An account with the prototypes in flight in it, and the one process that polls them."""

    def __init__(self, version: int, limits: Limits, *, hooked: bool) -> None:
        self._version = version
        self._batched = version == 1
        self._limits = limits
        self._hooked = hooked
        self._in_flight: dict[str, TrackedPrototype] = {}
        self._ends: dict[str, datetime] = {}
        self._due: list[tuple[datetime, str]] = []
        self._events: list[tuple[datetime, int, str, Ask | None]] = []
        self.outcome = Outcome()

    def run(self, asks: Sequence[Ask], until: datetime) -> Outcome:
        """Make the prototypes and poll them to their ends, or until a time."""
        self._events = [(ask.at, number, "create", ask) for number, ask in enumerate(asks)]
        heapq.heapify(self._events)
        free_at = BEGIN
        while self._events or self._in_flight:
            pass_at = max(self._next_due(), free_at)
            if self._events and self._events[0][0] <= pass_at:
                self._happen(*heapq.heappop(self._events))
            elif pass_at >= until:
                break
            else:
                free_at = self._pass(pass_at) + timedelta(seconds=GATHER_SECONDS)
        self.outcome.unseen = len(asks) - len(self.outcome.lags)
        return self.outcome

    # -- what happens by itself --------------------------------------------------------------------------------

    def _happen(self, now: datetime, number: int, kind: str, ask: Ask | None) -> None:
        if ask is not None:
            self._create(now, number, ask)
        elif prototype := self._in_flight.get(str(number)):
            self._hook(now, number, prototype, begun=kind == "begun")

    def _create(self, now: datetime, number: int, ask: Ask) -> None:
        self.outcome.count(now)
        self.outcome.commits += COMMITS_OF_CREATE
        claimed = _claimed(str(number), now, self._version)
        if ask.watched:
            watching = replace(claimed.generation.polling, watched_until=ask.at + ask.lasts + timedelta(days=1))
            claimed = claimed.with_generation(polling=watching)
        made = accepted(
            claimed,
            chat_id=claimed.id,
            message_id="m",
            project_id=None,
            observation=None,
            now=now + CALL,
            timing=TIMING,
            batched=self._batched,
        )
        ends = self._ends[made.id] = now + CALL + ask.lasts
        self._keep(made)
        if self._hooked:
            heapq.heappush(self._events, (now + 2 * CALL, number, "begun", None))
            heapq.heappush(self._events, (ends + CALL, number, "ended", None))

    def _hook(self, now: datetime, number: int, prototype: TrackedPrototype, *, begun: bool) -> None:
        """As `Store.poll_soon`, and then the poll of what the hook named, beside the passes."""
        before = prototype.generation.polling
        due = before.next_poll_at or now
        due = max(due, now + TIMING.hooked_poll_interval) if begun else min(due, now)
        self.outcome.commits += 1
        named = prototype.with_generation(polling=replace(before, hook_received_at=now, next_poll_at=due))
        self._keep(named)
        if not begun:
            self._poll_few([named], now)

    def _poll_few(self, named: list[TrackedPrototype], now: datetime) -> None:
        plan = plan_polls(named[:FEW_HOOKED], self._allowance(now), now, TIMING, batched=False, cost=int)
        for prototype in plan.polled:
            self._answer(prototype, now + CALL, None)
        self.outcome.count(now, len(plan.polled))

    # -- one pass, as `service.polling.Poller` makes it --------------------------------------------------------

    def _pass(self, now: datetime) -> datetime:
        """Poll what is due. When the pass ended."""
        self.outcome.passes += 1
        due = self._take(now, DUE)
        hooked_few = are_few_hooked(due)
        if self._batched and not hooked_few:
            due += self._take(now + max(TIMING.poll_interval, TIMING.batch_poll_interval), None)
        self.outcome.commits += 2  # The lease of the account, and the count of its calls.
        allowance = self._allowance(now)
        plan = plan_polls(due, allowance, now, TIMING, batched=self._batched, cost=self._cost)
        if plan.postponed:
            self._postpone(plan.postponed, now, allowance.until(Priority.FRESH, len(plan.postponed)))
        began = now
        for batch in plan.batches:
            calls = len(batch) if hooked_few else self._cost(len(batch))
            at_once = PARALLEL_PAGES if self._batched else PARALLEL_READS
            ended = now + CALL * -(-calls // at_once)
            self.outcome.count(now, calls)
            self.outcome.commits += -(-len(batch) // WRITTEN_TOGETHER)
            pause = None if plan.unwatched_pause is None else plan.unwatched_pause - (ended - began)
            for prototype in batch:
                self._answer(prototype, ended, pause)
            now = ended
        return now

    def _answer(self, prototype: TrackedPrototype, now: datetime, pause: timedelta | None) -> None:
        end = self._ends[prototype.id]
        state = ObservedState.FINISHED if end <= now else ObservedState.RUNNING
        after = polling.polled(
            prototype,
            polling.ChatShown(Observation(state, message_id="m")),
            now,
            TIMING,
            batched=self._batched,
            unwatched_pause=pause,
        )
        if after.status is not prototype.status:
            self.outcome.commits += 1
        if after.status is not Status.COMPLETED:
            self._keep(after)
            return
        del self._in_flight[prototype.id]
        self.outcome.lags.append((now - end).total_seconds())
        self.outcome.last_end = max(self.outcome.last_end, now)
        self.outcome.count(now, CALLS_AFTER_END[self._version])
        self.outcome.commits += COMMITS_AFTER_END

    def _postpone(self, prototypes: Sequence[TrackedPrototype], now: datetime, until: datetime) -> None:
        self.outcome.commits += 2
        for prototype in prototypes:
            self._keep(polling_paused(deadline_extended(prototype, now, TIMING), now, until, TIMING))

    # -- rows --------------------------------------------------------------------------------------------------

    def _allowance(self, now: datetime) -> CallAllowance:
        minute = now.replace(second=0, microsecond=0)
        spent = self.outcome.calls[minute], self.outcome.days[minute.replace(hour=0, minute=0)]
        return allowance_of(self._limits, *spent, now)

    def _cost(self, chats: int) -> int:
        return -(-chats // (PAGE - OVERLAP)) if self._batched else chats

    def _keep(self, prototype: TrackedPrototype) -> None:
        self._in_flight[prototype.id] = prototype
        if due := prototype.generation.polling.next_poll_at:
            heapq.heappush(self._due, (due, prototype.id))

    def _is_current(self, due: datetime, name: str) -> bool:
        prototype = self._in_flight.get(name)
        return prototype is not None and prototype.generation.polling.next_poll_at == due

    def _next_due(self) -> datetime:
        while self._due and not self._is_current(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else datetime.max.replace(tzinfo=UTC)

    def _take(self, until: datetime, limit: int | None) -> list[TrackedPrototype]:
        """Prototypes that are due by a time, longest overdue first; each of them once."""
        taken: dict[str, TrackedPrototype] = {}
        while self._next_due() <= until and (limit is None or len(taken) < limit):
            _, name = heapq.heappop(self._due)
            taken[name] = self._in_flight[name]
        return list(taken.values())


def _claimed(name: str, now: datetime, version: int) -> TrackedPrototype:
    submission = Submission(recovery_point=RecoveryPoint.SENT, sent_at=now)
    generation = Generation("w", "v0:a", version, name, "ann", now, submission)
    return TrackedPrototype(name, name, "ann", "v0", None, Status.PENDING, now, now, generation=generation)
