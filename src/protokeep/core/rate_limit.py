"""How often somebody may come: a token bucket for each of them."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta

from protokeep.core.errors import TooMany

#: Of whom so many others came since, nothing is known any more; memory stays bounded whoever comes.
KEPT_MOST = 10_000


class TokenBucket:
    """So many a minute for each key, half of them at once. 0: no limit."""

    def __init__(self, per_minute: int, what: str) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, per_minute / 2)
        self._what = what
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> None:
        """Count one at `now` (in seconds of any clock that does not go back). Raises `TooMany`."""
        if not self._per_second:
            return
        left, since = self._left.get(key, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_second) - 1
        if left < 0:
            pause = -left / self._per_second
            raise TooMany(
                f"{self._what}. Go on after the seconds in Retry-After.", retry_after=timedelta(seconds=pause)
            )
        self._left[key] = left, now
        self._left.move_to_end(key)
        if len(self._left) > KEPT_MOST:
            self._left.popitem(last=False)
