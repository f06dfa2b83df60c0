"""The heartbeat of a process: a clock that does not jump, and beats in the database that show a fail-over.

Leases, pauses and due times follow the database's clock, so that they mean the same on every host. A process reads
that clock every few seconds and carries it forward with a monotonic clock, which no step of a wall clock moves.

With each reading the process writes a beat. A process that does not find its last beat again works on an older copy
of the database (a fail-over, a restore): chats may exist that no row knows, and nothing is sent before these chats
were adopted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from protokeep.core.errors import DatabaseUnavailable, DatabaseWentBack
from protokeep.core.timing import Timing
from protokeep.store.processes import Beat, Reading
from protokeep.store.sql import Connection
from protokeep.store.store import Store

log = structlog.get_logger(__name__)

#: A clock: the time, as aware UTC.
Clock = Callable[[], datetime]
#: How far readings of one clock may differ without anybody having set it.
CLOCK_SLACK = timedelta(seconds=2)
#: How long before it is noticed the clock may have been set back.
NOTICED_AFTER = timedelta(seconds=10)
#: How long a call, and the lease before it, may be under way that read the clock before it was set back.
STALE_SECONDS = 60.0
#: How late a beat may come before the process counts as one that cannot write.
LATE_SECONDS = 4.0
#: A reading of the database's clock that takes longer is made again, so many times in all.
READING_SECONDS = 1.0
READINGS = 3
#: After so long without any beat, nobody can tell a time without protokeep from a copy that was restored.
LONG_SILENCE = timedelta(hours=1)
#: How long the rows of ended processes stay.
FORGET_AFTER = timedelta(days=1)


def utc_now() -> datetime:
    """The wall clock of this host."""
    return datetime.now(UTC)


def boot_seconds() -> float:
    """Seconds since the host started, also while it was suspended, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SteadyClock:
    """The database's time at the last reading, carried forward by a monotonic clock."""

    def __init__(self, now: datetime, elapsed: Callable[[], float] = boot_seconds) -> None:
        self._elapsed = elapsed
        self._now = now
        self._at = elapsed()

    def __call__(self) -> datetime:
        return self._now + timedelta(seconds=self._elapsed() - self._at)

    def set(self, now: datetime, at: float) -> None:
        """Go by a new reading, which was made when the monotonic clock stood at `at`."""
        self._now, self._at = now, at


