"""A database that answers and takes no writes: said in words, and over when its cause is over."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from owner_schemas import run
from protokeep.core.errors import DatabaseBusy, DatabaseUnavailable
from protokeep.doctor import _check_writes
from protokeep.job_queue import JobQueue
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.owner_table import OWN_TABLES
from protokeep.store.readiness import FRESH_SECONDS, QUEUE_TABLES, Readiness, meaning_of
from protokeep.store.sql import Statement
from protokeep.store.sqlite import Sqlite
from protokeep.wiring import build_application
from world import World

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


class Asking:
    """A readiness whose answers are old as soon as they are given."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self._seconds = 0.0
        self._readiness = Readiness(self.database, lambda: datetime.now(UTC), lambda: self._seconds)

    async def refusal(self) -> str:
        self._seconds += FRESH_SECONDS
        return await self.same_refusal()

    async def same_refusal(self) -> str:
        try:
            await self._readiness.require()
        except DatabaseUnavailable as error:
            return str(error)
        return ""


@contextlib.asynccontextmanager
async def asking(url: str) -> AsyncIterator[Asking]:
    made = Asking(url)
    try:
        yield made
    finally:
        await made.database.close()


async def test_a_database_that_became_read_only_is_said_to_be_and_heals_by_itself(pg_url: str) -> None:
    """
    As the old primary of a fail-over: sessions stay open, reads work, and a write is refused.
    """
    name = pg_url.rpartition("/")[2]
    async with asking(pg_url) as readiness:
        before = await readiness.refusal()
        await run(pg_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        async with readiness.database.reading() as connection:
            await connection.execute(Statement("SET default_transaction_read_only = on"))
        refused, remembered = await readiness.refusal(), await readiness.same_refusal()
        await run(pg_url, f"BEGIN READ WRITE; ALTER DATABASE {name} RESET ALL; COMMIT")
        await readiness.refusal()  # This one replaces the connections.
        after = await readiness.refusal()

    assert (before, after) == ("", "")
    assert refused == remembered
    assert "read-only" in refused


async def test_a_file_that_takes_no_writes_is_said_to(sqlite_url: str) -> None:
    """
    A volume that turned read-only, a disk that is full: told as that, and ready again by itself.
    """
    grow = Statement("CREATE TABLE grown AS SELECT zeroblob(1000000) AS bytes")
    async with asking(sqlite_url) as readiness:
        await readiness.refusal()
        await set_on_writer(readiness.database, "PRAGMA query_only = on")
        refused = await readiness.refusal()
        await set_on_writer(readiness.database, "PRAGMA query_only = off")
        after = await readiness.refusal()
        await set_on_writer(readiness.database, "PRAGMA max_page_count = 1")
        with pytest.raises(DatabaseBusy) as full:
            async with readiness.database.transaction() as connection:
                await connection.execute(grow)

    assert "may only be read" in refused
    assert after == ""
    assert "disk of the database is full" in meaning_of(full.value.__cause__)


async def set_on_writer(database: Database, sql: str) -> None:
    driver = database._driver
    assert isinstance(driver, Sqlite)
    await driver._writer.call(lambda connection: connection.execute(sql).fetchall())


async def test_the_grants_of_the_documentation_are_enough_and_none_can_be_left_out(pg_url: str) -> None:
    """
    A role with the documented rights serves and queues jobs; one right less, or a policy, is said in words.
    """
    role = pg_url.rpartition("/")[2] + "_app"
    grants = re.search(r"### Least rights\n.*?```sql\n(.*?)```", OPERATIONS.read_text(), re.S)
    assert grants is not None
    script = grants[1].replace("protokeep_app", role)
    url = pg_url.replace("protokeep@", f"{role}@")
    try:
        await run(pg_url, f"CREATE ROLE {role} LOGIN; {script}")
        async with World.open(url) as world:
            made = await world.complete()
            await world.live(6)
            assert (await world.get(made.id)).status is made.status
        queue = JobQueue(url)
        async with queue.open():
            await queue.submit("x", 1)
            await queue.clear_log()
        async with asking(url) as readiness:
            assert await readiness.refusal() == ""
            await run(pg_url, f"REVOKE INSERT ON protokeep_events FROM {role}")
            lacking = await readiness.refusal()
            with pytest.raises(DatabaseBusy):
                async with readiness.database.transaction() as connection:
                    await connection.execute(Statement("INSERT INTO protokeep_events DEFAULT VALUES"))
            await run(pg_url, f"{script}; ALTER TABLE protokeep_slots ENABLE ROW LEVEL SECURITY")
            hidden = await readiness.refusal()
    finally:
        await run(pg_url, f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert f"{role} may not INSERT in protokeep_events" in lacking
    assert "Row-level security without a policy hides protokeep_slots" in hidden
    assert {name for name in (*OWN_TABLES, *QUEUE_TABLES) if not re.search(rf"\b{name}\b", script)} == set()


async def test_doctor_says_how_many_connections_would_fit(pg_url: str) -> None:
    """
    One process with the default may open 12: a database that has fewer for us is told, with the number to set.
    """
    settings = Settings(database_url=pg_url, secret_key=SecretStr("a secret of the tests, long enough"), _env_file=None)
    async with build_application(settings, migrating=False) as application:
        enough = await _check_writes(application)
        await run(pg_url, f"ALTER DATABASE {pg_url.rpartition('/')[2]} CONNECTION LIMIT 8")
        scarce = await _check_writes(application)

    assert [(finding.level, finding.name) for finding in enough] == [("fine", "connections")]
    assert [(finding.level, finding.name) for finding in scarce] == [("unsafe", "connections")]
    assert "may open 12; the server has 8 for them" in scarce[0].text
    assert scarce[0].fix.startswith("set PROTOKEEP_DATABASE_CONNECTIONS to 8,")
