"""While an account is paused nothing is sent for it; then one finds out, and the others wait for that."""

from __future__ import annotations

from datetime import timedelta

from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, State
from tracked import generation_of
from world import World, both_versions

CREATES = "chats.create*"
PAUSED = [{"operation": CREATES, "status": 402, "message": "Top up."}]


async def parked(world: World, *products: str) -> list[Prototype]:
    """One that the builder put off, and others that met the pause."""
    with world.knobs(fail_next=[dict(rule) for rule in PAUSED]):
        made = [await world.make(product) for product in products]
    assert {one.state for one in made} == {State.PARKED}
    return made


class TestParked:
    async def test_a_parked_row_is_left_alone_until_its_time(self, world: World) -> None:
        """
        A parked row is not even taken before its time, whoever is told of it, however often.
        """
        (made,) = await parked(world, "p-1")
        other = await world.node()
        before = await world.get(made.id)

        for _ in range(5):
            world.clock.advance(20)
            await other.keeper.submit(made.id)
            await other.sweep()
            await world.keeper.submit(made.id)
        assert (await world.get(made.id), world.creates) == (before, 1)

        world.clock.advance(21)
        await other.keeper.submit(made.id)
        assert (world.chats_created, world.creates) == (1, 2)

    async def test_one_create_probes_after_a_pause_and_the_others_wait(self, world: World) -> None:
        """
        When the pause is over one create finds out, while the others of several processes wait; then they go on.
        """
        made = await parked(world, *(f"p-{number}" for number in range(4)))
        other = await world.node()
        world.clock.advance(world.timing.credits_pause.total_seconds() + 2)
        world.sandbox.set_knobs(fail_next=[dict(rule) for rule in PAUSED])

        await world.sweep()
        await other.sweep()
        assert world.creates == 2
        world.clock.advance(world.timing.credits_pause.total_seconds() / 2)
        await other.sweep()
        assert world.creates == 2

        world.clock.advance(world.timing.credits_pause.total_seconds())
        await other.sweep()
        await world.sweep()
        await other.sweep()

        assert world.chats_created == len(made)
        assert {(await world.get(one.id)).state for one in made} == {State.MAKING}

    async def test_a_create_during_a_pause_is_parked_without_a_call(self, world: World) -> None:
        """
        Whoever asks during the pause gets a row that says why it waits and until when; v0 is not asked.
        """
        (first,) = await parked(world, "p-1")
        world.clock.advance(30)

        new = await world.make("p-2")

        generation = generation_of(new)
        assert (new.state, generation.hold.code, world.creates) == (State.PARKED, "out_of_credits", 1)
        assert "Top up." in (generation.hold.message or "")
        assert (generation.submission.recovery_point, generation.submission.attempts) == (RecoveryPoint.CLAIMED, 0)
        assert generation.submission.next_try_at == generation_of(first).submission.next_try_at
        assert (await world.kinds(new)).count("parked") == 1


class TestUndecided:
    @both_versions
    async def test_a_lost_answer_is_looked_up_in_growing_pauses(self, world: World) -> None:
        """
        A lost answer is looked up soon, then ever more seldom; a sweep between two look-ups makes no call.
        """
        world.sandbox.set_knobs(drop_next_answers=1, list_delay_seconds=80)
        made = await world.make()
        assert made.state is State.UNDECIDED
        pauses = []
        for _ in range(4):
            due = generation_of(await world.get(made.id)).submission.next_try_at
            assert due is not None
            pauses.append((due - world.clock.now).total_seconds())
            assert pauses[-1] >= 1
            calls = world.calls()
            world.clock.now = due - timedelta(milliseconds=10)
            await world.sweep()
            assert world.calls() == calls
            world.clock.now = due
            await world.sweep()

        assert pauses == sorted(pauses)
        await world.live(120)
        assert (await world.get(made.id)).chat_id == world.chat.id
        assert (world.chats_created, world.creates) == (1, 1)

    @both_versions
    async def test_a_create_that_acted_and_answered_408_is_adopted(self, world: World) -> None:
        """
        A 408 to a create tells nothing: it is looked up, found and adopted, not failed and not sent again.
        """
        world.sandbox.set_knobs(fail_after_acting=[{"operation": CREATES, "status": 408}])

        made = await world.make()
        assert made.state is State.UNDECIDED
        await world.live(120)

        assert (await world.get(made.id)).chat_id == world.chat.id
        assert (world.chats_created, world.creates) == (1, 1)

    @both_versions
    async def test_a_create_that_did_not_act_and_answered_408_is_sent_again(self, world: World) -> None:
        """
        A 408 to a create that v0 did not carry out is sent again, after the settle time.
        """
        world.sandbox.set_knobs(fail_next=[{"operation": CREATES, "status": 408}])

        made = await world.make()
        assert made.state is State.UNDECIDED
        await world.live(80)
        assert world.creates == 1
        await world.live(60)

        assert (await world.get(made.id)).chat_id == world.chat.id
        assert (world.chats_created, world.creates) == (1, 2)
