"""Reads what an owner's database is, before anything is changed, in a transaction that cannot write."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protokeep.core.database_address import plain_address
from protokeep.store.chats_in_metadata import ChatsInMetadata, chats_in_metadata
from protokeep.store.migrate import connected, is_migrated
from protokeep.store.migrate_sqlite import SQLITE_PARTS, sqlite_path
from protokeep.store.owner_changes import NEWEST_INDEX, SPEC_INDEXES, STATUSES, Change, changes_to_adopt
from protokeep.store.owner_table import FILLED, TRACKING_COLUMNS
from protokeep.store.revisions import MigrationError, Scope

if TYPE_CHECKING:
    import asyncpg

#: Counting reads the whole table once or twice; a larger one is described without counts.
COUNT_SECONDS = 60

TABLE = """
SELECT c.oid::regclass::text AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS is_owner, c.relrowsecurity AS has_row_security,
       row_security_active(c.oid) AS is_bound, pg_total_relation_size(c.oid) AS bytes,
       greatest(c.reltuples, 0)::bigint AS estimated_rows, current_user::text AS role, version() AS version,
       n.nspname AS schema, has_schema_privilege(current_schema(), 'CREATE') AS may_create,
       array(SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES']) AS privilege
              WHERE NOT has_table_privilege(c.oid, privilege)) AS lacks
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass('design_mockups')
"""
COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS kind,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required
  FROM pg_attribute a
 WHERE a.attrelid = to_regclass('design_mockups') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
TRIGGERS = "SELECT tgname AS name FROM pg_trigger WHERE tgrelid = to_regclass('design_mockups') AND NOT tgisinternal"
POLICIES = "SELECT polname AS name FROM pg_policy WHERE polrelid = to_regclass('design_mockups')"
UNIQUE_ID = """
SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = to_regclass('design_mockups') AND i.indisunique AND i.indisvalid
                  AND i.indimmediate AND i.indpred IS NULL AND i.indnkeyatts = 1 AND a.attname = 'id')
"""
WEB_ROLES = """
SELECT rolname AS name FROM pg_roles
 WHERE rolname IN ('anon', 'authenticated') AND has_table_privilege(rolname, to_regclass('design_mockups'), 'SELECT')
"""
#: Transactions that have been open for a while: a statement that locks the table waits for those that have used it, and
#: an index for all of them.
BUSY = """
SELECT pid, coalesce(application_name, '') AS program, extract(epoch FROM now() - xact_start)::int AS seconds
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND xact_start < now() - interval '1 s'
 ORDER BY xact_start
"""
PUBLICATIONS = """
SELECT DISTINCT pubname AS name FROM pg_publication_tables
 WHERE to_regclass(format('%I.%I', schemaname, tablename)) = to_regclass('design_mockups') ORDER BY 1
