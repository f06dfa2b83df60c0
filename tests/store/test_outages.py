"""A database that cannot do something now: told as that, with nothing written, and over when the cause is over."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from owner_schemas import run
from protokeep.core.errors import DatabaseBusy, DatabaseUnavailable
from protokeep.store import sqlite
from protokeep.store.database import Database
from protokeep.store.sql import DatabaseError, Statement

ADD = Statement("INSERT INTO t (n) VALUES (:n)")
MOVE = Statement("UPDATE t SET n = n + 10 WHERE n = :n")
ALL = Statement("SELECT n FROM t ORDER BY n")


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    """One small table, in each kind of database."""
    async with opened(empty_database_url) as made:
        yield made


@pytest.fixture
async def pg_database(empty_pg_url: str) -> AsyncIterator[Database]:
    """The same on PostgreSQL."""
    async with opened(empty_pg_url) as made:
        yield made


@pytest.fixture
async def sqlite_database(empty_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The same on SQLite, which waits only a moment for other processes."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    async with opened(empty_sqlite_url) as made:
        yield made


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    made = Database(url)
    async with made.transaction() as connection:
        await connection.execute(Statement("CREATE TABLE t (n int PRIMARY KEY)"))
    yield made
    await made.close()


async def numbers(database: Database) -> list[int]:
    async with database.reading() as connection:
        return [row["n"] for row in await connection.fetch_all(ALL)]


async def add(database: Database, *added: int, then: Statement | None = None) -> None:
    async with database.transaction() as connection:
        for number in added:
            await connection.execute(ADD, {"n": number})
        if then is not None:
            await connection.execute(then)


async def outcome_of(doing: Awaitable[object]) -> type[Exception] | None:
    try:
        await doing
    except Exception as error:  # noqa: BLE001 - the kind of the error is what is asked for.
        return type(error)
    return None


class TestPostgresql:
    @pytest.mark.parametrize("state", ["40P01", "40001", "57014", "55P03", "25006", "25P03", "25P04", "42501"])
    async def test_what_the_database_undid_is_busy(self, pg_database: Database, state: str) -> None:
        """
        Deadlock, serialization, time limit, lock, read-only server, missing right: nothing was
        written, and the next try may succeed.
        """
        refuse = Statement(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")

        assert await outcome_of(add(pg_database, 1, then=refuse)) is DatabaseBusy

        assert await numbers(pg_database) == []
        await add(pg_database, 1)

    @pytest.mark.parametrize("state", ["08006", "53100", "53300", "57P01", "58030", "28P01", "3D000"])
    async def test_what_it_cannot_do_at_all_is_unavailable(self, pg_database: Database, state: str) -> None:
        """
        Lost, full, stopping, broken disk, changed password: it does not answer.
        """
        refuse = Statement(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")

        assert await outcome_of(add(pg_database, 1, then=refuse)) is DatabaseUnavailable

        assert await numbers(pg_database) == []

    async def test_of_two_that_wait_for_each_other_one_is_busy(self, pg_database: Database) -> None:
        """
        A deadlock ends with one transaction written as a whole, and the other one not at all.
        """
        await add(pg_database, 1, 2)
        both_hold_one = asyncio.Barrier(2)

        async def move(*moved: int) -> None:
            async with pg_database.transaction() as connection:
                await connection.execute(MOVE, {"n": moved[0]})
                await both_hold_one.wait()
                await connection.execute(MOVE, {"n": moved[1]})

        outcomes = await asyncio.gather(outcome_of(move(1, 2)), outcome_of(move(2, 1)))

        assert sorted(map(str, outcomes)) == sorted(map(str, (None, DatabaseBusy)))
        assert await numbers(pg_database) == [11, 12]

    async def test_connections_to_a_server_that_takes_no_writes_are_replaced(self, pg_database: Database) -> None:
        """
        After a fail-over the pool's connections lead to the old server: the first refused write replaces them.
        """
        async with pg_database.reading() as connection:
            await connection.execute(Statement("SET default_transaction_read_only = on"))

        refused = await outcome_of(add(pg_database, 1))
        again = await outcome_of(add(pg_database, 1))

        assert (refused, again) == (DatabaseBusy, None)
        assert await numbers(pg_database) == [1]

    async def test_a_transaction_sees_what_was_committed_meanwhile(self, empty_pg_url: str) -> None:
        """
        Guards count on that, so that the owner's default of stricter transactions changes nothing.
        """
        name = empty_pg_url.rpartition("/")[2]
        await run(empty_pg_url, f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
        async with opened(empty_pg_url) as database, database.transaction() as connection:
            before = await connection.fetch_all(ALL)
            await add(database, 1)
            after = await connection.fetch_all(ALL)

        assert (before, after) == ([], [{"n": 1}])

    async def test_a_statement_whose_result_has_another_type_now_is_busy_once(
        self, pg_database: Database, empty_pg_url: str
    ) -> None:
        """
        The owner alters a table under running processes: one transaction is undone, the next one works.
        """

        async def read_in_transaction() -> list[int]:
            async with pg_database.transaction() as connection:
                return [row["n"] for row in await connection.fetch_all(ALL)]

        await add(pg_database, 1)
        await read_in_transaction()
        await run(empty_pg_url, "ALTER TABLE t ALTER COLUMN n TYPE bigint")

        assert await outcome_of(read_in_transaction()) is DatabaseBusy
        assert await read_in_transaction() == [1]


class TestSqlite:
    async def test_a_file_that_another_process_writes_is_busy(
        self, sqlite_database: Database, empty_sqlite_url: str
    ) -> None:
        """
        A shell or a backup tool holds the write lock: reads go on, a write is told, and later writes work.
        """
        with contextlib.closing(sqlite3.connect(path_of(empty_sqlite_url), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = await outcome_of(add(sqlite_database, 1))
            seen = await numbers(sqlite_database)
            other.execute("ROLLBACK")

        assert (refused, seen) == (DatabaseBusy, [])
        await add(sqlite_database, 2)
        assert await numbers(sqlite_database) == [2]

    async def test_opening_a_file_that_another_process_keeps_to_itself_ends(
        self, empty_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that is not in WAL mode yet and is locked for long: opening waits once, not once for every try.
        """
        monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.5)
        with contextlib.closing(sqlite3.connect(path_of(empty_sqlite_url), isolation_level=None)) as other:
            other.execute("CREATE TABLE t (n int PRIMARY KEY)")
            other.execute("BEGIN EXCLUSIVE")
            database = Database(empty_sqlite_url)
            began = time.monotonic()
            refused = await outcome_of(asyncio.wait_for(add(database, 1), 5))
            took = time.monotonic() - began
            other.execute("ROLLBACK")

        assert refused is DatabaseBusy
        assert took < 3
        await add(database, 2)
        await database.close()

    @pytest.mark.parametrize(
        ("trouble", "cure", "told"),
        [
            ("PRAGMA query_only = on", "PRAGMA query_only = off", DatabaseBusy),
            ("PRAGMA max_page_count = 3", "PRAGMA max_page_count = 10000", DatabaseBusy),
        ],
    )
    async def test_a_file_that_takes_no_writes_is_busy(
        self, sqlite_database: Database, trouble: str, cure: str, told: type[Exception]
    ) -> None:
        """
        A file that is read-only or cannot grow: nothing of the transaction is written, and later it is.
        """
        large = Statement("CREATE TABLE large AS SELECT zeroblob(200000) AS filling")
        await set_on_writer(sqlite_database, trouble)

        refused = await outcome_of(add(sqlite_database, 1, then=large))

        await set_on_writer(sqlite_database, cure)
        assert refused is told
        assert await numbers(sqlite_database) == []
        await add(sqlite_database, 2, then=large)

    async def test_a_file_that_is_no_database_is_unavailable(self, tmp_path: Path) -> None:
        """
        Somebody put another file into its place.
        """
        file = tmp_path / "no.db"
        file.write_bytes(b"no database" * 1000)
        database = Database(f"sqlite:///{file}")

        outcomes = [await outcome_of(add(database, 1)), await outcome_of(numbers(database))]
        outcomes.append(await outcome_of(database.read(ALL)))
        await database.close()

        assert outcomes == [DatabaseUnavailable] * 3

    async def test_who_waits_while_the_file_is_replaced_is_told(self, sqlite_database: Database) -> None:
        """
        Transactions that are open or wait when another file is opened end as an outage; later ones are written.
        """
        release = asyncio.Event()

        async def hold() -> None:
            async with sqlite_database.transaction() as connection:
                await connection.execute(ADD, {"n": 1})
                await release.wait()

        tasks = [asyncio.create_task(outcome_of(hold()))]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(outcome_of(add(sqlite_database, number))) for number in (2, 3)]
        await asyncio.sleep(0)
        await sqlite_database.reconnect()
        release.set()

        assert await asyncio.gather(*tasks) == [DatabaseUnavailable] * 3
        await add(sqlite_database, 4)
        assert await numbers(sqlite_database) == [4]

    async def test_what_a_disk_did_not_let_roll_back_holds_nobody_up(self, sqlite_database: Database) -> None:
        """
        A transaction that is still open in the file is ended before the next one begins.
        """
        await set_on_writer(sqlite_database, "BEGIN IMMEDIATE")
        await set_on_writer(sqlite_database, "INSERT INTO t (n) VALUES (1)")

        await add(sqlite_database, 2)

        assert await numbers(sqlite_database) == [2]


