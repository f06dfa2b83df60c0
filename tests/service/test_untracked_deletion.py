"""Deletion of a row that nothing tracked when it was read, and that is tracked by the time it is to go."""

from __future__ import annotations

from dataclasses import fields

from owner_schemas import run
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.events import Event, Source
from protokeep.core.prototype import Prototype
from world import ADA, World


async def read_before_it_was_tracked(world: World) -> Prototype:
    """A finished prototype as a request read it while nothing tracked it yet."""
    made = await world.complete("p-1")
    return Prototype(**{field.name: getattr(made, field.name) for field in fields(Prototype)})


async def test_a_row_that_is_tracked_meanwhile_is_left_alone(world: World) -> None:
    """
    Its chat is known by now, so the row does not go without it; nothing is written.
    """
    row = await read_before_it_was_tracked(world)
    now = world.clock()
    event = Event("deleted", Source.PERSON, now, actor="ann")
    before = await world.contents()

    deleted = await world.store.delete_untracked("default", row, event, AuditEntry.of(ADA, Action.DELETED, now))

    assert (deleted, await world.contents()) == (False, before)


async def test_its_deletion_takes_the_chat_along(world: World) -> None:
    """
    The person's deletion goes on as that of any tracked prototype.
    """
    row = await read_before_it_was_tracked(world)

    assert await world.keeper._deleter.request(ADA, row) is None

    assert (world.chat.deleted, await world.rows("SELECT id FROM design_mockups")) == (True, [])


async def test_a_row_that_is_gone_meanwhile_is_deleted(world: World) -> None:
    """
    The owner's own program was first.
    """
    row = await read_before_it_was_tracked(world)
    await run(world.database_url, "DELETE FROM design_mockups")

    assert await world.keeper._deleter.request(ADA, row) is None
