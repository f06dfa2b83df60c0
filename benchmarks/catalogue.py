"""Searches and "it exists already" at 100,000 prototypes, each of a product of its own, inside the service.

python -m benchmarks.catalogue --only SQLite
python -m benchmarks.catalogue --only PostgreSQL --prototypes 20000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from benchmarks.harness import crowded, databases
from benchmarks.rows import BATCH, GENERATION, MOCKUP, PRODUCT, SLOT
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import State
from protokeep.service import text_index
from protokeep.service.gallery import Search
from protokeep.service.similar import SimilarProducts
from protokeep.service.text_index import TextIndexer
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.migrate import migrate
from protokeep.store.sql import Statement
from protokeep.wiring import Application, build_application

ROUNDS = 60
SECRET = "catalogue"
#: Milliseconds.
SEARCH_GOAL, SIMILAR_GOAL, HOME_GOAL = 50, 30, 20
#: A list that is collected and sorted anew for each page.
COLLECTED_GOAL = 1000
FIRST, LAST = ("da", "mo", "ti", "ke", "lu", "so", "ra", "pi"), ("ber", "nol", "sta", "vex", "rim")
WORDS = [first + last for first in FIRST for last in LAST]
THINGS = ("dashboard", "landing page", "booking form", "customer list", "checkout", "report", "onboarding", "map")


def rows(prototypes: int) -> Iterator[Mapping[str, Any]]:
    """Prototypes of as many products, with prompts of 60 to 800 characters out of common and of rare words."""
    chance, newest = random.Random(7), datetime.now(UTC)
    for number in range(prototypes):
        at = newest - timedelta(minutes=4 * number)
        body = " ".join(chance.choices(WORDS, k=chance.choice((4, 10, 20, 60, 120))))
        failed = number % 25 == 3
        yield {
            "id": str(UUID(int=chance.getrandbits(128), version=4)),
            "product_id": f"product-{number:06}",
            "name": f"Product {number}",
            "user_id": f"user-{chance.randrange(400):03}",
            "prompt": f"A {chance.choice(THINGS)} for number {number} with {body}"
            + (" needle" if number == prototypes // 2 else ""),
            "chat_id": f"chat{number:08}",
            "status": "failed" if failed else "completed",
            "url": f"https://demo.example/{number}",
            "marker": f"m{number:08}",
            "point": "settled",
            "code": "failed" if failed else None,
            "message": "It broke." if failed else None,
            "at": at,
            "settled_at": at + timedelta(seconds=90),
        }


async def fill(url: str, prototypes: int) -> None:
    """Write the prototypes, without their texts."""
    database = Database(url)
    every = rows(prototypes)
    while batch := list(islice(every, BATCH)):
        async with database.transaction() as connection:
            for statement in (MOCKUP, GENERATION, SLOT, PRODUCT):
                await connection.execute_many(statement, batch)
    await database.close()


ARRANGED = (
    "INSERT INTO protokeep_archived_products (workspace_id, product_id, archived_at)"
    " SELECT workspace_id, product_id, updated_at FROM protokeep_slots WHERE product_id LIKE 'product-%0'",
    "INSERT INTO protokeep_product_tags (workspace_id, product_id, tag)"
    " SELECT workspace_id, product_id, 'retail' FROM protokeep_slots WHERE product_id LIKE 'product-%05'",
    "INSERT INTO protokeep_product_tags (workspace_id, product_id, tag)"
    " SELECT workspace_id, product_id, 'common' FROM protokeep_slots",
    "INSERT INTO protokeep_favourites (workspace_id, user_id, product_id)"
    " SELECT workspace_id, 'ana', product_id FROM protokeep_slots WHERE product_id LIKE 'product-%007'",
)


async def arrange(url: str) -> None:
    """Archive every tenth product, tag every hundredth and all, and make every thousandth a favourite of one person."""
    database = Database(url)
    async with database.transaction() as connection:
        for statement in ARRANGED:
            await connection.execute(Statement(statement))
    await database.close()


async def timed(work: Callable[[], Awaitable[object]]) -> list[float]:
    """Milliseconds of each of `ROUNDS` calls."""
    await work()
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await work()
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


def works(application: Application, prototypes: int) -> dict[str, tuple[float, Callable[[], Awaitable[object]]]]:
    """What is measured, each with its goal."""
    somebody = Principal("default", "ana", Role.MAKER, "bench")
    gallery = application.gallery
    searches = {
        "a frequent word": Search("dashboard"),
        "a frequent word, oldest first": Search("dashboard", sort="oldest"),
        "a word that one prototype has": Search("needle"),
        "nothing": Search("zeppelin"),
        "two frequent words and a state": Search("checkout tivex", (State.FAILED,)),
        "two letters": Search("ap"),
        "a product's name": Search(f"product {prototypes // 3}"),
        "one person's, a frequent word": Search("report", person="user-007"),
    }
    found: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {
        f"search: {what}": (SEARCH_GOAL, lambda search=search: gallery.find(somebody, search, 20))  # type: ignore[misc]
        for what, search in searches.items()
    }
    found["home page"] = HOME_GOAL, lambda: gallery.home_page(somebody, 18)
    few = {
        "favourites": Search(favourite=True),
        "a tag of every hundredth product": Search(tag="retail"),
        "a word and a tag": Search("dashboard", tag="retail"),
        "a frequent word, by name": Search("dashboard", sort="name"),
    }
    many = {
        "a tag of all products": Search(tag="common"),
        "the archive, every tenth product": Search(archived="only"),
        "all, by name": Search(sort="name"),
        "all, by last change": Search(sort="updated"),
    }
    for goal, lists in ((SEARCH_GOAL, few), (COLLECTED_GOAL, many)):
        for what, search in lists.items():
            found[f"list: {what}"] = (goal, lambda search=search: gallery.find(somebody, search, 20))  # type: ignore[misc]
    similar = SimilarProducts(application.keeper.context.store)
    chance = random.Random(7)
    lately = next(islice(rows(prototypes), prototypes // 2, None))["prompt"]
    boilerplate = "A dashboard for number 1 with daber monol"
    looks = {
        "an id that reads the same": ("Product_000 050", ""),
        "an id and a prompt that one product has, nearly": ("a-new-one", f"{lately} please"),
        "a prompt like nobody's": ("a-new-one", " ".join(chance.choices(WORDS, k=60))),
        "a short prompt like many": ("a-new-one", boilerplate),
    }
    for what, (product_id, prompt) in looks.items():
        found[f"similar: {what}"] = (
            SIMILAR_GOAL,
            lambda product_id=product_id, prompt=prompt: similar.matches(somebody, product_id, prompt),  # type: ignore[misc]
        )
    return found


async def measure(url: str, prototypes: int) -> list[str]:
    """Fill, index, measure; lines of a table."""
    await migrate(url)
    await fill(url, prototypes)
    await arrange(url)
    settings = Settings(database_url=url, secret_key=SecretStr(SECRET), _env_file=None)
    async with build_application(settings) as application:
        began = time.monotonic()
        text_index.BATCH = 1000  # The server takes fewer at a time, so that nobody waits for them.
        await TextIndexer(application.keeper.context).index_all()
        sys.stderr.write(f"{prototypes:,} texts indexed in {time.monotonic() - began:.0f} s\n")
        async with application.keeper.context.store.database.reading() as connection:
            await connection.execute(Statement("ANALYZE"))
        somebody = Principal("default", "ana", Role.MAKER, "bench")
        found, _ = await application.gallery.find(somebody, Search("dashboard"), 20)
        assert len(found.cards) == 20
        lines = []
        for what, (goal, work) in works(application, prototypes).items():
            busy = time.process_time()
            times = await timed(work)
            busy = (time.process_time() - busy) * 1000 / (ROUNDS + 1)
            p95 = times[int(len(times) * 0.95)]
            lines.append(
                f"{what} | p50 {statistics.median(times):.1f} ms, p95 {p95:.1f} ms, own CPU {busy:.1f} ms |"
                f" <= {goal} ms |"
                f" {'yes' if p95 <= goal else 'no'} |"
            )
        return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    parser.add_argument("--prototypes", type=int, default=100_000)
    given = parser.parse_args()
    sys.stdout.write("| what | time | goal | met |\n|---|---|---|---|\n")
    for kind in [given.only] if given.only else ["SQLite", "PostgreSQL"]:
        with databases([kind], fsync="off") as urls:
            for line in asyncio.run(measure(urls[kind], given.prototypes)):
                sys.stdout.write(f"| {kind}, {given.prototypes:,} prototypes: {line}\n")
    sys.stdout.write(f"\np50 and p95 of {ROUNDS} calls in the service, without HTTP. {crowded()}\n")


if __name__ == "__main__":
    main()
