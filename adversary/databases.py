"""The two kinds of database, as an operator handles them: read, changed by hand, copied, and put back to a copy."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import asyncpg

from postgres import PostgresServer, find_binaries

#: A database that fails over or restarts is back within this many attempts of half a second.
ATTEMPTS = 60
SIDE_FILES = ("-wal", "-shm")


class SqliteDatabase:
    """A SQLite file."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement."""

        def read() -> list[dict[str, Any]]:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=20)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(sql)]

        return await asyncio.to_thread(read)

    async def execute(self, *statements: str) -> None:
        """Run statements by hand, in one transaction."""

        def write() -> None:
            with closing(sqlite3.connect(self.path, timeout=20)) as connection, connection:
                connection.execute("PRAGMA foreign_keys = ON")
                for statement in statements:
                    connection.execute(statement)

        await asyncio.to_thread(write)

    async def copy_to(self, path: Path) -> None:
        """Copy the file as SQLite's backup API does, while it is in use."""
        await asyncio.to_thread(_back_up, self.path, path)

    async def restore_in_place(self, copy: Path) -> None:
        """Write an older copy over the file through the backup API: open connections see it at once."""
        await asyncio.to_thread(_back_up, copy, self.path)

    async def restore_by_rename(self, copy: Path) -> None:
        """Put an older copy in the file's place: open connections keep the file that has lost its name."""
        fresh = self.path.with_suffix(".restored")
        await asyncio.to_thread(shutil.copy, copy, fresh)
        for side in SIDE_FILES:
            self.path.with_name(self.path.name + side).unlink(missing_ok=True)
        fresh.rename(self.path)

    async def drop(self) -> None:
        """Nothing: the file goes with its folder."""


class PostgresDatabase:
    """One database of a PostgreSQL server."""

    kind = "postgresql"

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.server = server
        self.url = url
        self.name = url.rpartition("/")[2]
        self.port = int(url.rpartition("/")[0].rpartition(":")[2])

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement."""
        connection = await self._connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def execute(self, *statements: str) -> None:
        """Run statements by hand, in one transaction."""
        connection = await self._connect(self.url)
        try:
            async with connection.transaction():
                for statement in statements:
                    await connection.execute(statement)
        finally:
            await connection.close()

    async def copy(self, name: str) -> None:
        """Make a copy of the database as it is now; whoever is connected loses the connection."""
        connection = await self._connect(self.server.url())
        try:
            for _ in range(ATTEMPTS):
                await self._disconnect_everybody(connection)
                with suppress(asyncpg.ObjectInUseError):
                    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {self.name} STRATEGY FILE_COPY")
                    return
            raise RuntimeError("The database was never without a connection.")
        finally:
            await connection.close()

    async def fail_over_to(self, name: str) -> None:
        """Put a copy in the place of the database, as a fail-over to an older replica does."""
        connection = await self._connect(self.server.url())
        try:
            await connection.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
            await self._disconnect_everybody(connection)
            await asyncio.sleep(0.3)
            await connection.execute(f"ALTER DATABASE {self.name} RENAME TO {self.name}_gone")
            await connection.execute(f"ALTER DATABASE {name} RENAME TO {self.name}")
        finally:
            await connection.close()

    async def dump(self, path: Path) -> None:
        """`pg_dump` while it is in use."""
        await self._tool("pg_dump", "--format=custom", f"--file={path}", self.url)

    async def restore(self, path: Path) -> None:
        """`pg_restore --clean` into the same database, under the processes that use it."""
        await self._tool("pg_restore", "--clean", "--if-exists", "--single-transaction", f"--dbname={self.url}", path)

    async def drop(self) -> None:
        """Drop the database and what it was before."""
        for name in (self.name, f"{self.name}_gone", f"{self.name}_copy"):
            await asyncio.to_thread(self.server.execute, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _disconnect_everybody(self, connection: Any) -> None:
        await connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'"
        )

    async def _connect(self, url: str) -> Any:
        for _ in range(ATTEMPTS):
            with suppress(OSError, asyncpg.PostgresError):
                return await asyncpg.connect(url, timeout=10)
            await asyncio.sleep(0.5)
        return await asyncpg.connect(url, timeout=10)

    async def _tool(self, name: str, *arguments: str | Path) -> None:
        process = await asyncio.create_subprocess_exec(
            find_binaries() / name, *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        _, words = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{name} failed: {words.decode()}")


Database = SqliteDatabase | PostgresDatabase


def _back_up(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(source, timeout=20)) as from_there,
        closing(sqlite3.connect(target, timeout=20)) as to_there,
    ):
        from_there.backup(to_there)
