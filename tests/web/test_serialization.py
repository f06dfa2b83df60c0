"""Prototypes as JSON are what the models say, and equal ones have equal validators."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.generation import FollowUp, Generation, Polling, Reason, RecoveryPoint, Submission
from protokeep.core.prototype import PollingPause, Prototype, Status, TrackedPrototype
from protokeep.web.models import MockupsView, PrototypeView
from protokeep.web.serialization import View, etag_of, list_json, prototype_json

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(-300, 300).map(lambda seconds: NOW + timedelta(seconds=seconds))
NASTY = st.sampled_from(["a page", '"elapsed_seconds":null', '{"elapsed_seconds":null}', "ü \\ \n \u2028", ""])


@st.composite
def generations(draw: st.DrawFn) -> Generation:
    made = draw(MOMENTS)
    return Generation(
        workspace_id="default",
        account="v0:environment",
        api_version=2,
        marker="m",
        created_by="ann",
        created_at=made,
        submission=Submission(
            draw(st.sampled_from(RecoveryPoint)), fence=1, attempts=1, outcome_unknown=draw(st.booleans())
        ),
        version=1,
        polling=Polling(poll_count=3),
        settled_at=draw(st.none() | MOMENTS),
        hold=Reason(draw(st.none() | st.just("rate_limited")), draw(st.none() | NASTY)),
        error=Reason(draw(st.none() | st.just("failed")), draw(st.none() | NASTY)),
        follow_up=FollowUp(turn=draw(st.integers(1, 2)), requested_at=draw(st.none() | MOMENTS)),
        picture_etag=draw(st.none() | st.just("e")),
    )


@st.composite
def prototypes(draw: st.DrawFn) -> Prototype:
    prototype = Prototype(
        id="00000000-0000-4000-8000-000000000001",
        product_id="p-1",
        user_id="ann",
        provider="v0",
        prompt=draw(NASTY),
        status=draw(st.sampled_from(Status)),
        created_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
        polling_pause=draw(st.none() | st.builds(PollingPause, until=MOMENTS, code=st.just("slowed"), message=NASTY)),
    )
    generation = draw(st.none() | generations())
    if generation is None:
        return prototype
    row = {field.name: getattr(prototype, field.name) for field in fields(Prototype)}
    return TrackedPrototype(**row, generation=generation)


@given(st.lists(prototypes(), max_size=3), MOMENTS)
def test_json_is_what_the_models_say(several: list[Prototype], now: datetime) -> None:
    """
    The fields of the view, in its order, and each with the value that the view would have.
    """
    for prototype in several:
        told: dict[str, Any] = json.loads(prototype_json(View.of(prototype, now)))
        assert list(told) == list(PrototypeView.model_fields)
        assert PrototypeView.model_validate(told) == PrototypeView.of(prototype, now)
    page = MockupsView.model_validate_json(list_json([View.of(prototype, now) for prototype in several], "c"))
    assert page == MockupsView(mockups=[PrototypeView.of(one, now) for one in several], next_cursor="c")


@given(prototypes(), prototypes())
def test_validators(one: Prototype, other: Prototype) -> None:
    """
    Equal prototypes have equal validators, also when they are not the same object; another status is another one.
    """
    assert etag_of([View.of(one, NOW)]) == etag_of([View.of(replace(one), NOW)])
    assert (etag_of([View.of(one, NOW)]) == etag_of([View.of(other, NOW)])) >= (one == other)
    if one.status is not other.status:
        assert etag_of([View.of(one, NOW)]) != etag_of([View.of(replace(one, status=other.status), NOW)])


@given(prototypes(), prototypes())
def test_validators_of_lists(one: Prototype, other: Prototype) -> None:
    """
    The order of a page, and whether another one follows, count.
    """
    assert etag_of([View.of(one, NOW)]) != etag_of([View.of(one, NOW), View.of(one, NOW)])
    assert etag_of([View.of(one, NOW)]) != etag_of([View.of(one, NOW)], "c")
    if etag_of([View.of(one, NOW)]) != etag_of([View.of(other, NOW)]):
        assert etag_of([View.of(one, NOW), View.of(other, NOW)]) != etag_of([View.of(other, NOW), View.of(one, NOW)])
