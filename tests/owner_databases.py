"""Owners' databases on PostgreSQL, in the generations that they are met in, filled with rows of every kind.

    await make_generation(url, "newest")             # tenants, people, products and an empty design_mockups
    await fill(url, 4000, chats=["c-1", "c-2"])      # rows of every kind; the first ones name these chats
    before = await digest(url)                       # over every column that is the owner's
    await migrate(url)
    assert await digest(url) == before
    tracked = await digest(url, tracking=True)       # over the four tracking columns too

Tables and columns follow the specification; the wording is our own. `OWN_STATEMENTS` are those of the old system.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import asyncpg

from protokeep.store.owner_table import TRACKING_COLUMNS

#: `before_tenants`: no tenants, zone-less times. `with_tenants`: every table names its tenant. `newest`: that, and the
#: tracking columns as the old system's own migration adds them. `supabase`: with web roles, grants and row-level
#: security. `half_applied`: two of the tracking columns, by hand, without constraints; nearly everything may be NULL.
GENERATIONS = ("before_tenants", "with_tenants", "newest", "supabase", "half_applied")

TENANTS = tuple(f"7e000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
PEOPLE = tuple(f"5e000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 4))
#: Products 1 to 5 belong to the first tenant, 6 to 10 to the second one.
PRODUCTS = tuple(f"9d000000-0000-4000-8000-0000000000{n:02}" for n in range(1, 11))

_PEOPLE = """
CREATE TABLE user_profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    {tenant}
    email text NOT NULL UNIQUE,
    created_at {instant} DEFAULT now()
);
"""
_PRODUCTS = """
CREATE TABLE products (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    {tenant}
    user_id uuid NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    name text NOT NULL,
    description text,
    created_at {instant} DEFAULT now(),
    updated_at {instant} DEFAULT now()
);
CREATE TABLE phase_submissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    form_data jsonb NOT NULL DEFAULT '{{}}'::jsonb
);
"""
_MOCKUPS = """
CREATE TABLE design_mockups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    phase_submission_id uuid REFERENCES phase_submissions (id) ON DELETE SET NULL,
    {tenant}
    user_id uuid {required},
    provider text NOT NULL CHECK (provider IN ('v0', 'lovable')),
    prompt text {required},
    image_url text,
    thumbnail_url text,
    metadata jsonb DEFAULT '{{}}'::jsonb,
    {tracking}
    created_at {instant} DEFAULT now(),
    updated_at {instant} DEFAULT now()
);
CREATE INDEX idx_design_mockups_product ON design_mockups (product_id);
"""
_TENANTS = "CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);\n"
_TENANT = "tenant_id uuid NOT NULL REFERENCES tenants (id),"
_TRACKING = """
    v0_chat_id text, v0_project_id text,
    project_status text DEFAULT 'pending'
        CHECK (project_status IN ('pending', 'in_progress', 'completed', 'failed', 'timeout')),
    project_url text,
"""
_HALF_TRACKING = "v0_chat_id text, project_status text,"
_TRACKING_INDEXES = """
CREATE INDEX idx_design_mockups_product_status ON design_mockups (product_id, project_status);
CREATE INDEX idx_design_mockups_v0_chat_id ON design_mockups (v0_chat_id) WHERE v0_chat_id IS NOT NULL;
CREATE INDEX idx_design_mockups_user_product ON design_mockups (user_id, product_id);
"""
#: The old system's trigger: any change of a row sets the time of its last change.
_TRIGGER = """
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
CREATE TRIGGER touch_design_mockups BEFORE UPDATE ON design_mockups
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
"""
#: Roles are the whole server's, and other databases of a test run make the same ones at the same moment.
_WEB_ROLES = """
DO $$ DECLARE name text; BEGIN
    PERFORM pg_advisory_xact_lock(20251128);
    FOREACH name IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
    $$ SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