class Heartbeat:
    """The beats of one process. `epoch` grows whenever the database turns out to be older than this process knew it."""

    def __init__(
        self,
        store: Store,
        process_id: str,
        clock: Clock,
        timing: Timing,
        *,
        wall: Clock | None = None,
        elapsed: Callable[[], float] = boot_seconds,
        single_process: bool = False,
    ) -> None:
        """`wall` replaces the database's clock (SQLite has none). `single_process`: no other one is at work."""
        self._store = store.processes
        self._installation = store.installation
        self._process_id = process_id
        self._clock = clock
        self._wall = wall or (None if isinstance(clock, SteadyClock) else clock)
        self._elapsed = elapsed
        self._timing = timing
        self._single_process = single_process
        #: How far the clock had run ahead before it was set back, and how long such times may still be written.
        self._ahead_until: datetime | None = None
        self._stale_until = 0.0
        self._late_after: float | None = None
        self._beaten_at = 0.0
        self._beat = 0
        self._server = ""
        self._beating = asyncio.Lock()
        self._went_back_at: float | None = None
        self._began_late = False  #: nothing had beaten for long when this process began
        self.epoch = 0
        #: Rows that were claimed before this may be of an older copy, which lacks later sendings.
        self.trusted_from: datetime | None = None
        #: Chats that were made after this may be in no row; None: everything was taken back, or nothing was ever lost.
        self.known_until: datetime | None = None
        #: The same for an account that this process never compared, because its key came later: it is never cleared.
        self.lost_after: datetime | None = None
        #: The processes that reported at the last beat that the database went back.
        self._reported_by: frozenset[str] = frozenset()
        self._beat_at: datetime | None = None  #: what the database's clock said at the last beat

    def expect(self, every: float) -> None:
        """From now on a beat comes every so many seconds. A missing beat means that the database does not answer."""
        self._late_after = every + LATE_SECONDS
        self._beaten_at = self._elapsed()

    def require_beats(self) -> None:
        """Raises `DatabaseUnavailable` when an expected beat could not be written."""
        if self._late_after is not None and self._elapsed() - self._beaten_at > self._late_after:
            raise DatabaseUnavailable

    @property
    def age(self) -> float:
        """Seconds since the last beat was written; 0 where none is expected."""
        return 0.0 if self._late_after is None else self._elapsed() - self._beaten_at

    async def started(self) -> None:
        """Beat, if this process never did."""
        if self._beat == 0:
            async with self._beating:
                if self._beat == 0:
                    await self._beat_once()

    async def synchronise(self) -> None:
        """Go by the database's clock, without a beat."""
        if isinstance(self._clock, SteadyClock):
            now, _server, at, _took = await self._read_clock()
            self._clock.set(now, at)

    async def beat(self) -> None:
        """Read the database's clock, look for the last beat of this process, and write the next one."""
        async with self._beating:
            await self._beat_once()

    async def _beat_once(self) -> None:
        now, server, at, took = await self._read_clock()
        before = self._clock() - timedelta(seconds=self._elapsed() - at)
        if isinstance(self._clock, SteadyClock):
            self._clock.set(now, at)
        known = self._beat  # Deliveries from here on increase it, and are not in the reading.
        reading = await self._store.read(self._process_id, now, server)
        before = max([before, *(beat.beat_at for beat in reading.beats)])
        latest = reading.now + CLOCK_SLACK + timedelta(seconds=took)
        if before > latest or await self._store.has_future(latest):
            await self._wind_back(reading.now, reading.now)
            log.warning("database_clock_set_back", seconds=round((before - reading.now).total_seconds()))
            self._ahead_until = before - NOTICED_AFTER
            self._stale_until = self._elapsed() + STALE_SECONDS
        elif self._ahead_until is not None and self._elapsed() < self._stale_until:
            # Calls that were under way may still have written times of the clock before.
            await self._wind_back(reading.now, max(self._ahead_until, reading.now))
        if self._beat == 0:
            await self._begin(reading)
            await self._wind_back_again(reading)
        else:
            await self._compare(reading, known)
        self._reported_by = _processes_on_older_copy(reading)
        written = await self._store.write(
            self._process_id,
            self._beat,
            reading.now,
            reading.server,
            self.known_until,
            went_back=self._is_comparing,
            ahead_until=self._ahead_until if self._ahead_until and self._ahead_until > reading.now else None,
        )
        self._beat = max(self._beat, written)
        self._server = reading.server
        self._beat_at = reading.now
        self._beaten_at = self._elapsed()

    async def _read_clock(self) -> tuple[datetime, str, float, float]:
        """(the database's time, its server, the monotonic clock at that moment, how long the reading took).

        A reading is repeated when the process slept during it: its time is old.
        """
        tries = 0
        while True:
            began = self._elapsed()
            now, server = await self._store.clock(self._wall() if self._wall else None)
            at = self._elapsed()
            tries += 1
            if tries == READINGS or at - began <= READING_SECONDS:
                return now, server, at, at - began

    async def confirm(self, connection: Connection) -> tuple[int, int]:
        """Make sure, in the transaction of `connection`, that the database is not older than this process knows it.

        The commit counts as a beat; call `committed` with the result after it. Raises
        `DatabaseWentBack`: the transaction is rolled back, and nothing may be sent.
        """
        if self._is_reported(await self._store.processes_on_older_copy(connection)):
            raise DatabaseWentBack
        beat, server = await self._store.confirm(connection, self._process_id, self._beat)
        if beat is None or server != self._server:
            raise DatabaseWentBack
        return self.epoch, beat

    def committed(self, epoch: int, beat: int) -> None:
        """The transaction of a `confirm` was committed: the database has to know it from now on."""
        if epoch == self.epoch:
            self._beat = max(self._beat, beat)

    @property
    def _is_comparing(self) -> bool:
        """Whether the database went back, and chats may still be in no row."""
        return self.known_until is not None and self._went_back_at is not None

    @property
    def may_lack_changes(self) -> bool:
        """Whether what people did since a copy was taken may be missing: their pins, and what they took back."""
        return self.is_older_copy or self._began_late

    @property
    def is_older_copy(self) -> bool:
        """Whether the database certainly went back while this process runs, or before it began."""
        return self._went_back_at is not None

    @property
    def is_settling(self) -> bool:
        """Whether the database went back a moment ago, so that lists may not show the newest chats yet."""
        settled = self._timing.restore_settle.total_seconds()
        return self._went_back_at is not None and self._elapsed() - self._went_back_at < settled

    def trusts(self, claimed_at: datetime) -> bool:
        """Whether a row that was claimed then is not from an older copy, so that it records every sending for it."""
        return self.trusted_from is not None and claimed_at >= self.trusted_from

    def reconciled(self, epoch: int) -> None:
        """Every chat that was made before `epoch` began is in a row again."""
        if epoch == self.epoch:
            self.known_until = None

    async def _begin(self, reading: Reading) -> None:
        """The first beat. The rows may be of a copy, even where other processes seem to be at work."""
        self.epoch += 1
        self.trusted_from = reading.now
        await self._store.delete_expired(reading.now - FORGET_AFTER)
        if not reading.beats:
            # No process has left a beat: this is a copy from before the first beat, or a new installation.
            _, installed_at = await self._installation()
            if reading.now - installed_at > self._timing.beat_is_fresh:
                self._began_late = True
                self._lost(min(installed_at, reading.now))
            return
        newest = reading.beats[0]
        self._began_late = reading.now - newest.beat_at > LONG_SILENCE
        alive = self._alive(reading)
        comparing = [beat.known_until for beat in alive if beat.known_until is not None]
        if newest.server != reading.server or any(beat.went_back for beat in alive):
            self._went_back(reading, min([newest.beat_at, *comparing]))
        else:
            # Also beside live processes: a copy that was restored a moment ago holds their last beats, too.
            self._lost(min([newest.beat_at, reading.now, *comparing]))

    def _alive(self, reading: Reading) -> list[Beat]:
        if self._single_process:
            return []
        since = reading.now - self._timing.beat_is_fresh
        return [beat for beat in reading.beats if beat.beat_at >= since and beat.server == reading.server]

    async def _compare(self, reading: Reading, known: int) -> None:
        mine = reading.of(self._process_id)
        reported = self._is_reported(_processes_on_older_copy(reading))
        if mine is not None and mine.beat >= known and reading.server == self._server and not reported:
            return
        self.epoch += 1
        self.trusted_from = reading.now
        earlier = [beat.known_until for beat in reading.beats if beat.went_back and beat.known_until is not None]
        if self.known_until is not None:
            earlier.append(self.known_until)
        copied_at = mine.beat_at if mine is not None else await self._copied_at(reading)
        self._went_back(reading, min([copied_at, *earlier]))

    def _is_reported(self, reporting: frozenset[str]) -> bool:
        """Whether another process reports that the database is older, and this one does not compare it already.

        The chats that the other process lost may be younger than the last beat of this process.
        """
        return not self._is_comparing and not reporting <= self._reported_by | {self._process_id}

    async def _copied_at(self, reading: Reading) -> datetime:
        """When a copy that is from before this process was taken, at the earliest.

        Beats of processes that noticed it before, or that began on the copy, say nothing about that.
        """
        last = self._beat_at or reading.now
        before = [beat.beat_at for beat in reading.beats if not beat.went_back and beat.beat_at <= last]
        return max(before) if before else (await self._installation())[1]

    def _went_back(self, reading: Reading, known_until: datetime) -> None:
        self._went_back_at = self._elapsed()
        self._lost(min(known_until, reading.now))
        log.error("database_went_back", known_until=min(known_until, reading.now).isoformat())

    def _lost(self, known_until: datetime) -> None:
        self.known_until = known_until
        self.lost_after = min(known_until, self.lost_after or known_until)

    async def _wind_back_again(self, reading: Reading) -> None:
        """At the start: a process that died may have written times from before the clock was set back."""
        shown = [beat.ahead_until for beat in reading.beats if beat.ahead_until and beat.ahead_until > reading.now]
        if shown:
            self._ahead_until = min(shown)
            await self._wind_back(reading.now, self._ahead_until)

    async def _wind_back(self, now: datetime, beyond: datetime) -> None:
        await self._store.wind_back(now, beyond, lease=self._timing.lease, deadline=self._timing.poll_timeout)


def _processes_on_older_copy(reading: Reading) -> frozenset[str]:
    return frozenset(beat.process_id for beat in reading.beats if beat.went_back)
