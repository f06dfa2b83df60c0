"""A guarded write and what belongs to it: committed together, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import asyncpg
import pytest

from protokeep.core.deletion import deletion_requested
from protokeep.core.events import Event, Source
from protokeep.core.generation import Reason
from protokeep.core.prototype import Prototype
from protokeep.store.orphans import OrphanChat
from protokeep.store.pictures import Picture, save_picture
from protokeep.store.slots import free_slot
from protokeep.store.sql import Connection
from tracked import generation_of, tracked
from world import ANN, World, on_postgresql

T = TypeVar("T")


async def moved(world: World, prototype: Prototype) -> Prototype:
    """The prototype as it was before somebody else moved its row."""
    before = await world.get(prototype.id)
    after = tracked(before).with_generation(hold=Reason(None, "somebody else was here"))
    assert await world.store.save(tracked(before), after) is not None
    return before


class TestSave:
    async def test_a_save_that_came_too_late_writes_nothing_beside_it(self, world: World) -> None:
        """
        Freed slot, picture and event of a save that came too late: none of them is there.
        """
        stale = await moved(world, await world.complete())
        before = await world.contents()
        event = Event("deleting", Source.PERSON, world.clock(), actor=ANN.user_id)

        async def belongs(connection: Connection) -> None:
            await free_slot(connection, stale.id)
            await save_picture(connection, stale.id, Picture("image/png", b"png", "etag"), world.clock())

        after = deletion_requested(tracked(stale), world.clock())
        assert await world.store.save(tracked(stale), after, event, belongs=belongs) is None

        assert await world.contents() == before
        assert await world.rows("SELECT * FROM protokeep_pictures") == []

    async def test_a_save_in_time_is_committed_with_all_beside_it(self, world: World) -> None:
        """
        The same for a save that came in time: all of it is there.
        """
        made = await world.complete()

        async def belongs(connection: Connection) -> None:
            await free_slot(connection, made.id)

        saved = await world.store.save(tracked(made), deletion_requested(tracked(made), world.clock()), belongs=belongs)

        assert saved is not None
        assert generation_of(saved).version == generation_of(made).version + 1
        assert saved == replace(await world.get(made.id), is_current=False)
        assert await world.rows("SELECT * FROM protokeep_slots") == []

    async def test_an_error_beside_a_save_undoes_the_save(self, world: World) -> None:
        """
        What cannot be written beside it takes the write back, too.
        """
        made = await world.complete()
        before = await world.contents()

        async def belongs(connection: Connection) -> None:
            await free_slot(connection, made.id)
            raise ValueError("no room")

        event = Event("deleting", Source.PERSON, world.clock(), actor=ANN.user_id)
        with pytest.raises(ValueError, match="no room"):
            await world.store.save(
                tracked(made), deletion_requested(tracked(made), world.clock()), event, belongs=belongs
            )

        assert await world.contents() == before

    async def test_a_late_save_writes_no_event(self, world: World) -> None:
        """
        The events of a save that came too late are not written.
        """
        stale = await moved(world, await world.complete("p-1"))
        fresh = await world.complete("p-2")
        event = Event("status", Source.POLL, world.clock(), status="completed")
        before = len(await world.rows("SELECT id FROM protokeep_events"))

        assert await world.store.save(tracked(stale), tracked(stale), event) is None
        assert await world.store.save(tracked(fresh), tracked(fresh), event) is not None

        assert len(await world.rows("SELECT id FROM protokeep_events")) == before + 1


class TestForget:
    async def test_the_second_deletion_of_a_row_writes_nothing(self, world: World) -> None:
        """
        Two processes forget one prototype: one event, and the surplus chats of others stay.
        """
        made = await world.complete()
        event = Event("deleted", Source.SWEEP, world.clock())

        assert await world.store.delete(tracked(made), event)
        before = len(await world.rows("SELECT id FROM protokeep_events"))
        assert not await world.store.delete(tracked(made), event)

        assert len(await world.rows("SELECT id FROM protokeep_events")) == before

    async def test_viewers_hear_of_a_deletion(self, world: World) -> None:
        """
        Open pages have to take it off: one change, after the row is gone.
        """
        made = await world.complete()

        with world.first.context.bus.subscribed() as changes:
            await world.store.delete(tracked(made), Event("deleted", Source.SWEEP, world.clock()))

        assert changes.get_nowait().mockup_id == made.id
        assert changes.empty()


class TestOwnersDeletion:
    """The owner deletes a row in the moment in which it is written here: neither waits for the other for ever."""

    @on_postgresql
    async def test_a_save_loses_against_it(self, world: World) -> None:
        """
        The owner's deletion is carried out, and the save writes nothing.
        """
        made = tracked(await world.complete())
        after = replace(made, project_url="https://example.com/new")

        async with deleting(world, made.id) as delete:
            saved = await delete(world.store.save(made, after))

        assert saved is None
        assert await world.listed() == []

    @on_postgresql
    async def test_an_adoption_loses_against_it(self, world: World) -> None:
        """
        The same for a chat that is given to its row.
        """
        claim = tracked((await world.ensure()).prototype)
        now = world.clock.now
        orphan = OrphanChat(
            *("chat-1", claim.generation.marker, "default", "p-1", "ann", "v0", claim.generation.account, 2),
            *(claim.prompt, now, now),
        )

        async with deleting(world, claim.id) as delete:
            outcome = await delete(world.store.adopt_orphan(orphan, timedelta(minutes=10)))

        assert outcome == "deleted"
        assert await world.listed() == []


@contextlib.asynccontextmanager
async def deleting(world: World, mockup_id: str) -> AsyncIterator[Callable[[Awaitable[T]], Awaitable[T]]]:
    """An owner's transaction that has the row; it deletes the row as soon as the given write waits for it."""
    owner = await asyncpg.connect(world.database_url)
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("SELECT 1 FROM design_mockups WHERE id = $1 FOR UPDATE", mockup_id)

    async def delete(write: Awaitable[T]) -> T:
        writing = asyncio.ensure_future(write)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with asyncio.timeout(20):
            while not writing.done() and not await owner.fetchval(waiting):  # noqa: ASYNC110 - another server's lock
                await asyncio.sleep(0.01)
            await owner.execute("DELETE FROM design_mockups WHERE id = $1", mockup_id)
            await transaction.commit()
            return await writing

    try:
        yield delete
    finally:
        await owner.close()