class TestBoth:
    async def test_a_closed_database_is_unavailable_to_writers(self, database: Database) -> None:
        """
        A request that is still under way when the process stops is told that the database does not answer.
        """
        await add(database, 1)
        await database.close()

        assert await outcome_of(add(database, 2)) is DatabaseUnavailable

    @pytest.mark.parametrize("value", [2**70, "\ud800"])
    async def test_a_value_that_no_database_holds_is_refused(self, database: Database, value: object) -> None:
        """
        Too large a number, or half a character: both databases refuse it with the same error, and nothing is written.
        """
        kind = "bigint" if isinstance(value, int) else "text"
        statement = Statement(f"UPDATE t SET n = n + 1 WHERE CAST(:value AS {kind}) IS NOT NULL")
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: database.read(Statement(f"SELECT CAST(:value AS {kind}) AS v"), {"value": value}),
            lambda: executed(database, statement, value),
            lambda: executed_many(database, statement, value),
        ]
        await add(database, 1)

        assert [await outcome_of(way()) for way in ways] == [DatabaseError] * 3
        assert await numbers(database) == [1]


async def executed(database: Database, statement: Statement, value: object) -> None:
    async with database.transaction() as connection:
        await connection.execute(MOVE, {"n": 1})
        await connection.execute(statement, {"value": value})


async def executed_many(database: Database, statement: Statement, value: object) -> None:
    async with database.transaction() as connection:
        await connection.execute_many(statement, [{"value": None}, {"value": value}])


async def set_on_writer(database: Database, sql: str) -> None:
    """Executes a statement outside of a transaction on SQLite's connection that writes."""
    driver = database._driver
    assert isinstance(driver, sqlite.Sqlite)
    await driver._writer.call(lambda connection: connection.execute(sql))


def path_of(url: str) -> str:
    return url.removeprefix("sqlite:///")
