"""How many prototypes may be made in a day: counted where the claim is, so that no race gets past it."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.errors import QuotaReached
from protokeep.core.principals import Principal, Role
from protokeep.core.quotas import Quotas
from protokeep.core.reuse import Outcome
from protokeep.service import Ensured, NewPrototype
from protokeep.service.context import NoQueue
from world import ANN, BOB, PROMPT, Node, Site, World

#: Rounds of the race; `PROTOKEEP_RACES=100` for the figure in docs/security.md.
RACES = int(os.environ.get("PROTOKEEP_RACES", "2"))
AT_ONCE = 100
MADE_BEFORE = 2


async def made(node: Node, product: str, who: Principal = ANN, *, create_new: bool = False) -> Ensured:
    return await node.keeper.ensure(who, NewPrototype(product, PROMPT, create_new=create_new), wait=0)


async def test_each_quota_refuses_the_create_over_it(world: World) -> None:
    world.first.context.quotas = Quotas(per_person=2, per_product=3, per_workspace=4)
    for _ in range(2):
        await world.ensure("p-1", create_new=True)
    with pytest.raises(
        QuotaReached, match=r"ann has reached the limit of 2 new prototypes a day.*PROTOKEEP_CREATES_PER_PERSON"
    ):
        await world.ensure("p-2")
    await world.ensure("p-1", create_new=True, who=BOB)
    with pytest.raises(QuotaReached, match="Product p-1 has reached the limit of 3"):
        await world.ensure("p-1", create_new=True, who=BOB)
    await world.ensure("p-2", who=BOB)
    with pytest.raises(QuotaReached, match="This workspace has reached the limit of 4"):
        await world.ensure("p-3", who=Principal("default", "eve", Role.MAKER, ""))
    elsewhere = Principal("other", "ann", Role.MAKER, "")
    assert not (await world.ensure("p-1", who=elsewhere)).is_existing


async def test_a_refused_create_leaves_nothing_behind(world: World) -> None:
    """
    A refused create has not taken the product's place, nor used its idempotency key, nor been counted for others.
    """
    world.first.context.quotas = Quotas(per_person=5, per_workspace=1)
    await world.ensure("p-1")
    before = await world.contents(), await world.rows("SELECT * FROM protokeep_create_counts ORDER BY kind")
    with pytest.raises(QuotaReached):
        await world.ensure("p-2", idempotency_key="k")
    assert before == (
        await world.contents(),
        await world.rows("SELECT * FROM protokeep_create_counts ORDER BY kind"),
    )
    world.first.context.quotas = Quotas()
    assert (await world.ensure("p-2", idempotency_key="k")).decision.outcome is Outcome.CREATED


async def test_reuse_and_replay_are_free(world: World) -> None:
    world.first.context.quotas = Quotas(per_person=1)
    await world.ensure("p-1", idempotency_key="k")
    for _ in range(3):
        assert (await world.ensure("p-1")).is_existing
        assert (await world.ensure("p-1", idempotency_key="k")).is_existing
    counted = await world.rows("SELECT creates FROM protokeep_create_counts")
    assert counted == [{"creates": 1}]


async def test_counting_begins_anew_with_the_day(world: World) -> None:
    world.first.context.quotas = Quotas(per_person=1)
    await world.ensure("p-1")
    with pytest.raises(QuotaReached) as refused:
        await world.ensure("p-2")
    world.clock.advance(refused.value.retry_after.total_seconds() - 1)
    with pytest.raises(QuotaReached):
        await world.ensure("p-2")
    world.clock.advance(1)
    await world.ensure("p-2")
    world.clock.advance(-2)  # Another host's clock is a little late: the new day's count stands.
    with pytest.raises(QuotaReached):
        await world.ensure("p-3")
    world.clock.advance(3 * 86_400)
    await world.keeper.sweep()
    assert await world.rows("SELECT * FROM protokeep_create_counts") == []


@pytest.mark.parametrize(
    ("kind", "another"),
    [("person", [True]), ("product", [True]), ("workspace", [True]), ("person", [False]), ("workspace", [True, False])],
)
async def test_one_of_a_hundred_creates_at_once_passes_the_last_quota_place(
    world: World, kind: str, another: list[bool]
) -> None:
    """
    With room for one more, exactly one of a hundred creates at once passes, whichever process it comes to; and whether
    it is for another one or, which is a shorter way on PostgreSQL, for a product's first.
    """
    nodes = [world.first, await world.node()]
    for node in nodes:
        node.context.queue = NoQueue()
    for race in range(RACES):
        world.clock.advance(86_400)
        for node in nodes:
            node.context.quotas = Quotas(**{f"per_{kind}": MADE_BEFORE + 1})
        names = [f"r{race}-{n}" for n in range(MADE_BEFORE + AT_ONCE)]
        who = [Principal("default", "ann" if kind == "person" else name, Role.MAKER, "") for name in names]
        products = [f"r{race}" if kind == "product" else name for name in names]
        for n in range(MADE_BEFORE):
            await made(nodes[0], products[n], who[n], create_new=True)
        asked = [
            made(nodes[n % 2], products[n], who[n], create_new=another[n // 2 % len(another)])
            for n in range(MADE_BEFORE, len(names))
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)

        passed = [one for one in answers if isinstance(one, Ensured)]
        refused = [one for one in answers if isinstance(one, QuotaReached)]
        assert (len(passed), len(passed) + len(refused)) == (1, AT_ONCE), [
            one for one in answers if not isinstance(one, Ensured | QuotaReached)
        ]
        rows = await world.rows("SELECT count(*) AS made FROM protokeep_generations")
        assert rows == [{"made": (MADE_BEFORE + 1) * (race + 1)}]


async def test_a_quota_refusal_is_told_over_http(world: World, site: Site) -> None:
    site.node.context.quotas = Quotas(per_person=1)
    await site.create("p-1")
    refused = await site.create("p-2")
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:protokeep:problem:cap-reached"
    midnight = world.clock.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert int(refused.headers["retry-after"]) == -int(-(midnight - world.clock.now).total_seconds() // 1)
    assert "00:00 UTC" in refused.json()["detail"]
    assert (await site.create("p-1")).status_code == 200


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_only_what_is_limited_is_counted(person: int, product: int, workspace: int) -> None:
    caps = Quotas(person, product, workspace).of("w", "u", "p")
    wanted = [("person", person), ("product", product), ("workspace", workspace)]
    assert [(cap.kind, cap.limit) for cap in caps] == [(kind, most) for kind, most in wanted if most]
