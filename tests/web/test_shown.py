"""Prototypes as JSON, and their validators."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from protokeep.core.prototype import Generation, PollingPause, Prototype, RecoveryPoint, Status
from protokeep.web.models import PrototypeView
from protokeep.web.serialization import json_of, validator_of

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
        recovery_point=draw(st.sampled_from(RecoveryPoint)),
        attempts=1,
        lookups=0,
        outcome_unknown=draw(st.booleans()),
        fence=1,
        version=1,
        awaiting_input=False,
        poll_count=3,
        created_at=made,
        settled_at=draw(st.none() | MOMENTS),
        hold_code=draw(st.none() | st.just("rate_limited")),
        hold_message=draw(st.none() | NASTY),
        error_code=draw(st.none() | st.just("failed")),
        error_message=draw(st.none() | NASTY),
        turn=draw(st.integers(1, 2)),
        follow_up_at=draw(st.none() | MOMENTS),
        picture_etag=draw(st.none() | st.just("e")),
    )


@st.composite
def prototypes(draw: st.DrawFn) -> Prototype:
    return Prototype(
        id="00000000-0000-4000-8000-000000000001",
        product_id="p-1",
        user_id="ann",
        provider="v0",
        prompt=draw(NASTY),
        status=draw(st.sampled_from(Status)),
        created_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
        generation=draw(st.none() | generations()),
        polling_pause=draw(st.none() | st.builds(PollingPause, until=MOMENTS, code=st.just("slowed"), message=NASTY)),
    )


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
