"""Statements as both drivers take them, and sessions on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from protokeep.core.errors import DatabaseUnavailable, NotConfigured
from protokeep.store.database import ConstraintBroken, Database, DatabaseError, Statement
from protokeep.store.sql import joined

ADD_NEW = Statement("INSERT INTO t (n, at) VALUES (:n, :at) ON CONFLICT DO NOTHING RETURNING n")
RAISE = Statement("UPDATE t SET n = n + 100 WHERE n IN :ns")
ALL = Statement("SELECT n, at AS seen_at FROM t ORDER BY n")
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
#: Runs until it is broken off, or some ten seconds.
ENDLESS = Statement(
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000000) SELECT count(*) AS n FROM c"
)


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    """One small table, in each kind of database."""
    made = Database(empty_database_url)
    at = "text" if made.is_sqlite else "timestamptz"
    async with made.transaction() as session:
        await session.run(Statement(f"CREATE TABLE t (n int PRIMARY KEY, at {at})"))
    yield made
    await made.close()


async def numbers(database: Database) -> list[int]:
    async with database.reading() as session:
        return [row["n"] for row in await session.rows(ALL)]


def test_a_named_parameter_may_appear_often_and_be_a_list() -> None:
    """
    A name is one parameter however often it appears; what stands behind IN is a list; casts and comments are no names.
    """
    statement = Statement("-- See :below.\nSELECT a::text FROM t WHERE b = :b AND c IN :cs AND (d > :b OR e = 'x:y')")

    assert statement.names == ["b", "cs"]
    assert statement.for_postgresql == "SELECT a::text FROM t WHERE b = $1 AND c = ANY($2) AND (d > $1 OR e = 'x:y')"
    assert "c IN (SELECT value FROM json_each(:cs)) AND (d > :b" in statement.for_sqlite


async def test_instants_are_aware_utc_both_ways(database: Database) -> None:
    """
    Instants go in and come out as aware UTC; a list leads to its rows; how many were touched is told.
    """
    elsewhere = NOW.astimezone(tz=None)
    async with database.transaction() as session:
        await session.run_many(ADD_NEW, [{"n": n, "at": elsewhere + timedelta(seconds=n)} for n in (1, 2, 3)])
        touched = await session.run(RAISE, {"ns": [1, 3, 7]})
        rows = await session.rows(ALL)

    assert touched == 2
    assert rows == [{"n": n, "seen_at": NOW + timedelta(seconds=n % 100)} for n in (2, 101, 103)]
    assert {row["seen_at"].tzinfo for row in rows} == {UTC}


async def test_several_writes_tell_how_many_rows_each_touched(database: Database) -> None:
    """
    Several that write are told one by one how many rows they touched; in a transaction or alone.
    """
    async with database.alone() as session:
        first = await session.together([(ADD_NEW, {"n": n, "at": NOW}) for n in (1, 2)])
    async with database.transaction() as session:
        second = await session.together(
            [(ADD_NEW, {"n": 2, "at": NOW}), (RAISE, {"ns": [1, 2]}), (ADD_NEW, {"n": 3, "at": NOW})]
        )
        nothing = await session.together([])

    assert (first, second, nothing) == ([1, 1], [0, 2, 1], [])
    assert await numbers(database) == [3, 101, 102]


async def test_later_statements_run_only_if_the_first_touched_a_row(database: Database) -> None:
    """
    The others are executed only where the first touched a row; each has to say where that condition goes.
    """
    add = Statement("INSERT INTO t (n) SELECT :n WHERE TRUE ON CONFLICT DO NOTHING")
    raised = Statement("UPDATE t SET n = n + 10 WHERE n = :n AND TRUE")
    async with database.alone() as session:
        first = await session.together([(ADD_NEW, {"n": 1, "at": NOW}), (add, {"n": 5})], if_first=True)
    async with database.alone() as session:
        again = await session.together(
            [(ADD_NEW, {"n": 1, "at": NOW}), (add, {"n": 6}), (raised, {"n": 5})], if_first=True
        )
    async with database.transaction() as session:
        third = await session.together([(ADD_NEW, {"n": 3, "at": NOW}), (raised, {"n": 5})], if_first=True)

    assert (first, again, third) == ([1, 1], [0, 0, 0], [1, 1])
    assert await numbers(database) == [1, 3, 15]
    with pytest.raises(ValueError, match="where a condition goes"):
        joined((ADD_NEW, RAISE), if_first=True)


async def test_several_writes_happen_together_or_not_at_all(database: Database) -> None:
    """
    What one of several breaks leaves nothing of the others.
    """
    async with database.alone() as session:
        await session.run(ADD_NEW, {"n": 2, "at": NOW})
    plain = Statement(ADD_NEW.text.replace(" ON CONFLICT DO NOTHING", ""))

    with pytest.raises(ConstraintBroken):
        async with database.alone() as session:
            await session.together([(plain, {"n": 1, "at": NOW}), (plain, {"n": 2, "at": NOW})])

    assert await numbers(database) == [2]


async def test_a_cancelled_read_takes_nobodys_connection(database: Database) -> None:
    """
    Whoever is cancelled in the middle of a long statement takes nobody's connection away.
    """

    async def read() -> None:
        async with database.reading() as session:
            await session.rows(ENDLESS)

    tasks = [asyncio.create_task(read()) for _ in range(30)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert await asyncio.wait_for(numbers(database), 20) == []


async def test_a_cancelled_write_has_written_nothing(database: Database) -> None:
    """
    Whoever is cancelled between two statements has written nothing, and holds nobody up.
    """
    inside = asyncio.Event()

    async def write() -> None:
        async with database.transaction() as session:
            await session.run(ADD_NEW, {"n": 1, "at": NOW})
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with database.alone() as session:
        await session.run(ADD_NEW, {"n": 2, "at": NOW})

    assert await numbers(database) == [2]


async def test_a_wrong_statement_is_told_from_an_outage(database: Database) -> None:
    """
    A statement that is wrong is told as that; a database that is not there as another thing.
    """
    with pytest.raises(DatabaseError, match="nowhere"):
        async with database.reading() as session:
            await session.rows(Statement("SELECT 1 FROM nowhere"))
    url = "sqlite:////proc/nowhere/x.db" if database.is_sqlite else "postgresql://nobody@127.0.0.1:9/x"
    with pytest.raises((DatabaseUnavailable, FileNotFoundError)):
        async with Database(url).reading() as session:
            await session.rows(ALL)


def test_an_unknown_database_address_is_refused_at_once() -> None:
    """
    What is neither of the two is said at once.
    """
    with pytest.raises(NotConfigured, match="sqlite:///file or postgresql"):
        Database("mysql://root@localhost/x")
