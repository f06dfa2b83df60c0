"""What exists already: other products whose id reads the same or whose prompt says the same, of one workspace only."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from people import ANN, EVE
from protokeep.core.audit import Action
from protokeep.core.errors import NotAllowed, TooSlow, UnclearProduct
from protokeep.core.principals import Principal, Role
from protokeep.core.similar import How, UnclearProductRule
from protokeep.service.similar import SimilarProducts
from protokeep.store.similar import SimilarTexts
from world import World

LONG = (
    "A landing page for a bakery in the old town, with opening hours, a map, pictures of twelve cakes, a form to order "
    "a cake for a birthday, the story of the family and a newsletter that people can leave again with one click."
)


def told(ensured) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    return [(one.product_id, one.how.value) for one in ensured.similar]


#: "bakery-shop" as keyboards of East Asia write it.
WIDE = "".join(chr(ord(sign) + 0xFEE0) for sign in "bakery-shop")
OTHERS = ["Bakery-Shop", "bakery shop", "BAKERY_SHOP", "bakery\u2013shop", WIDE, "bakeryshop"]


@pytest.mark.parametrize("other", OTHERS)
async def test_an_id_that_reads_the_same_is_told(world: World, other: str) -> None:
    first = await world.ensure("bakery-shop", LONG)
    assert told(first) == []
    second = await world.ensure(other, "Something else")
    assert (told(second), second.is_existing) == ([("bakery-shop", "id")], False)
    assert second.similar[0].prototype_id == first.prototype.id
    again = await world.ensure(other, "Another prompt")
    assert (told(again), again.is_existing) == ([("bakery-shop", "id")], True)
    assert told(await world.ensure("bakery", "Quite another")) == []


async def test_a_prompt_that_says_nearly_the_same_is_told_with_how_alike_it_is(world: World) -> None:
    await world.ensure("bakery-shop", LONG)
    await world.ensure("airline", "A booking form for an airline, with seats, meals and a calendar of prices.")
    near = await world.ensure("pastries", LONG.upper().replace("TWELVE", "eleven"))
    assert told(near) == [("bakery-shop", "prompt")]
    assert 0.8 < near.similar[0].alike < 1
    assert near.similar[0].reason.startswith("Its prompt is ")
    same = await world.ensure("pastries-2", f"  {LONG.lower()}  ")
    assert [one.product_id for one in same.similar] == ["bakery-shop", "pastries"]
    assert same.similar[0].alike == 1
    assert told(await world.ensure("other", "A customer list for a bakery")) == []


async def test_short_prompts_are_compared_by_their_words(world: World) -> None:
    """
    One word more or less changes most pairs of words of a short prompt; articles do not matter, another thing does.
    """
    await world.ensure("bakery", "A landing page for the bakery")

    likely = [
        await world.ensure(f"p-{number}", prompt)
        for number, prompt in enumerate(("a landing page for a Bakery", "Landing page for our bakery"))
    ]
    other = await world.ensure("florist", "A landing page for a florist")

    assert [("bakery", "prompt") in told(one) for one in likely] == [True, True]
    assert [one.alike for one in likely[0].similar if one.product_id == "bakery"] == [1.0]
    assert told(other) == []


async def test_nothing_of_another_workspace_is_told(world: World) -> None:
    await world.ensure("bakery-shop", LONG, who=EVE)
    assert told(await world.ensure("Bakery Shop", LONG)) == []
    assert told(await world.ensure("bakeryshop", LONG, who=EVE)) == [("bakery-shop", "id")]


async def test_what_is_deleted_or_is_not_the_current_one_is_not_told(world: World) -> None:
    await world.complete("bakery-shop", LONG)
    await world.complete("bakery-shop", "Quite another thing now", create_new=True)
    assert told(await world.ensure("pastries", LONG)) == []
    for one in await world.listed("bakery-shop"):
        await world.keeper.delete(ANN, one.id)
    assert told(await world.ensure("BakeryShop", "And now this")) == []


async def test_a_look_that_takes_too_long_is_in_nobodys_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def too_long(*_: object) -> None:
        raise TooSlow(0.5)

    await world.ensure("bakery-shop", LONG)
    monkeypatch.setattr(SimilarTexts, "near", too_long)
    assert told(await world.ensure("BakeryShop", LONG)) == []


async def test_a_workspace_that_asks_refuses_an_unclear_product_until_somebody_is_sure(world: World) -> None:
    world.first.context.asks_unclear_product = True
    await world.ensure("bakery-shop", LONG)
    with pytest.raises(UnclearProduct, match=r"Did you mean bakery-shop\?") as refusal:
        await world.ensure("Bakery Shop", LONG)
    assert [one.product_id for one in refusal.value.similar] == ["bakery-shop"]
    assert await world.listed("Bakery Shop") == []
    sure = await world.ensure("Bakery Shop", LONG, product_is_new=True)
    assert not sure.is_existing
    assert (await world.ensure("Bakery Shop", LONG)).is_existing  # It has a prototype now: that is clear.
    assert (await world.ensure("bakery-shop", LONG)).is_existing
    await world.ensure("bakeryshop", LONG, who=EVE)


async def test_each_workspace_says_for_itself_whether_it_asks_first(world: World) -> None:
    """
    An admin's choice comes before that of the process, both ways, counts in other processes within a second or so, is
    in the audit, and is not another workspace's.
    """
    context, other = world.first.context, (await world.node()).context
    ada, workspaces = Principal("default", "ada", Role.ADMIN, ""), ("default", "elsewhere")

    async def asks() -> list[bool]:
        return [await each.asks_first(workspace) for each in (context, other) for workspace in workspaces]

    assert await asks() == [False] * 4
    await context.workspace_settings.set_unclear_products(ada, UnclearProductRule.ASK)
    world.clock.advance(2)
    assert await asks() == [True, False] * 2
    await world.ensure("bakery-shop", LONG)
    with pytest.raises(UnclearProduct):
        await world.ensure("Bakery Shop", LONG)
    context.asks_unclear_product = other.asks_unclear_product = True
    await context.workspace_settings.set_unclear_products(ada, UnclearProductRule.TAKE)
    world.clock.advance(2)
    assert await asks() == [False, True] * 2
    await context.workspace_settings.set_unclear_products(ada, None)
    world.clock.advance(2)
    assert await asks() == [True] * 4
    with pytest.raises(NotAllowed):
        await context.workspace_settings.set_unclear_products(replace(ada, role=Role.MAKER), None)
    lines, _ = await context.audit.list(ada, 10, action=Action.SETTING_CHANGED)
    assert [line.entry.data["value"] for line in lines] == ["default", "take", "ask"]


async def test_hostile_prompts_have_similar_ones_too(world: World) -> None:
    """
    Quotes, operators of search languages, and scripts without blanks: the same prompt is found at the other product.
    """
    chance = random.Random(4)
    signs = ['" OR "', "AND", "NEAR(x)", "*", "{", "%", "' ; --", "蛋糕店网站", "パンの店", "🥐🥖", "x:y", "\\"]
    look = SimilarProducts(world.store)
    for number in range(8):
        prompt = " ".join(chance.choices(signs, k=6)) + " 蛋糕店的网站和菜单"
        await world.ensure(f"p-{number}", prompt)
        found = await look.matches(ANN, f"q-{number}", prompt)
        assert any(one.how is How.PROMPT and one.alike == 1 for one in found), prompt
