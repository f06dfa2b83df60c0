"""The calls that a census or a clean-up may make: far apart, behind all other calls, and never many of a day's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.call_budget import CallAllowance, Limits, Priority

#: At most this part of a day's calls.
SHARE_OF_DAY = 4


@dataclass(frozen=True, slots=True)
class CleanUpCalls:
    """The calls of censuses and clean-ups that all processes made for an account, and the last one's time."""

    today: int = 0
    last_at: datetime | None = None


def next_call_at(
    calls: CleanUpCalls, limits: Limits, allowance: CallAllowance, pace: timedelta, now: datetime
) -> datetime | None:
    """When the next call may be made; None: now. A last call in the future was made by a clock that was set back."""
    if limits.per_day and calls.today >= limits.per_day // SHARE_OF_DAY:
        return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if allowance.left(Priority.CLEAN_UP) == 0:
        return allowance.until(Priority.CLEAN_UP, 1)
    if calls.last_at is not None and calls.last_at <= now < calls.last_at + pace:
        return calls.last_at + pace
    return None
