"""The floors: FastAPI routes that answer with equal JSON, bare or after one keyed read, and do nothing else.

uvicorn benchmarks.floors:app        with FLOOR_DATABASE_URL and FLOOR_BODIES (JSON by route) in the environment
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

URL = os.environ.get("FLOOR_DATABASE_URL", "")
BODIES: dict[str, Any] = json.loads(os.environ.get("FLOOR_BODIES", "{}"))
ONE = "SELECT * FROM design_mockups WHERE id = $1"
LIST = "SELECT * FROM design_mockups WHERE product_id = $1 ORDER BY created_at DESC, id DESC LIMIT 20"


class Asked(BaseModel):
    """The body of a create."""

    product_id: str
    prompt: str
    provider: str = "v0"
    create_new: bool = False
    product_name: str | None = None


class Reads:
    """One keyed read on the raw driver, kept connected and prepared."""

    async def open(self) -> None:
        if URL.startswith("sqlite"):
            import aiosqlite

            self._sqlite = await aiosqlite.connect(URL.removeprefix("sqlite:///"))
            self._sqlite.row_factory = aiosqlite.Row
        else:
            import asyncpg

            # What a pool does when it takes a connection back is not part of the read.
            self._pool = await asyncpg.create_pool(URL, min_size=8, max_size=8, reset=_nothing)

    async def rows(self, statement: str, key: str) -> list[Any]:
        if URL.startswith("sqlite"):
            return list(await self._sqlite.execute_fetchall(statement.replace("$1", "?"), (key,)))
        async with self._pool.acquire() as connection:
            return list(await connection.fetch(statement, key))


async def _nothing(_connection: Any) -> None:
    return None


READS = Reads()


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Connected, where there is a database."""
    if URL:
        await READS.open()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/bare")
async def bare_create(asked: Asked) -> dict[str, Any]:
    return {**BODIES["reuse"], "product_id": asked.product_id}


@app.get("/bare/{kind}")
async def bare(kind: str) -> dict[str, Any]:
    body: dict[str, Any] = BODIES[kind]
    return body


@app.post("/read")
async def read_create(asked: Asked) -> dict[str, Any]:
    (row,) = await READS.rows(ONE, BODIES["reuse"]["id"])
    return {**BODIES["reuse"], **_shown(row), "product_id": asked.product_id}


@app.get("/read/status/{mockup_id}")
async def read_status(mockup_id: str) -> dict[str, Any]:
    (row,) = await READS.rows(ONE, mockup_id)
    return {**BODIES["status"], **_shown(row)}


@app.get("/read/list/{product_id}")
async def read_list(product_id: str) -> dict[str, Any]:
    rows = await READS.rows(LIST, product_id)
    return {
        "mockups": [{**body, **_shown(row)} for body, row in zip(BODIES["list"]["mockups"], rows, strict=True)],
        "next_cursor": BODIES["list"]["next_cursor"],
    }


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "product_id": row["product_id"],
        "prompt": row["prompt"],
        "project_status": row["project_status"],
        "v0_chat_id": row["v0_chat_id"],
        "created_at": row["created_at"],
    }
