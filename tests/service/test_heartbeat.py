"""Beats: how a process notices that its database is an older copy of itself, and that nothing can be written."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from database_copies import copy_of
from owner_schemas import run
from protokeep.core.errors import DatabaseUnavailable, DatabaseWentBack
from protokeep.core.prototype import State
from protokeep.core.provider_keys import KeyOwner
from protokeep.providers.base import Provider
from protokeep.service import NewPrototype, provider_accounts
from protokeep.service.heartbeat import Heartbeat
from protokeep.service.orphans import OrphanReconciler
from protokeep.service.provider_keys import ProviderKeys
from world import ANN, PROMPT, Node, World, both_versions, on_sqlite


async def beat(world: World, node: Node | None = None) -> None:
    """Three seconds pass, and a process beats, sweeps and reconciles, as its jobs do."""
    node = node or world.first
    world.clock.advance(3)
    await node.context.heartbeat.beat()
    await node.keeper.reconcile()
    await node.sweep()


class TestWentBack:
    @both_versions
    async def test_nothing_is_made_twice_after_a_copy_took_the_databases_place(self, world: World) -> None:
        """
        Six prototypes are made after the copy; it is put back under the running process; the same six clicks make none.
        """
        await world.complete("old")
        await beat(world)
        put_back = await copy_of(world.database_url)
        await beat(world)
        for number in range(6):
            await world.make(f"new-{number}")
        assert world.chats_created == 7

        await put_back()
        for number in range(6):
            await world.ensure(f"new-{number}")
            await world.work()
        assert world.chats_created == 7
        for _ in range(25):
            await beat(world)

        assert world.chats_created == 7
        assert await world.orphans() == set()
        for number in range(6):
            (prototype,) = await world.listed(f"new-{number}")
            assert (prototype.is_current, prototype.state) == (True, State.READY)

    @both_versions
    async def test_a_follow_up_that_the_copy_does_not_know_is_not_sent_twice(self, world: World) -> None:
        """
        The message is asked for in the copy, and was sent after it: it is found, and not sent again.
        """
        made = await world.complete()
        await beat(world)
        await world.keeper.iterate(ANN, made.id, "Make it blue", wait=0)
        put_back = await copy_of(world.database_url)
        await world.work()
        await put_back()

        for _ in range(30):
            await beat(world)

        assert [one.content for one in world.chat.messages if one.role == "user"][1:] == ["Make it blue"]
        assert (await world.get(made.id)).state is State.READY

    async def test_creates_go_on_within_a_minute_of_a_fail_over(self, world: World) -> None:
        """
        What is asked for right after the fail-over is made, a little later.
        """
        await world.complete("old")
        await beat(world)
        put_back = await copy_of(world.database_url)
        await world.make("lost")
        await beat(world)
        await put_back()

        await world.ensure("fresh")
        for _ in range(19):
            await beat(world)

        (fresh,) = await world.listed("fresh")
        assert fresh.chat_id is not None
        assert world.chats_created == 3

    async def test_a_process_that_starts_meanwhile_waits_with_the_others(self, world: World) -> None:
        """
        A new process does not know what was lost; it sees that others are still comparing.
        """
        await beat(world)
        put_back = await copy_of(world.database_url)
        await beat(world)
        world.sandbox.set_knobs(list_delay_seconds=20)
        await world.make("lost")
        await put_back()
        await beat(world)

        starting = await world.node()
        await starting.keeper.ensure(ANN, NewPrototype("lost", PROMPT), wait=0)
        await starting.work()
        for _ in range(25):
            await beat(world, starting)

        assert world.chats_created == 1

    async def test_the_second_to_notice_goes_back_as_far_as_the_first(self, world: World) -> None:
        """
        The first one has beaten since: that beat does not say how old the copy is.
        """
        other = await world.node()
        await beat(world)
        await beat(world, other)
        copied_at = world.clock.now
        put_back = await copy_of(world.database_url)
        world.clock.advance(600)
        await beat(world)
        await beat(world, other)

        await put_back()
        await world.first.context.heartbeat.beat()
        await other.context.heartbeat.beat()

        for node in (world.first, other):
            known_until = node.context.heartbeat.known_until
            assert known_until is not None
            assert known_until <= copied_at

    @both_versions
    async def test_the_first_database_put_back_after_its_copy_was_used_is_noticed(self, world: World) -> None:
        """
        An operator restores the wrong copy, people work on it, and the operator puts back what there was before.
        """
        await beat(world)
        wrong = await copy_of(world.database_url, "wrong")
        for _ in range(40):
            await beat(world)
        before = await copy_of(world.database_url, "before")
        await wrong()
        for _ in range(20):
            await beat(world)
        await world.make("lost")
        assert world.chats_created == 1

        await before()
        await world.ensure("lost")
        await world.work()
        for _ in range(25):
            await beat(world)

        assert world.chats_created == 1
        assert await world.orphans() == set()

    async def test_a_process_that_began_on_the_copy_does_not_say_how_old_it_is(self, world: World) -> None:
        """
        One starts on the copy before one that ran all the time notices: the beat of the first is of now.
        """
        await beat(world)
        copied_at = world.clock.now
        put_back = await copy_of(world.database_url)
        world.clock.advance(3600)
        await beat(world)
        await put_back()
        starting = await world.node(key=None)
        await beat(world, starting)
        world.clock.advance(3)

        await world.first.context.heartbeat.beat()

        assert world.first.context.heartbeat.known_until == copied_at

    async def test_a_process_that_lost_nothing_goes_back_with_one_that_did(self, world: World) -> None:
        """
        The copy is younger than the last beat of a process: only the other one can notice, and says so.
        """
        other = await world.node()
        await beat(world)
        await beat(world, other)
        put_back = await copy_of(world.database_url)
        await world.make("lost")
        await put_back()
        await world.first.context.heartbeat.beat()

        await other.context.heartbeat.beat()
        await other.keeper.ensure(ANN, NewPrototype("lost", PROMPT), wait=0)
        await other.work()
        for _ in range(25):
            await beat(world)
            await beat(world, other)

        assert world.chats_created == 1
        assert [node.context.heartbeat.epoch for node in (world.first, other)] == [2, 2]
        assert other.context.heartbeat.known_until is None

    async def test_a_copy_from_before_any_beat_is_compared_from_the_beginning(self, world: World) -> None:
        """
        The copy knows no process at all: everything since the installation is searched.
        """
        installed_at = world.clock.now
        put_back = await copy_of(world.database_url)
        await beat(world)
        world.clock.advance(3600)
        await beat(world)
        await put_back()

        await world.first.context.heartbeat.beat()

        assert world.first.context.heartbeat.known_until == installed_at

    async def test_any_number_of_processes_go_on(self, world: World) -> None:
        """
        More of them have written since than a reading names: a process still finds its own beat.
        """
        await beat(world)
        epoch = world.first.context.heartbeat.epoch
        world.clock.advance(1)
        at = world.clock.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        others = ", ".join(f"('other-{number}', 1, '{at}', '', NULL, FALSE)" for number in range(150))
        columns = "process_id, beat, beat_at, server, known_until, went_back"
        await run(world.database_url, f"INSERT INTO protokeep_processes ({columns}) VALUES {others}")
        await beat(world)

        assert world.first.context.heartbeat.epoch == epoch

    async def test_another_file_in_the_databases_place_is_opened(self, sqlite_url: str) -> None:
        """
        SQLite's file is replaced by another one: the process notices, and goes on with what is there.
        """
        async with World.open(sqlite_url) as world:
            await beat(world)
            path = Path(sqlite_url.removeprefix("sqlite:///"))
            put_back = path.with_name("other.db")
            with sqlite3.connect(path) as connection:
                connection.execute("VACUUM INTO ?", (str(put_back),))
            await world.make("lost")
            for leftover in ("-wal", "-shm"):
                path.with_name(path.name + leftover).unlink(missing_ok=True)
            shutil.move(put_back, path)

            await world.ensure("lost")
            for _ in range(25):
                await beat(world)

            assert world.chats_created == 1
            assert len(await world.rows("SELECT id FROM design_mockups")) == 1


class TestOtherAccounts:
    async def test_a_key_that_comes_later_is_compared_before_it_is_used(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The copy is of before Ann's own key was set. All that is known there was compared when she sets it again.
        """
        monkeypatch.setattr(provider_accounts, "REFRESH_SECONDS", 0.0)
        keys = ProviderKeys(world.first.context)
        await beat(world)
        put_back = await copy_of(world.database_url)
        await keys.set(ANN, KeyOwner("default", "ann"), "v0", "key-of-ann")
        await world.make("lost")
        await beat(world)
        await put_back()
        for _ in range(20):
            await beat(world)
        assert world.first.context.heartbeat.known_until is None

        await keys.set(ANN, KeyOwner("default", "ann"), "v0", "key-of-ann")
        await world.ensure("lost")
        await world.work()
        for _ in range(5):
            await beat(world)

        assert world.chats_created == 1
        assert await world.orphans() == set()


