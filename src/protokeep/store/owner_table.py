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
    "protokeep_censuses",
    "protokeep_census_chats",
    "protokeep_census_groups",
    "protokeep_pins",
    "protokeep_plans",
    "protokeep_plan_approvals",
    "protokeep_plan_items",
    "protokeep_clean_up_turns",
    "protokeep_clean_up_policies",
    "protokeep_archives",
    "protokeep_texts",
    "protokeep_invitations",
    "protokeep_workspace_settings",
    "protokeep_product_tags",
    "protokeep_archived_products",
    "protokeep_favourites",
    "protokeep_saved_views",
)

POSTGRESQL_COLUMNS = """
SELECT a.attname AS name, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS kind,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required, a.attnotnull AS not_null
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass('design_mockups') AND a.attnum > 0 AND NOT a.attisdropped
"""
# The narrowest foreign key that product_id is part of. regclass as text is quoted, and qualified if need be.
POSTGRESQL_PRODUCTS = """
SELECT c.confrelid::regclass::text AS products, quote_ident(theirs.attname) AS referenced,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = c.confrelid AND attname = 'tenant_id' AND NOT attisdropped) AS has_tenant,
       CASE WHEN has_table_privilege(c.confrelid, 'SELECT') THEN (
           SELECT quote_ident(attname) FROM pg_attribute
            WHERE attrelid = c.confrelid AND attname IN ('name', 'title') AND NOT attisdropped
            ORDER BY attname LIMIT 1) END AS name_column
  FROM pg_constraint c
       CROSS JOIN unnest(c.conkey, c.confkey) AS pair (here, there)
       JOIN pg_attribute ours ON ours.attrelid = c.conrelid AND ours.attnum = pair.here
       JOIN pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = pair.there
 WHERE c.conrelid = to_regclass('design_mockups') AND c.contype = 'f' AND ours.attname = 'product_id'
 ORDER BY cardinality(c.conkey), c.conname
 LIMIT 1
"""
# What the role may not do to the owner's rows, and the tables whose policies hide rows from it without a word. A policy
# that lets the role see everything hides nothing.
POSTGRESQL_RIGHTS = """
WITH watched AS (
    SELECT to_regclass('design_mockups')::oid AS id
    UNION SELECT c.confrelid FROM pg_constraint c
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
           WHERE c.conrelid = to_regclass('design_mockups') AND c.contype = 'f' AND a.attname = 'product_id'
), policies AS (
    SELECT p.polrelid, p.polpermissive, pg_get_expr(p.polqual, p.polrelid) = 'true' AS lets_all
      FROM pg_policy p
     WHERE p.polcmd IN ('*', 'r')
       AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(current_user, r, 'MEMBER'))
)
SELECT current_user::text AS role,
       array_to_string(ARRAY(
           SELECT w.id::regclass::text FROM watched w
            WHERE row_security_active(w.id)
              AND (EXISTS (SELECT FROM policies p WHERE p.polrelid = w.id AND NOT p.polpermissive)
                   OR NOT EXISTS (SELECT FROM policies p WHERE p.polrelid = w.id AND p.polpermissive AND p.lets_all))
            ORDER BY 1), ', ') AS hidden,
       array_to_string(ARRAY(
           SELECT needed FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
            WHERE NOT has_table_privilege(to_regclass('design_mockups'), needed)), ', ') AS lacks
 WHERE to_regclass('design_mockups') IS NOT NULL
"""
POSTGRESQL_OWN = f"SELECT count(to_regclass(name)) AS number FROM unnest(ARRAY{list(OWN_TABLES)}) AS name"  # noqa: S608

# Generated columns are hidden = 2 or 3: nobody fills those.
SQLITE_COLUMNS = """
SELECT lower(name) AS name, lower(type) AS kind, "notnull" AND dflt_value IS NULL AND hidden = 0 AS required,
       "notnull" AS not_null
  FROM pragma_table_xinfo('design_mockups')
"""
SQLITE_PRODUCTS = """
SELECT '"' || replace(f."table", '"', '""') || '"' AS products,
       '"' || replace(coalesce(f."to", k.name), '"', '""') || '"' AS referenced,
       EXISTS (SELECT 1 FROM pragma_table_info(f."table") WHERE lower(name) = 'tenant_id') AS has_tenant,
       (SELECT '"' || replace(name, '"', '""') || '"' FROM pragma_table_info(f."table")
         WHERE lower(name) IN ('name', 'title') ORDER BY lower(name) LIMIT 1) AS name_column
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
_RIGHTS = Statement(POSTGRESQL_RIGHTS)


@dataclass(frozen=True)
class OwnerTable:
    """Which columns there are, which ones need a value, and of which types. Only a migration changes it."""

    is_postgresql: bool
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
    products_name: str | None  #: the column of that table that holds the products' names, quoted for SQL
    tenants_are_workspaces: bool  #: the tenant of a row, or of a product, is the workspace that it belongs to
    times_may_lack: bool  #: created_at may be NULL
    role: str  #: our role in the database; empty with SQLite
    hidden: str  #: the owner's tables of which row-level security hides rows from our role; empty: none
    lacks: str  #: what our role may not do to design_mockups, such as "INSERT, UPDATE"; empty: nothing
    columns: frozenset[str]  #: all columns of design_mockups
    required_unknown: tuple[str, ...]  #: columns that require a value and that we have no value for: creates fail

    @property
    def fault(self) -> str | None:
        """Why serving from this table would be wrong, and what to do, for people; None: it would not be."""
        if self.hidden:
            return (
                f"Row-level security hides rows of {self.hidden} from the database role {self.role}: lists would lack "
                "prototypes, and second ones would be made. Connect as the role that owns the table, or give this role "
                "BYPASSRLS."
            )
        if self.lacks:
            return (
                f"The database role {self.role} may not {self.lacks} in design_mockups. Run: GRANT {self.lacks} ON "
                f"design_mockups TO {self.role}."
            )
        return None


class _Column(NamedTuple):
    kind: str
    required: bool
    not_null: bool


async def read_owner_table(connection: Connection, *, tenants_are_workspaces: bool = False) -> OwnerTable:
    """Reads the shape of the owner's table from the catalogue."""
    is_postgresql = not connection.is_sqlite
    found = await connection.fetch_all(_COLUMNS[is_postgresql])
    columns = {str(row["name"]): _Column(row["kind"], bool(row["required"]), bool(row["not_null"])) for row in found}
    products = await connection.fetch_one(_PRODUCTS[is_postgresql])
    own = await connection.fetch_one(_OWN[is_postgresql])
    rights = await connection.fetch_one(_RIGHTS) if is_postgresql else None

    def is_uuid(name: str) -> bool:
        return is_postgresql and name in columns and columns[name].kind == "uuid"

    phase_submission = columns.get(PHASE_SUBMISSION)
    has_phase_submission = phase_submission is not None and (
        not is_postgresql or phase_submission.kind in PHASE_SUBMISSION_KINDS
    )
    return OwnerTable(
        is_postgresql=is_postgresql,
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
        products_name=products["name_column"] if products else None,
        tenants_are_workspaces=tenants_are_workspaces and "tenant_id" in columns,
        times_may_lack="created_at" in columns and not columns["created_at"].not_null,
        role=str(rights["role"]) if rights else "",
        hidden=str(rights["hidden"] or "") if rights else "",
        lacks=str(rights["lacks"] or "") if rights else "",
        columns=frozenset(columns),
        required_unknown=tuple(
            sorted(name for name, column in columns.items() if column.required and name not in FILLED)
        ),
    )
