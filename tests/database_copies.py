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


async def copy_of(url: str, name: str = "copied") -> PutBack:
    """Take a copy of a database now, under running processes. A copy of the same `name` is replaced."""
    return await (_copy_of_file if url.startswith("sqlite") else _copy_of_tables)(url, name)


async def _copy_of_file(url: str, name: str) -> PutBack:
    path = Path(url.removeprefix("sqlite:///"))
    kept = path.with_name(f"{path.name}.{name}")
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


async def _copy_of_tables(url: str, name: str) -> PutBack:
    connection = await asyncpg.connect(url)
    tables = [row["tablename"] for row in await connection.fetch(TABLES)]
    await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
    for table in tables:
        await connection.execute(f"CREATE TABLE {name}.{table} AS TABLE public.{table}")
    await connection.close()

    async def put_back() -> None:
        """As a dump that is restored into the same database under running processes."""
        back = await asyncpg.connect(url)
        async with back.transaction():
            await back.execute("SET LOCAL session_replication_role = replica")
            for table in tables:
                columns = ", ".join([row["column_name"] for row in await back.fetch(COLUMNS, table)])
                await back.execute(f"DELETE FROM public.{table}")
                await back.execute(
                    f"INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {columns} FROM {name}.{table}"
                )
        await back.close()

    return put_back
