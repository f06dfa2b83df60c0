"""Fill a database with prototypes as a large company would have them, quickly: rows, not requests."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from protokeep.core.principals import Role
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.sql import Statement
from protokeep.wiring import build_application

SUBJECTS = ("dashboard", "landing page", "booking form", "customer list", "checkout", "report", "onboarding", "map")
FOR = ("bakeries", "clinics", "schools", "farms", "banks", "airlines", "museums", "hotels", "shops", "factories")
VARIANTS_OF_FIRST = 50
BATCH = 2000

MOCKUP = Statement(
    "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, v0_chat_id, project_status, project_url,"
    " created_at, updated_at) VALUES (:id, :product_id, :user_id, 'v0', :prompt, :chat_id, :status, :url, :at, :at)"
)
GENERATION = Statement(
    "INSERT INTO protokeep_generations (mockup_id, workspace_id, provider, account, api_version, marker, created_by,"
    " recovery_point, error_code, error_message, created_at, settled_at, observed_at) VALUES (:id, 'default', 'v0',"
    " 'v0:environment', 2, :marker, :user_id, :point, :code, :message, :at, :settled_at, :settled_at)"
)
SLOT = Statement(
    "INSERT INTO protokeep_slots (workspace_id, product_id, provider, mockup_id, updated_at)"
    " VALUES ('default', :product_id, 'v0', :id, :at)"
)
PRODUCT = Statement(
    "INSERT INTO protokeep_products (workspace_id, product_id, name, created_at)"
    " VALUES ('default', :product_id, :name, :at)"
)
LOOKED = Statement("UPDATE protokeep_generations SET observed_at = :now WHERE mockup_id = :id")


async def fill(url: str, prototypes: int) -> None:
    """Write so many prototypes, of fewer products: most ready, 4 % failed, 2 % timed out, the newest going on."""
    database = Database(url)
    try:
        rows = _rows(prototypes)
        while batch := list(islice(rows, BATCH)):
            async with database.transaction() as connection:
                await connection.execute_many(MOCKUP, batch)
                await connection.execute_many(GENERATION, batch)
                current = [row for row in batch if row["current"]]
                await connection.execute_many(SLOT, current)
                await connection.execute_many(PRODUCT, current)
        async with database.reading() as connection:
            await connection.execute(Statement("ANALYZE"))
    finally:
        await database.close()


async def token_for(url: str, secret_key: str, role: Role = Role.MAKER, user_id: str = "ana") -> str:
    """A token that counts on a server with this secret."""
    async with build_application(
        Settings(database_url=url, secret_key=SecretStr(secret_key), _env_file=None)
    ) as application:
        token, _ = await application.tokens.create(role, user_id=user_id)
    return token


async def tokens_for(url: str, secret_key: str, people: int) -> list[str]:
    """A maker's token for each of so many people."""
    async with build_application(
        Settings(database_url=url, secret_key=SecretStr(secret_key), _env_file=None)
    ) as application:
        return [(await application.tokens.create(Role.MAKER, user_id=f"user-{n:03}"))[0] for n in range(people)]


async def look_fresh(url: str, mockup_id: str) -> None:
    """As if it had been looked at just now."""
    database = Database(url)
    try:
        async with database.transaction() as connection:
            await connection.execute(LOOKED, {"id": mockup_id, "now": datetime.now(UTC)})
    finally:
        await database.close()


def _rows(prototypes: int) -> Iterator[Mapping[str, Any]]:
    chance = random.Random(7)
    newest = datetime.now(UTC)
    product = 0
    left = VARIANTS_OF_FIRST
    for number in range(prototypes):
        if left == 0:
            product += 1
            left = chance.choice((1, 1, 1, 2, 2))
        left -= 1
        at = newest - timedelta(minutes=4 * number)
        status, point, code = _outcome(chance, number)
        took = timedelta(seconds=chance.uniform(100, 400))
        subject = "needle" if number == prototypes // 2 else chance.choice(SUBJECTS)
        yield {
            "id": str(UUID(int=chance.getrandbits(128), version=4)),
            "product_id": f"product-{product:06}",
            "name": f"Product {product}",
            "user_id": f"user-{chance.randrange(400):03}",
            "prompt": f"A {subject} for {chance.choice(FOR)} with {'a list, a chart and a form ' * 6}number {number}",
            "chat_id": f"chat{number:08}",
            "status": status,
            "url": f"https://demo.example/{number}",
            "marker": f"m{number:08}",
            "point": point,
            "code": code,
            "message": "It broke." if code else None,
            "at": at,
            "settled_at": at + took if point == "settled" else None,
            "current": left == 0,
        }


def _outcome(chance: random.Random, number: int) -> tuple[str, str, str | None]:
    if number < 30:
        return "in_progress", "accepted", None
    drawn = chance.random()
    if drawn < 0.94:
        return "completed", "settled", None
    return ("failed", "settled", "error") if drawn < 0.98 else ("timeout", "accepted", "timeout")
