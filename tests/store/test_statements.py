"""Statements as both drivers take them, and sessions on them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from protokeep.core.errors import DatabaseUnavailable, NotConfigured
from protokeep.store.database import Database
from protokeep.store.lines import WORKING_FOR
from protokeep.store.sql import ConstraintBroken, DatabaseError, Statement

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
    async with made.transaction() as connection:
        await connection.execute(Statement(f"CREATE TABLE t (n int PRIMARY KEY, at {at})"))
    yield made
    await made.close()


async def numbers(database: Database) -> list[int]:
    async with database.reading() as connection:
        return [row["n"] for row in await connection.fetch_all(ALL)]


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
    async with database.transaction() as connection:
        await connection.execute_many(ADD_NEW, [{"n": n, "at": elsewhere + timedelta(seconds=n)} for n in (1, 2, 3)])
        touched = await connection.execute(RAISE, {"ns": [1, 3, 7]})
        rows = await connection.fetch_all(ALL)

    assert touched == 2
    assert rows == [{"n": n, "seen_at": NOW + timedelta(seconds=n % 100)} for n in (2, 101, 103)]
    assert {row["seen_at"].tzinfo for row in rows} == {UTC}


async def test_the_first_and_the_last_times_that_there_are_come_back(database: Database) -> None:
    """
    Years of one to three digits are written, sort first, and can be read.
    """
    ends = [datetime(1, 1, 2, tzinfo=UTC), datetime(999, 7, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)]
    async with database.transaction() as connection:
        await connection.execute_many(ADD_NEW, [{"n": n, "at": at} for n, at in enumerate(ends)])
        rows = await connection.fetch_all(Statement("SELECT at AS seen_at FROM t ORDER BY at"))

    assert [row["seen_at"] for row in rows] == ends


async def test_a_transaction_is_written_as_a_whole_or_not_at_all(database: Database) -> None:
    """
    A broken constraint is told as that, and takes back what the same transaction wrote before.
    """
    async with database.transaction() as connection:
        await connection.execute(ADD_NEW, {"n": 2, "at": NOW})
    plain = Statement(ADD_NEW.text.replace(" ON CONFLICT DO NOTHING", ""))

    async def write_both() -> None:
        async with database.transaction() as connection:
            await connection.execute(plain, {"n": 1, "at": NOW})
            await connection.execute(plain, {"n": 2, "at": NOW})

    with pytest.raises(ConstraintBroken):
        await write_both()

    assert await numbers(database) == [2]


async def test_a_keyed_read_is_the_same_read(database: Database) -> None:
    """
    Whichever way a read goes, its rows are the same; a list leads to its rows there, too.
    """
    async with database.transaction() as connection:
        await connection.execute_many(ADD_NEW, [{"n": n, "at": NOW} for n in (1, 2, 3)])
    some = Statement("SELECT n, at AS seen_at FROM t WHERE n IN :ns AND at <= :now ORDER BY n")
    values = {"ns": [1, 3], "now": NOW}

    async with database.reading() as connection:
        rows = await connection.fetch_all(some, values)

    assert rows == await database.read(some, values) == [{"n": n, "seen_at": NOW} for n in (1, 3)]


async def test_what_returns_rows_tells_how_many(database: Database) -> None:
    """
    `execute` counts the rows of RETURNING, on both databases.
    """
    async with database.transaction() as connection:
        counts = [await connection.execute(ADD_NEW, {"n": n, "at": NOW}) for n in (1, 1, 2)]
        first = await connection.fetch_one(ALL)

    assert counts == [1, 0, 1]
    assert first == {"n": 1, "seen_at": NOW}


async def test_a_read_that_is_given_up(database: Database) -> None:
    """
    Whoever is cancelled in the middle of a long statement takes nobody's connection away.
    """

    async def read() -> None:
        async with database.reading() as connection:
            await connection.fetch_all(ENDLESS)

    tasks = [asyncio.create_task(read()) for _ in range(30)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert await asyncio.wait_for(numbers(database), 20) == []


async def test_writes_that_are_cancelled_at_any_moment(database: Database) -> None:
    """
    What was told is there, nothing is there in part, and no transaction stays open.
    """

    async def write(number: int) -> None:
        async with database.transaction() as connection:
            await connection.execute(ADD_NEW, {"n": number, "at": NOW})
            await connection.execute(ADD_NEW, {"n": -number, "at": NOW})

    chance = random.Random(11)
    told = set()
    for first in range(1, 200, 10):
        tasks = {number: asyncio.create_task(write(number)) for number in range(first, first + 10)}
        for task in tasks.values():
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.02), task.cancel)
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 20)
        told |= {number for number, outcome in zip(tasks, outcomes, strict=True) if outcome is None}

    there = set(await asyncio.wait_for(numbers(database), 20))
    assert told <= there
    assert {-number for number in there} == there
    await asyncio.wait_for(write(1000), 20)


async def test_a_write_that_is_given_up(database: Database) -> None:
    """
    Whoever is cancelled between two statements has written nothing, and holds nobody up.
    """
    inside = asyncio.Event()

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute(ADD_NEW, {"n": 1, "at": NOW})
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if database.is_sqlite:  # The file is free for other programs, too.
        with contextlib.closing(sqlite3.connect(database._path, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
    async with database.transaction() as connection:
        await connection.execute(ADD_NEW, {"n": 2, "at": NOW})

    assert await numbers(database) == [2]


async def test_a_wrong_statement_is_told_from_an_outage(database: Database) -> None:
    """
    A statement that is wrong is told as that; a database that is not there as another thing.
    """
    with pytest.raises(DatabaseError, match="nowhere"):
        async with database.reading() as connection:
            await connection.fetch_all(Statement("SELECT 1 FROM nowhere"))
    url = "sqlite:////proc/nowhere/x.db" if database.is_sqlite else "postgresql://nobody@127.0.0.1:9/x"
    with pytest.raises((DatabaseUnavailable, FileNotFoundError)):
        async with Database(url).reading() as connection:
            await connection.fetch_all(ALL)


def test_an_unknown_database_address_is_refused_at_once() -> None:
    """
    What is neither of the two is said at once.
    """
    with pytest.raises(NotConfigured, match="sqlite:///file or postgresql"):
        Database("mysql://root@localhost/x")


async def test_requests_of_one_workspace_leave_connections_for_those_of_another(database: Database) -> None:
    """
    One workspace holds all that it may, and more of its requests wait; another one's, and a job's, are answered.
    """
    done, held = asyncio.Event(), []

    async def hold(workspace_id: str) -> None:
        WORKING_FOR.set(workspace_id)
        async with database.reading() as connection:
            held.append(workspace_id)
            await connection.fetch_all(ALL)
            await done.wait()

    crowd = [asyncio.ensure_future(hold("many")) for _ in range(20)]
    async with asyncio.timeout(20):
        while len(held) < 3:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
        few = asyncio.ensure_future(hold("few"))
        assert await numbers(database) == []
        while "few" not in held:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    assert len(held) < 10
    done.set()
    await asyncio.gather(*crowd, few)
    assert held.count("many") == 20


async def test_a_write_waits_for_one_write_of_another_workspace_and_not_for_all(sqlite_url: str) -> None:
    database, order = Database(sqlite_url), []

    async def write(workspace_id: str) -> None:
        WORKING_FOR.set(workspace_id)
        async with database.transaction():
            order.append(workspace_id)
            await asyncio.sleep(0)

    crowd = [asyncio.ensure_future(write("many")) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(asyncio.ensure_future(write("few")), *crowd)
    assert order.index("few") <= 2
    assert len(order) == 21
    await database.close()
