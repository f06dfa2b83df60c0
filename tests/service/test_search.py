"""Searches find exactly what a plain look at every text finds, whatever the texts and words are."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import cast

import pytest

from owner_schemas import run
from people import ANN, BOB, EVE
from protokeep.core.prototype import State
from protokeep.core.search_text import folded, text_of
from protokeep.doctor import _check_texts
from protokeep.service.gallery import Gallery, Search
from protokeep.service.text_index import TextIndexer
from protokeep.store import text_search
from protokeep.store.prototypes import Page
from protokeep.wiring import Application
from world import World, on_sqlite

#: Words that quote, escape or end something somewhere, that fold to others, and that have fewer characters than a gram.
WORDS = (
    *(
        "bakery",
        "BAKERY",
        "straße",
        "STRASSE",
        "ﬁnance",
        "İstanbul",
        "蛋糕店",
        "パン",
        "e\u0301clair",
        "éclair",
        "a",
        "ab",
    ),
    *(
        "100%",
        "under_score",
        "!",
        "'",
        '"',
        'AND "x"',
        "OR",
        "NEAR(",
        "*",
        "x:y",
        "-y",
        "\\",
        ":word0",
        "%s",
        "{}",
        "🥐🥐🥐",
    ),
)


async def found(gallery: Gallery, search: Search, who=ANN, **more) -> list[str]:  # type: ignore[no-untyped-def]
    """The products of all pages, three cards a page."""
    products: list[str] = []
    after = None
    while True:
        page, _ = await gallery.find(who, search, 3, after, counted=not products, **more)
        products += [card.prototype.product_id for card in page.cards]
        after = page.after
        if after is None:
            return products


async def test_a_search_finds_what_a_look_at_every_text_finds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Prompts and searches are made at random of words that break parsers; pages are walked to their end, both ways, with
    batches so small that every search needs several.
    """
    monkeypatch.setattr(text_search, "FIRST_BATCH", 1)
    monkeypatch.setattr(text_search, "FEW", 6)
    chance = random.Random(18)
    texts: dict[str, str] = {}
    for number in range(14):
        product, prompt = f"{chance.choice(WORDS)} {number}", " ".join(chance.choices(WORDS, k=chance.randrange(1, 9)))
        await world.ensure(product, prompt, product_name=chance.choice(WORDS))
        await world.ensure(product, prompt, who=EVE)
        world.clock.advance(1)
        row = (await world.listed(product))[0]
        texts[row.product_id] = text_of(row.product_id, row.product_name, prompt)
    gallery = Gallery(world.first.context)
    assert await world.store.texts.is_whole()
    for _ in range(60):
        words = chance.choices(WORDS, k=chance.randrange(1, 3))
        text = " ".join(word if chance.random() < 0.7 else word[: chance.randrange(1, len(word) + 1)] for word in words)
        expected = [one for one, has in texts.items() if all(part in has for part in folded(text).split())]
        assert await found(gallery, Search(text)) == expected[::-1], text
        assert await found(gallery, Search(text, sort="oldest")) == expected, text
        _, counts = await gallery.find(ANN, Search(text), 1)
        assert (sum(counts.of.values()), counts.is_whole) == (len(expected), True), text


def test_a_further_batch_is_as_large_as_the_missing_cards_ask_for() -> None:
    """
    Where one text in 25 is a card that is looked for, five missing ones ask for about as many texts as hold them.
    """
    assert 125 <= text_search.next_batch(found=16, limit=21, seen=400) <= 250
    assert text_search.next_batch(found=1, limit=21, seen=400) == 400 * text_search.GROWTH
    assert text_search.next_batch(found=0, limit=21, seen=400) == 400 * text_search.GROWTH
    assert text_search.next_batch(found=0, limit=21, seen=10**6) == text_search.LARGEST_BATCH


