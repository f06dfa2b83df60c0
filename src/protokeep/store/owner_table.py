"""The shape of the owner's `design_mockups`: created by us, adopted, or not migrated yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from protokeep.store.sql import Connection, Statement

TRACKING_COLUMNS = ("v0_chat_id", "v0_project_id", "project_status", "project_url")
COLUMNS = (
    "id",
    "product_id",
    "user_id",
    "provider",
    "prompt",
    "image_url",
    "thumbnail_url",
    "metadata",
    "created_at",
    "updated_at",
    *TRACKING_COLUMNS,
)
#: Columns that every new row of ours has a value for. We cannot write to a table that requires a value in another one.
FILLED = frozenset(COLUMNS).difference(("image_url", "thumbnail_url", "metadata")) | {"tenant_id"}
#: The column of the spec's own system that names what a request belonged to, and the types that it is written as.
PHASE_SUBMISSION = "phase_submission_id"
PHASE_SUBMISSION_KINDS = ("uuid", "text", "character varying")
OWN_TABLES = (
    "protokeep_meta",
    "protokeep_products",
    "protokeep_slots",
    "protokeep_generations",
    "protokeep_accounts",
    "protokeep_surplus_chats",
    "protokeep_events",
    "protokeep_idempotency_keys",
    "protokeep_api_tokens",
    "protokeep_provider_keys",
    "protokeep_pictures",
    "protokeep_hooks",
    "protokeep_budgets",
    "protokeep_sessions",
    "protokeep_create_counts",
    "protokeep_audit",
    "protokeep_processes",
)

POSTGRESQL_COLUMNS = """
SELECT a.attname AS name, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS kind,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass('design_mockups') AND a.attnum > 0 AND NOT a.attisdropped
"""
# The narrowest foreign key that product_id is part of. regclass as text is quoted, and qualified if need be.
POSTGRESQL_PRODUCTS = """
SELECT c.confrelid::regclass::text AS products, quote_ident(theirs.attname) AS referenced,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = c.confrelid AND attname = 'tenant_id' AND NOT attisdropped) AS has_tenant
  FROM pg_constraint c
       CROSS JOIN unnest(c.conkey, c.confkey) AS pair (here, there)
       JOIN pg_attribute ours ON ours.attrelid = c.conrelid AND ours.attnum = pair.here
       JOIN pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = pair.there
 WHERE c.conrelid = to_regclass('design_mockups') AND c.contype = 'f' AND ours.attname = 'product_id'
 ORDER BY cardinality(c.conkey), c.conname
 LIMIT 1
"""
POSTGRESQL_OWN = f"SELECT count(to_regclass(name)) AS number FROM unnest(ARRAY{list(OWN_TABLES)}) AS name"  # noqa: S608

# Generated columns are hidden = 2 or 3: nobody fills those.
SQLITE_COLUMNS = """
SELECT lower(name) AS name, lower(type) AS kind, "notnull" AND dflt_value IS NULL AND hidden = 0 AS required
  FROM pragma_table_xinfo('design_mockups')
"""
SQLITE_PRODUCTS = """
SELECT '"' || replace(f."table", '"', '""') || '"' AS products,
       '"' || replace(coalesce(f."to", k.name), '"', '""') || '"' AS referenced,
       EXISTS (SELECT 1 FROM pragma_table_info(f."table") WHERE lower(name) = 'tenant_id') AS has_tenant
  FROM pragma_foreign_key_list('design_mockups') AS f
       LEFT JOIN pragma_table_info(f."table") AS k ON k.pk = 1 AND f."to" IS NULL
 WHERE lower(f."from") = 'product_id'
 ORDER BY (SELECT count(*) FROM pragma_foreign_key_list('design_mockups') AS g WHERE g.id = f.id), f.id
 LIMIT 1
"""
SQLITE_OWN = f"SELECT count(*) AS number FROM sqlite_master WHERE type = 'table' AND name IN {OWN_TABLES!r}"  # noqa: S608

_COLUMNS = Statement(SQLITE_COLUMNS), Statement(POSTGRESQL_COLUMNS)
_PRODUCTS = Statement(SQLITE_PRODUCTS), Statement(POSTGRESQL_PRODUCTS)
_OWN = Statement(SQLITE_OWN), Statement(POSTGRESQL_OWN)


@dataclass(frozen=True)
class OwnerTable:
    """Which columns there are, which ones need a value, and of which types. Only a migration changes it."""

    exists: bool  #: there is a design_mockups
    tracked: bool  #: design_mockups has all four tracking columns
    own: bool  #: all of our own tables exist
    product_is_uuid: bool  #: product_id is a uuid; otherwise, and always on SQLite, it is text
    user_is_uuid: bool  #: the same for user_id
    has_phase_submission: bool  #: design_mockups has a phase_submission_id that takes text or a uuid
    phase_submission_is_uuid: bool  #: phase_submission_id is a uuid
    has_tenant: bool  #: design_mockups has a tenant_id
    products_table: str | None  #: the table that product_id refers to, quoted for SQL; None: it refers to none
    products_column: str | None  #: the column that product_id refers to, quoted for SQL
    products_has_tenant: bool  #: whether that table has a tenant_id that ours is copied from
    columns: frozenset[str]  #: all columns of design_mockups
    required_unknown: tuple[str, ...]  #: columns that require a value and that we have no value for: creates fail


class _Column(NamedTuple):
    kind: str
    required: bool


async def read_owner_table(connection: Connection) -> OwnerTable:
    """Reads the shape of the owner's table from the catalogue."""
    is_postgresql = not connection.is_sqlite
    found = await connection.fetch_all(_COLUMNS[is_postgresql])
    columns = {str(row["name"]): _Column(row["kind"], bool(row["required"])) for row in found}
    products = await connection.fetch_one(_PRODUCTS[is_postgresql])
    own = await connection.fetch_one(_OWN[is_postgresql])

    def is_uuid(name: str) -> bool:
        return is_postgresql and name in columns and columns[name].kind == "uuid"

    phase_submission = columns.get(PHASE_SUBMISSION)
    has_phase_submission = phase_submission is not None and (
        not is_postgresql or phase_submission.kind in PHASE_SUBMISSION_KINDS
    )
    return OwnerTable(
        exists=bool(columns),
        tracked=columns.keys() >= set(TRACKING_COLUMNS),
        own=own is not None and own["number"] == len(OWN_TABLES),
        product_is_uuid=is_uuid("product_id"),
        user_is_uuid=is_uuid("user_id"),
        has_phase_submission=has_phase_submission,
        phase_submission_is_uuid=is_uuid(PHASE_SUBMISSION),
        has_tenant="tenant_id" in columns,
        products_table=products["products"] if products else None,
        products_column=products["referenced"] if products else None,
        products_has_tenant=bool(products and products["has_tenant"]),
        columns=frozenset(columns),
        required_unknown=tuple(
            sorted(name for name, column in columns.items() if column.required and name not in FILLED)
        ),
    )
