"""Lines of workspaces for the connections of a database: none of them takes all, and writes take turns.

The web application says for which workspace a request works. Jobs work for all workspaces and stand in no line.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from weakref import WeakValueDictionary

from protokeep.store.sql import WAIT_SECONDS

#: The workspace for which the running request works; None: a job.
WORKING_FOR: ContextVar[str | None] = ContextVar("working_for", default=None)


class Line:
    """The line of one workspace: `async with` it to hold one of its connections. Raises `TimeoutError`."""

    def __init__(self, at_once: int) -> None:
        self._semaphore = asyncio.Semaphore(at_once)

    async def __aenter__(self) -> None:
        if not self._semaphore.locked():
            await self._semaphore.acquire()
            return
        async with asyncio.timeout(WAIT_SECONDS):
            await self._semaphore.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._semaphore.release()


class NoLine:
    """Holds nobody up."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


class Lines:
    """A line for each workspace that has `at_once` connections of a kind."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._lines: WeakValueDictionary[str, Line] = WeakValueDictionary()
        self._none = NoLine()

    def mine(self) -> Line | NoLine:
        """The line of the workspace for which the running request works."""
        workspace_id = WORKING_FOR.get()
        if workspace_id is None:
            return self._none
        line = self._lines.get(workspace_id)
        if line is None:
            line = self._lines[workspace_id] = Line(self._at_once)
        return line
