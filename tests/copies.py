"""Copies of a database that take its place, as a fail-over to a copy that lagged, or a restore, does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg

#: Puts a copy in the place of the database that it was taken of.
PutBack = Callable[[], Coroutine[Any, Any, None]]

TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    " AND (tablename LIKE 'protokeep%' OR tablename = 'design_mockups')"
)
COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1"
    " AND is_generated = 'NEVER'"
)


async def copy_of(url: str) -> PutBack:
    """Take a copy of a database now, under running processes."""
    return await (_copy_of_file if url.startswith("sqlite") else _copy_of_tables)(url)


async def _copy_of_file(url: str) -> PutBack:
    path = Path(url.removeprefix("sqlite:///"))
    kept = path.with_name(f"{path.name}.copy")
    kept.unlink(missing_ok=True)
    source = sqlite3.connect(path)
    source.execute("VACUUM INTO ?", (str(kept),))
    source.close()

    async def put_back() -> None:
        """As an operator does with `.restore`: through SQLite, under the running processes."""
        copied, target = sqlite3.connect(kept), sqlite3.connect(path)
        copied.backup(target)
        copied.close()
        target.close()

    return put_back


async def _copy_of_tables(url: str) -> PutBack:
    connection = await asyncpg.connect(url)
    names = [row["tablename"] for row in await connection.fetch(TABLES)]
    await connection.execute("DROP SCHEMA IF EXISTS copied CASCADE; CREATE SCHEMA copied")
    for name in names:
        await connection.execute(f"CREATE TABLE copied.{name} AS TABLE public.{name}")
    await connection.close()

    async def put_back() -> None:
        """As a dump that is restored into the same database under running processes."""
        back = await asyncpg.connect(url)
        async with back.transaction():
            await back.execute("SET LOCAL session_replication_role = replica")
            for name in names:
                columns = ", ".join([row["column_name"] for row in await back.fetch(COLUMNS, name)])
                await back.execute(f"DELETE FROM public.{name}")
                await back.execute(
                    f"INSERT INTO public.{name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM copied.{name}"
                )
        await back.close()

    return put_back
