"""Tags, the archive, favourites and orders: lists show exactly what a plain look at every product shows."""

from __future__ import annotations

import asyncio
import random
import unicodedata
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owner_schemas import run
from people import ANN, BOB, EVE
from protokeep.core.audit import Action
from protokeep.core.errors import InvalidInput, NotFound
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, State
from protokeep.core.reuse import Outcome
from protokeep.core.validation import TAG_MAX, tag_of
from protokeep.service.gallery import PROGRESS_SHOWN, Gallery, Search
from protokeep.service.several import AT_ONCE, Several, SeveralAction
from protokeep.store import arrangement
from protokeep.store.gallery import Counts
from world import ADA, World

#: Names and tags that sort, fold or quote otherwise than one thinks.
NAMES = (None, "Bakery", "bakery 2", "Zoo", "_x", "10", "9", "émile", "O'Neil")
TAGS = ("retail", "spring sale", "ünïcode", "100%", "a'b")


async def found(gallery: Gallery, search: Search, who: Principal = ANN) -> tuple[list[str], Counts]:
    """The products of all pages, two cards a page, and the counts that the first page told."""
    products: list[str] = []
    page, counts = await gallery.find(who, search, 2)
    while True:
        products += [card.prototype.product_id for card in page.cards]
        if page.after is None:
            return products, counts
        page, _ = await gallery.find(who, search, 2, page.after)


async def product(world: World, product_id: str, who: Principal = ANN) -> Prototype:
    return await world.keeper.arrangement.find(who, product_id)


async def test_every_filter_and_order_lists_what_a_plain_look_lists(world: World) -> None:
    """
    Two people, and another workspace with products of the same ids, arrange at random; an older row that nothing
    tracks is arranged like the others. Every filter, alone and with words, pages through exactly the right cards.
    """
    chance = random.Random(5)
    rows: dict[str, Prototype] = {}
    for number in range(9):
        made = await world.ensure(f"p {number}", f"a page number {number}", product_name=NAMES[number])
        await world.ensure(f"p {number}", "a page of somebody else's", who=EVE)
        world.clock.advance(1)
        rows[f"p {number}"] = made.prototype
    await run(
        world.database_url,
        "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, created_at) VALUES"
        " ('7e0a1b3c-0000-4000-8000-000000000001', 'older', 'u', 'v0', 'An older page', '2001-01-01T00:00:00.000000Z')",
    )
    gallery, keeper = Gallery(world.first.context), world.keeper
    await world.store.texts.index_missing(await world.store.owner_table(), 10)
    for prototype_id in rows:
        rows[prototype_id] = await product(world, prototype_id)
    rows["older"] = await product(world, "older")
    tags: dict[str, set[str]] = defaultdict(set)
    archived: set[str] = set()
    favourites: dict[str, set[str]] = defaultdict(set)
    for _ in range(60):
        name, tag, who = chance.choice(list(rows)), chance.choice(TAGS), chance.choice((ANN, BOB))
        match chance.randrange(4):
            case 0:
                await keeper.arrangement.change_tags(who, rows[name], add=[tag.upper()])
                tags[name].add(tag)
            case 1:
                await keeper.arrangement.change_tags(who, rows[name], remove=[tag])
                tags[name].discard(tag)
            case 2:
                is_archived = chance.random() < 0.4
                await keeper.arrangement.set_archived(who, rows[name], archived=is_archived)
                (archived.add if is_archived else archived.discard)(name)
            case 3:
                is_favourite = chance.random() < 0.6
                await keeper.arrangement.set_favourite(who, rows[name], favourite=is_favourite)
                (favourites[who.user_id].add if is_favourite else favourites[who.user_id].discard)(name)

    for name in rows:
        rows[name] = await product(world, name)
        assert set(rows[name].tags) == tags[name]
        assert (rows[name].archived_at is not None) == (name in archived)
    assert await keeper.arrangement.tags(ANN) == sorted(set().union(*tags.values()))
    assert await keeper.arrangement.tags(EVE) == []
    assert len((await found(gallery, Search(), who=EVE))[0]) == 9
    keys = {
        "newest": lambda name: (-rows[name].created_at.timestamp(), name),
        "oldest": lambda name: (rows[name].created_at, name),
        "updated": lambda name: (-rows[name].updated_at.timestamp(), name),
        "name": lambda name: ((rows[name].product_name or name).lower().encode(), name),
    }
    for _ in range(80):
        who = chance.choice((ANN, BOB))
        search = Search(
            text=chance.choice(("", "page", "older page", "zebra")),
            tag=chance.choice((None, None, *TAGS)),
            favourite=chance.random() < 0.3,
            archived=chance.choice(("no", "only", "any")),
            states=chance.choice(((), (State.QUEUED,), (State.UNTRACKED,))),
            sort=chance.choice(("newest", "oldest", "updated", "name")),
        )
        matching = [
            name
            for name, row in rows.items()
            if all(word in f"{name} {row.product_name} {row.prompt}".lower() for word in search.text.split())
            and (search.tag is None or search.tag in tags[name])
            and (not search.favourite or name in favourites[who.user_id])
            and {"no": name not in archived, "only": name in archived, "any": True}[search.archived]
        ]
        products, counts = await found(gallery, search, who)
        shown = [name for name in matching if not search.states or rows[name].state in search.states]
        assert products == sorted(shown, key=keys[search.sort]), search
        assert sum(counts.of.values()) == len(matching), search
    home = await gallery.home_page(ANN, 20)
    in_sight = sorted((name for name in set(rows) - archived - {"older"}), key=keys["newest"])
    assert [card.prototype.product_id for card in home.progress.cards] == in_sight[:PROGRESS_SHOWN]
    assert home.counts[State.QUEUED] == len(in_sight)


