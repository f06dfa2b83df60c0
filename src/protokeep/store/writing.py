"""Writing to SQLite: one connection, and one commit for all who wait for it.

A commit waits for the disk, and SQLite makes them one after another. So whoever waits for the connection joins the
transaction that is open, behind a savepoint of its own, and nobody is told of success before the common commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

#: So many commit together at most: the first of them waits for the last.
TOGETHER = 32


class _Group:
    """Those who commit together."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.members = 1
        self.open = True
        self._committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committed.add_done_callback(lambda done: done.exception())  # A group of one has nobody who asks.

    async def commit(self) -> None:
        """Commit for everybody; whoever waits gets the error, if there is one."""
        self.open = False
        try:
            await self.connection.commit()
        except BaseException as error:
            self.fail(error)
            with contextlib.suppress(Exception):
                await self.connection.rollback()
            raise
        else:
            self._committed.set_result(None)
        finally:
            await self.connection.close()

    async def undo(self, error: BaseException) -> None:
        """Nothing of this group is written."""
        self.open = False
        self.fail(error)
        try:
            await self.connection.rollback()
        finally:
            await self.connection.close()

    def fail(self, error: BaseException) -> None:
        """Let everybody who waits know that nothing was written."""
        cause = error if isinstance(error, Exception) else ConnectionAbortedError("the writing was stopped")
        if not self._committed.done():
            self._committed.set_exception(cause)

    async def committed(self) -> None:
        """Return once it is on the disk."""
        await asyncio.shield(self._committed)


class SqliteWrites:
    """Transactions on the one connection that writes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._group: _Group | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed as a whole or not at all by the time the context ends."""
        async with self._queued():
            if self._group is None or not self._group.open:
                group = self._group = _Group(await self._begun())
                try:
                    yield group.connection
                except BaseException as error:
                    await group.undo(error)
                    raise
            else:
                group = self._group
                group.members += 1
                savepoint = await group.connection.begin_nested()
                try:
                    yield group.connection
                    await savepoint.commit()
                except BaseException as error:
                    try:
                        await savepoint.rollback()
                    except Exception:  # noqa: BLE001 - SQLite has taken back everything: no room, or no disk
                        await group.undo(error)
                    raise
            if self._waiting and group.members < TOGETHER:
                if group.members == 1:
                    self._close_later(group)
            else:
                # Whoever is cancelled now takes nobody else's commit away.
                await asyncio.shield(self._kept(asyncio.create_task(group.commit())))
        await group.committed()

    @contextlib.asynccontextmanager
    async def _queued(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    async def _begun(self) -> AsyncConnection:
        connection = await self._engine.connect()
        try:
            await connection.begin()
        except BaseException:
            await connection.close()
            raise
        return connection

    def _close_later(self, group: _Group) -> None:
        """Commit when those who wait now had their turn: turns are taken in order, and this takes one too."""

        async def close() -> None:
            async with self._turn:
                if group.open:
                    with contextlib.suppress(Exception):  # Told to everybody who waits.
                        await group.commit()

        self._kept(asyncio.create_task(close()))

    def _kept(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task
