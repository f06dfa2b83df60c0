"""A clock that tests turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Stands still until told to move: the wall clock of every host and of the database, and the ruler beside it."""

    def __init__(self, now: datetime = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)) -> None:
        self.now = now
        self._began = now
        self._seconds = 0.0

    def __call__(self) -> datetime:
        return self.now

    def elsewhere(self) -> datetime:
        """The clock of another host, at the builder, which nobody sets."""
        return self._began + timedelta(seconds=self._seconds)

    def elapsed(self) -> float:
        """Seconds that have passed, whatever the wall clock was set to."""
        return self._seconds

    def advance(self, seconds: float) -> datetime:
        """Let time pass; the time it is then. Less than nothing: somebody sets the clock back."""
        self._seconds += max(seconds, 0.0)
        return self.step(seconds)

    def step(self, seconds: float) -> datetime:
        """Set the clock to another time, without any passing."""
        self.now += timedelta(seconds=seconds)
        return self.now
