"""Searches take turns: one at a time per workspace, few at a time per process, and none for long."""

from __future__ import annotations

import asyncio

import pytest

from people import ANN, BOB, EVE
from protokeep.core.errors import TooMany, TooSlow
from protokeep.core.principals import Principal, Role
from protokeep.core.search_text import SEARCHED_CHARACTERS
from protokeep.service import scans as scans_module
from protokeep.service.gallery import Gallery, Search
from protokeep.service.scans import Scans
from protokeep.store.database import Database
from protokeep.store.sql import Statement
from world import World, on_sqlite

MAX = Principal("third", "max", Role.VIEWER, "t")
#: Runs until it is ended.
ENDLESS = Statement(
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000) SELECT count(*) AS n FROM c"
)


class Running:
    """Scans that go on until they are let go."""

    def __init__(self) -> None:
        self.scans = Scans()
        self.running: list[str] = []
        self.done = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, *people: Principal) -> None:
        self.tasks += [asyncio.ensure_future(self._scan(one)) for one in people]
        for _ in range(10):
            await asyncio.sleep(0)

    async def _scan(self, principal: Principal) -> None:
        async with self.scans.turn(principal):
            self.running.append(principal.workspace_id)
            await self.done.wait()

    async def end(self) -> None:
        self.done.set()
        await asyncio.gather(*self.tasks)


async def test_a_workspace_has_one_search_at_a_time_and_another_one_goes_on() -> None:
    running = Running()
    await running.begin(ANN, BOB, ANN, EVE)
    assert running.running == ["default", "elsewhere"]
    await running.end()
    assert sorted(running.running) == ["default"] * 3 + ["elsewhere"]


async def test_a_process_has_few_searches_at_a_time() -> None:
    running = Running()
    await running.begin(ANN, EVE, MAX)
    assert running.running == ["default", "elsewhere"]
    await running.end()
    assert running.running == ["default", "elsewhere", "third"]


async def test_the_line_of_a_person_and_of_a_workspace_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever has too many under way is refused, and told what to do; the rest of the workspace, and others, are not.
    """
    monkeypatch.setattr(scans_module, "LINE_OF_PERSON", 2)
    monkeypatch.setattr(scans_module, "LINE_OF_WORKSPACE", 3)
    running = Running()
    await running.begin(ANN, ANN)
    with pytest.raises(TooMany, match="Wait for their answers"):
        await running.scans.turn(ANN).__aenter__()
    await running.begin(BOB)
    with pytest.raises(TooMany):
        await running.scans.turn(BOB).__aenter__()
    await running.begin(EVE)
    await running.end()
    assert len(running.running) == 4


async def test_a_statement_that_takes_too_long_is_ended_and_the_next_one_is_answered(database_url: str) -> None:
    """
    The database itself ends it: nothing goes on in the background, and the connection is good.
    """
    database = Database(database_url)
    for _ in range(5):  # More often than SQLite has readers.
        with pytest.raises(TooSlow, match="fewer or other words"):
            await database.scan(ENDLESS, {}, seconds=0.05)
    assert await database.scan(Statement("SELECT 7 AS seven"), {}) == [{"seven": 7}]
    if not database.is_sqlite:
        running = Statement(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE 'WITH RECURSIVE c%' AND state = 'active'"
        )
        async with database.reading() as connection:
            assert await connection.fetch_all(running) == [{"n": 0}]
            # The limit was the transaction's, not the connection's.
            assert (await connection.fetch_all(Statement("SHOW statement_timeout")))[0]["statement_timeout"] == "0"
    await database.close()


@on_sqlite
async def test_two_searches_leave_readers_for_everybody_else(world: World) -> None:
    """
    Both searches that a process makes at a time run, and a home page is read meanwhile.
    """
    database = world.first.database
    searches = [asyncio.ensure_future(database.scan(ENDLESS, {}, seconds=60)) for _ in range(scans_module.AT_ONCE)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await Gallery(world.first.context).home_page(ANN, 18)
    assert not any(search.done() for search in searches)
    for search in searches:
        search.cancel()
    await asyncio.gather(*searches, return_exceptions=True)


async def test_a_search_finds_words_at_the_beginning_of_a_prompt(world: World) -> None:
    """
    A prompt of 100,000 characters costs a search what its first thousands cost.
    """
    early, late = "x" * (SEARCHED_CHARACTERS - 6) + "needle", "x" * SEARCHED_CHARACTERS + "needle"
    await world.ensure("early", early)
    await world.ensure("late", late)
    gallery = Gallery(world.first.context)

    found, counts = await gallery.find(ANN, Search("NEEDLE"), 10)
    assert [card.prototype.product_id for card in found.cards] == ["early"]
    assert sum(counts.of.values()) == 1


@pytest.mark.parametrize(
    ("search", "waits"),
    [
        (Search("bakery"), True),
        (Search(mine=True), True),
        (Search(product_id="p-1"), True),
        (Search(provider="v0"), True),
        (Search(), False),
    ],
)
@on_sqlite
async def test_filtered_lists_take_turns_and_the_plain_list_does_not(
    world: World, search: Search, *, waits: bool
) -> None:
    """
    Whatever reads rows that it does not show waits for its turn; the plain list, which reads what it shows, does not.
    """
    await world.ensure()
    gallery = Gallery(world.first.context)
    async with world.first.context.scans.turn(BOB):
        finding = asyncio.ensure_future(gallery.find(ANN, search, 10))
        done, _ = await asyncio.wait({finding}, timeout=0.2 if waits else 10)
        assert bool(done) != waits
    found, _ = await finding
    assert [card.prototype.product_id for card in found.cards] == ["p-1"]
