"""PostgreSQL behind a pooler, which hands out another session with every transaction or keeps one for each client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest
from pydantic import SecretStr, ValidationError

from owner_schemas import run
from pooler import needs_pgbouncer, pooler
from protokeep.core.connection_limits import LEAST, ConnectionLimits
from protokeep.jobs import application_with_jobs
from protokeep.service import NewPrototype
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.migrate import MigrationError, require_sessions
from protokeep.store.sql import Statement
from world import ANN

SETTINGS_LEFT = "SELECT name, setting FROM pg_settings WHERE setting <> reset_val AND source = 'session'"


@pytest.fixture
def sharing(pg_url: str) -> Iterator[str]:
    """The address of a pooler in transaction mode."""
    with pooler(pg_url, "transaction", 5) as url:
        yield url


@needs_pgbouncer
async def test_a_pooler_in_transaction_mode_is_refused_as_a_direct_address(sharing: str, pg_url: str) -> None:
    """
    LISTEN and migrations do not work through it, so that the start says what to set. Others are taken.
    """
    with pytest.raises(MigrationError, match="PROTOKEEP_DATABASE_DIRECT_URL"):
        await require_sessions(sharing)
    with pooler(pg_url, "session", 2) as keeping:
        await require_sessions(keeping)
    await require_sessions(pg_url)


@needs_pgbouncer
async def test_prototypes_are_made_through_a_pooler_in_transaction_mode(sharing: str, pg_url: str) -> None:
    """
    With an address past it: statements work in any session, and no session keeps a setting of ours.
    """
    settings = Settings(
        database_url=sharing,
        database_direct_url=pg_url,
        secret_key=SecretStr("a secret of the tests, long enough"),
        v0_api_key=SecretStr("key"),
        v0_base_url="http://127.0.0.1:9",  # Nothing answers there: claims are written and parked.
        _env_file=None,
    )
    async with application_with_jobs(settings) as application:
        keeper = application.keeper
        made = await asyncio.gather(*(keeper.ensure(ANN, NewPrototype(f"p-{n}", "A page"), wait=0) for n in range(8)))
        again = await asyncio.gather(*(keeper.ensure(ANN, NewPrototype(f"p-{n}", "A page"), wait=0) for n in range(8)))

    assert [one.prototype.id for one in again] == [one.prototype.id for one in made]
    connection = await asyncpg.connect(sharing, statement_cache_size=0)
    try:
        for _ in range(10):
            assert await connection.fetch(SETTINGS_LEFT) == []
    finally:
        await connection.close()


async def test_idle_connections_are_given_back(empty_pg_url: str) -> None:
    """
    A burst opens as many as it may, and leaves none of them once they were idle.
    """
    count = Statement("SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()")
    database, looking = Database(empty_pg_url, ConnectionLimits(LEAST + 4, idle_seconds=0.05)), Database(empty_pg_url)
    try:
        await asyncio.gather(*(database.scan(Statement("SELECT pg_sleep(0.1)"), {}) for _ in range(12)))
        async with asyncio.timeout(20):
            while (await looking.read(count))[0]["n"] > 1:  # noqa: ASYNC110 - the server counts
                await asyncio.sleep(0.02)
    finally:
        await database.close()
        await looking.close()


async def test_a_server_without_a_free_connection_is_waited_for(empty_pg_url: str) -> None:
    """
    More requests than the role may have connections: those that have none wait for another one's.
    """
    role = empty_pg_url.rpartition("/")[2] + "_few"
    await run(empty_pg_url, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 2")
    database = Database(empty_pg_url.replace("protokeep@", f"{role}@"))
    try:
        rows = await asyncio.gather(*(database.read(Statement("SELECT 1 AS n")) for _ in range(30)))
    finally:
        await database.close()
        await run(empty_pg_url, f"DROP ROLE {role}")

    assert rows == [[{"n": 1}]] * 30


def test_settings_of_connections_are_checked_together() -> None:
    """
    A direct address belongs to PostgreSQL alone, and the limits are what the settings say.
    """
    with pytest.raises(ValidationError, match="PROTOKEEP_DATABASE_DIRECT_URL"):
        Settings(database_direct_url="postgresql://h/d", _env_file=None)
    settings = Settings(database_url="postgres://pool/d", database_connections=LEAST, _env_file=None)
    pooled = settings.model_copy(update={"database_direct_url": "postgresql://h/d"})

    assert (settings.direct_url, settings.connection_limits.through_pooler) == ("postgresql://pool/d", False)
    assert (pooled.direct_url, pooled.connection_limits.through_pooler) == ("postgresql://h/d", True)
    assert (settings.connection_limits.for_store, settings.connection_limits.direct) == (2, 4)
    assert timedelta(seconds=settings.database_statement_seconds) < settings.timing.lease