class TestConfirm:
    async def test_a_process_whose_beat_is_missing_may_not_send(self, world: World) -> None:
        """
        Inside the transaction of "sent" the last beat has to be there.
        """
        heartbeat = world.first.context.heartbeat
        await heartbeat.beat()
        await heartbeat.beat()
        async with world.first.database.transaction() as connection:
            await heartbeat.confirm(connection)

        await run(world.database_url, "UPDATE protokeep_processes SET beat = 1")
        async with world.first.database.transaction() as connection:
            with pytest.raises(DatabaseWentBack):
                await heartbeat.confirm(connection)

    async def test_an_account_compared_before_another_task_noticed_is_compared_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Between the comparison and the mark of a sending, another task notices the older copy and beats anew.
        """
        await beat(world)
        put_back = await copy_of(world.database_url)
        await beat(world)
        await world.make("lost")
        await put_back()
        attend = OrphanReconciler.verify

        async def attended(self: OrphanReconciler, account: str, provider: Provider) -> None:
            await attend(self, account, provider)
            await world.first.context.heartbeat.beat()

        monkeypatch.setattr(OrphanReconciler, "verify", attended)
        await world.ensure("lost")
        await world.work()
        monkeypatch.undo()
        for _ in range(25):
            await beat(world)

        assert world.chats_created == 1

    async def test_an_ordinary_start_beside_others_compares_and_goes_on(self, world: World) -> None:
        """
        It does not wait for lists to catch up: the first create is sent after one search.
        """
        await beat(world)
        starting = await world.node()
        await starting.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)
        await starting.work()

        assert not starting.context.heartbeat.is_settling
        assert world.chats_created == 1

    async def test_a_copy_of_a_moment_ago_is_compared_at_a_start(self, world: World) -> None:
        """
        The processes end, the copy is put back, and one starts within seconds: the copy's beats look alive.
        """
        await beat(world)
        put_back = await copy_of(world.database_url)
        await world.make("lost")
        await put_back()
        world.clock.advance(5)

        starting = await world.node()
        await starting.keeper.ensure(ANN, NewPrototype("lost", PROMPT), wait=0)
        await starting.work()

        assert world.chats_created == 1


class TestLate:
    @on_sqlite
    async def test_a_process_that_cannot_write_says_so(self, world: World) -> None:
        """
        Beats are expected, and do not come: not ready, until one is written.
        """
        heartbeat: Heartbeat = world.first.context.heartbeat
        heartbeat.require_beats()
        heartbeat.expect(3.0)
        world.clock.advance(6.9)
        heartbeat.require_beats()
        world.clock.advance(0.2)
        with pytest.raises(DatabaseUnavailable):
            heartbeat.require_beats()

        await heartbeat.beat()
        heartbeat.require_beats()


class TestReading:
    async def test_a_reading_in_which_the_process_slept_is_made_again(self, world: World) -> None:
        """
        A process is stopped between asking for the time and hearing it: it does not go by a time that is old.
        """
        node = await world.node(steady=True)
        heartbeat = node.context.heartbeat
        await heartbeat.beat()
        clock = heartbeat._store.clock
        slept: list[datetime] = []

        async def slow(wall: datetime | None) -> tuple[datetime, str]:
            told = await clock(wall)
            if not slept:
                slept.append(world.clock.advance(34))
            return told

        heartbeat._store.clock = slow  # type: ignore[method-assign]
        await world.make()
        due = await world.rows("SELECT next_poll_at FROM protokeep_generations")
        await heartbeat.beat()

        assert node.context.clock() == world.clock()
        assert await world.rows("SELECT next_poll_at FROM protokeep_generations") == due

    async def test_creates_sent_during_a_beat_are_no_sign_of_an_older_copy(self, world: World) -> None:
        """
        Creates are sent between the reading of a beat and its judgement: the database knows them, and nothing waits.
        """
        heartbeat = world.first.context.heartbeat
        await heartbeat.beat()
        has_future = heartbeat._store.has_future

        async def sends_meanwhile(latest: datetime) -> bool:
            await world.make()
            return await has_future(latest)

        heartbeat._store.has_future = sends_meanwhile  # type: ignore[method-assign]
        epoch = heartbeat.epoch
        await heartbeat.beat()

        assert (heartbeat.epoch, heartbeat.known_until, world.chats_created) == (epoch, None, 1)
