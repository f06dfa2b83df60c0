"""Rate limits: a token bucket for each key."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta

from protokeep.core.errors import TooMany

#: Buckets in memory; the least recently used ones are dropped.
MOST_BUCKETS = 10_000


class TokenBucket:
    """Allows so many requests a minute for each key, half of them at once. 0: no limit."""

    def __init__(self, per_minute: int, refusal: str) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, per_minute / 2)
        self._refusal = refusal
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> None:
        """Count one request at `now` (in seconds of any clock that does not go back). Raises `TooMany`."""
        if not self._per_second:
            return
        left, since = self._left.get(key, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_second) - 1
        if left < 0:
            pause = -left / self._per_second
            raise TooMany(
                f"{self._refusal}. Go on after the seconds in Retry-After.", retry_after=timedelta(seconds=pause)
            )
        self._left[key] = left, now
        self._left.move_to_end(key)
        if len(self._left) > MOST_BUCKETS:
            self._left.popitem(last=False)