"""
_POLICIES = """
ALTER TABLE products ENABLE ROW LEVEL SECURITY;
ALTER TABLE design_mockups ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_products ON products USING (user_id = auth.uid());
CREATE POLICY own_mockups ON design_mockups FOR SELECT USING (
    EXISTS (SELECT 1 FROM products p WHERE p.id = design_mockups.product_id AND p.user_id = auth.uid())
);
CREATE POLICY insert_own_mockups ON design_mockups FOR INSERT WITH CHECK (user_id = auth.uid());
"""

#: Statements of the old system: they have to work beside protokeep, whatever it has done to the database.
OWN_STATEMENTS = (
    "SELECT id, product_id, provider, prompt, image_url, thumbnail_url, metadata, created_at FROM design_mockups"
    f" WHERE product_id = '{PRODUCTS[0]}' ORDER BY created_at DESC",
    f"SELECT name FROM products WHERE id = '{PRODUCTS[0]}'",
    f"UPDATE design_mockups SET metadata = '{{\"seen\": true}}' WHERE product_id = '{PRODUCTS[2]}'",
    f"DELETE FROM design_mockups WHERE product_id = '{PRODUCTS[9]}'",
    f"DELETE FROM products WHERE id = '{PRODUCTS[9]}'",
)

#: When the oldest row was made; every further row is a minute younger.
FIRST_ROW_AT = datetime(2025, 11, 1, 8, tzinfo=UTC)


async def make_generation(url: str, generation: str) -> None:
    """Make an owner's tables of one of `GENERATIONS` in an empty database, with tenants, people and products."""
    has_tenants = generation in ("with_tenants", "newest", "supabase")
    names = {
        "tenant": _TENANT if has_tenants else "",
        "instant": "timestamp" if generation == "before_tenants" else "timestamptz",
        "required": "" if generation == "half_applied" else "NOT NULL",
        "tracking": {"newest": _TRACKING, "half_applied": _HALF_TRACKING}.get(generation, ""),
    }
    script = [
        _WEB_ROLES if generation == "supabase" else "",
        _TENANTS if has_tenants else "",
        *(part.format(**names) for part in (_PEOPLE, _PRODUCTS, _MOCKUPS)),
        _TRACKING_INDEXES if generation == "newest" else "",
        _TRIGGER if generation in ("with_tenants", "supabase") else "",
        _POLICIES if generation == "supabase" else "",
    ]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("\n".join(script))
        await _add_products(connection, has_tenants=has_tenants)
    finally:
        await connection.close()


