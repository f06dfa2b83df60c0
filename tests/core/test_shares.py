"""Shares of people and workspaces, and who takes turns."""

from __future__ import annotations

import contextlib

import pytest

from factories import NOW, prototype
from protokeep.core.call_budget import Limits, allowance_of
from protokeep.core.errors import InvalidInput, TooMany
from protokeep.core.poll_plan import plan_polls
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Status, TrackedPrototype
from protokeep.core.rate_limit import TokenBucket
from protokeep.core.shares import Shares
from protokeep.core.timing import Timing
from protokeep.core.token_limits import TokenLimits
from tracked import generation_of


def person(workspace_id: str, user_id: str) -> Principal:
    return Principal(workspace_id, user_id, Role.VIEWER, "t")


def test_a_person_a_workspace_and_a_process_hold_so_much_and_no_more() -> None:
    """
    Whoever holds all that they may is told so; others have room; what is let go may be held again.
    """
    shares = Shares(per_person=2, per_process=9)
    ann, bob, eve = person("a", "ann"), person("a", "bob"), person("b", "eve")
    with contextlib.ExitStack() as held:
        for one in (ann, ann, bob):
            assert shares.full(one) is None
            held.enter_context(shares.held(one))
        assert [shares.full(one) for one in (ann, bob, eve)] == ["person", "workspace", None]
        for number in range(6):
            held.enter_context(shares.held(person(f"w-{number % 2}", f"p-{number}")))
        assert shares.full(eve) == "process"
    assert [shares.full(one) for one in (ann, bob, eve)] == [None, None, None]


def test_people_whose_names_join_to_the_same_text_have_shares_of_their_own() -> None:
    shares = Shares(per_person=1, per_process=9)
    with shares.held(person("a/b", "c")):
        assert shares.full(person("a", "b/c")) is None


def test_nothing_is_remembered_of_those_who_hold_nothing() -> None:
    shares = Shares(per_person=1, per_process=9)
    for number in range(100):
        with shares.held(person(f"w-{number}", f"p-{number}")):
            pass
    assert (len(shares._of_people), len(shares._of_workspaces)) == (0, 0)


def test_a_costly_request_counts_as_many_and_is_possible_after_a_pause() -> None:
    rate = TokenBucket(60, "Too fast", at_once=0.1)
    rate.take("ann", 0, cost=4)
    with pytest.raises(TooMany):
        rate.take("ann", 0, cost=4)
    rate.take("ann", 2, cost=4)
    # What costs more than may ever come at once is possible all the same, after a pause.
    with pytest.raises(TooMany):
        rate.take("ann", 3, cost=1000)
    rate.take("ann", 9, cost=1000)


def of_workspace(workspace_id: str, number: int, *, watched: bool = False) -> list[TrackedPrototype]:
    watched_until = NOW.replace(year=2027) if watched else None
    made = [prototype(Status.IN_PROGRESS, watched_until=watched_until, created_at=NOW) for _ in range(number)]
    return [one.with_generation(workspace_id=workspace_id) for one in made]


def test_a_workspace_with_many_watched_prototypes_leaves_calls_for_another_ones_few() -> None:
    """
    Calls are short, and one workspace has hundreds of prototypes open: the one of another, which nobody has open, is
    polled in the same round.
    """
    many, one = of_workspace("many", 300, watched=True), of_workspace("few", 1)
    allowance = allowance_of(Limits(per_minute=100), 0, 0, NOW.replace(second=0))
    plan = plan_polls([*many, *one], allowance, NOW, Timing(), batched=False, cost=lambda chats: chats)

    assert one[0] in plan.polled
    assert len(plan.polled) == 9
    assert {generation_of(polled).workspace_id for polled in plan.postponed} == {"many"}


def test_a_token_lasts_no_longer_than_the_operator_says() -> None:
    limits = TokenLimits(days_most=30)
    assert [limits.life_of(days) for days in (None, 7, 30)] == [30, 7, 30]
    for days in (0, 31, 3650):
        with pytest.raises(InvalidInput, match="1 to 30 days"):
            limits.life_of(days)
    free = TokenLimits()
    assert [free.life_of(days) for days in (None, 3650)] == [None, 3650]
