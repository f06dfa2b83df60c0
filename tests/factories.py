"""Prototypes as values, made up for tests of the pure core."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from protokeep.core import polling
from protokeep.core.absence import AccountVisibility
from protokeep.core.generation import (
    Absence,
    FollowUp,
    Generation,
    Links,
    Polling,
    Reason,
    RecoveryPoint,
    Submission,
)
from protokeep.core.prototype import Observation, Prototype, Status, TrackedPrototype
from protokeep.core.timing import Timing

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

#: Every value inside a generation by a name of its own: (part, field).
_PARTS: dict[str, type[Any]] = {
    "submission": Submission,
    "polling": Polling,
    "absence": Absence,
    "follow_up": FollowUp,
    "links": Links,
    "hold": Reason,
    "error": Reason,
}
_PLACES = {
    {"message": "follow_up_message", "requested_at": "follow_up_at"}.get(field.name, field.name): (part, field.name)
    for part, kind in _PARTS.items()
    if kind is not Reason
    for field in fields(kind)
} | {f"{part}_{name}": (part, name) for part in ("hold", "error") for name in ("code", "message")}


def after(seconds: float) -> datetime:
    """The time so many seconds after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def changed(one: Generation, **values: Any) -> Generation:
    """The generation with other values, wherever in its parts they stand."""
    for name, value in values.items():
        if name in _PLACES:
            part, field = _PLACES[name]
            one = replace(one, **{part: replace(getattr(one, part), **{field: value})})
        else:
            one = replace(one, **{name: value})
    return one


def generation(**values: Any) -> Generation:
    """A generation that the builder accepted at `NOW`, unless `values` say otherwise."""
    accepted = Generation(
        workspace_id="default",
        account="v0:environment",
        api_version=2,
        marker="m",
        created_by="ann",
        created_at=NOW,
        submission=Submission(RecoveryPoint.ACCEPTED, fence=1, attempts=1),
        version=1,
        polling=Polling(deadline_at=after(600)),
    )
    return changed(accepted, **values)


def prototype(status: Status = Status.PENDING, **values: Any) -> TrackedPrototype:
    """A tracked prototype in `status`; `values` that a generation has go there."""
    inside = {field.name for field in fields(Generation)} | _PLACES.keys()
    known = values.pop("generation", None)
    theirs = {name: values.pop(name) for name in list(values) if name in inside}
    return TrackedPrototype(**{**_row(status), "chat_id": "chat-1", **values}, generation=known or generation(**theirs))


def untracked(status: Status = Status.PENDING, **values: Any) -> Prototype:
    """An older row that nobody tracks, without a chat."""
    return Prototype(**{**_row(status), **values})


def _row(status: Status) -> dict[str, Any]:
    return {
        "id": "00000000-0000-4000-8000-000000000001",
        "product_id": "p-1",
        "user_id": "ann",
        "provider": "v0",
        "prompt": "A shop",
        "status": status,
        "created_at": NOW,
        "updated_at": NOW,
    }


def with_values(one: TrackedPrototype, **values: Any) -> TrackedPrototype:
    """The prototype with other values in its generation."""
    return replace(one, generation=changed(one.generation, **values))


def polled(
    one: TrackedPrototype,
    observation: Observation | None,
    now: datetime,
    timing: Timing,
    *,
    batched: bool,
    missing: bool = False,
    account: AccountVisibility | None = None,
    unread: bool = False,
    unwatched_pause: timedelta | None = None,
    paused: timedelta | None = None,
) -> TrackedPrototype:
    """A poll, with its answer in single words."""
    answer: polling.PollAnswer = polling.NoAnswer()
    if paused is not None:
        answer = polling.PollsPaused(paused)
    elif observation is not None:
        answer = polling.ChatShown(observation, is_partial=unread)
    elif missing:
        answer = polling.ChatMissing(account)
    elif unread:
        answer = polling.ChatUnreadable()
    return polling.polled(one, answer, now, timing, batched=batched, unwatched_pause=unwatched_pause)
