"""Writers of SQLite take turns, and each is told the truth about its own part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protokeep.store.database import Database
from protokeep.store.sql import Statement

ADD = Statement("INSERT INTO t (n) VALUES (:n)")
ALL = Statement("SELECT n FROM t ORDER BY n")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A file with one small table."""
    made = Database(f"sqlite:///{tmp_path / 'writing.db'}")
    async with made.transaction() as connection:
        await connection.execute(Statement("CREATE TABLE t (n int PRIMARY KEY)"))
    yield made
    await made.close()


async def numbers(database: Database) -> list[int]:
    async with database.reading() as connection:
        return [row["n"] for row in await connection.fetch_all(ALL)]


async def add(database: Database, number: int, *, fail: bool = False) -> None:
    async with database.transaction() as connection:
        await connection.execute(ADD, {"n": number})
        await asyncio.sleep(0)
        if fail:
            raise ValueError(number)


async def test_a_write_that_returned_is_on_the_disk(database: Database) -> None:
    """
    Whoever returns has its row on the disk, however many write at once.
    """

    async def add_and_look(number: int) -> bool:
        await add(database, number)
        return number in await numbers(database)

    assert all(await asyncio.gather(*(add_and_look(number) for number in range(100))))


async def test_a_failed_write_harms_no_other_of_its_group(database: Database) -> None:
    """
    A transaction that fails leaves nothing behind and everything else alone.
    """
    tasks = [add(database, number, fail=number % 3 == 0) for number in range(60)]

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == list(range(0, 60, 3))
    assert await numbers(database) == [number for number in range(60) if number % 3]


async def test_cancelled_writes_hold_nobody_up(database: Database) -> None:
    """
    Those who are cancelled in the queue hold nobody up.
    """
    tasks = [asyncio.create_task(add(database, number)) for number in range(40)]
    await asyncio.sleep(0.005)
    for task in tasks[1::2]:
        task.cancel()

    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    written = set(await numbers(database))
    assert {number for number, outcome in enumerate(outcomes) if outcome is None} <= written
    await asyncio.wait_for(add(database, 1000), 20)


async def test_of_two_writes_of_one_key_the_second_conflicts(database: Database) -> None:
    """
    Several writers of one key at once: the first is written, the others hear of it.
    """
    outcomes = await asyncio.gather(*(add(database, 7) for _ in range(8)), return_exceptions=True)

    assert outcomes.count(None) == 1
    assert await numbers(database) == [7]
