"""Pictures, deletions and hooks of several prototypes, accounts and versions: each touches only its own."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from owner_schemas import run
from protokeep.core.events import Event, Source
from protokeep.core.prototype import Prototype
from protokeep.store.hooks import Hook
from protokeep.store.pictures import Picture, save_picture
from protokeep.store.slots import free_slot
from tracked import generation_of, tracked
from world import World

ACCOUNT, OTHER_ACCOUNT = "v0:environment", "v0:workspace:elsewhere"
OURS = (
    "protokeep_generations",
    "protokeep_slots",
    "protokeep_pictures",
    "protokeep_surplus_chats",
)


async def two(world: World) -> tuple[Prototype, Prototype]:
    """Two prototypes of two products, the second of another account."""
    first, second = await world.make("p-1"), await world.make("p-2")
    update = f"UPDATE protokeep_generations SET account = '{OTHER_ACCOUNT}' WHERE mockup_id = '{second.id}'"
    await run(world.database_url, update)
    return first, await world.get(second.id)


async def next_look(world: World, prototype: Prototype) -> float | None:
    """How far away its next look is."""
    due = generation_of(await world.get(prototype.id)).polling.next_poll_at
    return None if due is None else (due - world.clock.now).total_seconds()


class TestPictures:
    async def keep(self, world: World, prototype: Prototype, body: bytes) -> None:
        async with world.store.database.transaction() as connection:
            picture = Picture("image/png", body, body.decode())
            await save_picture(connection, prototype.id, picture, world.clock.now)

    async def test_each_prototype_has_its_own_picture(self, world: World) -> None:
        """
        Of two prototypes each has its own picture, and a third one none.
        """
        first, second = await two(world)
        third = await world.make("p-3")
        await self.keep(world, first, b"one")
        await self.keep(world, second, b"two")

        kept = [await world.store.pictures.find(one.id) for one in (first, second, third)]
        assert [None if picture is None else picture.body for picture in kept] == [b"one", b"two", None]

    async def test_a_newer_picture_replaces_the_older_one(self, world: World) -> None:
        """
        A newer picture takes the place of the older one, and of no other prototype's.
        """
        first, second = await two(world)
        for prototype, body in ((second, b"two"), (first, b"old"), (first, b"new")):
            await self.keep(world, prototype, body)

        newest = await world.store.pictures.find(first.id)
        other = await world.store.pictures.find(second.id)
        assert newest == Picture("image/png", b"new", "new")
        assert other == Picture("image/png", b"two", "two")


class TestWrapUps:
    async def test_only_due_finalizations_are_claimed_oldest_first(self, world: World) -> None:
        """
        What is due is taken once, the oldest first; what is not due or done is left alone.
        """
        made = [await world.make(f"p-{number}") for number in range(4)]
        now = world.clock.now
        for prototype, seconds in zip(made, (-5, -9, 60), strict=False):
            at = now + timedelta(seconds=seconds)
            before = await world.get(prototype.id)
            await self.due(world, before, at)

        assert await world.store.claim_for_finalizing(now, now + timedelta(seconds=180), 1) == [made[1].id]
        assert await world.store.claim_for_finalizing(now, now + timedelta(seconds=180), 9) == [made[0].id]
        assert await world.store.claim_for_finalizing(now, now + timedelta(seconds=180), 9) == []
        later = now + timedelta(seconds=180)
        taken = await world.store.claim_for_finalizing(later, later + timedelta(seconds=180), 9)
        assert set(taken) == {one.id for one in made[:3]}

    async def due(self, world: World, prototype: Prototype, at: datetime) -> None:
        at_text = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        update = f"UPDATE protokeep_generations SET finalize_at = '{at_text}' WHERE mockup_id = '{prototype.id}'"
        await run(world.database_url, update)


class TestDeletions:
    async def test_a_deletion_leaves_the_history_and_nothing_else(self, world: World) -> None:
        """
        With a prototype goes all that hangs on it, but its history; nothing that hangs on another one.
        """
        first, second = await two(world)
        for one in (first, second):
            await TestPictures().keep(world, one, b"x")
            await world.store.note_surplus(tracked(one), f"surplus of {one.product_id}", world.clock.now)

        assert await world.store.delete(tracked(first), Event("deleted", Source.SWEEP, world.clock.now))

        for table in OURS:
            left = await world.rows(f"SELECT DISTINCT mockup_id FROM {table}")
            assert [str(row["mockup_id"]) for row in left] == [second.id], table
        assert [str(row["id"]) for row in await world.rows("SELECT id FROM design_mockups")] == [second.id]
        assert await world.store.surplus(second.id) == ["surplus of p-2"]
        kinds = [row["kind"] for row in await world.store.history("default", first.id)]
        assert kinds[-1] == "deleted"
        assert not await world.store.delete(tracked(first), Event("deleted", Source.SWEEP, world.clock.now))
        assert [row["kind"] for row in await world.store.history("default", first.id)] == kinds

    async def test_freeing_a_slot_frees_that_of_one_product(self, world: World) -> None:
        """
        Freeing a place frees that of one product.
        """
        first, second = await two(world)

        async with world.store.database.transaction() as connection:
            await free_slot(connection, first.id)

        left = await world.rows("SELECT mockup_id FROM protokeep_slots")
        assert [str(row["mockup_id"]) for row in left] == [second.id]

    async def test_a_deletion_is_known_in_its_own_workspace_only(self, world: World) -> None:
        """
        That something was deleted is known in its own workspace, and of nothing else.
        """
        first, second = await two(world)
        await world.store.delete(tracked(first), Event("deleted", Source.SWEEP, world.clock.now))

        assert await world.store.was_deleted("default", first.id)
        assert not await world.store.was_deleted("elsewhere", first.id)
        assert not await world.store.was_deleted("default", second.id)


class TestPollsByHook:
    async def spoken(self, world: World, *prototypes: Prototype, account: str = ACCOUNT, begun: bool = False) -> int:
        chats = [one.chat_id or "" for one in prototypes]
        later = world.clock.now + timedelta(seconds=30)
        return await world.store.poll_soon(account, chats, world.clock.now, begun=begun, later=later)

    @pytest.mark.parametrize("begun", [False, True])
    async def test_a_hook_moves_polls_of_its_own_account_only(self, world: World, begun: bool) -> None:
        """
        A hook of one account that names chats of two moves the look at its own only.
        """
        first, second = await two(world)
        before = await next_look(world, second)

        assert await self.spoken(world, first, second, begun=begun) == 1

        assert await next_look(world, first) == (30 if begun else 1 if generation_of(first).polling.observed_at else 0)
        assert await next_look(world, second) == before
        assert generation_of(await world.get(second.id)).polling.hook_received_at is None

    @pytest.mark.parametrize("begun", [False, True])
    async def test_a_hook_moves_polls_of_the_chats_that_it_names_only(self, world: World, begun: bool) -> None:
        """
        A hook about one chat moves no look at another one of the account.
        """
        first, second = await world.make("p-1"), await world.make("p-2")
        before = await next_look(world, second)

        assert await self.spoken(world, first, begun=begun) == 1
        assert await next_look(world, second) == before

    async def test_a_hook_moves_no_poll_of_a_prototype_being_deleted(self, world: World) -> None:
        """
        A hook brings nothing back that is being deleted.
        """
        first = await world.make()
        await run(
            world.database_url,
            "UPDATE protokeep_generations SET deletion_requested_at = created_at, next_poll_at = NULL",
        )

        assert await self.spoken(world, first) == 0
        assert await next_look(world, first) is None

    async def test_a_hook_polls_an_ended_prototype_once_a_minute(self, world: World) -> None:
        """
        What has ended is looked at for a hook once a minute; a word that it began moves nothing there.
        """
        done = await world.complete()
        assert await next_look(world, done) is None

        assert await self.spoken(world, done, begun=True) == 0
        assert await self.spoken(world, done) == 1
        assert await next_look(world, done) is None
        world.clock.advance(60)
        assert await self.spoken(world, done) == 1
        assert await next_look(world, done) == 0

    async def test_a_prototype_polled_within_a_second_is_polled_a_second_later(self, world: World) -> None:
        """
        One that was looked at within the last second is looked at a second later, not again at once.
        """
        made = await world.make()
        world.clock.advance(3)
        await world.sweep()
        assert generation_of(await world.get(made.id)).polling.observed_at == world.clock.now

        await self.spoken(world, made)
        assert await next_look(world, made) == 1
        world.clock.advance(1)
        await self.spoken(world, made)
        assert await next_look(world, made) == 0

    async def test_a_hook_of_a_beginning_postpones_no_due_poll(self, world: World) -> None:
        """
        That one has begun puts off a look to come, not one that is due.
        """
        made = await world.make()
        world.clock.advance(3)
        assert await next_look(world, made) == 0

        await self.spoken(world, made, begun=True)
        assert await next_look(world, made) == 0


class TestHooks:
    def hook(self, world: World, account: str = ACCOUNT, api_version: int = 2, name: str = "h") -> Hook:
        return Hook(account, api_version, name, f"nonce of {name}", world.clock.now)

    async def test_hooks_are_kept_for_one_account_and_version(self, world: World) -> None:
        """
        Hooks are kept and forgotten for one account in one version of its API.
        """
        kept = [
            self.hook(world, ACCOUNT, 1, "a"),
            self.hook(world, ACCOUNT, 2, "b"),
            self.hook(world, OTHER_ACCOUNT, 2, "c"),
        ]
        for hook in kept:
            await world.store.hooks.save(hook)
        moved = Hook(ACCOUNT, 2, "d", "new", world.clock.advance(5), "nonce of b")
        await world.store.hooks.save(moved)
        assert await world.store.hooks.list() == [kept[0], moved, kept[2]]

        await world.store.hooks.delete(ACCOUNT, 2)

        assert await world.store.hooks.list() == [kept[0], kept[2]]

    async def test_one_of_two_processes_registers_a_hook(self, world: World) -> None:
        """
        Of two that saw the same, one may register a hook; the other sees that somebody was first.
        """
        now, later = world.clock.now, world.clock.now + timedelta(minutes=20)
        first, again = self.hook(world), Hook(ACCOUNT, 2, "h", "n", later)

        assert await world.store.hooks.claim(first, None)
        assert not await world.store.hooks.claim(first, None)
        assert await world.store.hooks.claim(again, now)
        assert not await world.store.hooks.claim(again, now)
        assert await world.store.hooks.claim(self.hook(world, OTHER_ACCOUNT), None)
        (kept, other) = await world.store.hooks.list()
        assert (kept.installed_at, other.installed_at) == (later, now)
