"""Migrations of SQLite: everything happens in one transaction, whose write lock is the lock between processes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protokeep.store import revisions
from protokeep.store.owner_changes import ADDED
from protokeep.store.private_files import create_database, create_folder
from protokeep.store.revisions import TABLE_ADDED, VERSION_TABLE, MigrationError, explained, is_done, upgrade

#: Of `design_mockups`: "table ...", "column ...", "index ...".
SQLITE_PARTS = """
SELECT 'table design_mockups' AS part FROM sqlite_master WHERE type = 'table' AND lower(name) = 'design_mockups'
UNION ALL SELECT 'column ' || lower(name) FROM pragma_table_info('design_mockups')
UNION ALL SELECT 'index ' || name FROM pragma_index_list('design_mockups') WHERE origin = 'c'
"""


def sqlite_path(url: str) -> Path:
    """The file of an address. Raises `MigrationError` for a database in memory."""
    _, separator, path = url.partition(":///")
    path = path.partition("?")[0]
    if not separator or path in ("", ":memory:"):
        raise MigrationError("SQLite needs a file: sqlite:///here.db or sqlite:////var/lib/there.db.")
    return Path(path)


def migrate_sqlite(path: Path, heads: Sequence[str]) -> None:
    """Brings the file up to `heads`, and creates it if need be. Raises `MigrationError`."""
    if path.exists():
        with contextlib.closing(open_sqlite(path)) as file:
            if is_done(sqlite_revisions(file), heads):
                return
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine("sqlite://", creator=lambda: open_sqlite(path), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with explained(heads):
        create_folder(path.parent)
        with engine.begin() as connection:
            driver: Any = connection.connection.driver_connection
            if not is_done(sqlite_revisions(driver), heads):
                before = sqlite_parts(driver)
                upgrade(connection, heads)
                _record_sqlite(driver, before)


def require_writable(path: Path) -> None:
    """Makes sure that the file does not lie on a read-only volume. Raises `MigrationError`."""
    with contextlib.closing(open_sqlite(path)) as file:
        try:
            file.execute("PRAGMA busy_timeout = 0")
            file.execute("BEGIN IMMEDIATE")  # Under WAL this is not refused yet.
            file.execute("UPDATE protokeep_meta SET value = value WHERE name = 'installed_at'")
            file.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):  # Another process writes: then it can be written.
                raise MigrationError(
                    f"{path} cannot be written ({error}). PROTOKEEP_DATABASE_URL says where it is."
                ) from error


def open_sqlite(path: Path) -> sqlite3.Connection:
    """A connection without transactions of its own. Raises `MigrationError`."""
    try:
        create_database(path)
        # No isolation level: transactions begin where we say, and contain CREATE TABLE.
        return sqlite3.connect(path, timeout=revisions.LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MigrationError(
            f"Cannot open {path}: {reason}. Is its folder there, and writable? PROTOKEEP_DATABASE_URL says where it is."
        ) from error


def sqlite_revisions(connection: Any) -> set[str]:
    """The revisions that the file is at. Raises `MigrationError` for a file that is no database."""
    try:
        return {row[0] for row in connection.execute(f"SELECT version_num FROM {VERSION_TABLE}")}  # noqa: S608
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return set()
        raise MigrationError(f"Cannot read the database: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise MigrationError(f"This is not an SQLite database, or it is damaged: {error}.") from error


def sqlite_parts(connection: Any) -> set[str]:
    """The owner's table, its columns and its indexes, named as they are written down. Takes a driver's connection."""
    return {row[0] for row in connection.execute(SQLITE_PARTS)}


def _record_sqlite(connection: Any, before: set[str]) -> None:
    """Writes down what was added to the owner's table, or that it was created."""
    added = {TABLE_ADDED} if TABLE_ADDED not in before else sqlite_parts(connection) - before
    if added:
        connection.execute(
            "INSERT INTO protokeep_meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = ("
            "SELECT json_group_array(part.value) FROM (SELECT value FROM json_each(protokeep_meta.value)"
            " UNION SELECT value FROM json_each(excluded.value)) AS part)",
            (ADDED, json.dumps(sorted(added))),
        )
