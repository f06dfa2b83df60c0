"""The index of texts: `protokeep_texts`, which searches and "it exists already" look at.

A prototype of ours is indexed by the transaction that inserts it. Rows that the owner's programs write are found by
`missing` and `walked`, which also mend everything else: the index can always be made again from the other tables.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

from protokeep.core import search_text
from protokeep.store.database import Database
from protokeep.store.owner_table import OwnerTable
from protokeep.store.prototype_queries import made_at_of, name_of_product, workspace_of
from protokeep.store.sql import Connection, Row, Statement, query

#: The value of the installation that says which rules the index is whole by; another value, or none: it is not whole.
WHOLE = "texts:whole"
#: How that value begins after the index was emptied; what follows differs each time.
ANEW = "anew:"
#: A taken place is left for one of the next so many, about a second later.
NEARBY = 1 << 20
TRIES = 20
#: Rows of one product that a new name is written into at once; a walk finds further ones.
RENAMED_AT_ONCE = 100


class TextQueries:
    """What is indexed of the rows of one shape of the owner's table, beside what the index has of them."""

    def __init__(self, shape: OwnerTable) -> None:
        workspace = workspace_of(shape, "m", "g")
        prompt = f"substr(m.prompt, 1, {search_text.SEARCHED_CHARACTERS})" if "prompt" in shape.columns else "NULL"
        # Only names and expressions of ours are put into the text; values are bound.
        columns = (
            f"m.id, m.product_id, {made_at_of(shape, 'm')} AS created_at, {prompt} AS prompt,"
            f" {workspace} AS workspace_id, {name_of_product(shape, 'm.product_id', workspace)} AS name,"
            " x.place AS old_place, x.workspace_id AS old_workspace_id, x.text AS old_text"
        )
        tables = (
            "FROM design_mockups m LEFT JOIN protokeep_generations g ON g.mockup_id = m.id"
            " LEFT JOIN protokeep_texts x ON x.mockup_id = m.id"
        )
        source = f"SELECT {columns} {tables}"
        self.by_ids = Statement(f"{source} WHERE m.id IN :ids")
        self.missing = Statement(f"{source} WHERE x.place IS NULL AND m.product_id IS NOT NULL LIMIT :limit")
        self.first = Statement(f"{source} ORDER BY m.id LIMIT :limit")
        self.after = Statement(f"{source} WHERE m.id > :after ORDER BY m.id LIMIT :limit")


@cache
def queries_of(shape: OwnerTable) -> TextQueries:
    """The statements for one shape, composed once."""
    return TextQueries(shape)


@cache
def has_fts5() -> bool:
    """Whether this Python's SQLite has the module that keeps the numbers of texts."""
    with sqlite3.connect(":memory:") as file:
        return bool(file.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0])


async def has_numbers(connection: Connection) -> bool:
    """Whether the numbers of texts are kept in this database, so that a search need not read every text."""
    if not connection.is_sqlite:
        return True
    return has_fts5() and await connection.fetch_one(query("has_text_numbers")) is not None


async def index(connection: Connection, shape: OwnerTable, mockup_ids: Sequence[str]) -> None:
    """Indexes these rows as they are now, in the transaction that is open."""
    for row in await connection.fetch_all(queries_of(shape).by_ids, {"ids": list(mockup_ids)}):
        await write(connection, row)


async def index_product(connection: Connection, shape: OwnerTable, workspace_id: str, product_id: str) -> None:
    """Indexes the rows of a product again, because people gave it a name."""
    key = search_text.product_key(product_id)
    values = {"workspace_id": workspace_id, "product_key": key, "product_id": product_id, "limit": RENAMED_AT_ONCE}
    rows = await connection.fetch_all(query("list_texts_of_product"), values)
    await index(connection, shape, [row["mockup_id"] for row in rows])


async def write(connection: Connection, row: Row) -> bool:
    """Indexes a row of `TextQueries`. False: the index had it as it is, or it is a row of the owner's of no product."""
    if row["product_id"] is None:
        return False
    workspace_id, product_id = row["workspace_id"], str(row["product_id"])
    text = search_text.text_of(product_id, row["name"], row["prompt"])
    if row["old_text"] == text and row["old_workspace_id"] == workspace_id:
        return False
    if row["old_place"] is not None:
        await remove(connection, row["old_place"], row["old_workspace_id"], row["old_text"])
    values = {
        "place": search_text.place_of(row["created_at"], row["id"]),
        "mockup_id": row["id"],
        "workspace_id": workspace_id,
        "product_id": product_id,
        "product_key": search_text.product_key(product_id),
        "text": text,
    }
    await _insert(connection, values, search_text.numbers_of(workspace_id, text))
    return True


async def forget(connection: Connection, mockup_id: str) -> None:
    """Takes a prototype out of the index, in the transaction that deletes it."""
    found = await connection.fetch_one(query("find_text"), {"mockup_id": mockup_id})
    if found is not None:
        await remove(connection, found["place"], found["workspace_id"], found["text"])


