"""How much of a pool of connections is in use, and how often callers had to wait for one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Connections of one pool at this moment. `waits`: callers that found none free, since the process began."""

    in_use: int
    idle: int
    limit: int
    waiting: int = 0
    waits: int = 0


class Waits:
    """Counts callers that wait for a connection."""

    def __init__(self) -> None:
        self.waiting = 0
        self.total = 0

    @contextlib.asynccontextmanager
    async def counted(self, *, is_full: bool) -> AsyncIterator[None]:
        """Count the caller as waiting until the context ends, if no connection is free."""
        if not is_full:
            yield
            return
        self.total += 1
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
