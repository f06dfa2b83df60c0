"""Rate limits: a token bucket for each key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import timedelta

from protokeep.core.errors import TooMany

#: Buckets in memory; the least recently used ones are dropped.
MOST_BUCKETS = 10_000


class TokenBucket:
    """Allows so many requests a minute for each key, `at_once` of them at the same time (half). 0: no limit."""

    def __init__(self, per_minute: int, refusal: str, at_once: float = 0.5) -> None:
        """`at_once`: the part of a minute's requests that may come at once."""
        self._per_second = per_minute / 60
        self._most = max(1.0, per_minute * at_once)
        self._refusal = refusal
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable, now: float, cost: float = 1) -> None:
        """Count one request at `now` (in seconds of any clock that does not go back). Raises `TooMany`.

        `cost`: as how many requests it counts.
        """
        if not self._per_second:
            return
        cost = min(cost, self._most)  # One of these is always possible after a pause.
        left, since = self._left.get(key, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_second) - cost
        if left < 0:
            pause = -left / self._per_second
            raise TooMany(
                f"{self._refusal}. Try again after the seconds in Retry-After.", retry_after=timedelta(seconds=pause)
            )
        self._left[key] = left, now
        self._left.move_to_end(key)
        if len(self._left) > MOST_BUCKETS:
            self._left.popitem(last=False)
