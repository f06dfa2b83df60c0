"""What a migration changes about an owner's `design_mockups` on PostgreSQL, one statement at a time.

Nobody else waits longer than a moment for any of them: a statement that locks the whole table is quick and gives up
soon, and indexes are built beside readers and writers. Applied as a whole they are the plain .sql.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from protokeep.store.owner_table import TRACKING_COLUMNS

if TYPE_CHECKING:
    import asyncpg

#: How long a statement may wait for the table: as long, all others who want to use the table wait behind it.
ATTEMPT_SECONDS = 0.4
#: How long it waits for its turn before that, beside readers and writers: for other migrations, and for an autovacuum,
#: which PostgreSQL ends after a second for somebody who waits.
TURN_SECONDS = 10
#: Waits for the turn, and from then on no longer than an attempt. The table has to exist.
TAKE_TURN = (
    f"SET LOCAL lock_timeout = '{TURN_SECONDS}s'; LOCK TABLE design_mockups IN SHARE UPDATE EXCLUSIVE MODE;"  # noqa: S608
    f" SET LOCAL lock_timeout = '{round(ATTEMPT_SECONDS * 1000)}ms'"
)
#: The pause before the next attempt, in which those who waited are served.
PAUSE_SECONDS = 0.6
#: SQLSTATEs of a lock that was not to be had: not available, deadlock.
LOCKED = ("55P03", "40P01")
#: How often an index is built anew when it failed.
INDEX_ATTEMPTS = 3

STATUSES = "'pending', 'in_progress', 'completed', 'failed', 'timeout'"
STATUS_CHECK = "design_mockups_project_status_check"
SPEC_INDEXES = {
    "idx_design_mockups_product_status": "product_id, project_status",
    "idx_design_mockups_v0_chat_id": "v0_chat_id",
    "idx_design_mockups_user_product": "user_id, product_id",
}
#: Ours, for our lists of a product's prototypes.
NEWEST_INDEX = {"idx_protokeep_mockups_product_newest": "product_id, created_at DESC, id DESC"}
#: The name in `protokeep_meta` under which is written what was added to the owner's table.
ADDED = "added_to_owner_table"

COLUMNS = """
SELECT attname AS name, atthasdef AS has_default FROM pg_attribute
 WHERE attrelid = to_regclass('design_mockups') AND attnum > 0 AND NOT attisdropped
"""
CHECK = "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass('design_mockups') AND conname = $1"
INDEXES = """
SELECT c.relname AS name, i.indisvalid AS is_valid, c.oid::regclass::text AS address
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = to_regclass('design_mockups')
"""
OTHER_STATUS = f"SELECT EXISTS (SELECT FROM design_mockups WHERE project_status NOT IN ({STATUSES}))"  # noqa: S608

#: How a statement holds up others who use the table: `everybody` and `writers` for milliseconds, or nobody.
Holds = Literal["everybody", "writers", "nobody"]


@dataclass(frozen=True, slots=True)
class Change:
    """One statement, what it holds up, and the things that it adds to the owner's table."""

    sql: str
    holds: Holds
    adds: tuple[str, ...] = ()
    #: The index that it builds or drops, outside of a transaction; it may take long on a large table.
    index: str = ""


async def changes_to_adopt(connection: asyncpg.Connection) -> list[Change]:
    """The changes that the owner's table still needs, in their order."""
    columns = {row["name"]: row["has_default"] for row in await connection.fetch(COLUMNS)}
    changes = []
    if missing := [name for name in TRACKING_COLUMNS if name not in columns]:
        types = {"project_status": "text DEFAULT 'pending'"}
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {types.get(name, 'text')}" for name in missing)
        changes.append(
            Change(f"ALTER TABLE design_mockups {added}", "everybody", tuple(f"column {n}" for n in missing))
        )
    if columns.get("project_status") is False:
        default = "ALTER TABLE design_mockups ALTER COLUMN project_status SET DEFAULT 'pending'"
        changes.append(Change(default, "everybody", ("default project_status",)))
    changes += await _changes_of_check(connection, is_new="project_status" not in columns)
    indexes = SPEC_INDEXES | (NEWEST_INDEX if "created_at" in columns else {})
    return changes + await _changes_of_indexes(connection, indexes)


async def _changes_of_check(connection: asyncpg.Connection, *, is_new: bool) -> list[Change]:
    is_valid = await connection.fetchval(CHECK, STATUS_CHECK)
    changes = []
    if is_valid is None:
        # NOT VALID leaves older rows with other words alone, holds new ones to the five, and reads no row.
        added = f"ADD CONSTRAINT {STATUS_CHECK} CHECK (project_status IN ({STATUSES})) NOT VALID"
        changes.append(Change(f"ALTER TABLE design_mockups {added}", "everybody", (f"check {STATUS_CHECK}",)))
    if not is_valid and (is_new or not await connection.fetchval(OTHER_STATUS)):
        changes.append(Change(f"ALTER TABLE design_mockups VALIDATE CONSTRAINT {STATUS_CHECK}", "nobody"))
    return changes


