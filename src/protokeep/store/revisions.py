"""The revisions of the database: which there are, how they run on a connection, and what their errors mean."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from protokeep.core.errors import NotReady

if TYPE_CHECKING:
    from sqlalchemy import Connection

Scope = Literal["all", "own"]

VERSION_TABLE = "protokeep_alembic_version"
#: The newest revision of each branch; a test compares them with the files. Importing Alembic takes a second, so it is
#: imported only when one of them is missing.
TRACKING_HEAD = "20251128000000"
OWN_HEAD = "20261127000100"
HEADS: dict[Scope, tuple[str, ...]] = {"all": (TRACKING_HEAD, OWN_HEAD), "own": (OWN_HEAD,)}

MIGRATIONS = Path(__file__).parent / "migrations"
PLAIN_SQL = MIGRATIONS / "versions" / "20251128000000_add_v0_project_tracking.sql"

#: How long to wait for another process that migrates the same database and may be building an index.
LOCK_WAIT_SECONDS = 60
#: How long a migration tries to get the owner's table while others use it, each time for a moment only. Requests of
#: the table's other users may hold it for over a minute.
TABLE_WAIT_SECONDS = 120

#: How it is written down that a migration created the table itself, where there was none.
TABLE_ADDED = "table design_mockups"
#: How it is written down that PgQueuer's tables were created.
QUEUE_ADDED = "queue pgqueuer"

#: What a role needs that does not own the table: to work with its rows, to refer to them, and to create our tables.
OWN_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON design_mockups TO <role>; GRANT CREATE ON SCHEMA <schema> TO"
    " <role>"
)
#: What a command says that would change an owner's table in passing.
NOT_ADOPTED = (
    "design_mockups has not been migrated. Run `protokeep adopt --check` to see what a migration does, then "
    "`protokeep migrate`; or set PROTOKEEP_MIGRATE=own, which leaves design_mockups as it is."
)

#: Alembic keeps the migration under way in module globals, so a process migrates one database at a time.
_alembic = threading.Lock()


class MigrationError(NotReady):
    """A step failed and was undone; earlier steps hold. The text says what to do before the next try."""


def plain_sql() -> str:
    """The SQL that adds tracking to `design_mockups`, for people who apply SQL themselves (PostgreSQL)."""
    return PLAIN_SQL.read_text(encoding="utf-8")


def is_done(revisions: set[str], heads: Sequence[str]) -> bool:
    """Whether a database at `revisions` needs nothing to be at `heads`. Raises `MigrationError` if it is newer."""
    newer = revisions.difference(HEADS["all"])
    if newer and max(newer) > max(HEADS["all"]):
        raise MigrationError(
            f"A newer protokeep has migrated this database (revision {max(newer)}). Start that version or a later "
            "one; or this one with PROTOKEEP_MIGRATE=off, which takes the database as it is."
        )
    return revisions.issuperset(heads)


def upgrade(connection: Connection, heads: Sequence[str]) -> None:
    """Runs the missing revisions up to `heads`, on this connection and in its transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "protokeep.store:migrations")
    config.set_main_option("path_separator", "os")
    with _alembic:
        for revision in heads:
            command.upgrade(config, revision)


@contextlib.contextmanager
def explained(heads: Sequence[str]) -> Iterator[None]:
    """Turns errors of a database into `MigrationError`, which says what to do."""
    import asyncpg
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, sqlite3.Error, asyncpg.PostgresError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        advice = _advice(getattr(cause, "sqlstate", None), str(cause), is_own=TRACKING_HEAD not in heads)
        raise MigrationError(advice) from error


def _advice(sqlstate: str | None, message: str, *, is_own: bool) -> str:
    message = message.rpartition("Error'>: ")[2].strip().rstrip(".")
    match sqlstate:
        case "55P03" | "40P01":
            return f"A table stayed in use for over {TABLE_WAIT_SECONDS} seconds ({message}). Try again."
        case "42501" if is_own:
            return f"{message}. Let their owners grant it: {OWN_GRANTS}."
        case "42501":
            return (
                f"{message}. Migrate as the role that owns design_mockups and may create tables; or set "
                "PROTOKEEP_MIGRATE=own, and let that role apply what `protokeep migrate --sql` prints."
            )
        case "42830":
            return "design_mockups.id has neither a primary key nor a unique constraint. Add one, try again."
        case "42703":
            return f"design_mockups lacks a column that its indexes need: {message}. Add it, then try again."
    if message.startswith("database is locked"):
        return f"Another process has been writing here for over {LOCK_WAIT_SECONDS} seconds. Try again."
    if message.startswith("database or disk is full"):
        return "The disk is full. Make room where PROTOKEEP_DATABASE_URL leads, then try again."
    if message.startswith(("[Errno", "attempt to write a readonly", "unable to open")):
        return f"The database cannot be written ({message}). PROTOKEEP_DATABASE_URL says where it is."
    return f"The database refused a change, and was left as it was: {message}."
