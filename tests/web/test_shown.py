"""JSON that is kept is the JSON that would be made anew."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from protokeep.core.generation import FollowUp, Generation, Polling, Reason, RecoveryPoint, Submission
from protokeep.core.prototype import PollingPause, Prototype, Status, TrackedPrototype
from protokeep.store.mapping import KEPT, KEPT_PROMPT
from protokeep.web.models import PrototypeView
from protokeep.web.serialization import Kept, json_of, validator_of

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


@given(prototypes(), st.lists(MOMENTS, min_size=1, max_size=4))
def test_as_made_anew(prototype: Prototype, moments: list[datetime]) -> None:
    """
    Whatever the time is, and however often it was asked for.
    """
    for now in moments:
        told: dict[str, Any] = json.loads(json_of(prototype, now))
        assert told == json.loads(to_json(PrototypeView.fields_of(prototype, now)))
        PrototypeView.model_validate(told)


@given(prototypes(), prototypes())
def test_validators(one: Prototype, other: Prototype) -> None:
    """
    Equal prototypes have equal validators, also when they are not the same object; another status is another one.
    """
    assert validator_of(one) == validator_of(replace(one))
    assert (validator_of(one) == validator_of(other)) >= (one == other)
    if one.status is not other.status:
        assert validator_of(one) != validator_of(replace(one, status=other.status))


def test_only_so_many() -> None:
    """
    What is kept has an end, long prompts are not kept, and an equal one of another's is made by itself.
    """
    made: list[str] = []
    kept = Kept(lambda prototype: made.append(prototype.id))
    first = Prototype("1", "p", None, "v0", "short", Status.PENDING, NOW, NOW)
    long = replace(first, id="2", prompt="x" * (KEPT_PROMPT + 1))
    for prototype in (first, first, replace(first), long, long):
        kept.of(prototype)
    assert made == ["1", "1", "2", "2"]

    many = [replace(first, id=str(number)) for number in range(2 * KEPT)]
    for prototype in many:
        kept.of(prototype)
    assert len(kept._made) <= KEPT