async def _add_products(connection: asyncpg.Connection, *, has_tenants: bool) -> None:
    if has_tenants:
        await connection.executemany(
            "INSERT INTO tenants (id, name) VALUES ($1, $2)",
            [(tenant, f"Tenant number {n}") for n, tenant in enumerate(TENANTS, 1)],
        )
    people = [{"id": person, "email": f"person{n}@example.com"} for n, person in enumerate(PEOPLE)]
    products = [
        {"id": product, "user_id": PEOPLE[n % len(PEOPLE)], "name": f"Product number {n + 1}"}
        for n, product in enumerate(PRODUCTS)
    ]
    for table, rows in (("user_profiles", people), ("products", products)):
        for n, row in enumerate(rows):
            tenant = {"tenant_id": TENANTS[n * len(TENANTS) // len(rows)]} if has_tenants else {}
            await _insert(connection, table, {**row, **tenant})


async def fill(url: str, count: int, *, chats: Sequence[str] = (), first: int = 0) -> list[str]:
    """Insert `count` rows of every kind, and return their ids, oldest first.

    The n-th row names the n-th of `chats`, where the table has such a column; rows that share a chat follow from
    naming it twice. `first`: the number of the first row, so that a second call adds other rows.
    """
    connection = await asyncpg.connect(url)
    try:
        columns = {row["column_name"]: row for row in await connection.fetch(_COLUMNS)}
        rows = [_row(n, chats[n - first] if n - first < len(chats) else None) for n in range(first, first + count)]
        kept = [name for name in rows[0] if name in columns] if rows else []
        records = [tuple(_fitting(columns[name], row[name]) for name in kept) for row in rows]
        await connection.copy_records_to_table("design_mockups", records=records, columns=kept)
    finally:
        await connection.close()
    return [str(row["id"]) for row in rows]


def mockup_id(number: int) -> str:
    """The id of a row of `fill`."""
    return str(uuid5(NAMESPACE_URL, f"urn:owner:mockup:{number}"))


def _row(number: int, chat: str | None) -> dict[str, Any]:
    """A row of one of eight kinds, in all the columns that any generation has. NULL: nothing is known."""
    kind = number % 8
    product = PRODUCTS[number % len(PRODUCTS)]
    statuses = ("completed", "pending", "in_progress", None, "completed", "archived", "failed", "timeout")
    return {
        "id": mockup_id(number),
        "product_id": product,
        "tenant_id": TENANTS[PRODUCTS.index(product) * len(TENANTS) // len(PRODUCTS)],
        "user_id": None if kind == 5 else PEOPLE[number % len(PEOPLE)],
        "provider": "lovable" if kind == 4 and chat is None else "v0",
        "prompt": None if kind == 3 else f"Prompt number {number}: a page, größer",
        "image_url": f"https://pictures.example/{number}.png" if kind == 2 else None,
        "thumbnail_url": None,
        "metadata": None if kind == 1 else json.dumps({"number": number, "chat_id": chat}),
        "v0_chat_id": chat,
        "v0_project_id": f"project-{number}" if chat is None and kind == 6 else None,
        "project_status": statuses[kind],
        "project_url": f"https://v0.example/{number}" if kind == 0 else None,
        "created_at": None if kind == 7 else FIRST_ROW_AT + timedelta(minutes=number),
        "updated_at": None if kind == 5 else FIRST_ROW_AT + timedelta(minutes=number, seconds=30),
    }


def _fitting(column: Any, value: Any) -> Any:
    """The value as a column takes it: required texts are empty rather than NULL, and words are those of its CHECK."""
    if column["column_name"] == "project_status" and value == "archived" and column["column_default"]:
        return "pending"
    if value is None and column["is_nullable"] == "NO":
        return PEOPLE[0] if column["data_type"] == "uuid" else ""
    if column["data_type"] == "timestamp without time zone" and value is not None:
        return value.replace(tzinfo=None)
    return value


_COLUMNS = """
SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = 'design_mockups'
"""


async def digest(
    url: str, *, tracking: bool = False, ids: Sequence[str] | None = None, without: Sequence[str] = ()
) -> str:
    """A digest over the owner's rows: equal before and after means that nothing of the owner's was changed.

    Counts every column of every table that is the owner's. `tracking`: also the columns that the specification adds to
    `design_mockups`; take it after the migration, which fills them. `ids`: only these prototypes.
    `without`: columns that may change, such as the one that the owner's own trigger sets.
    """
    connection = await asyncpg.connect(url)
    left_out = [*without, *(() if tracking else TRACKING_COLUMNS)]
    found = hashlib.sha256()
    try:
        tables = [row["name"] for row in await connection.fetch(_OWNERS_TABLES)]
        for table in tables:
            chosen = f" WHERE t.id = ANY('{{{','.join(ids)}}}'::uuid[])" if ids and table == "design_mockups" else ""
            rows = await connection.fetch(
                f"SELECT jsonb_strip_nulls(to_jsonb(t) - $1::text[])::text AS content FROM {table} t{chosen}"
                " ORDER BY 1",
                left_out,
            )
            found.update(f"{table} {len(rows)}\n".encode())
            found.update("\n".join(row["content"] for row in rows).encode())
    finally:
        await connection.close()
    return found.hexdigest()


_OWNERS_TABLES = """
SELECT table_name AS name FROM information_schema.tables
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'protokeep%'
  AND table_name NOT LIKE 'pgqueuer%'
ORDER BY 1
"""


async def statuses(url: str) -> dict[str, str | None]:
    """The status of every row, as it is written."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT id, project_status FROM design_mockups")
    finally:
        await connection.close()
    return {str(row["id"]): row["project_status"] for row in rows}


async def _insert(connection: asyncpg.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *row.values())
