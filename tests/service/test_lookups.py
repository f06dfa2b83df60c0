"""One look-up of an account serves all its lost answers, within its calls; what it did not see it does not deny."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from foreign_chats import plant
from protokeep import doctor
from protokeep.core.call_budget import Limits
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import State, Status
from protokeep.core.provider_keys import KeyOwner
from protokeep.service import NewPrototype, provider_accounts
from protokeep.service.chat_metadata import Signer, chat_metadata
from protokeep.service.provider_keys import ProviderKeys
from tracked import generation_of, tracked
from world import ANN, World, both_versions, on_sqlite, quick

LISTS = ("chats.list", "chats.find")
DETAILS = ("chats.getById",)
ADMIN = Principal("default", "adam", Role.ADMIN, "token-of-adam")
SECRET = b"secret-of-the-tests"
only_v1 = pytest.mark.parametrize(
    ("database_url", "api_version"), [("sqlite", 1), ("postgresql", 1)], indirect=["database_url"]
)


async def lose(world: World, count: int, **knobs: Any) -> list[str]:
    """So many creates whose answers are lost; the ids of their prototypes."""
    with world.knobs(drop_next_answers=count, **knobs):
        return [(await world.make(f"lost-{number}")).id for number in range(count)]


async def never_made(world: World) -> str:
    """A create that failed without an effect, and is undecided; the id of its prototype."""
    with world.knobs(fail_next=[{"operation": "chats.create*", "status": 500}]):
        made = await world.make("never-made")
    assert (made.state, world.chats_created) == (State.UNDECIDED, 0)
    return made.id


class TestCalls:
    @both_versions
    async def test_five_lost_answers_among_150_chats_take_few_calls(self, world: World) -> None:
        """
        Lists show chats a minute late, and v1's rows carry no marks: each chat is read once, by one look-up for all.
        """
        plant(world, timedelta(minutes=50), 150)
        world.sandbox.set_knobs(list_delay_seconds=60, drop_every=2, generation_seconds=1)
        made = []
        for number in range(10):
            made.append((await world.make(f"p-{number}")).id)
            world.clock.advance(0.3)
        world.sandbox.set_knobs(drop_every=0)

        await world.live(87, step=2)

        assert world.calls() <= 300
        assert [(await world.get(one)).chat_id is not None for one in made] == [True] * 10
        assert world.chats_created == 150 + 10

    @both_versions
    async def test_submits_at_once_share_one_search(self, world: World) -> None:
        """
        Twenty rows are looked up at the same moment, and the list is read once.
        """
        world.first.context.timing = quick(circuit_failures=100)
        lost = await lose(world, 20)
        before = world.calls()
        world.clock.advance(3)

        await asyncio.gather(*(world.keeper.submit(one) for one in lost))

        assert {(await world.get(one)).chat_id for one in lost} == set(world.sandbox.chats)
        assert world.calls(*LISTS) <= 3
        assert world.calls() - before <= 20 + 3

    @both_versions
    async def test_a_request_for_fewer_calls_is_obeyed_by_every_process(self, world: World) -> None:
        """
        A 429 on the list pauses look-ups and looks of the account, here and elsewhere, until the time it names.
        """
        (lost,) = await lose(world, 1)
        other = await world.node()
        rules = [{"operation": operation, "status": 429, "retry_after": 60, "times": None} for operation in LISTS]
        with world.knobs(fail_next=rules):
            before = world.calls(*LISTS)
            for _ in range(27):
                world.clock.advance(2)
                await world.sweep()
                await other.sweep()
            assert world.calls(*LISTS) - before <= 2
        assert (await world.get(lost)).state is State.UNDECIDED

        await world.live(30)
        assert (await world.get(lost)).chat_id == world.chat.id

    @only_v1
    async def test_look_ups_stay_within_the_budget_and_go_on(self, world: World) -> None:
        """
        A hundred unknown chats and twenty calls a minute: the look-up takes minutes, and ends.
        """
        world.first.context.limits = Limits(per_minute=20)
        plant(world, timedelta(minutes=10), 100)
        (lost,) = await lose(world, 1)
        for _ in range(10):
            before = world.calls()
            await world.live(60, step=5)
            assert world.calls() - before <= 40  # Two minutes of the clock meet in one of ours.

        assert (await world.get(lost)).chat_id is not None
        assert world.creates == 1

    @only_v1
    async def test_a_create_that_never_happened_is_resent_within_the_budget(self, world: World) -> None:
        """
        Absence needs the whole list, part by part: it is sent again once, and not before.
        """
        world.first.context.limits = Limits(per_minute=30)
        made = await never_made(world)
        plant(world, timedelta(days=30), 1500)
        world.sandbox.set_knobs(list_order="oldest")

        await world.live(1500, step=5)

        assert (await world.get(made)).status is Status.COMPLETED
        assert world.creates == 2


class TestAbsence:
    @only_v1
    async def test_a_lost_chat_behind_old_favourites_is_found(self, world: World) -> None:
        """
        Sixty old favourites come first, newest first among themselves: the lost chat behind them is found.
        """
        plant(world, timedelta(days=400), 200)
        plant(world, timedelta(days=300), 60, favorite=True)
        world.sandbox.set_knobs(list_order="favorites")
        (lost,) = await lose(world, 1)

        await world.live(300, step=5)

        assert (await world.get(lost)).status is Status.COMPLETED
        assert world.creates == 1

    @only_v1
    async def test_a_private_chat_only_keeps_a_create_from_being_called_absent(self, world: World) -> None:
        """
        A team-mate's private chat of the last minutes is passed over. What is there is adopted; what is not there is
        undecided, until the chat can be read.
        """
        (private,) = plant(world, timedelta(minutes=10), forbidden=True)
        (lost,) = await lose(world, 1)
        never = (await self._failed(world)).id
        await world.live(400, step=5)
        assert (await world.get(lost)).status is Status.COMPLETED
        undecided = generation_of(await world.get(never))
        assert ((await world.get(never)).state, undecided.submission.lookups, world.creates) == (State.UNDECIDED, 0, 2)

        private.forbidden = False
        await world.live(8000, step=60)

        assert (await world.get(never)).status is Status.COMPLETED
        assert world.creates == 3

    async def _failed(self, world: World) -> Any:
        with world.knobs(fail_next=[{"operation": "chats.create*", "status": 500}]):
            return await world.make("never-made")

    @only_v1
    async def test_an_old_private_chat_decides_nothing(self, world: World) -> None:
        """
        It was made hours before the create was sent.
        """
        plant(world, timedelta(hours=3), forbidden=True)
        made = await self._failed(world)

        await world.live(130)

        assert (await world.get(made.id)).status is Status.COMPLETED
        assert world.creates == 2

    @pytest.mark.parametrize(("database_url", "api_version"), [("sqlite", 2)], indirect=["database_url"])
    async def test_a_lost_chat_is_found_though_the_filter_is_ignored(self, world: World) -> None:
        """
        v2 answers everybody's chats: the lost one among them is found, and what is not there is sent again once.
        """
        plant(world, timedelta(days=3), 250)
        world.sandbox.set_knobs(ignore_filter=True)
        (lost,) = await lose(world, 1)
        never = await self._failed(world)

        await world.live(200, step=5)

        assert (await world.get(lost)).status is Status.COMPLETED
        assert (await world.get(never.id)).status is Status.COMPLETED
        assert world.creates == 3

    @both_versions
    async def test_one_look_up_counts_once(self, world: World) -> None:
        """
        However many processes and sweeps meet it: two whole searches are needed before a create is sent again.
        """
        made = await self._failed(world)
        with world.knobs(fail_next=[{"operation": one, "status": 500, "times": None} for one in LISTS]):
            await world.live(200, step=10)
        assert generation_of(await world.get(made.id)).submission.lookups == 0

        await world.live(70, step=1)

        kinds = await world.kinds(await world.get(made.id))
        assert kinds.count("sent") == 2
        assert world.creates == 2

    @both_versions
    async def test_a_forged_chat_is_not_adopted(self, world: World) -> None:
        """
        A chat that names a lost create under a wrong signature is not taken for it, and is named for people.
        """
        made = await self._failed(world)
        prototype = await world.get(made.id)
        keeper_id, _ = await world.store.installation()
        forged = chat_metadata(Signer(b"somebody else's"), keeper_id, tracked(prototype))
        (chat,) = plant(world, metadata=forged)

        await world.live(150)

        assert (await world.get(made.id)).chat_id is None
        (noted,) = await world.store.searches.unreadable(world.clock())
        assert noted.chat_id == chat.id

    @both_versions
    async def test_an_unsigned_chat_is_not_adopted_and_nothing_is_sent_again(self, world: World) -> None:
        """
        Whoever sees the prototype knows its marker. The chat may be ours all the same: it stays undecided.
        """
        made = await self._failed(world)
        keeper_id, _ = await world.store.installation()
        (chat,) = plant(world, metadata={"protokeep": keeper_id, "protokeep_marker": made.id})

        await world.live(150)

        undecided = await world.get(made.id)
        assert (undecided.chat_id, undecided.state) == (None, State.UNDECIDED)
        assert (await world.kinds(undecided)).count("sent") == 1
        (noted,) = await world.store.searches.unreadable(world.clock())
        assert noted.chat_id == chat.id


class TestRemembered:
    @both_versions
    async def test_a_search_serves_until_the_database_or_the_key_changes(self, world: World) -> None:
        """
        What an earlier search did not find proves nothing about an older copy of the database, or for another key.
        """
        claimed = (await world.ensure()).prototype
        world.clock.advance(world.timing.claim_is_fresh.total_seconds() + 1)
        lookups = world.keeper._lookups
        provider = world.keeper.context.providers.for_new()[0][1]
        assert (await lookups.find(tracked(claimed), provider)).absent
        before = world.calls()
        assert (await lookups.find(tracked(claimed), provider)).absent
        assert world.calls() == before

        (other,) = [one for _, one in (await world.node()).context.providers.for_new()]
        assert not (await lookups.find(tracked(claimed), other)).absent
        world.clock.advance(20)
        assert (await lookups.find(tracked(claimed), other)).absent
        world.first.context.heartbeat.epoch += 1
        assert not (await lookups.find(tracked(claimed), other)).absent


class TestClockSteps:
    @both_versions
    async def test_a_clock_set_back_between_two_look_ups_delays_no_decision(self, world: World) -> None:
        """
        The first of the look-ups that decide was made by a clock an hour ahead: it counts for nothing any more.
        """
        node = await world.node(steady=True)
        await node.context.heartbeat.beat()
        lost = await never_made(world)

        async def live(seconds: int) -> None:
            for _ in range(seconds // 3):
                world.clock.advance(3)
                await node.context.heartbeat.beat()
                await node.sweep()

        while generation_of(await world.get(lost)).submission.lookups == 0:
            await live(3)
        world.clock.step(-3600)
        await live(180)

        assert world.chats_created == 1
        assert (await world.get(lost)).chat_id == world.chat.id


class TestKeys:
    @both_versions
    async def test_a_key_of_another_team_denies_no_create(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        An answer is lost, and the key is changed to another team's: its list cannot show what the first one made.
        """
        monkeypatch.setattr(provider_accounts, "REFRESH_SECONDS", 0.0)
        keys = ProviderKeys(world.first.context)
        await keys.set(ADMIN, KeyOwner("default"), "v0", "key-of-a-team")
        (lost,) = await lose(world, 1)
        world.clock.advance(1)
        await keys.set(ADMIN, KeyOwner("default"), "v0", "key-of-another-team")

        await world.live(600)
        assert world.chats_created == 1
        assert (await world.get(lost)).state is State.UNDECIDED

        await keys.set(ADMIN, KeyOwner("default"), "v0", "key-of-a-team")
        await world.live(120)
        assert world.chats_created == 1
        assert (await world.get(lost)).chat_id == world.chat.id

    @both_versions
    async def test_a_new_key_of_the_same_team_decides(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It shows what was made before it was set: what it does not show was never made, and is sent again.
        """
        monkeypatch.setattr(provider_accounts, "REFRESH_SECONDS", 0.0)
        keys = ProviderKeys(world.first.context)
        await keys.set(ADMIN, KeyOwner("default"), "v0", "key-of-a-team")
        await world.complete("older")
        with world.knobs(fail_next=[{"operation": "chats.create*", "status": 500}]):
            lost = await world.make("never-made")
        world.clock.advance(1)
        await keys.set(ADMIN, KeyOwner("default"), "v0", "key-of-a-team")

        await world.live(180)

        assert world.chats_created == 2
        assert (await world.get(lost.id)).state is State.READY


class TestUnreadable:
    @only_v1
    async def test_unreadable_chats_are_named_for_people_for_a_week(self, world: World) -> None:
        """
        `doctor` lists each chat that is passed over, with the reason; a week after it was last met it is forgotten.
        """
        (private,) = plant(world, timedelta(minutes=10), forbidden=True)
        await lose(world, 1)
        await world.live(60)

        application: Any = SimpleNamespace(keeper=world.keeper)
        (finding,) = await doctor._check_unreadable_chats(application)

        assert finding.level == "unsafe"
        assert private.id in finding.text
        assert "403" in finding.text
        world.clock.advance(8 * 86400)
        assert await doctor._check_unreadable_chats(application) == []

    @on_sqlite
    async def test_a_bounded_number_of_unreadable_chats_is_kept(self, world: World) -> None:
        for number in range(60):
            await world.store.searches.note_unreadable("v0:one", {f"chat-{number}": "private"}, world.clock())
        await world.store.searches.note_unreadable("v0:two", {"chat": "private"}, world.clock())

        noted = await world.store.searches.unreadable(world.clock())

        assert [one.chat_id for one in noted if one.account == "v0:one"] == [f"chat-{n}" for n in range(40, 60)]
        assert [one.chat_id for one in noted if one.account == "v0:two"] == ["chat"]

    @only_v1
    async def test_creates_go_on_after_a_restart_beside_an_unreadable_chat(self, world: World) -> None:
        """
        A process that starts beside an unreadable chat sends what is asked for.
        """
        await world.complete("before")
        plant(world, timedelta(minutes=10), forbidden=True)
        world.clock.advance(60)
        node = await world.node(single_process=True)
        await node.keeper.reconcile()

        asked = await node.keeper.ensure(ANN, NewPrototype("after", "A page"), wait=0)
        await node.work()

        assert (await world.get(asked.prototype.id)).chat_id is not None

    @only_v1
    async def test_a_refusal_of_one_chat_ends_no_round_of_polls(self, world: World) -> None:
        """
        One of our own chats is refused (403): the others are looked at all the same.
        """
        first, second = await world.make("p-1"), await world.make("p-2")
        world.sandbox.chats[first.chat_id or ""].forbidden = True
        with world.knobs(list_delay_seconds=0):
            for chat in world.sandbox.chats.values():
                chat.listed_at = world.clock.now + timedelta(days=1)  # Each is read by itself.
            await world.live(40)

        assert (await world.get(second.id)).status is Status.COMPLETED
