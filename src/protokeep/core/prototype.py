"""Prototypes, and the one table that says how their status may change.

`advance()` is the only code that changes a status. News from a provider, a hook, a clock or a person first become an
`Observation`, so that late, repeated and out-of-order news all meet the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from protokeep.core.generation import GONE, STOPPED, Generation, Links, Polling, Reason, RecoveryPoint


class Status(StrEnum):
    """The status that users see. `timeout` ends automatic polling; a later poll may still settle the prototype."""

    PENDING = "pending"  #: claimed, or accepted by the provider; generating has not been seen yet
    IN_PROGRESS = "in_progress"  #: the provider is generating, or waits for an answer
    COMPLETED = "completed"  #: the provider says that the version or message is finished
    FAILED = "failed"  #: the provider said so, with its own reason, or the chat is gone
    TIMEOUT = "timeout"  #: the poll clock ran out before the provider said anything final


class ObservedState(StrEnum):
    """The state that one observation reports, the same for every provider."""

    QUEUED = "queued"  #: the provider has it and has not begun
    RUNNING = "running"  #: being generated
    WAITING = "waiting"  #: the provider stopped to ask a person something
    FINISHED = "finished"  #: done
    BROKE = "broke"  #: the provider gave up, or refused to begin
    GONE = "gone"  #: the provider no longer has the chat
    EXPIRED = "expired"  #: our own clock: the poll clock ran out
    CONTINUED = "continued"  #: the provider accepted a follow-up message: a new turn begins


#: status -> observed state -> new status. An observed state that is not listed changes nothing, so that late and
#: repeated observations never move a status backwards. Only an accepted follow-up begins anew; news about the turn
#: before carry that turn's id (`FollowUp.previous_message_id`). The one exception are `REVIVALS`.
TRANSITIONS: Mapping[Status, Mapping[ObservedState, Status]] = {
    Status.PENDING: {
        ObservedState.RUNNING: Status.IN_PROGRESS,
        ObservedState.WAITING: Status.IN_PROGRESS,
        ObservedState.FINISHED: Status.COMPLETED,
        ObservedState.BROKE: Status.FAILED,
        ObservedState.GONE: Status.FAILED,
        ObservedState.EXPIRED: Status.TIMEOUT,
        ObservedState.CONTINUED: Status.IN_PROGRESS,
    },
    Status.IN_PROGRESS: {
        ObservedState.FINISHED: Status.COMPLETED,
        ObservedState.BROKE: Status.FAILED,
        ObservedState.GONE: Status.FAILED,
        ObservedState.EXPIRED: Status.TIMEOUT,
        ObservedState.CONTINUED: Status.IN_PROGRESS,
    },
    Status.TIMEOUT: {
        ObservedState.FINISHED: Status.COMPLETED,
        ObservedState.BROKE: Status.FAILED,
        ObservedState.GONE: Status.FAILED,
        ObservedState.CONTINUED: Status.IN_PROGRESS,
    },
    Status.COMPLETED: {ObservedState.GONE: Status.FAILED, ObservedState.CONTINUED: Status.IN_PROGRESS},
    Status.FAILED: {ObservedState.CONTINUED: Status.IN_PROGRESS},
}

#: The chat of a FAILED prototype with the error code "gone" is shown after all: observed state -> new status.
REVIVALS: Mapping[ObservedState, Status] = {
    ObservedState.QUEUED: Status.PENDING,
    ObservedState.RUNNING: Status.IN_PROGRESS,
    ObservedState.WAITING: Status.IN_PROGRESS,
    ObservedState.FINISHED: Status.COMPLETED,
    ObservedState.BROKE: Status.FAILED,  # With the provider's own reason.
    ObservedState.CONTINUED: Status.IN_PROGRESS,
}

#: Stands for the time of an owner's row that has none: the row counts as older than all others.
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)

UNFINISHED = frozenset({Status.PENDING, Status.IN_PROGRESS})
SETTLED = frozenset({Status.COMPLETED, Status.FAILED})


class State(StrEnum):
    """The word on the status chip, in page, API and CLI alike. It follows from status and recovery point."""

    QUEUED = "queued"
    MAKING = "making"
    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"  #: a person stopped it
    TIMED_OUT = "timed_out"
    NOT_VISIBLE = "not_visible"
    UNDECIDED = "undecided"
    PARKED = "parked"
    UNTRACKED = "untracked"
    DELETING = "deleting"
    IN_BIN = "in_bin"


@dataclass(frozen=True, slots=True)
class PollingPause:
    """The pause of an account's polls: its end and its reason."""

    until: datetime
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Prototype:
    """One row of `design_mockups`. A row that protokeep made, or adopted, is a `TrackedPrototype`."""

    id: str
    product_id: str
    user_id: str | None
    provider: str
    prompt: str | None
    status: Status
    created_at: datetime
    updated_at: datetime
    chat_id: str | None = None
    project_id: str | None = None
    project_url: str | None = None
    image_url: str | None = None
    thumbnail_url: str | None = None
    phase_submission_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    product_name: str | None = None
    tags: tuple[str, ...] = ()
    archived_at: datetime | None = None
    is_current: bool = False
    polling_pause: PollingPause | None = None

    @property
    def generation(self) -> Generation | None:
        """Its generation. None: nobody tracks the prototype."""
        return None

    @property
    def state(self) -> State:
        """The one word that says where this prototype stands, for people."""
        return {Status.COMPLETED: State.READY, Status.FAILED: State.FAILED}.get(self.status, State.UNTRACKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedPrototype(Prototype):
    """A prototype whose generation is known: it is sent, polled, continued and deleted."""

    generation: Generation = field()

    @property
    def state(self) -> State:
        """The one word that says where this prototype stands, for people."""
        generation = self.generation
        if generation.deletion_requested_at is not None:
            return State.DELETING
        if generation.is_in_bin:
            return State.IN_BIN
        if generation.follow_up_pending:
            return self._state_of_sending or State.QUEUED
        if generation.not_visible:
            return State.NOT_VISIBLE
        if self.status is Status.FAILED and generation.error.code == STOPPED:
            return State.STOPPED
        if self.status in _STATE_OF_ENDED:
            return _STATE_OF_ENDED[self.status]
        if generation.awaiting_input and not self._is_undecided:
            return State.WAITING
        making = self.status is Status.IN_PROGRESS or generation.submission.recovery_point is RecoveryPoint.ACCEPTED
        return self._state_of_sending or (State.MAKING if making else State.QUEUED)

    @property
    def _state_of_sending(self) -> State | None:
        """The state of a request that the provider does not have yet, if something holds it up; otherwise None."""
        if self._is_undecided:
            return State.UNDECIDED
        return State.PARKED if self.generation.hold.code is not None else None

    @property
    def _is_undecided(self) -> bool:
        return self.generation.submission.was_sent and self.generation.submission.outcome_unknown

    def with_generation(self, **changes: Any) -> TrackedPrototype:
        """The same prototype with other values in fields of its generation."""
        return replace(self, generation=replace(self.generation, **changes))


_STATE_OF_ENDED = {
    Status.COMPLETED: State.READY,
    Status.FAILED: State.FAILED,
    Status.TIMEOUT: State.TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of the provider about one chat, or a tick of our own clock.

    `message_id` (of a message, or of a version where the provider counts those) None: the answer named none. URLs that
    are None leave the known ones alone. `credits` is the cost of this turn; None: the answer did not say.
    """

    state: ObservedState
    message_id: str | None = None
    demo_url: str | None = None
    web_url: str | None = None
    chat_url: str | None = None
    image_url: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    credits: float | None = None

    @property
    def is_from_provider(self) -> bool:
        """Whether the provider said so, and not our own clock."""
        return self.state is not ObservedState.EXPIRED

    @property
    def shows_chat(self) -> bool:
        """Whether the chat is there."""
        return self.is_from_provider and self.state is not ObservedState.GONE


@dataclass(frozen=True, slots=True)
class _Move:
    """The status that an observation leads to. `revived`: the chat counted as gone, and is shown after all."""

    status: Status
    moved: bool
    revived: bool

    @property
    def ended(self) -> bool:
        """Whether the generation came to its end with this observation."""
        return self.moved and self.status in SETTLED


def advance(prototype: TrackedPrototype, observation: Observation, now: datetime) -> TrackedPrototype:
    """The prototype after `observation`, which was made at `now`. Never moves a status backwards.

    When to poll next is not decided here.
    """
    generation = prototype.generation
    observation = _about_this_turn(observation, generation)
    move = _move(prototype.status, generation, observation.state)
    waiting = observation.state is ObservedState.WAITING and move.status not in SETTLED
    links = _links_after(observation, generation.links)
    return replace(
        prototype,
        status=move.status,
        project_url=links.best or prototype.project_url,
        updated_at=now if move.moved else prototype.updated_at,
        generation=replace(
            generation,
            submission=replace(generation.submission, recovery_point=_recovery_point_after(move, generation)),
            awaiting_input=waiting,
            hold=Reason(observation.error_code, observation.error_message) if waiting else Reason(),
            error=_error_after(move, observation, generation),
            message_id=observation.message_id or generation.message_id,
            polling=_polling_after(observation, generation.polling, now),
            absence=generation.absence.ended() if observation.shows_chat else generation.absence,
            links=links,
            settled_at=now if move.ended else None if move.revived else generation.settled_at,
            finalize_at=now if move.ended else generation.finalize_at,
            credits=_credits_after(move, observation, generation.credits),
            image_source=observation.image_url or generation.image_source,
        ),
    )


def _about_this_turn(observation: Observation, generation: Generation) -> Observation:
    """An observation of the turn before says only that the chat is there."""
    previous = generation.follow_up.previous_message_id
    if observation.message_id is None or observation.message_id != previous:
        return observation
    return Observation(ObservedState.QUEUED, web_url=observation.web_url, chat_url=observation.chat_url)


def _move(status: Status, generation: Generation, observed: ObservedState) -> _Move:
    if status is Status.FAILED and generation.error.code == GONE and observed in REVIVALS:
        return _Move(REVIVALS[observed], moved=True, revived=True)
    after = TRANSITIONS[status].get(observed, status)
    return _Move(after, moved=after is not status, revived=False)


def _recovery_point_after(move: _Move, generation: Generation) -> RecoveryPoint:
    if move.status in SETTLED:
        return RecoveryPoint.SETTLED
    return RecoveryPoint.ACCEPTED if move.revived else generation.submission.recovery_point


def _error_after(move: _Move, observation: Observation, generation: Generation) -> Reason:
    """The reason of a new status, if that is `failed` or `timeout`; otherwise no reason."""
    if not move.moved:
        late_question = move.status is Status.TIMEOUT and observation.state is ObservedState.WAITING
        # A status never moves back: a question that comes after the poll clock is told as the reason.
        return replace(generation.error, message=observation.error_message) if late_question else generation.error
    if move.status is Status.FAILED:
        message = observation.error_message or "The app builder gave no reason."
        return Reason(observation.error_code or "failed", message)
    if move.status is Status.TIMEOUT:
        return Reason("timeout", "It takes longer than usual. We keep checking.")
    return Reason()


def _polling_after(observation: Observation, polling: Polling, now: datetime) -> Polling:
    return replace(polling, observed_at=now) if observation.is_from_provider else polling


def _links_after(observation: Observation, links: Links) -> Links:
    """The known links, with those that were seen. A preview that was taken down stays down until it opens again."""
    was_taken_down = links.demo_url is None and observation.demo_url == links.broken_url
    demo_url = None if was_taken_down else observation.demo_url
    return replace(
        links,
        demo_url=demo_url or links.demo_url,
        web_url=observation.web_url or links.web_url,
        chat_url=observation.chat_url or links.chat_url,
    )


def _credits_after(move: _Move, observation: Observation, known: float | None) -> float | None:
    """The sum over all turns. The cost of a turn is added once, when the turn ends."""
    counted_before = move.revived and known is not None
    if not move.ended or counted_before or observation.credits is None:
        return known
    return round((known or 0.0) + observation.credits, 6)