async def _changes_of_indexes(connection: asyncpg.Connection, indexes: dict[str, str]) -> list[Change]:
    present = {row["name"]: row for row in await connection.fetch(INDEXES)}
    changes = []
    for name, columns in indexes.items():
        found = present.get(name)
        if found is not None and not found["is_valid"]:
            drop = f"DROP INDEX CONCURRENTLY IF EXISTS {found['address']}"
            changes.append(Change(drop, "nobody", index=found["address"]))
        if found is None or not found["is_valid"]:
            build = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON design_mockups ({columns})"
            changes.append(Change(build, "nobody", (f"index {name}",), name))
    return changes


async def changes_to_leave(connection: asyncpg.Connection, *, with_columns: bool) -> list[Change]:
    """The changes that take away from the owner's table what was added to it: ours, or with the spec's columns."""
    indexes = {f"index {row['name']}": row["address"] for row in await connection.fetch(INDEXES)}
    columns = {f"column {row['name']}" for row in await connection.fetch(COLUMNS)}
    added = await read_added(connection) if with_columns else set()
    added |= {f"index {name}" for name in NEWEST_INDEX}
    changes = [
        Change(f"DROP INDEX CONCURRENTLY IF EXISTS {indexes[name]}", "nobody", index=indexes[name])
        for name in sorted(added & indexes.keys())
    ]
    parts = [f"DROP CONSTRAINT IF EXISTS {STATUS_CHECK}"] if f"check {STATUS_CHECK}" in added else []
    if "default project_status" in added:
        parts.append("ALTER COLUMN project_status DROP DEFAULT")
    parts += [f"DROP COLUMN {name.removeprefix('column ')}" for name in sorted(added & columns)]
    if parts:
        changes.append(Change(f"ALTER TABLE design_mockups {', '.join(parts)}", "everybody"))
    return changes


async def read_added(connection: asyncpg.Connection) -> set[str]:
    """What the migrations of this database have added to the owner's table."""
    if await connection.fetchval("SELECT to_regclass('protokeep_meta')") is None:
        return set()
    found = await connection.fetchval("SELECT value FROM protokeep_meta WHERE name = $1", ADDED)
    return set(json.loads(found)) if found else set()


async def record_added(connection: asyncpg.Connection, added: Sequence[str]) -> None:
    """Write down what is about to be added, so that it can be taken away even if the addition is interrupted."""
    known = await read_added(connection)
    if not known.issuperset(added):
        await connection.execute(
            "INSERT INTO protokeep_meta (name, value) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            ADDED,
            json.dumps(sorted(known.union(added))),
        )


async def apply_change(connection: asyncpg.Connection, change: Change, patience_seconds: float) -> None:
    """Execute one change. Others wait for it for `ATTEMPT_SECONDS` at most; it is tried until it gets its lock.

    Raises the error of the last attempt after `patience_seconds`.
    """
    if change.index:
        await _apply_index(connection, change, patience_seconds)
        return
    ends = time.monotonic() + patience_seconds
    while True:
        if await _attempt(connection, change, last=time.monotonic() >= ends):
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def _attempt(connection: asyncpg.Connection, change: Change, *, last: bool) -> bool:
    import asyncpg

    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(TAKE_TURN)
            await connection.execute(change.sql)
    except asyncpg.PostgresError as error:
        if last or error.sqlstate not in LOCKED:
            raise
        return False
    return True


async def _apply_index(connection: asyncpg.Connection, change: Change, patience_seconds: float) -> None:
    """Build or drop an index beside readers and writers. It waits for older transactions, and nobody waits for it."""
    import asyncpg

    await connection.execute("SET statement_timeout = 0")
    await connection.execute(f"SET lock_timeout = '{round(patience_seconds * 1000)}ms'")
    try:
        for attempt in range(1, INDEX_ATTEMPTS + 1):
            try:
                await connection.execute(change.sql)
            except asyncpg.PostgresError as error:
                if change.adds:  # A build that failed leaves an index that is kept up to date and never used.
                    with contextlib.suppress(asyncpg.PostgresError):
                        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {change.index}")
                if attempt == INDEX_ATTEMPTS or error.sqlstate != "40P01":
                    raise
            else:
                return
    finally:
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.execute("RESET statement_timeout; RESET lock_timeout")
