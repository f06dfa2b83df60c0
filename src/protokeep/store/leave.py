"""Takes everything of ours out of a database, and leaves the owner's table as it was before."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protokeep.core.database_address import plain_address
from protokeep.core.errors import NotReady
from protokeep.store import revisions
from protokeep.store.migrate import connected, locked
from protokeep.store.migrate_sqlite import open_sqlite, sqlite_parts, sqlite_path
from protokeep.store.owner_changes import (
    ADDED,
    NEWEST_INDEX,
    Change,
    apply_change,
    changes_to_leave,
    read_added,
)
from protokeep.store.revisions import HEADS, QUEUE_ADDED, TABLE_ADDED, explained

if TYPE_CHECKING:
    import asyncpg

#: A process writes a heartbeat every three seconds; one that has been silent for longer has ended.
ALIVE_SECONDS = 10

OUR_TABLES = r"""
SELECT c.oid::regclass::text AS name FROM pg_class c
 WHERE c.relkind IN ('r', 'p') AND c.relname LIKE 'protokeep\_%'
   AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('protokeep_meta'))
 ORDER BY c.relname
"""
OUR_FUNCTIONS = r"""
SELECT p.oid::regprocedure::text AS name FROM pg_proc p
 WHERE p.proname LIKE 'protokeep\_%'
   AND p.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('protokeep_meta'))
"""
#: Somebody else's jobs in the same queue, which then stays.
FOREIGN_JOBS = """
SELECT EXISTS (SELECT FROM pgqueuer WHERE entrypoint NOT IN ('submit', 'track'))
    OR EXISTS (SELECT FROM pgqueuer_log WHERE entrypoint NOT IN ('submit', 'track'))
    OR EXISTS (SELECT FROM pgqueuer_schedules)
"""
POSTGRESQL_ALIVE = (
    f"SELECT count(*) FROM protokeep_processes WHERE beat_at > clock_timestamp() - interval '{ALIVE_SECONDS} s'"  # noqa: S608
)
SQLITE_ALIVE = (
    "SELECT count(*) FROM protokeep_processes"  # noqa: S608
    f" WHERE julianday(beat_at) > julianday('now') - {ALIVE_SECONDS} / 86400.0"
)
UNFINISHED = "SELECT count(*) FROM protokeep_generations WHERE recovery_point IN ('claimed', 'sent')"
#: What is lost with our tables, as people count it.
LOSSES = {
    "protokeep_api_tokens": "API tokens",
    "protokeep_provider_keys": "v0 API keys",
    "protokeep_events": "lines of history",
    "protokeep_audit": "lines of the audit",
    "protokeep_pictures": "pictures",
}
#: What goes with the owner's columns: nobody knows any more which chat a prototype is, and coming back does not help.
DROPS_CHATS = "DROP COLUMN v0_chat_id"
CHATS = "SELECT count(*) FROM design_mockups WHERE v0_chat_id <> ''"
CHATS_LOST = "rows' v0 chats (ids, statuses and addresses)"


@dataclass(frozen=True, slots=True)
class Departure:
    """What leaving a database does. Empty `statements`: there is nothing of ours in it."""

    #: On the owner's table, in their order; each by itself.
    changes: tuple[Change, ...]
    #: On what is ours, all in one transaction at the end.
    statements: tuple[str, ...]
    #: What stays although one may expect it to go, a sentence each.
    remains: tuple[str, ...]
    #: What is lost: its name for people, and how much of it there is.
    losses: dict[str, int]
    #: Processes that still work on the database.
    alive: int
    #: Prototypes that are not accepted yet: nobody looks for their chats afterwards.
    unfinished: int


async def plan_leaving(url: str, *, with_columns: bool) -> Departure:
    """What `leave` would do. Changes nothing. Raises `MigrationError`."""
    url = plain_address(url)
    if url.startswith("sqlite:"):
        if not sqlite_path(url).exists():
            return Departure((), (), (), {}, 0, 0)
        with contextlib.closing(open_sqlite(sqlite_path(url))) as file:
            return _sqlite_departure(file, with_columns=with_columns)
    async with connected(url) as connection:
        return await _postgresql_departure(connection, with_columns=with_columns)


async def leave(url: str, *, with_columns: bool) -> None:
    """Take everything of ours away. The owner's rows stay as they are.

    `with_columns`: also what a migration of ours added for the specification: columns, CHECK, default and indexes.
    Raises `NotReady` while a process works on the database, and `MigrationError`.
    """
    url = plain_address(url)
    if url.startswith("sqlite:"):
        await asyncio.to_thread(_leave_sqlite, url, with_columns)
        return
    async with locked(url), connected(url) as connection:
        departure = await _postgresql_departure(connection, with_columns=with_columns)
        _require_quiet(departure)
        with explained(HEADS["all"]):
            for change in departure.changes:
                await apply_change(connection, change, revisions.TABLE_WAIT_SECONDS)
            if departure.statements:
                ours = Change(";\n".join(departure.statements), "everybody")
                await apply_change(connection, ours, revisions.TABLE_WAIT_SECONDS)


def _require_quiet(departure: Departure) -> None:
    if departure.alive:
        raise NotReady(
            f"{departure.alive} protokeep process(es) worked on this database in the last {ALIVE_SECONDS} seconds. "
            "Stop every `serve` and `worker`, wait that long, then try again."
        )


async def _postgresql_departure(connection: asyncpg.Connection, *, with_columns: bool) -> Departure:
    tables = [row["name"] for row in await connection.fetch(OUR_TABLES)]
    if not tables:
        return Departure((), (), (), {}, 0, 0)
    functions = [row["name"] for row in await connection.fetch(OUR_FUNCTIONS)]
    statements = [f"DROP TABLE {', '.join(tables)}", *(f"DROP FUNCTION {name}" for name in functions)]
    added, remains = await read_added(connection), []
    if await connection.fetchval("SELECT to_regclass('pgqueuer')") is not None:
        if QUEUE_ADDED not in added or await connection.fetchval(FOREIGN_JOBS):
            remains.append("The tables of PgQueuer stay: they are not protokeep's, or hold jobs that are not.")
        else:
            statements += _uninstall_queue()
    changes = await changes_to_leave(connection, with_columns=with_columns)
    losses = {name: await connection.fetchval(sql) for name, sql in _counts_of_losses(changes).items()}
    return Departure(
        tuple(changes),
        tuple(statements),
        (*_remaining(added, with_columns=with_columns), *remains),
        losses,
        await connection.fetchval(POSTGRESQL_ALIVE),
        await connection.fetchval(UNFINISHED),
    )


def _counts_of_losses(changes: Sequence[Change]) -> dict[str, str]:
    """What is lost with our tables and these changes of the owner's, and the SQL that counts it."""
    chats = {CHATS_LOST: CHATS} if any(DROPS_CHATS in change.sql for change in changes) else {}
    return chats | {name: f"SELECT count(*) FROM {table}" for table, name in LOSSES.items()}  # noqa: S608