async def test_an_archived_product_keeps_its_prototype_and_comes_back_for_whoever_asks(world: World) -> None:
    """
    Asking reuses it, and another one is made only on purpose: both bring the product back, once, with an audit entry.
    A request that is repeated with its old key does not.
    """
    gallery, keeper = Gallery(world.first.context), world.keeper
    first = (await world.ensure("shop", "a shop", idempotency_key="k-1")).prototype

    async def archive() -> None:
        assert (await keeper.arrangement.set_archived(BOB, first, archived=True)).archived_at == world.clock()
        assert (await found(gallery, Search()))[0] == []

    await archive()
    assert (await world.ensure("shop", "a shop", idempotency_key="k-1")).decision.outcome is Outcome.REPLAYED
    assert (await found(gallery, Search()))[0] == []
    reused = await world.ensure("shop", "a shop")
    assert (reused.prototype.id, reused.prototype.archived_at) == (first.id, None)
    assert (await found(gallery, Search()))[0] == ["shop"]
    await archive()
    another = await world.ensure("shop", "another shop", create_new=True)
    assert another.decision.outcome is Outcome.CREATED
    assert (await found(gallery, Search()))[0] == ["shop"]
    assert len(await world.listed("shop")) == 2
    await world.first.context.audit.flush()
    log, _ = await world.first.context.audit.list(ADA, 100)
    actions = [record.entry.action for record in log]
    assert (actions.count(Action.ARCHIVED), actions.count(Action.UNARCHIVED)) == (2, 2)


