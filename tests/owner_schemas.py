"""Databases as their owners have them before protokeep comes, and plain statements on either kind."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import asyncpg

PRODUCT = "6f0c8a54-0f5c-4a5e-9b7e-0d6f3f4f8a01"
TENANT = "11111111-2222-4333-8444-555555555555"
USER = "9f9f9f9f-1111-4222-8333-444444444444"
MOCKUP = "00000000-0000-4000-8000-000000000001"
OLDER_MOCKUP = "00000000-0000-4000-8000-000000000002"

#: As made by hand or by another tool on PostgreSQL. {tenant} is empty, or another column.
POSTGRESQL = """
CREATE TABLE products (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    {tenant}
    name text NOT NULL
);
CREATE TABLE design_mockups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id uuid NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    {tenant}
    user_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('v0', 'lovable')),
    prompt text NOT NULL,
    image_url text,
    thumbnail_url text,
    metadata jsonb DEFAULT '{{}}'::jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
"""
TENANT_COLUMN = "tenant_id uuid NOT NULL,"

SQLITE = """
CREATE TABLE design_mockups (
    id VARCHAR(36) PRIMARY KEY,
    product_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL CHECK (provider IN ('v0', 'lovable')),
    prompt TEXT,
    metadata TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""
SQLITE_ROWS = f"""
INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, metadata)
VALUES ('{MOCKUP}', 'p-1', 'u-1', 'v0', 'a shop', '{{"chat": "old"}}');
"""


#: The indexes that the spec names.
SPEC_INDEXES = {
    "idx_design_mockups_product_status",
    "idx_design_mockups_v0_chat_id",
    "idx_design_mockups_user_product",
}


async def run(url: str, script: str) -> None:
    """Run any number of statements."""
    if url.startswith("sqlite"):
        with contextlib.closing(_sqlite(url)) as file:
            file.executescript(script)
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def rows(url: str, query: str) -> list[dict[str, Any]]:
    """What a query answers."""
    (found,) = await rows_of_each(url, query)
    return found


async def rows_of_each(url: str, *queries: str) -> list[list[dict[str, Any]]]:
    """What each query answers, over one connection."""
    if url.startswith("sqlite"):
        with contextlib.closing(_sqlite(url)) as file:
            file.row_factory = sqlite3.Row
            return [[dict(row) for row in file.execute(query)] for query in queries]
    connection = await asyncpg.connect(url)
    try:
        return [[dict(row) for row in await connection.fetch(query)] for query in queries]
    finally:
        await connection.close()


async def make_owner(url: str, *, tenant: bool = False) -> None:
    """An owner's database with two rows in it, on either kind."""
    if url.startswith("sqlite"):
        await run(url, SQLITE + SQLITE_ROWS)
        return
    column, value = ("tenant_id,", f"'{TENANT}',") if tenant else ("", "")
    await run(
        url,
        POSTGRESQL.format(tenant=TENANT_COLUMN if tenant else "")
        + f"""
        INSERT INTO products (id, {column} name) VALUES ('{PRODUCT}', {value} 'Shop');
        INSERT INTO design_mockups
            (id, product_id, {column} user_id, provider, prompt, metadata, created_at)
        VALUES
            ('{MOCKUP}', '{PRODUCT}', {value} '{USER}', 'v0', 'a shop', '{{"chat": "old"}}', '2025-01-02Z'),
            ('{OLDER_MOCKUP}', '{PRODUCT}', {value} '{USER}', 'lovable', 'older', NULL, '2025-01-01Z');
        """,
    )


async def revisions(url: str) -> set[str]:
    """What the database says it was migrated to."""
    return {row["version_num"] for row in await rows(url, "SELECT version_num FROM protokeep_alembic_version")}


async def indexes(url: str) -> set[str]:
    """The names of all indexes."""
    query = "SELECT indexname AS name FROM pg_indexes WHERE schemaname NOT LIKE 'pg_%'"
    if url.startswith("sqlite"):
        query = "SELECT name FROM sqlite_master WHERE type = 'index'"
    return {row["name"] for row in await rows(url, query)}


async def types(url: str, table: str) -> dict[str, str]:
    """The columns of a table and their types (PostgreSQL)."""
    query = f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{table}'"
    return {row["column_name"]: row["data_type"] for row in await rows(url, query)}


def _sqlite(url: str) -> sqlite3.Connection:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
