"""Turns of workspaces in one process: its event loop answers everybody, one piece of work after the other.

Somebody who sends many requests at once would fill it for everybody else. So the requests of a workspace begin one per
round of the loop, and of its pages, which cost much more, few are made at a time. While several workspaces are there, a
round is followed by a pause of its own length, so that a flood of one leaves half of the loop to the others. A
workspace that is alone waits for nothing: the next round comes at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from weakref import WeakValueDictionary

from protokeep.core.errors import TooMany

#: Pages of one workspace that are made at the same time.
PAGES_AT_ONCE = 2
#: For how long after a change of workspaces several of them count as being there.
BESIDE_SECONDS = 1.0
#: Requests of one workspace that may wait for their turn.
LINE = 1000
#: When somebody may try again who finds the line full.
FULL_PAUSE = timedelta(seconds=2)


class Turns:
    """Lets requests of each workspace begin in turns with those of others."""

    def __init__(self) -> None:
        #: The requests that wait, of each workspace that began one in this round of the loop.
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        #: The workspace that came last, and when it came after another one.
        self._newest = ""
        self._changed_at = -BESIDE_SECONDS
        self._pages: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def begin(self, workspace_id: str) -> None:
        """Return when a request of this workspace may begin: at once for the first one in a round of the loop.

        Raises `TooMany` where too many wait.
        """
        loop = asyncio.get_running_loop()
        if workspace_id != self._newest:
            if self._newest:
                self._changed_at = loop.time()
            self._newest = workspace_id
        line = self._lines.get(workspace_id)
        if line is None:
            self._lines[workspace_id] = deque()
            loop.call_soon(self._end_round, workspace_id, loop.time())
            return
        if len(line) >= LINE:
            raise TooMany("Your workspace has too many requests under way. Send fewer at once.", retry_after=FULL_PAUSE)
        turn = loop.create_future()
        line.append(turn)
        await turn

    @contextlib.asynccontextmanager
    async def page(self, workspace_id: str) -> AsyncIterator[None]:
        """The turn to make one page of this workspace."""
        async with self._pages.setdefault(workspace_id, asyncio.Semaphore(PAGES_AT_ONCE)):
            yield

    def _end_round(self, workspace_id: str, began: float) -> None:
        """A round of the loop is over in which a request of the workspace began."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._changed_at < BESIDE_SECONDS:
            loop.call_later(now - began, self._next, workspace_id)
        else:
            self._next(workspace_id)

    def _next(self, workspace_id: str) -> None:
        """Let the next request of a workspace begin."""
        loop = asyncio.get_running_loop()
        line = self._lines[workspace_id]
        while line:
            turn = line.popleft()
            if not turn.done():  # Otherwise its request was cancelled.
                turn.set_result(None)
                loop.call_soon(self._end_round, workspace_id, loop.time())
                return
        del self._lines[workspace_id]
