"""A cache whose entries expire after a fixed time, by a clock that is passed in."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_NO_TIME = timedelta(0)


class TtlCache(Generic[K, V]):
    """At most `size` values, each of them for `ttl` after it was put; a full cache drops its oldest entry.

    An entry also expires when the clock is set back to before it was put.
    """

    def __init__(self, clock: Callable[[], datetime], ttl: timedelta, size: int) -> None:
        self._clock = clock
        self._ttl = ttl
        self._size = size
        #: In the order in which they were put: the oldest entry is the first one.
        self._entries: dict[K, tuple[datetime, V]] = {}

    def get(self, key: K) -> V | None:
        """The value under `key`; None if there is none, or if it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        put_at, value = entry
        if _NO_TIME <= self._clock() - put_at < self._ttl:
            return value
        del self._entries[key]
        return None

    def put(self, key: K, value: V) -> None:
        """Keep `value` under `key` for `ttl` from now."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = self._clock(), value

    def discard(self, key: K) -> None:
        """Forget `key`; nothing happens if it is not here."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()
