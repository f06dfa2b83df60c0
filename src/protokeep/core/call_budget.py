"""One budget of calls per account: how many looks may be made now. Creates are counted and never wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Calls that may be made at the beginning of a minute, as seconds of its even spread.
HEAD_START_SECONDS = 6.0


class Priority(StrEnum):
    """Who goes first when calls are short. Creates come before all of these."""

    LOOKUP = "lookup"  #: a create whose answer was lost; nothing may be sent for it before
    WATCHED = "watched"  #: somebody has it open
    FRESH = "fresh"  #: asked for within the last minutes
    OLD = "old"  #: the rest
    RECENT = "recent"  #: chats of ours that no row knows, looked for every few minutes


#: What of a minute's calls looks of each rank may spend, those of the ranks before included.
SHARES: Mapping[Priority, float] = {
    Priority.LOOKUP: 0.95,
    Priority.WATCHED: 0.9,
    Priority.FRESH: 0.75,
    Priority.OLD: 0.5,
    Priority.RECENT: 0.25,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls in a minute and in a UTC day; 0 means no limit."""

    per_minute: int = 0
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class CallAllowance:
    """What is left at `now`. `pace` is calls a minute; None: no limit."""

    calls_per_minute: float | None
    minute_calls: int
    now: datetime
    message: str = ""

    def left(self, rank: Priority) -> int | None:
        """Calls that looks of this rank may make now; None: any number."""
        if self.calls_per_minute is None:
            return None
        seconds = self.now.second + self.now.microsecond / 1e6 + HEAD_START_SECONDS
        share = self.calls_per_minute * SHARES[rank]
        calls = int(share * min(seconds / 60, 1.0))
        if seconds >= 60 and 0 < share < 1:  # One call, in every so many minutes.
            calls = int((self.now.hour * 60 + self.now.minute) % math.ceil(1 / share) == 0)
        return max(calls - self.minute_calls, 0)

    def per_minute(self, rank: Priority) -> int | None:
        """Calls that looks of this rank may make in a whole minute."""
        return None if self.calls_per_minute is None else max(int(self.calls_per_minute * SHARES[rank]), 1)

    def until(self, rank: Priority, wanted: int) -> datetime:
        """When `wanted` more calls of this rank may be there: within a minute, not at once.

        At the latest when all of a minute's calls may be made: a minute from now there may be as few as now.
        """
        per_second = max((self.calls_per_minute or 0) * SHARES[rank] / 60, 1e-3)
        wait = (wanted - (self.left(rank) or 0)) / per_second
        if wait < 60:
            return self.now + timedelta(seconds=max(wait, 3.0))
        whole = self.now.replace(second=int(60 - HEAD_START_SECONDS) + 1, microsecond=0)
        return whole if whole > self.now else whole + timedelta(minutes=1)


def allowance_of(limits: Limits, minute_calls: int, day_calls: int, now: datetime) -> CallAllowance:
    """The pace that the two limits leave. Once half of a day's calls are spent, the rest is spread over what is left
    of the day, so that the last hours are not blind."""
    pace: float | None = float(limits.per_minute) if limits.per_minute else None
    message = f"At most {limits.per_minute:,} calls a minute are made."
    if limits.per_day and day_calls > limits.per_day / 2:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        minutes = max((midnight - now).total_seconds() / 60, 1.0)
        spread = max((limits.per_day - day_calls) / minutes, 0.0)
        if pace is None or spread < pace:
            pace = spread
            message = (
                f"{day_calls:,} of {limits.per_day:,} calls of this day (UTC) are spent; the rest is spread over it."
            )
    return CallAllowance(pace, minute_calls, now, message)


def priority_of(asked_at: datetime, watched_until: datetime | None, now: datetime) -> Priority:
    """How urgent a look is."""
    if watched_until is not None and watched_until > now:
        return Priority.WATCHED
    return Priority.FRESH if now - asked_at <= timedelta(minutes=5) else Priority.OLD
