"""Variants: their numbers and names, which one is current, and what a deletion of the current one leaves."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from owner_schemas import run
from protokeep.core.errors import InvalidInput, NotNow, ProtokeepError
from protokeep.core.prototype import Prototype, State
from protokeep.core.reuse import Outcome
from protokeep.service import variants
from protokeep.store.prototypes import Page
from protokeep.store.slots import take_slot
from tracked import generation_of
from world import ADA, ANN, BOB, World, on_postgresql


async def ready(world: World, count: int) -> list[Prototype]:
    """Variants of p-1, all of them ready; the last one is the current one."""
    made = []
    for number in range(count):
        made.append((await world.ensure(create_new=number > 0)).prototype)
        world.clock.advance(1)
    await world.work()
    world.clock.advance(600)
    for one in made:
        await world.keeper.track(generation_of(one).account)
    return [await world.get(one.id) for one in made]


async def slots(world: World) -> list[str]:
    return [str(row["mockup_id"]) for row in await world.rows("SELECT mockup_id FROM protokeep_slots")]


async def make_current(world: World, prototype: Prototype) -> Prototype:
    return await world.keeper.variants.make_current(ANN, await world.get(prototype.id))


async def test_a_number_is_given_once_and_stays(world: World) -> None:
    """
    Numbers count up by creation; deleting the newest one gives its number to nobody else.
    """
    first, second, third = await ready(world, 3)
    assert [generation_of(one).variant for one in (first, second, third)] == [1, 2, 3]

    await world.keeper.delete(ADA, third.id, at_once=True)
    fourth = (await world.ensure(create_new=True)).prototype

    assert generation_of(fourth).variant == 4
    assert generation_of(await world.get(second.id)).variant == 2


async def test_a_variant_is_named_and_its_name_taken_away(world: World) -> None:
    """
    A name stays with the variant; one that nobody could see or that is too long is refused.
    """
    (first,) = await ready(world, 1)

    named = await world.keeper.variants.name(ANN, first, "  Dark header ")
    assert generation_of(await world.get(first.id)).variant_name == "Dark header"
    with pytest.raises(InvalidInput):
        await world.keeper.variants.name(ANN, named, "x" * 61)
    await world.keeper.variants.name(ANN, named, " ")

    assert generation_of(await world.get(first.id)).variant_name is None


async def test_a_variant_is_made_current_and_reused(world: World) -> None:
    """
    Whoever asks next gets it; the one before stays a variant; it is in the history and in the audit, once.
    """
    first, second = await ready(world, 2)

    made = await make_current(world, first)
    again = await make_current(world, first)

    assert [made.is_current, again.is_current] == [True, True]
    assert not (await world.get(second.id)).is_current
    asked = await world.ensure()
    assert (asked.prototype.id, asked.decision.outcome) == (first.id, Outcome.REUSED)
    history, _ = await world.keeper.history(made)
    assert [row["kind"] for row in history].count("made_current") == 1
    lines = await world.rows("SELECT actor, subject FROM protokeep_audit WHERE action = 'made_current'")
    assert [(row["actor"], str(row["subject"])) for row in lines] == [(ANN.user_id, first.id)]


async def test_what_nobody_could_use_is_not_made_current(world: World) -> None:
    """
    One that failed and one that is deleted are refused, and the slot stays where it is.
    """
    with world.knobs(fail_next=[{"operation": "chats.create*", "status": 422}]):
        failed = await world.make()
    current = (await world.ensure()).prototype
    await world.work()
    assert (await world.get(failed.id)).state is State.FAILED

    with pytest.raises(NotNow, match="failed"):
        await make_current(world, failed)

    assert await slots(world) == [current.id]


async def test_the_newest_usable_variant_succeeds_a_deleted_one(world: World) -> None:
    """
    The slot goes on in the deletion's own transaction, step by step; the last deletion frees it.
    """
    first, second, third = await ready(world, 3)
    successor = await world.keeper.variants.successor(ADA, await world.get(third.id))
    assert successor is not None
    assert successor.id == second.id

    await world.keeper.delete(ADA, third.id, at_once=True)
    assert await slots(world) == [second.id]
    asked = await world.ensure()
    assert (asked.prototype.id, asked.decision.outcome) == (second.id, Outcome.REUSED)
    await world.keeper.delete(ADA, first.id, at_once=True)
    assert await slots(world) == [second.id]
    assert await world.keeper.variants.successor(ADA, await world.get(second.id)) is None
    await world.keeper.delete(ADA, second.id, at_once=True)

    assert await slots(world) == []
    assert (await world.ensure()).decision.outcome is Outcome.CREATED


async def test_a_failed_variant_that_is_left_keeps_the_product_in_sight(world: World) -> None:
    """
    It has the slot, and the next create replaces it, as if it had never had a successor.
    """
    with world.knobs(fail_next=[{"operation": "chats.create*", "status": 422}]):
        failed = await world.make()
    usable = (await world.ensure()).prototype
    await world.work()

    await world.keeper.delete(ADA, usable.id, at_once=True)

    assert await slots(world) == [failed.id]
    assert (await world.ensure()).decision.outcome is Outcome.REPLACED


@on_postgresql
@pytest.mark.parametrize("rival", ["another", "create", "delete", "make_current"])
async def test_a_slot_that_changes_hands_meanwhile_is_taken_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, rival: str
) -> None:
    """
    Between the look at the slot and its change another process acts: neither overwrites what it has not seen.
    """
    first, second, third = await ready(world, 3)
    other = (await world.node()).keeper
    raced: list[str] = []

    async def meanwhile(*given: object) -> object:
        if not raced:
            raced.append(rival)
            if rival == "another":
                await world.ensure("p-1", create_new=True)
            elif rival == "create":
                await world.ensure("p-1")
            elif rival == "delete":
                await other.delete(ADA, third.id, at_once=True)
            else:
                await other.variants.make_current(BOB, await world.get(second.id))
        return await take_slot(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(variants, "take_slot", meanwhile)
    made = await make_current(world, first)

    assert made.is_current
    assert await slots(world) == [first.id]
    current = [one.id for one in await world.listed() if one.is_current]
    assert current == [first.id]


async def test_any_storm_leaves_one_current_variant_and_one_chat_per_request(world: World) -> None:
    """
    Creates, deletions and changes of the current one at once, from two processes: whatever is left has one current
    variant, which is there, and every chat was asked for.
    """
    made = await ready(world, 3)
    nodes = [world.first.keeper, (await world.node()).keeper]
    dice = random.Random(7)
    another = 0

    async def act(step: int) -> None:
        nonlocal another
        keeper, one = dice.choice(nodes), dice.choice(made)
        with contextlib.suppress(ProtokeepError):  # It was deleted, or is being changed: nothing was written.
            match step % 4:
                case 0:
                    another += 1
                    made.append((await world.ensure("p-1", create_new=True)).prototype)
                case 1:
                    await keeper.delete(ADA, one.id, at_once=True)
                case 2:
                    await world.ensure("p-1")
                case _:
                    await keeper.variants.make_current(BOB, await keeper.get(BOB, one.id))

    for _ in range(4):
        await asyncio.gather(*(act(step) for step in range(8)))
        left, _ = await world.keeper.list(ANN, "p-1", Page(100))
        kept = [one for one in left if not generation_of(one).is_unwanted]
        assert [one.id for one in kept if one.is_current] == await slots(world)
        assert len(await slots(world)) == min(len(kept), 1)
    await world.work()

    assert world.chats_created <= 3 + another + await first_ones(world)


async def first_ones(world: World) -> int:
    """Prototypes that were claimed because their product had none."""
    events = await world.rows("SELECT data FROM protokeep_events WHERE kind = 'claimed'")
    return sum('"another": false' in row["data"] or '"another":false' in row["data"] for row in events)


async def test_older_rows_are_numbered_when_they_are_adopted(world: World) -> None:
    """
    In the order in which they were made, and new ones go on after them.
    """
    ids = [f"00000000-0000-4000-8000-00000000000{number}" for number in (3, 1, 2)]
    for day, mockup_id in enumerate(ids, start=1):
        await run(
            world.database_url,
            "INSERT INTO design_mockups"
            " (id, product_id, user_id, provider, prompt, project_status, v0_chat_id, created_at) VALUES"
            f" ('{mockup_id}', 'p-1', 'ann', 'v0', 'x', 'completed', 'old-{day}', '2024-05-0{day} 00:00:00+00:00')",
        )

    await world.keeper.adopt()
    fourth = (await world.ensure(create_new=True)).prototype

    assert [generation_of(await world.get(mockup_id)).variant for mockup_id in ids] == [1, 2, 3]
    assert generation_of(fourth).variant == 4