def _uninstall_queue() -> list[str]:
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

    return [part.strip() for part in QueryBuilderEnvironment().build_uninstall_query().split(";") if part.strip()]


def _remaining(added: set[str], *, with_columns: bool) -> list[str]:
    if TABLE_ADDED in added:
        return ["design_mockups stays, with its rows: protokeep created it, so drop it yourself if nothing needs it."]
    if not any(part.startswith("column ") for part in added):
        return ["The tracking columns stay: it was not protokeep that added them."]
    if not with_columns:
        return ["The columns, CHECK and indexes of the specification stay; `--with-columns` takes them away too."]
    return []


def _leave_sqlite(url: str, with_columns: bool) -> None:
    with explained(HEADS["all"]), contextlib.closing(open_sqlite(sqlite_path(url))) as file:
        file.execute("BEGIN IMMEDIATE")
        departure = _sqlite_departure(file, with_columns=with_columns)
        _require_quiet(departure)
        for statement in (*(change.sql for change in departure.changes), *departure.statements):
            file.execute(statement)
        file.execute("COMMIT")


def _sqlite_departure(file: sqlite3.Connection, *, with_columns: bool) -> Departure:
    names = (
        "SELECT name FROM sqlite_master t WHERE type = 'table' AND name LIKE 'protokeep\\_%' ESCAPE '\\'"
        # The tables of a virtual table go with it.
        " AND NOT EXISTS (SELECT 1 FROM sqlite_master v WHERE v.sql LIKE 'CREATE VIRTUAL TABLE%'"
        " AND t.name LIKE v.name || '\\_%' ESCAPE '\\') ORDER BY 1"
    )
    tables = [row[0] for row in file.execute(names)]
    if not tables:
        return Departure((), (), (), {}, 0, 0)
    found = file.execute("SELECT value FROM protokeep_meta WHERE name = ?", (ADDED,)).fetchone()
    added = set(json.loads(found[0])) if found else set()
    removable = (added if with_columns else set()) | {f"index {name}" for name in NEWEST_INDEX}
    changes = _sqlite_changes(removable & sqlite_parts(file))
    return Departure(
        tuple(changes),
        tuple(f"DROP TABLE {name}" for name in tables),
        tuple(_remaining(added, with_columns=with_columns)),
        {name: _count(file, sql) for name, sql in _counts_of_losses(changes).items()},
        _count(file, SQLITE_ALIVE),
        _count(file, UNFINISHED),
    )


def _sqlite_changes(parts: set[str]) -> Sequence[Change]:
    """Indexes go before the columns that they are on."""
    drops = [part.split(" ", 1) for part in sorted(parts - {TABLE_ADDED}, reverse=True)]
    return [
        Change(f"DROP INDEX {name}" if kind == "index" else f"ALTER TABLE design_mockups DROP COLUMN {name}", "writers")
        for kind, name in drops
    ]


def _count(file: sqlite3.Connection, sql: str) -> Any:
    return file.execute(sql).fetchone()[0]