async def remove(connection: Connection, place: int, workspace_id: str, text: str) -> None:
    """Takes what is at a place out of the index; nothing, if another transaction did."""
    touched = await connection.execute(query("delete_text"), {"place": place})
    if touched and connection.is_sqlite and await has_numbers(connection):
        numbers = _words(search_text.numbers_of(workspace_id, text))
        await connection.execute(query("delete_text_numbers"), {"place": place, "numbers": numbers})


async def _insert(connection: Connection, values: dict[str, Any], numbers: Sequence[int]) -> None:
    statement, numbered = query("insert_text"), values
    if not connection.is_sqlite:
        statement, numbered = query("insert_text_and_numbers"), {**values, "numbers": search_text.signed(numbers)}
    for _ in range(TRIES):
        if await connection.execute(statement, numbered):
            if connection.is_sqlite and await has_numbers(connection):
                await connection.execute(
                    query("insert_text_numbers"), {"place": numbered["place"], "numbers": _words(numbers)}
                )
            return
        if await connection.fetch_one(query("find_text"), {"mockup_id": values["mockup_id"]}) is not None:
            return  # Another process was first.
        numbered = {**numbered, "place": values["place"] + random.randrange(1, NEARBY)}  # noqa: S311 - no secret


def _words(numbers: Sequence[int]) -> str:
    return " ".join(map(word_of, numbers))


def word_of(number: int) -> str:
    """A number as the word that SQLite's index has for it."""
    return f"{number:x}"


class Texts:
    """Fills and mends the index, a batch at a time, and says whether it is whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def state(self) -> str:
        """A value that changes when the index is emptied and when it is whole."""
        rows = await self._database.read(query("find_meta"), {"name": WHOLE})
        return str(rows[0]["value"]) if rows else ""

    async def is_whole(self) -> bool:
        """Whether everything was indexed by the present rules once; until then searches read the rows themselves."""
        return await self.state() == str(search_text.VERSION)

    async def is_being_made_anew(self) -> bool:
        """Whether the index was emptied and is not whole again."""
        return (await self.state()).startswith(ANEW)

    async def set_whole(self, before: str) -> None:
        """Notes that everything was indexed, unless the index was emptied since its `state` was `before`."""
        values = {"name": WHOLE, "value": str(search_text.VERSION), "before": before}
        async with self._database.transaction() as connection:
            await connection.execute(query("save_meta_if_unchanged"), values)

    async def reset(self) -> None:
        """Empties the index. It is made again from the other tables, and searches read the rows until it is whole."""
        async with self._database.transaction() as connection:
            await connection.execute(query("save_meta"), {"name": WHOLE, "value": f"{ANEW}{secrets.token_hex(8)}"})
            await connection.execute(query("delete_texts"))
            if connection.is_sqlite and await has_numbers(connection):
                await connection.execute(query("delete_all_text_numbers"))

    async def count(self) -> int:
        """How many prototypes are indexed."""
        return int((await self._database.read(query("count_texts"), {}))[0]["number"])

    async def count_missing(self, shape: OwnerTable, limit: int) -> int:
        """How many rows are not indexed, `limit` at most."""
        async with self._database.reading() as connection:
            return len(await connection.fetch_all(queries_of(shape).missing, {"limit": limit}))

    async def index_missing(self, shape: OwnerTable, limit: int) -> int:
        """Indexes rows that the index lacks. Returns how many; less than `limit`: none is left."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(queries_of(shape).missing, {"limit": limit})
        await self._write(shape, [row["id"] for row in rows])
        return len(rows)

    async def index_after(self, shape: OwnerTable, after: str | None, limit: int) -> str | None:
        """Indexes the next rows in the order of their ids, where the index differs. The last id; None: the end."""
        queries = queries_of(shape)
        statement, values = (queries.first, {}) if after is None else (queries.after, {"after": after})
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(statement, {**values, "limit": limit})
        await self._write(shape, [row["id"] for row in rows if _differs(row)])
        return str(rows[-1]["id"]) if len(rows) == limit else None

    async def forget_gone(self, limit: int) -> int:
        """Takes out what the owner's programs deleted. Returns how many; less than `limit`: nothing is left."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch_all(query("list_texts_gone"), {"limit": limit})
            for row in rows:
                await remove(connection, row["place"], row["workspace_id"], row["text"])
        return len(rows)

    async def _write(self, shape: OwnerTable, mockup_ids: Sequence[str]) -> None:
        if mockup_ids:
            async with self._database.transaction() as connection:
                await index(connection, shape, mockup_ids)


def _differs(row: Row) -> bool:
    if row["product_id"] is None:
        return False
    text = search_text.text_of(str(row["product_id"]), row["name"], row["prompt"])
    return bool(row["old_text"] != text or row["old_workspace_id"] != row["workspace_id"])