async def test_what_lists_say_is_bounded_and_viewers_hear_of_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Too much is refused, and nothing of it is written. A change of a product is told of each of its cards, a repeated
    one is not; a favourite is nobody else's business.
    """
    for name, most in (("TAGS_PER_PRODUCT", 2), ("TAGS_PER_WORKSPACE", 3), ("FAVOURITES_PER_PERSON", 1)):
        monkeypatch.setattr(arrangement, name, most)
    monkeypatch.setattr(arrangement, "VIEWS_PER_PERSON", 1)
    keeper = world.keeper.arrangement
    shop, other = [(await world.ensure(name, "a page")).prototype for name in ("shop", "other")]
    with world.first.context.bus.subscribed() as told:
        await keeper.change_tags(ANN, shop, add=["one", "ONE ", "two"])
        assert (told.get_nowait().mockup_id, told.empty()) == (shop.id, True)
        await keeper.change_tags(ANN, shop, add=["one"], remove=["nine"])
        await keeper.set_favourite(BOB, shop, favourite=True)
        assert told.empty()
    refused = [
        keeper.change_tags(ANN, shop, add=["three"]),
        keeper.change_tags(ANN, other, add=["three", "four"]),
        keeper.set_favourite(BOB, other, favourite=True),
        keeper.change_tags(ANN, other, add=["a,b"]),
        keeper.save_view(ANN, "x" * 61, "q=x"),
        keeper.save_view(ANN, "long", "q=" + "x" * 1000),
    ]
    await keeper.save_view(ANN, "Mine", "q=x")
    await keeper.save_view(ANN, "Mine", "q=y")
    refused.append(keeper.save_view(ANN, "Another", "q=y"))
    for attempt in refused:
        with pytest.raises(InvalidInput):
            await attempt
    assert [(one.name, one.query) for one in await keeper.views(ANN)] == [("Mine", "q=y")]
    assert await keeper.views(BOB) == []
    assert await keeper.tags(ANN) == ["one", "two"]
    assert await keeper.favourites(BOB) == {"shop"}
    with pytest.raises(NotFound):
        await keeper.find(EVE, "shop")


async def test_one_bad_prototype_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Unknown ids, another workspace's, another person's to delete, and one that breaks: each has its own answer.
    """
    monkeypatch.setattr(world.first.context, "bin_time", world.first.context.bin_time)
    mine = (await world.ensure("mine", "a page")).prototype
    bobs = (await world.ensure("bobs", "a page", who=BOB)).prototype
    eves = (await world.ensure("eves", "a page", who=EVE)).prototype
    several = Several(world.keeper)
    ids = ["nonsense", mine.id, eves.id, bobs.id, mine.id]

    tagged = await several.run(ANN, ids, SeveralAction.TAG, ["One"])
    assert [one.error is None for one in tagged] == [False, True, False, True]
    assert [one.prototype.tags for one in tagged if one.prototype] == [("one",), ("one",)]
    archived = await several.run(ANN, [mine.id], SeveralAction.ARCHIVE)
    assert archived[0].prototype is not None
    assert archived[0].prototype.archived_at is not None
    deleted = await several.run(ANN, ids, SeveralAction.DELETE)
    assert [type(one.error).__name__ for one in deleted] == ["NotFound", "NoneType", "NotFound", "NotAllowed"]
    assert len(await world.listed("bobs")) == 1
    for wrong in ([], [str(number) for number in range(AT_ONCE + 1)]):
        with pytest.raises(InvalidInput):
            await several.run(ANN, wrong, SeveralAction.ARCHIVE)

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.keeper.arrangement, "set_archived", broken)
    (result,) = await several.run(ANN, [bobs.id], SeveralAction.ARCHIVE)
    assert "Something went wrong" in str(result.error)


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_a_tag_is_one_spelling_or_refused(text: str) -> None:
    """
    What is taken is taken again as it is, is short, seen, in lower case, and holds no comma.
    """
    try:
        tag = tag_of(text)
    except InvalidInput:
        return
    assert tag_of(tag) == tag
    assert 0 < len(tag) <= TAG_MAX
    assert "," not in tag
    assert tag == unicodedata.normalize("NFC", tag.lower())


async def test_people_who_change_the_same_tags_at_once_do_not_hold_each_other_up(world: World) -> None:
    """
    One puts the first tag in the place of the second, another one the reverse, many times at once. Nobody is
    refused, and what is left is what they wanted.
    """
    await world.make("shop")
    shop = await product(world, "shop")
    wishes = [(["one"], ["two"]), (["two"], ["one"])] * 20

    await asyncio.gather(*(world.keeper.arrangement.change_tags(ANN, shop, new, old) for new, old in wishes))

    assert (await product(world, "shop")).tags in (("one",), ("two",), ("one", "two"))
