"""A million prototypes, ten to a product, written the fastest way: COPY, or one transaction without syncing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

PER_PRODUCT = 10
#: Tokens, and idempotency keys.
PEOPLE = 10_000
INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"
COLUMNS = {
    "design_mockups": (
        "id, product_id, user_id, provider, prompt, v0_chat_id, project_status, project_url, created_at, updated_at"
    ),
    "protokeep_generations": (
        "mockup_id, workspace_id, provider, account, api_version, marker, created_by, recovery_point, error_code,"
        " created_at, settled_at, observed_at"
    ),
    "protokeep_slots": "workspace_id, product_id, provider, mockup_id, updated_at",
    "protokeep_products": "workspace_id, product_id, name, created_at",
    "protokeep_events": "workspace_id, product_id, mockup_id, kind, source, actor, status, at",
    "protokeep_api_tokens": "id, workspace_id, user_id, name, role, prefix, digest, created_at",
    "protokeep_idempotency_keys": "workspace_id, actor, key, fingerprint, mockup_id, created_at",
}
#: Those that no constraint stands on: quicker made anew than kept up to date.
INDEXES = """
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
 WHERE t.relname = ANY($1) AND NOT i.indisunique
"""
SQLITE_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX%'"
PROMPT = "A dashboard for bakeries with a list, a chart and a form. " * 3


def rows(prototypes: int, table: str, *, as_text: bool) -> Iterator[tuple[Any, ...]]:
    """The rows of one table; of every ten of a product the newest is the current one. One in twenty failed."""
    newest = datetime.now(UTC)
    for number in range(prototypes):
        product, place = divmod(number, PER_PRODUCT)
        if number >= PEOPLE and table in ("protokeep_api_tokens", "protokeep_idempotency_keys"):
            break
        if place and table in ("protokeep_slots", "protokeep_products"):
            continue
        moment = newest - timedelta(seconds=20 * number)
        at: Any = moment.strftime(INSTANT) if as_text else moment
        mockup_id, product_id, user = str(UUID(int=number + 1)), f"product-{product:06}", f"user-{number % 400:03}"
        failed = number % 200 == 50
        if table == "design_mockups":
            status, url = "failed" if failed else "completed", f"https://demo.example/{number}"
            yield mockup_id, product_id, user, "v0", PROMPT, f"chat{number:08}", status, url, at, at
        elif table == "protokeep_generations":
            code = "error" if failed else None
            account = "v0:environment"
            yield mockup_id, "default", "v0", account, 2, mockup_id, user, "settled", code, at, at, at
        elif table == "protokeep_slots":
            yield "default", product_id, "v0", mockup_id, at
        elif table == "protokeep_products":
            yield "default", product_id, f"Product {product}", at
        elif table == "protokeep_api_tokens":
            yield mockup_id, "default", user, user, "viewer", "pk_", f"digest{number}", at
        elif table == "protokeep_idempotency_keys":
            yield "default", user, f"key{number}", "f", mockup_id, at
        else:
            yield "default", product_id, mockup_id, "claimed", "person", user, "pending", at


async def fill_millions(url: str, prototypes: int) -> None:
    """Write so many prototypes, and one event of each."""
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///"), prototypes)
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")  # Foreign keys hold by construction.
        await connection.execute("SET maintenance_work_mem = '512MB'")
        indexes = await connection.fetch(INDEXES, list(COLUMNS))
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['name']}")
        for table, columns in COLUMNS.items():
            records = rows(prototypes, table, as_text=False)
            await connection.copy_records_to_table(table, records=records, columns=columns.replace(" ", "").split(","))
        for index in indexes:
            await connection.execute(index["definition"])
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def _fill_sqlite(path: str, prototypes: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    with connection:
        indexes = connection.execute(SQLITE_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for table, columns in COLUMNS.items():
            places = ", ".join("?" * len(columns.split(",")))
            connection.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({places})", rows(prototypes, table, as_text=True)
            )
        for _, definition in indexes:
            connection.execute(definition)
    connection.execute("ANALYZE")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
