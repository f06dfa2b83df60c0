"""Writes the query plan of each hot statement, as the database reports it, to a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import databases as databases  # Sets the path that `protokeep` is found on.
from protokeep.bus import Bus
from protokeep.core.create_request import CreateRequest, claimed_prototype
from protokeep.core.prototype import State
from protokeep.core.state_labels import AT_REST
from protokeep.store.database import Database
from protokeep.store.gallery_filters import Filters
from protokeep.store.gallery_queries import GalleryQueries
from protokeep.store.mapping import generation_values
from protokeep.store.prototype_queries import PrototypeQueries
from protokeep.store.sql import Connection, Statement, query
from protokeep.store.store import Store

HEAD = """# Query plans of the hot statements

What the databases answer to `EXPLAIN` and `EXPLAIN QUERY PLAN` with a million prototypes of 100,000 products.
Written by `python -m benchmarks.growth`, which lists the statements that read a whole table.
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = {"workspace_id": "default", "product_id": "product-000050", "provider": "v0"}
ONE = "00000000-0000-0000-0000-0000000001f5"
REQUEST = CreateRequest(ONE, "default", "product-new", "v0", "A page", "ann", "v0:environment", 2, ONE, NOW)
WHOLE = re.compile(r"Seq Scan on (design_mockups|protokeep_(?!accounts|meta))|SCAN (m|g|s|v|e|n)\b(?!.* USING)")


def statements_of(statements: PrototypeQueries, gallery: GalleryQueries) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The reads in the path of every click, every poll and every sweep."""
    page = {"workspace_id": "default", "limit": 19}
    due = {"account": "v0:environment", "now": NOW}
    return {
        "the token of a request": (query("find_token"), {"digest": "x"}),
        "the current prototype of a product: reuse and status": (statements.current, KEY),
        "one prototype by id": (statements.get, {"workspace_id": "default", "mockup_id": ONE}),
        "a product's prototypes, newest first": (statements.listing(frozenset()), {**KEY, "limit": 20}),
        "an idempotency key": (query("find_idempotency_key"), {"workspace_id": "default", "actor": "a", "key": "k"}),
        "a prototype by its chat": (statements.by_chat, {"chat_id": "chat00000500"}),
        "a prototype's history": (
            query("list_events"),
            {"workspace_id": "default", "mockup_id": ONE, "limit": 500},
        ),
        "prototypes due for polling": (statements.due, {**due, "limit": 10_000}),
        "the next due poll": (query("find_next_due_poll"), {"account": "v0:environment"}),
        "creates and follow-ups due for sending": (query("due_for_submission"), {"now": NOW, "limit": 500}),
        "accounts to track": (query("accounts_to_track"), {"now": NOW, "owner": "x"}),
        "prototypes due for finalization": (query("has_due_finalization"), {"now": NOW}),
        "the newest cards of the home page": (gallery.ids(AT_REST, Filters()), page),
        "the cards of the home page by state": (gallery.counts(tuple(State), Filters()), {"workspace_id": "default"}),
        "cards by id": (gallery.cards, {"workspace_id": "default", "ids": [ONE]}),
        "durations of past generations": (query("list_durations"), {"workspace_id": "default", "limit": 200}),
        "the tags of a workspace": (query("list_tags"), {"workspace_id": "default", "limit": 50}),
        "the people to filter by": (query("list_makers"), {"workspace_id": "default", "limit": 100}),
        "somebody's favourites": (
            query("list_favourites"),
            {"workspace_id": "default", "user_id": "ann", "limit": 500},
        ),
        "cards with a tag": (
            gallery.collected(tuple(State), Filters(tag=True)),
            {"workspace_id": "default", "tag": "retail", "limit": 19},
        ),
        "older rows that nobody tracks": (query("list_untracked_chats"), {"limit": 200}),
    }


def writes_of() -> dict[str, tuple[Any, dict[str, Any]]]:
    """The writes of every create."""
    prototype = claimed_prototype(REQUEST, "ann")
    taken = {"mockup_id": ONE, "now": NOW, "lease_until": NOW}
    return {
        "taking a row to send it": (query("acquire_submission_lease"), taken),
        "saving a step of a create": (query("save_generation"), generation_values(prototype)),
    }


#: Not asked per request: once an hour, and once a second at most. They may read a table.
SELDOM = {"older rows that nobody tracks", "the cards of the home page by state"}


async def write_plans(kind: str, url: str, page: Path, prototypes: int) -> list[str]:
    """Replace the section of one database. The hot statements that read a whole table."""
    database = Database(url)
    store = Store(database, Bus())
    try:
        shape = await store.owner_table()
        gallery = GalleryQueries(shape, is_sqlite=database.is_sqlite)
        parts = [f"## {kind}, {prototypes:,} prototypes\n"]
        whole = []
        statements = PrototypeQueries(shape)
        writes = writes_of()
        for name, (statement, values) in (statements_of(statements, gallery) | writes).items():
            async with database.transaction() if name in writes else database.reading() as connection:
                plan = await _plan(connection, statement, values)
            parts.append(f"### {name}\n\n```\n{plan}\n```\n")
            if WHOLE.search(plan) and name not in SELDOM:
                whole.append(f"{kind}: {name}")
    finally:
        await store.close()
    _replace(page, kind, "\n".join(parts))
    return whole


def _replace(page: Path, kind: str, section: str) -> None:
    written = page.read_text() if page.exists() else HEAD
    pattern = re.compile(rf"## {kind},.*?(?=\n## |\Z)", re.S)
    new = pattern.sub(lambda _: section, written) if pattern.search(written) else f"{written.rstrip()}\n\n{section}"
    page.parent.mkdir(exist_ok=True)
    page.write_text(new.rstrip() + "\n")


async def _plan(connection: Connection, statement: Statement, values: dict[str, Any]) -> str:
    how = "EXPLAIN QUERY PLAN " if connection.is_sqlite else "EXPLAIN (COSTS OFF) "
    explained = Statement(how + statement.text)
    used = {name: value for name, value in values.items() if name in explained.names}
    rows = await connection.fetch_all(explained, used)
    if not connection.is_sqlite:
        return "\n".join(row["QUERY PLAN"] for row in rows)
    depth = {0: -1}
    lines = []
    for row in rows:
        depth[row["id"]] = depth.get(row["parent"], -1) + 1
        lines.append("  " * depth[row["id"]] + row["detail"])
    return "\n".join(lines)
