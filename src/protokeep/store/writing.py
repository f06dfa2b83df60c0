"""Writing to SQLite: one connection, and one commit for all who wait for it.

A commit waits for the disk, and SQLite makes them one after another. So whoever waits for the connection joins the
transaction that is open, behind a savepoint of its own, and nobody is told of success before the common commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator

from protokeep.store.sqlite import SqliteConnection, SqliteSession, named

#: So many commit together at most: the first of them waits for the last.
TOGETHER = 32
#: What a close waits for those who still write.
CLOSING_SECONDS = 1.0


class _Group:
    """Those who commit together."""

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self.members = 1
        self.open = True
        self._committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committed.add_done_callback(lambda done: done.exception())  # A group of one has nobody who asks.

    def session(self) -> SqliteSession:
        """For one of them."""
        return SqliteSession(self._connection, at_once=True)

    def run(self, sql: str) -> None:
        """A statement that waits for nothing."""
        with named(sql):
            self._connection.driver.execute(sql)

    async def commit(self) -> None:
        """Commit for everybody; whoever waits gets the error, if there is one."""
        self.open = False
        try:
            with named("COMMIT"):
                await self._connection.call(_commit)
        except BaseException as error:
            self._fail(error)
            raise
        self._committed.set_result(None)

    def undo(self, error: BaseException) -> None:
        """Nothing of this group is written."""
        self.open = False
        self._fail(error)
        self._connection.call_later(_roll_back)

    async def committed(self) -> None:
        """Return once it is on the disk."""
        await asyncio.shield(self._committed)

    def _fail(self, error: BaseException) -> None:
        """Let everybody who waits know that nothing was written."""
        cause = error if isinstance(error, Exception) else ConnectionAbortedError("the writing was stopped")
        if not self._committed.done():
            self._committed.set_exception(cause)


class SqliteWrites:
    """Transactions on the one connection that writes."""

    def __init__(self, path: str) -> None:
        self._connection = SqliteConnection(path)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._group: _Group | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteSession]:
        """One transaction, committed as a whole or not at all by the time the context ends."""
        async with self._queued():
            if self._group is None or not self._group.open:
                await self._begin()
                group = self._group = _Group(self._connection)
                try:
                    yield group.session()
                except BaseException as error:
                    group.undo(error)
                    raise
            else:
                group = self._group
                group.members += 1
                group.run("SAVEPOINT mine")
                try:
                    yield group.session()
                    group.run("RELEASE mine")
                except BaseException as error:
                    try:
                        group.run("ROLLBACK TO mine")
                        group.run("RELEASE mine")
                    except Exception:  # noqa: BLE001 - SQLite has taken back everything: no room, or no disk
                        group.undo(error)
                    raise
            if self._waiting and group.members < TOGETHER:
                if group.members == 1:
                    self._close_later(group)
            else:
                # Whoever is cancelled now takes nobody else's commit away.
                await asyncio.shield(self._kept(asyncio.create_task(group.commit())))
        await group.committed()

    def alone(self) -> contextlib.AbstractAsyncContextManager[SqliteSession]:
        """A transaction of one statement."""
        return self.transaction()

    async def close(self) -> None:
        """Close once nobody writes, or soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS), self._turn:
                pass
        self._connection.close()

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

    async def _begin(self) -> None:
        try:
            with named("BEGIN"):
                await self._connection.call(_begin)
        except BaseException:  # It may begin all the same, behind somebody who was cancelled.
            self._connection.call_later(_roll_back)
            raise

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


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def _commit(connection: sqlite3.Connection) -> None:
    """Commit; where that is not possible, nothing stays open."""
    try:
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
