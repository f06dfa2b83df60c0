"""What a chat that is taken back becomes: its times, its person, and only where it is ours."""

from __future__ import annotations

from uuid import uuid4

from structlog.testing import capture_logs

from owner_schemas import run
from protokeep.service.chat_metadata import chat_metadata
from tracked import generation_of, tracked
from world import PROMPT, Node, World, both_versions


async def forgotten(world: World) -> str:
    """Make a prototype and let its rows be lost, as on an older copy of the database; its id."""
    made = await world.make()
    await run(
        world.database_url, "DELETE FROM protokeep_slots; DELETE FROM design_mockups; DELETE FROM protokeep_events;"
    )
    return made.id


async def awake(world: World, seconds: float) -> Node:
    """A process that starts after so long in which nobody looked after the account."""
    world.clock.advance(seconds)
    return await world.node()


@both_versions
async def test_an_adopted_prototype_is_as_old_as_its_chat(world: World) -> None:
    """
    It was made when v0 says so, not when it was found.
    """
    lost = await forgotten(world)
    made_at = world.clock.now
    node = await awake(world, 300)

    await node.keeper.reconcile()

    (found,) = await world.listed()
    assert (found.id, found.user_id, found.prompt) == (lost, "ann", PROMPT)
    assert abs((found.created_at - made_at).total_seconds()) < 2
    assert abs((generation_of(found).created_at - made_at).total_seconds()) < 2
    assert generation_of(found).polling.deadline_at == world.clock.now + world.timing.poll_timeout
    await node.sweep()
    world.clock.advance(10)
    await node.sweep()
    assert (await world.get(lost)).chat_id == world.chat.id


async def test_a_chat_of_another_installation_is_not_adopted(world: World) -> None:
    """
    A chat that another installation marked, or that carries no mark of a row, is nobody's here.
    """
    made = await world.make()
    marks = chat_metadata(world.first.context.signer, "another installation", tracked(made))
    provider = world.first.context.providers.for_new()[0][1]
    await provider.create(PROMPT, {**marks, "protokeep_marker": str(uuid4())})
    keeper_id, _ = await world.store.installation()
    await provider.create(PROMPT, {**marks, "protokeep": keeper_id, "protokeep_marker": "by hand"})
    node = await awake(world, 300)

    await node.keeper.reconcile()

    assert [one.id for one in await world.listed()] == [made.id]
    assert len(await world.orphans()) == 2


async def test_a_search_that_fails_at_every_turn_is_logged_once_a_minute(world: World) -> None:
    """
    A v0 that is away for a day does not fill the log with a line every two seconds.
    """
    await world.make()
    world.sandbox.set_knobs(answer_next=[{"status": 503, "times": None}])
    node = await awake(world, 300)

    with capture_logs() as entries:
        for _ in range(40):
            await node.keeper.reconcile()
            world.clock.advance(2)

    assert [entry["event"] for entry in entries].count("orphan_search_failed") == 2
