"""Turns of reads that take longer the more rows there are: searches, filtered lists, people, filtered audits.

Each workspace makes one of them at a time, and the process few, so that a workspace with many rows or many searches
takes neither the database's readers nor the processors from the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from weakref import WeakValueDictionary

from protokeep.core.errors import TooMany
from protokeep.core.principals import Principal
from protokeep.core.shares import Shares

#: Scans of a process at the same time. SQLite has four readers: two are left for everything else.
AT_ONCE = 2
#: Scans that may run or wait, of a person, a workspace and the process. Each takes seconds at the most.
LINE_OF_PERSON, LINE_OF_WORKSPACE, LINE = 10, 50, 500
#: When somebody with too many searches may try again.
FULL_PAUSE = timedelta(seconds=3)


class Scans:
    """Lets the scans of each workspace run one after the other, and a few workspaces at the same time."""

    def __init__(self) -> None:
        self._line = Shares(LINE_OF_PERSON, LINE, LINE_OF_WORKSPACE)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(AT_ONCE)

    @contextlib.asynccontextmanager
    async def turn(self, principal: Principal) -> AsyncIterator[None]:
        """The turn for one scan of `principal`'s. Raises `TooMany` when too many of theirs run or wait already."""
        if self._line.full(principal) is not None:
            raise TooMany(
                "You or your workspace have too many searches running. Wait for their answers, then search again.",
                retry_after=FULL_PAUSE,
            )
        with self._line.held(principal):
            async with self._turns.setdefault(principal.workspace_id, asyncio.Lock()), self._slots:
                yield
