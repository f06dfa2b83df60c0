"""One budget of calls per account: how many polls may be made now. Creates are counted and never wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

#: Calls that may be made at the beginning of a minute, as seconds of its even spread.
HEAD_START_SECONDS = 6.0


class Priority(IntEnum):
    """The order of calls when few are left; a smaller number comes first. Creates come before all of these."""

    LOOKUP = 0  #: a create whose answer was lost; nothing may be sent for it before
    WATCHED = 1  #: somebody has it open
    FRESH = 2  #: asked for within the last minutes
    OLD = 3  #: the rest
    RECENT = 4  #: chats of ours that no row knows, searched for every few minutes
    CLEAN_UP = 5  #: a census, or the clean-up of an account


#: Which share of a minute's calls each priority may spend, together with the priorities before it.
SHARES: Mapping[Priority, float] = {
    Priority.LOOKUP: 0.95,
    Priority.WATCHED: 0.9,
    Priority.FRESH: 0.75,
    Priority.OLD: 0.5,
    Priority.RECENT: 0.25,
    Priority.CLEAN_UP: 0.2,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls in a minute and in a UTC day; 0 means no limit."""

    per_minute: int = 0
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class CallAllowance:
    """The calls that are left at `now`. `calls_per_minute` None: no limit. `message` says why, for people."""

    calls_per_minute: float | None
    minute_calls: int
    now: datetime
    message: str = ""

    def left(self, priority: Priority) -> int | None:
        """Calls of this priority that may be made now; None: any number."""
        if self.calls_per_minute is None:
            return None
        seconds = self.now.second + self.now.microsecond / 1e6 + HEAD_START_SECONDS
        share = self.calls_per_minute * SHARES[priority]
        calls = int(share * min(seconds / 60, 1.0))
        if seconds >= 60 and 0 < share < 1:  # One call, in every so many minutes.
            calls = int((self.now.hour * 60 + self.now.minute) % math.ceil(1 / share) == 0)
        return max(calls - self.minute_calls, 0)

    def per_minute(self, priority: Priority) -> int | None:
        """Calls of this priority that may be made in a whole minute; None: any number."""
        return None if self.calls_per_minute is None else max(int(self.calls_per_minute * SHARES[priority]), 1)

    def until(self, priority: Priority, calls: int) -> datetime:
        """When this number of further `calls` of this priority may be made: within a minute, but not at once.

        At the latest when all of a minute's calls may be made: a minute from now there may be as few as now.
        """
        per_second = max((self.calls_per_minute or 0) * SHARES[priority] / 60, 1e-3)
        wait = (calls - (self.left(priority) or 0)) / per_second
        if wait < 60:
            return self.now + timedelta(seconds=max(wait, 3.0))
        whole = self.now.replace(second=int(60 - HEAD_START_SECONDS) + 1, microsecond=0)
        return whole if whole > self.now else whole + timedelta(minutes=1)


def allowance_of(limits: Limits, minute_calls: int, day_calls: int, now: datetime) -> CallAllowance:
    """The calls that the two limits leave.

    Once half of a day's calls are spent, the rest is spread over the rest of the day, so that its last hours are not
    blind.
    """
    per_minute = float(limits.per_minute) if limits.per_minute else None
    if limits.per_day and day_calls > limits.per_day / 2:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        minutes = max((midnight - now).total_seconds() / 60, 1.0)
        spread = max((limits.per_day - day_calls) / minutes, 0.0)
        if per_minute is None or spread < per_minute:
            message = (
                f"protokeep has used {day_calls:,} of today's {limits.per_day:,} calls to the app builder (UTC), and "
                "spreads the rest over the day."
            )
            return CallAllowance(spread, minute_calls, now, message)
    message = f"protokeep makes at most {limits.per_minute:,} calls a minute to the app builder."
    return CallAllowance(per_minute, minute_calls, now, message)


def priority_of(turn_at: datetime, watched_until: datetime | None, now: datetime) -> Priority:
    """How urgent a poll is: whether somebody watches, and how long ago its turn was asked for."""
    if watched_until is not None and watched_until > now:
        return Priority.WATCHED
    return Priority.FRESH if now - turn_at <= timedelta(minutes=5) else Priority.OLD
