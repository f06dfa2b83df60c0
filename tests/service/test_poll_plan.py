"""Which looks are made when calls are short."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from factories import NOW, after, prototype
from protokeep.core.call_budget import CallAllowance, Limits, allowance_of
from protokeep.core.poll_plan import plan_polls
from protokeep.core.prototype import Status, TrackedPrototype
from protokeep.core.timing import Timing
from protokeep.providers.base import Provider
from tracked import generation_of, tracked
from world import World

MINUTE = NOW.replace(second=0, microsecond=0)


class Lists:
    """A builder of whose chats one call tells a hundred."""

    @staticmethod
    def polling_cost(chats: int) -> int:
        return -(-chats // 100)


PROVIDER = cast(Provider, Lists())


def within_budget(
    due: list[TrackedPrototype], allowance: CallAllowance, now: datetime, provider: Provider, *, batched: bool
) -> tuple[list[TrackedPrototype], list[TrackedPrototype]]:
    """The prototypes that are polled, and those that are postponed."""
    plan = plan_polls(due, allowance, now, Timing(), batched=batched, cost=provider.polling_cost)
    return plan.polled, list(plan.postponed)


def many(watched: int = 0, fresh: int = 0, old: int = 0) -> list[TrackedPrototype]:
    """So many of each rank, the least urgent first."""
    long_ago = MINUTE - timedelta(hours=1)

    def one(**values: Any) -> TrackedPrototype:
        return prototype(Status.IN_PROGRESS, **values)

    return [
        *(one(created_at=long_ago) for _ in range(old)),
        *(one(created_at=MINUTE) for _ in range(fresh)),
        *(one(created_at=long_ago, watched_until=after(60)) for _ in range(watched)),
    ]


def minute(calls: int, spent: int = 0) -> CallAllowance:
    """What a minute's limit leaves at its beginning, where a tenth of it may be spent."""
    return allowance_of(Limits(per_minute=calls), spent, 0, MINUTE)


def counted(prototypes: list[TrackedPrototype]) -> tuple[int, int, int]:
    """How many are watched, fresh and old."""
    watched = sum(generation_of(one).polling.watched_until is not None for one in prototypes)
    fresh = sum(generation_of(one).created_at == MINUTE for one in prototypes)
    return watched, fresh, len(prototypes) - watched - fresh


def test_without_a_limit_nothing_is_postponed_and_watched_come_first() -> None:
    """
    Where nothing is short nothing is put off; watched ones come first.
    """
    looks, put_off = within_budget(many(1, 1, 1), CallAllowance(None, 0, MINUTE), MINUTE, PROVIDER, batched=False)

    assert [counted([one]) for one in looks] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert put_off == []


def test_single_polls_go_by_priority_each_up_to_its_share() -> None:
    """
    One call each: watched ones take what there is, then fresh ones, then old ones, each up to its share.
    """
    looks, put_off = within_budget(many(3, 3, 3), minute(50), MINUTE, PROVIDER, batched=False)
    assert (counted(looks), counted(put_off)) == ((3, 0, 0), (0, 3, 3))

    looks, put_off = within_budget(many(1, 5, 5), minute(50), MINUTE, PROVIDER, batched=False)
    assert (counted(looks), counted(put_off)) == ((1, 2, 0), (0, 3, 5))

    looks, put_off = within_budget(many(0, 0, 5), minute(50), MINUTE, PROVIDER, batched=False)
    assert (counted(looks), counted(put_off)) == ((0, 0, 2), (0, 0, 3))

    looks, put_off = within_budget(many(9, 9, 9), minute(50, 50), MINUTE, PROVIDER, batched=False)
    assert (looks, len(put_off)) == ([], 27)


def test_a_shared_call_is_made_as_soon_as_the_most_urgent_pays() -> None:
    """
    Where one call tells of many, all are looked at as soon as the most urgent one pays for the calls.
    """
    everything = many(1, 0, 249)
    assert counted(within_budget(everything, minute(40), MINUTE, PROVIDER, batched=True)[0]) == (1, 0, 249)
    assert within_budget(everything, minute(20), MINUTE, PROVIDER, batched=True)[0] == []
    assert len(within_budget(everything, minute(20), MINUTE, PROVIDER, batched=True)[1]) == 250
    # Old ones alone have a smaller share.
    assert within_budget(many(0, 0, 250), minute(40), MINUTE, PROVIDER, batched=True)[0] == []
    assert len(within_budget(many(0, 0, 250), minute(60), MINUTE, PROVIDER, batched=True)[0]) == 250


def test_a_sweep_larger_than_a_minutes_calls_is_made_in_a_whole_minute() -> None:
    """
    A sweep that costs more than a whole minute has is made when a whole minute is there, not never.
    """
    everything = many(1, 0, 2000)
    assert within_budget(everything, minute(10), MINUTE, PROVIDER, batched=True)[0] == []
    late = allowance_of(Limits(per_minute=10), 0, 0, MINUTE + timedelta(seconds=54))
    assert len(within_budget(everything, late, MINUTE, PROVIDER, batched=True)[0]) == 2001


async def test_with_few_calls_everything_is_polled_in_the_end(world: World) -> None:
    """
    With few calls everything is looked at in the end: a minute later is no better moment than now.
    """
    made = [await world.make(f"p-{number}") for number in range(4)]
    world.first.context.limits = Limits(per_minute=2)

    await world.live(900, step=5)

    assert {(await world.get(one.id)).status for one in made} == {Status.COMPLETED}


async def test_postponed_polls_do_not_time_out(world: World) -> None:
    """
    Put off again and again, each time for less than anybody calls late: time in which nobody looked is no slowness.
    """
    made = await world.make()
    for _ in range(45):
        await world.keeper._poller._postpone(
            [tracked(await world.get(made.id))], world.clock.advance(3) + timedelta(seconds=17)
        )
        world.clock.advance(17)
    with world.knobs(fail_next=[{"status": 500}]):
        await world.sweep()

    assert (await world.get(made.id)).status is Status.PENDING


async def test_postponed_polls_wait_at_most_a_minute_and_say_why(world: World) -> None:
    """
    When calls run short looks are put off by at most a minute, nothing is lost, and it is shown why.
    """
    world.first.context.limits = Limits(per_minute=10)
    made = [await world.make(f"p-{number}") for number in range(8)]
    world.clock.advance(3)
    await world.sweep()

    later = [generation_of(await world.get(one.id)).polling.next_poll_at for one in made]
    assert all(due is not None and due > world.clock.now for due in later)
    held = await world.store.accounts.get("v0:environment")
    assert held.polling_paused_code == "short_of_calls"
    await world.live(300)
    assert {(await world.get(one.id)).status for one in made} == {Status.COMPLETED}
