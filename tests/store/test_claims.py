"""Claims: what they write, what they say that they have written, and quotas."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from owner_schemas import run
from protokeep.core.errors import QuotaReached
from protokeep.core.prototype import Observation, ObservedState, advance
from protokeep.core.quotas import Quotas
from protokeep.core.reuse import Outcome
from protokeep.service import NewPrototype
from tracked import generation_of, tracked
from world import BOB, PROMPT, World


@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("more", [{}, {"create_new": True}, {"idempotency_key": "k"}])
async def test_a_claim_gives_back_what_is_read_afterwards(world: World, holds: bool, more: dict[str, Any]) -> None:
    """
    What a claim gives back is what is read afterwards, to the last field; also of one that is held.
    """
    node = await world.node(holds_claims=holds)
    ensured = await node.keeper.ensure(BOB, NewPrototype("p-1", PROMPT, **more), wait=0)

    assert ensured.prototype == await world.get(ensured.prototype.id)
    generation = generation_of(ensured.prototype)
    assert (generation.submission.fence, generation.submission.lease_until is not None) == (int(holds), holds)


async def test_everything_that_a_claim_writes(world: World) -> None:
    """
    A first prototype comes with its event, its audit line and its counts.
    """
    world.first.context.quotas = Quotas(per_person=3, per_product=2, per_workspace=4)

    ensured = await world.ensure("p-1", who=BOB)

    assert ensured.decision.outcome is Outcome.CREATED
    assert await world.kinds(ensured.prototype) == ["claimed"]
    audited = await world.rows("SELECT action, actor, subject FROM protokeep_audit")
    assert audited == [{"action": "created", "actor": "bob", "subject": ensured.prototype.id}]
    counted = await world.rows("SELECT kind, subject, creates FROM protokeep_create_counts ORDER BY kind")
    assert [(row["kind"], row["subject"], row["creates"]) for row in counted] == [
        ("person", "bob", 1), ("product", "p-1", 1), ("workspace", "default", 1),
    ]  # fmt: skip
    assert (await world.ensure("p-1")).is_existing


async def test_a_quota_of_one_holds_for_creates_at_once(world: World) -> None:
    """
    Two processes, twenty products, one person, in the same moment: one prototype, and the refused left nothing behind.
    """
    nodes = [world.first, await world.node()]
    for node in nodes:
        node.context.quotas = Quotas(per_person=1, per_workspace=5)
    requests = [
        node.keeper.ensure(BOB, NewPrototype(f"p-{number}", PROMPT), wait=0) for number, node in enumerate(nodes * 10)
    ]

    outcomes = await asyncio.gather(*requests, return_exceptions=True)

    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert {type(error) for error in refused} == {QuotaReached}
    for table in ("design_mockups", "protokeep_slots", "protokeep_generations", "protokeep_products"):
        assert await world.rows(f"SELECT count(*) AS n FROM {table}") == [{"n": 1}]
    assert [row["kind"] for row in await world.rows("SELECT kind FROM protokeep_events")] == ["claimed"]
    counted = await world.rows("SELECT kind, creates FROM protokeep_create_counts ORDER BY kind")
    assert [(row["kind"], row["creates"]) for row in counted] == [("person", 1), ("workspace", 1)]


async def test_whether_it_was_asked_for_as_another_one(world: World) -> None:
    """
    A row says whether its prototype was asked for on purpose beside the one that there was.
    """
    first = await world.ensure("p-1")
    second = await world.ensure("p-1", create_new=True)

    rows = await world.rows("SELECT mockup_id, explicitly_new FROM protokeep_generations")
    assert {str(row["mockup_id"]): bool(row["explicitly_new"]) for row in rows} == {
        first.prototype.id: False,
        second.prototype.id: True,
    }


async def test_a_changed_row_is_read_as_it_is(world: World) -> None:
    """
    A value that somebody else's hand changed is in the next read.
    """
    first = await world.ensure("p-1")
    await run(world.database_url, "UPDATE design_mockups SET image_url = 'https://pictures.example/new.png'")

    (changed,) = await world.listed("p-1")

    assert (changed.id, changed.image_url) == (first.prototype.id, "https://pictures.example/new.png")
    assert changed == await world.get(first.prototype.id)


@pytest.mark.parametrize("more", [{"create_new": True}, {}])
async def test_viewers_of_a_replaced_prototype_hear_that_it_is_not_current(world: World, more: dict[str, Any]) -> None:
    """
    Both changed: the new prototype, and the one that gave up its slot, on purpose or because it failed.
    """
    before = await world.make()
    if not more:
        failed = Observation(ObservedState.BROKE)
        await world.store.save(tracked(before), advance(tracked(before), failed, world.clock.now))

    with world.first.context.bus.subscribed() as changes:
        ensured = await world.ensure("p-1", wait=0, **more)
        heard = [changes.get_nowait().mockup_id for _ in range(changes.qsize())]

    assert heard == [ensured.prototype.id, before.id]
    assert not (await world.get(before.id)).is_current


async def test_viewers_of_an_older_row_hear_that_it_is_current_now(world: World) -> None:
    """
    The first request for its product gives it the slot; the second one changes nothing.
    """
    older = "00000000-0000-4000-8000-000000000001"
    await run(
        world.database_url,
        "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, project_url)"
        f" VALUES ('{older}', 'p-1', 'ann', 'v0', '{PROMPT}', 'https://preview.example/1')",
    )

    with world.first.context.bus.subscribed() as changes:
        for _ in range(2):
            assert (await world.ensure("p-1", wait=0)).prototype.id == older
        heard = [changes.get_nowait().mockup_id for _ in range(changes.qsize())]

    assert heard == [older]