async def test_a_search_follows_every_write(world: World) -> None:
    """
    A claim, another variant, a name that is given later, a deletion, and what the owner's programs write.
    """
    gallery, indexer = Gallery(world.first.context), TextIndexer(world.first.context)
    await world.complete("shop", "A red landing page")
    assert await found(gallery, Search("red landing")) == ["shop"]
    await world.ensure("shop", "A green one", create_new=True, product_name="Corner Store")
    assert await found(gallery, Search("red landing")) == []  # It is not the current one any more.
    assert await found(gallery, Search("corner")) == ["shop"]
    assert await found(gallery, Search("green", person="ann")) == ["shop"]
    assert await found(gallery, Search("green", person="bob")) == []
    assert await found(gallery, Search("green", (State.READY,))) == []
    await world.complete("gone", "A violet one")
    gone = (await world.listed("gone"))[0]
    await world.keeper.delete(ANN, gone.id)
    assert await found(gallery, Search("violet")) == []
    assert not await world.rows("SELECT place FROM protokeep_texts WHERE product_id = 'gone'")

    await run(
        world.database_url,
        "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt) VALUES"
        " ('7e0a1b3c-0000-4000-8000-000000000001', 'older', 'u', 'v0', 'An orange one')",
    )
    gallery = Gallery(world.first.context)
    world.clock.advance(61)
    await indexer.run_if_due()
    assert await found(gallery, Search("orange")) == ["older"]
    await run(world.database_url, "UPDATE design_mockups SET prompt = 'A yellow one' WHERE product_id = 'older'")
    world.clock.advance(86_401)
    await indexer.run_if_due()
    assert await found(gallery, Search("orange")) == []
    assert await found(gallery, Search("yellow")) == ["older"]
    await run(world.database_url, "DELETE FROM design_mockups WHERE product_id = 'older'")
    assert await found(gallery, Search("yellow")) == []
    await indexer.index_all()
    assert not await world.rows("SELECT place FROM protokeep_texts WHERE product_id = 'older'")


async def test_an_index_that_is_not_whole_is_not_believed_and_is_made_again(world: World) -> None:
    """
    A database from before the index, or one whose index was emptied: searches read the rows until all is indexed.
    """
    await world.ensure("shop", "A crimson landing page")
    await world.ensure("shop", "A crimson thing", who=EVE)
    await world.store.texts.reset()
    assert not await world.rows("SELECT place FROM protokeep_texts")
    gallery = Gallery(world.first.context)
    assert await found(gallery, Search("crimson")) == ["shop"]
    await TextIndexer(world.first.context).run_if_due()
    assert await world.store.texts.is_whole()
    assert len(await world.rows("SELECT place FROM protokeep_texts")) == 2
    assert await found(gallery, Search("crimson landing")) == ["shop"]
    assert await found(gallery, Search("crimson landing"), who=EVE) == []


async def test_the_index_is_made_anew_in_steps_beside_a_server_that_works(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A run that is killed is gone on with; what is made meanwhile is found; a walk of a server that began before the
    index was emptied does not call it whole; doctor tells which rows lack texts.
    """
    monkeypatch.setattr("protokeep.service.text_index.BATCH", 2)
    for number in range(7):
        await world.ensure(f"p-{number}", "A crimson page")
    texts, indexer, server = world.store.texts, TextIndexer(world.first.context), TextIndexer(world.first.context)
    gallery, everything = Gallery(world.first.context), [f"p-{number}" for number in range(7)]

    class Killed(Exception):
        pass

    def kill(rows: int) -> None:
        if rows == 4:
            raise Killed

    async def told() -> str:
        application = SimpleNamespace(keeper=world.keeper)
        (finding,) = await _check_texts(cast("Application", application))
        return f"{finding.level}: {finding.text}"

    began_before = await texts.state()
    with pytest.raises(Killed):
        await indexer.make_anew(kill)
    await texts.set_whole(began_before)  # What a walk does at its end.
    assert not await texts.is_whole()
    assert await told() == "unsafe: rows without texts in the index, which searches may not find: 3"
    assert sorted(await found(gallery, Search("crimson"))) == everything
    await world.ensure("p-7", "A crimson page")
    results = await asyncio.gather(indexer.make_anew(), server.index_all())

    assert (results[0], await texts.is_whole()) == ((8, True), True)
    assert sorted(await found(gallery, Search("crimson"))) == [*everything, "p-7"]
    assert (await indexer.make_anew(), await told()) == ((8, False), "fine: every row is in the index of searches")
    assert sorted(await found(gallery, Search("crimson"))) == [*everything, "p-7"]


async def test_rows_of_one_moment_have_places_of_their_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A table that was filled in one statement: the same time in every row, and the same tie-breaker here.
    """
    monkeypatch.setattr("protokeep.core.search_text.place_of", lambda made_at, mockup_id: 7)
    for number in range(4):
        await world.ensure(f"p-{number}", "The same crimson page")
    assert sorted(await found(Gallery(world.first.context), Search("crimson"))) == ["p-0", "p-1", "p-2", "p-3"]


@on_sqlite
async def test_a_sqlite_without_its_text_module_searches_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protokeep.store.texts.has_fts5", lambda: False)
    await world.ensure("shop", "A crimson landing page")
    assert await found(Gallery(world.first.context), Search("CRIMSON", mine=True)) == ["shop"]
    assert await found(Gallery(world.first.context), Search("crimson", mine=True), who=BOB) == []
    assert await world.store.list_of_product("default", "shop", Page())
