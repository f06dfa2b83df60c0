"""Changes that other processes hear of through PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from owner_schemas import run
from protokeep.bus import PAYLOAD_BYTES, Bus, Change
from protokeep.core.events import Event, Source
from protokeep.store.notifications import COMMITTED_SECONDS, MissedEvents, listening
from tracked import tracked
from world import World, on_postgresql


async def until_heard(world: World, bus: Bus, prototype_id: str) -> Change:
    """Writes the prototype again and again, until a process that begins to listen hears of it."""
    with bus.subscribed() as changes:
        async with asyncio.timeout(20):
            while changes.empty():
                before = tracked(await world.get(prototype_id))
                event = Event("status", Source.POLL, world.clock(), status=before.status.value)
                assert await world.store.save(before, before, event) is not None
                await asyncio.sleep(0.05)
        return changes.get_nowait()


@on_postgresql
@pytest.mark.parametrize("error", [asyncpg.InternalClientError, asyncpg.InterfaceError, ConnectionResetError])
async def test_a_process_listens_again_after_any_error_of_its_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """
    A connection that breaks while it is made is made again, whatever the driver calls it.
    """
    made = await world.complete()
    connect, other = asyncpg.connect, Bus()
    tries: list[int] = []

    async def breaking_once(*given: Any, **named: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise error("broken off")
        return await connect(*given, **named)

    monkeypatch.setattr(asyncpg, "connect", breaking_once)
    async with listening(other, world.database_url, retry_seconds=0.01):
        heard = await until_heard(world, other, made.id)

    assert heard.mockup_id == made.id
    assert len(tries) == 2


@on_postgresql
async def test_what_a_killed_process_told_nobody_is_found_in_the_table(world: World) -> None:
    """
    Nothing sends the changes of this process: it is as one that is killed right after its commit.
    """
    made, other = await world.complete(), Bus()

    async with listening(other, world.database_url):
        heard = await until_heard(world, other, made.id)

    assert (heard.mockup_id, heard.product_id, heard.workspace_id) == (made.id, made.product_id, "default")
    assert world.first.context.bus.take_untold(10)


@on_postgresql
async def test_only_what_was_committed_is_told(world: World) -> None:
    """
    A write that lost its race is rolled back with its events, and nobody hears of it.
    """
    bus, before = world.first.context.bus, tracked(await world.complete())
    event = Event("status", Source.POLL, world.clock(), status=before.status.value)
    bus.take_untold(100)

    assert await world.store.save(before, before, event) is not None
    told = bus.take_untold(100)
    assert await world.store.save(before, before, event) is None

    assert [(change.mockup_id, change.kind, len(events)) for change, events in told] == [(before.id, "changed", 1)]
    assert bus.take_untold(100) == []


@on_postgresql
async def test_a_row_whose_product_has_a_very_long_id_is_saved_and_heard_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An owner's ids may be longer than a notification: the row is saved all the same, and others hear of it.
    """
    made, other = await world.complete(), Bus()
    await run(world.database_url, f"UPDATE design_mockups SET product_id = repeat('x', 9000) WHERE id = '{made.id}'")
    world.first.context.bus.take_untold(100)  # They name the row as it was before.

    with monkeypatch.context() as patched:
        patched.setattr(MissedEvents, "seen", lambda *_given: [])
        async with listening(other, world.database_url), listening(world.first.context.bus, world.database_url):
            heard = await until_heard(world, other, made.id)

    assert (heard.mockup_id, heard.product_id) == (made.id, "")


def test_the_longest_ids_that_are_taken_fit_into_a_notification() -> None:
    """
    200 characters that JSON writes with twelve: the product's id and the person's.
    """
    change = Change("w" * 64, "\N{FOX FACE}" * 200, "m" * 36, "v0:person:" + "\N{FOX FACE}" * 200, "poll_requested")

    payload = Bus().encode(change)

    assert len(payload) <= PAYLOAD_BYTES
    assert json.loads(payload)["product_id"] == change.product_id


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["told", "told late", "never told", "rolled back"]))))
def test_every_event_is_heard_of_once_however_late_it_was_committed(plan: list[tuple[int, str]]) -> None:
    """
    An event may be committed some looks after younger ones, or never, and its process may be killed before it tells.
    """
    time = 0.0
    missed = MissedEvents(lambda: time)
    missed.begin_after(0)
    published: list[str] = []
    for look in range(8):
        time += 1.0
        asked, newest = missed.uncommitted(), missed.newest
        events = [
            event
            for event, (late, fate) in enumerate(plan, 1)
            if fate != "rolled back" and event // 3 + late <= look and (event > newest or event in asked)
        ]
        missed.told([event for event in events if plan[event - 1][1] == "told"])
        changes = {event: Change("w", "p", str(event), "", "changed") for event in events}
        published += [change.mockup_id for change in missed.seen(events, changes)]
        missed.told([event for event in events if plan[event - 1][1] == "told late"])
    shown = {str(event) for event, (late, _) in enumerate(plan, 1) if event // 3 + late <= 6}

    assert sorted(published) == sorted(set(published))
    assert {event for event in shown if plan[int(event) - 1][1] == "never told"} <= set(published)
    assert not [event for event in published if plan[int(event) - 1][1] != "never told"]
    time += COMMITTED_SECONDS
    assert missed.uncommitted() == []