"""
PRODUCTS = """
SELECT c.confrelid::regclass::text AS name,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.confrelid AND attname = 'name') AS has_names,
       has_table_privilege(c.confrelid, 'SELECT') AS may_read
  FROM pg_constraint c
       JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
 WHERE c.conrelid = to_regclass('design_mockups') AND c.contype = 'f' AND a.attname = 'product_id'
   AND cardinality(c.conkey) = 1
 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of each kind the table holds."""

    rows: int = 0
    products: int = 0
    people: int = 0
    tenants: int = 0
    with_chat: int = 0
    chats: int = 0
    with_project_only: int = 0
    without_date: int = 0
    without_person: int = 0
    without_tenant: int = 0
    without_status: int = 0
    unknown_status: int = 0
    providers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Survey:
    """What an owner's database is, and which changes a migration would make to the owner's table."""

    server: str  #: the database and its version
    migrated: bool  #: everything has been migrated
    table: str | None = None  #: the owner's table, qualified if need be; None: there is none
    kind: str = "r"  #: PostgreSQL's letter for what it is: r is a table
    bytes: int = 0
    estimated_rows: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    required_unknown: tuple[str, ...] = ()  #: columns that require a value and that protokeep has none for
    id_is_unique: bool = True
    role: str = ""  #: who we are; empty on SQLite, as the next ones
    owner: str = ""
    is_owner: bool = True
    may_create: bool = True
    lacks: tuple[str, ...] = ()  #: privileges on the table that the role does not have
    has_row_security: bool = False
    is_bound: bool = False  #: row-level security hides rows from the role
    policies: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    web_roles: tuple[str, ...] = ()
    publications: tuple[str, ...] = ()  #: logical replication sends the table's rows on in these
    busy: tuple[tuple[int, str, int], ...] = ()  #: (process, program, seconds) of long transactions
    products_table: str | None = None
    products_have_names: bool = False
    may_read_products: bool = True
    counts: Counts | None = None  #: None: counting took too long, or is not allowed
    changes: tuple[Change, ...] = ()
    in_metadata: int = 0  #: rows that name their chat in the metadata only; 0 also if they could not be counted
    copy_chats: str = ""  #: the statement with which the owner copies these chats to where they are followed

    @property
    def on_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.server.startswith("SQLite")

    @property
    def rows(self) -> int:
        """The number of rows; estimated if they could not be counted."""
        return self.counts.rows if self.counts else self.estimated_rows

    @property
    def tracked(self) -> tuple[str, ...]:
        """The tracking columns that are there."""
        return tuple(name for name in TRACKING_COLUMNS if name in self.columns)


async def survey(url: str, scope: Scope = "all") -> Survey:
    """Reads the database. Changes nothing and locks nothing. `scope`: of the migration. Raises `MigrationError`."""
    url = plain_address(url)
    if url.startswith("sqlite:"):
        return _survey_sqlite(url, await is_migrated(url, scope))
    if not url.startswith("postgresql:"):
        raise MigrationError("The database address must begin with sqlite:///file or postgresql://.")
    migrated = await is_migrated(url, scope)
    async with connected(url) as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        return await _survey_postgresql(connection, migrated=migrated)


async def _survey_postgresql(connection: asyncpg.Connection, *, migrated: bool) -> Survey:
    table = await connection.fetchrow(TABLE)
    if table is None:
        return Survey(await connection.fetchval("SELECT version()"), migrated)
    columns = {row["name"]: row for row in await connection.fetch(COLUMNS)}
    products = await connection.fetchrow(PRODUCTS)
    counts = await _count_postgresql(connection, set(columns)) if table["kind"] in ("r", "p") else None
    kinds = {name: row["kind"] for name, row in columns.items()}
    chats = chats_in_metadata(kinds, is_sqlite=False) if counts else None
    return Survey(
        server=" ".join(table["version"].split()[:2]),
        migrated=migrated,
        table=table["name"] if "." in table["name"] else f"{table['schema']}.{table['name']}",
        kind=table["kind"],
        bytes=table["bytes"],
        estimated_rows=table["estimated_rows"],
        columns=kinds,
        required_unknown=tuple(name for name, row in columns.items() if row["required"] and name not in FILLED),
        id_is_unique=await connection.fetchval(UNIQUE_ID),
        role=table["role"],
        owner=table["owner"],
        is_owner=table["is_owner"],
        may_create=bool(table["may_create"]),
        lacks=tuple(table["lacks"]),
        has_row_security=table["has_row_security"],
        is_bound=table["is_bound"],
        policies=await _names(connection, POLICIES),
        triggers=await _names(connection, TRIGGERS),
        web_roles=await _names(connection, WEB_ROLES),
        publications=await _names(connection, PUBLICATIONS),
        busy=tuple((row["pid"], row["program"], row["seconds"]) for row in await connection.fetch(BUSY)),
        products_table=products["name"] if products else None,
        products_have_names=bool(products and products["has_names"]),
        may_read_products=products is None or products["may_read"],
        counts=counts,
        changes=tuple(await changes_to_adopt(connection)) if counts else (),
        in_metadata=await _count_in_metadata(connection, chats),
        copy_chats=chats.copy if chats else "",
    )


async def _names(connection: asyncpg.Connection, sql: str) -> tuple[str, ...]:
    return tuple(row["name"] for row in await connection.fetch(sql))


async def _count_postgresql(connection: asyncpg.Connection, columns: set[str]) -> Counts | None:
    import asyncpg

    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{COUNT_SECONDS}s'")
            row = await connection.fetchrow(_counting(columns))
            providers = await connection.fetch(_PROVIDERS) if "provider" in columns else []
    except asyncpg.PostgresError:
        return None
    return Counts(**dict(row), providers={str(found["provider"]): found["rows"] for found in providers})


async def _count_in_metadata(connection: asyncpg.Connection, chats: ChatsInMetadata | None) -> int:
    import asyncpg

    if chats is None:
        return 0
    with contextlib.suppress(asyncpg.PostgresError):
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{COUNT_SECONDS}s'")
            return int(await connection.fetchval(chats.count))
    return 0


_PROVIDERS = "SELECT provider, count(*) AS rows FROM design_mockups GROUP BY provider ORDER BY 2 DESC, 1"


def _counting(columns: set[str]) -> str:
    """Counts everything in one pass over the table, as far as its columns allow."""
    parts = {
        "products": ("product_id", "count(DISTINCT product_id)"),
        "people": ("user_id", "count(DISTINCT user_id)"),
        "tenants": ("tenant_id", "count(DISTINCT tenant_id)"),
        "with_chat": ("v0_chat_id", "count(v0_chat_id)"),
        "chats": ("v0_chat_id", "count(DISTINCT v0_chat_id)"),
        "without_date": ("created_at", "count(*) FILTER (WHERE created_at IS NULL)"),
        "without_person": ("user_id", "count(*) FILTER (WHERE user_id IS NULL)"),
        "without_tenant": ("tenant_id", "count(*) FILTER (WHERE tenant_id IS NULL)"),
        "without_status": ("project_status", "count(*) FILTER (WHERE project_status IS NULL)"),
        "unknown_status": ("project_status", f"count(*) FILTER (WHERE project_status NOT IN ({STATUSES}))"),
    }
    counts = [f"{sql} AS {name}" for name, (column, sql) in parts.items() if column in columns]
    if "v0_project_id" in columns:
        chat = "AND v0_chat_id IS NULL" if "v0_chat_id" in columns else ""
        counts.append(f"count(*) FILTER (WHERE v0_project_id IS NOT NULL {chat}) AS with_project_only")
    return f"SELECT {', '.join(['count(*) AS rows', *counts])} FROM design_mockups"  # noqa: S608


def _survey_sqlite(url: str, migrated: bool) -> Survey:
    path = sqlite_path(url)
    server = f"SQLite {sqlite3.sqlite_version}"
    if not path.exists():
        return Survey(server, migrated)
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        file.row_factory = sqlite3.Row
        parts = {row[0] for row in file.execute(SQLITE_PARTS)}
        columns = {row["name"].lower(): row for row in file.execute("PRAGMA table_info('design_mockups')")}
        if not columns:
            return Survey(server, migrated)
        required = [name for name, row in columns.items() if row["notnull"] and row["dflt_value"] is None]
        counts: dict[str, Any] = dict(file.execute(_counting(set(columns))).fetchone())
        found = file.execute(_PROVIDERS).fetchall() if "provider" in columns else []
        kinds = {name: str(row["type"]) for name, row in columns.items()}
        chats = chats_in_metadata(kinds, is_sqlite=True)
        return Survey(
            server=server,
            migrated=migrated,
            table="design_mockups",
            bytes=path.stat().st_size,
            columns=kinds,
            required_unknown=tuple(name for name in required if name not in FILLED),
            counts=Counts(**counts, providers={str(row["provider"]): row["rows"] for row in found}),
            changes=_sqlite_changes(parts),
            in_metadata=file.execute(chats.count).fetchone()[0] if chats else 0,
            copy_chats=chats.copy if chats else "",
        )


def _sqlite_changes(parts: set[str]) -> tuple[Change, ...]:
    changes = [
        Change(f"ALTER TABLE design_mockups ADD COLUMN {name} text", "writers")
        for name in TRACKING_COLUMNS
        if f"column {name}" not in parts
    ]
    needed = SPEC_INDEXES | (NEWEST_INDEX if "column created_at" in parts else {})
    changes += [
        Change(f"CREATE INDEX {name} ON design_mockups ({columns})", "writers", index=name)
        for name, columns in needed.items()
        if f"index {name}" not in parts
    ]
    return tuple(changes)
