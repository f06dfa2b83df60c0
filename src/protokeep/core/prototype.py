"""What a prototype is, and the one table that says how its status may change.

`advance()` is the only code that changes a status. Everything a builder, a hook, a clock or a person can say is
first turned into an `Observation`, so that late, repeated and out-of-order news all meet the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """What a user sees of a prototype. `timeout` ends automatic polling; a later look may still settle it."""

    PENDING = "pending"  #: claimed, or accepted by the builder; generation not yet seen
    IN_PROGRESS = "in_progress"  #: the builder says that it is generating, or that it waits for an answer
    COMPLETED = "completed"  #: the builder says that the version or message is finished
    FAILED = "failed"  #: the builder said so, in its own words, or the chat is gone
    TIMEOUT = "timeout"  #: the poll budget ran out before the builder said anything final


class ObservedState(StrEnum):
    """What one observation says, in words of our own."""

    QUEUED = "queued"  #: the builder knows it and has not begun
    RUNNING = "running"  #: being generated
    WAITING = "waiting"  #: the builder stopped to ask a person something
    FINISHED = "finished"  #: done
    BROKE = "broke"  #: the builder gave up, or refused to begin
    GONE = "gone"  #: the builder no longer has it
    EXPIRED = "expired"  #: our own clock: the poll budget is spent
    CONTINUED = "continued"  #: the builder took a follow-up message: a new round begins


#: status -> what was seen -> new status. What is not listed changes nothing: that is how late and
#: repeated observations never move a status backwards. Only a follow-up that a person asked for, and the builder
#: took, begins anew; what is said about the round before is told apart by its id (`Generation.previous_message_id`).
#: The one exception are `REVIVALS`.
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

#: The error code of one whose chat is gone at the builder.
GONE = "gone"
#: FAILED with the error code "gone", and a sight of the chat after all -> new status: that it was gone is taken back.
REVIVALS: Mapping[ObservedState, Status] = {
    ObservedState.QUEUED: Status.PENDING,
    ObservedState.RUNNING: Status.IN_PROGRESS,
    ObservedState.WAITING: Status.IN_PROGRESS,
    ObservedState.FINISHED: Status.COMPLETED,
    ObservedState.BROKE: Status.FAILED,  # With the builder's own reason.
    ObservedState.CONTINUED: Status.IN_PROGRESS,
}

UNFINISHED = frozenset({Status.PENDING, Status.IN_PROGRESS})
SETTLED = frozenset({Status.COMPLETED, Status.FAILED})


class RecoveryPoint(StrEnum):
    """How far a create got, durably. Another thing than what the user sees."""

    CLAIMED = "claimed"  #: ours to make; nothing has been sent
    SENT = "sent"  #: the create was sent, or was about to be: look before sending again
    ACCEPTED = "accepted"  #: the builder's ids are written; it is being tracked
    SETTLED = "settled"  #: nothing more is expected


class State(StrEnum):
    """The word on the status chip: status and recovery point told as one. The same in page, API and CLI."""

    QUEUED = "queued"
    MAKING = "making"
    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    NOT_VISIBLE = "not_visible"
    UNDECIDED = "undecided"
    PARKED = "parked"
    UNTRACKED = "untracked"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Generation:
    """One remote generation as our own tables know it. Instants are aware UTC."""

    workspace_id: str
    account: str
    api_version: int
    marker: str
    created_by: str
    recovery_point: RecoveryPoint
    attempts: int
    lookups: int
    outcome_unknown: bool
    fence: int
    version: int
    awaiting_input: bool
    poll_count: int
    created_at: datetime
    sent_at: datetime | None = None
    lease_until: datetime | None = None
    next_try_at: datetime | None = None
    hold_code: str | None = None
    hold_message: str | None = None
    message_id: str | None = None
    web_url: str | None = None
    demo_url: str | None = None
    chat_url: str | None = None
    next_poll_at: datetime | None = None
    watched_until: datetime | None = None
    deadline_at: datetime | None = None
    missing_since: datetime | None = None
    observed_at: datetime | None = None
    settled_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    turn: int = 1
    follow_up: str | None = None
    follow_up_at: datetime | None = None
    previous_message_id: str | None = None
    baseline_message_id: str | None = None
    hook_received_at: datetime | None = None
    finalize_at: datetime | None = None
    credits: float | None = None
    image_source: str | None = None
    picture_etag: str | None = None
    broken_url: str | None = None
    broken_since: datetime | None = None
    deletion_requested_at: datetime | None = None
    last_shown_at: datetime | None = None
    missing_polls: int = 0
    last_missing_at: datetime | None = None
    broken_checks: int = 0
    known_message_id: str | None = None

    @property
    def turn_at(self) -> datetime:
        """When what is being made now was asked for."""
        return self.follow_up_at or self.created_at

    @property
    def began_at(self) -> datetime:
        """When what ended last had been asked for: a follow-up that was not taken ended nothing."""
        ended_before = self.settled_at is not None and self.settled_at < self.turn_at
        return self.created_at if ended_before else self.turn_at

    @property
    def follow_up_pending(self) -> bool:
        """Whether a follow-up was asked for that the builder has not taken yet."""
        return self.turn > 1 and self.recovery_point in (RecoveryPoint.CLAIMED, RecoveryPoint.SENT)

    @property
    def not_visible(self) -> bool:
        """Whether the builder does not show the chat at present, which proves nothing yet."""
        known = self.recovery_point in (RecoveryPoint.ACCEPTED, RecoveryPoint.SETTLED)
        return self.missing_since is not None and known and self.error_code in (None, "timeout")

    @property
    def hook_is_newer(self) -> bool:
        """Whether a hook spoke of this chat since anybody last looked."""
        looked = [at for at in (self.observed_at, self.last_missing_at) if at is not None]
        return self.hook_received_at is not None and all(self.hook_received_at > at for at in looked)


@dataclass(frozen=True, slots=True)
class PollingPause:
    """Why looks at an account wait, and until when."""

    until: datetime
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Prototype:
    """One row of `design_mockups`, with what we know of its generation (None: nobody tracks it)."""

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
    is_current: bool = False
    generation: Generation | None = None
    polling_pause: PollingPause | None = None

    @property
    def state(self) -> State:
        """The one word that says where this prototype stands, for people."""
        generation = self.generation
        if generation is not None and generation.deletion_requested_at is not None:
            return State.DELETING
        if generation is not None and generation.follow_up_pending:
            undecided = generation.recovery_point is RecoveryPoint.SENT and generation.outcome_unknown
            return State.UNDECIDED if undecided else State.PARKED if generation.hold_code else State.QUEUED
        if generation is not None and generation.not_visible:
            return State.NOT_VISIBLE
        if self.status is Status.COMPLETED:
            return State.READY
        if self.status is Status.FAILED:
            return State.FAILED
        if generation is None:
            return State.UNTRACKED
        if self.status is Status.TIMEOUT:
            return State.TIMED_OUT
        if generation.recovery_point is RecoveryPoint.SENT and generation.outcome_unknown:
            return State.UNDECIDED
        if generation.awaiting_input:
            return State.WAITING
        if generation.hold_code is not None:
            return State.PARKED
        if self.status is Status.IN_PROGRESS or generation.recovery_point is RecoveryPoint.ACCEPTED:
            return State.MAKING
        return State.QUEUED

    @property
    def tracked(self) -> bool:
        """Whether we made it, or adopted it, and so know what becomes of it."""
        return self.generation is not None


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of the builder's about one chat, or a tick of our own clock.

    `message_id` (of a message, or of a version where the builder counts those) None means that the answer did not
    name one. URLs that are None leave the known ones alone. `credits` is what this round cost, where that was told.
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


def generation_of(prototype: Prototype) -> Generation:
    """The generation of a tracked prototype."""
    if prototype.generation is None:
        raise ValueError(f"prototype {prototype.id} is not tracked")
    return prototype.generation


def advance(prototype: Prototype, observation: Observation, now: datetime) -> Prototype:
    """The prototype after `observation`, which was made at `now`. Never moves a status backwards.

    A prototype that nobody tracks is returned as it is. Timing (`next_poll_at`) is not decided here.
    """
    generation = prototype.generation
    if generation is None:
        return prototype
    if observation.message_id is not None and observation.message_id == generation.previous_message_id:
        observation = Observation(ObservedState.QUEUED, web_url=observation.web_url, chat_url=observation.chat_url)
    status, revived = _after(prototype.status, generation, observation.state)
    moved = status is not prototype.status or revived
    settled = status in SETTLED
    from_builder = observation.state is not ObservedState.EXPIRED
    waiting = observation.state is ObservedState.WAITING and not settled
    error = _error(status, observation) if moved else (generation.error_code, generation.error_message)
    spent = None if revived and generation.credits is not None else observation.credits
    demo_url = _alive(observation.demo_url, generation) or generation.demo_url
    web_url = observation.web_url or generation.web_url
    chat_url = observation.chat_url or generation.chat_url
    known = RecoveryPoint.ACCEPTED if revived else generation.recovery_point
    missing = not from_builder or observation.state is ObservedState.GONE
    return replace(
        prototype,
        status=status,
        project_url=demo_url or web_url or chat_url or prototype.project_url,
        updated_at=now if moved else prototype.updated_at,
        generation=replace(
            generation,
            recovery_point=RecoveryPoint.SETTLED if settled else known,
            awaiting_input=waiting,
            hold_code=observation.error_code if waiting else None,
            hold_message=observation.error_message if waiting else None,
            message_id=observation.message_id or generation.message_id,
            demo_url=demo_url,
            web_url=web_url,
            chat_url=chat_url,
            observed_at=now if from_builder else generation.observed_at,
            settled_at=now if moved and settled else None if revived else generation.settled_at,
            finalize_at=now if moved and settled else generation.finalize_at,
            image_source=observation.image_url or generation.image_source,
            credits=_sum(generation.credits, spent) if moved and settled else generation.credits,
            missing_since=generation.missing_since if missing else None,
            missing_polls=generation.missing_polls if missing else 0,
            last_missing_at=generation.last_missing_at if missing else None,
            error_code=error[0],
            error_message=error[1],
        ),
    )


def _error(status: Status, observation: Observation) -> tuple[str | None, str | None]:
    """Why a status that was just reached is a bad one; nothing of a good one."""
    if status is Status.FAILED:
        return observation.error_code or "failed", observation.error_message or "The builder gave no reason."
    if status is Status.TIMEOUT:
        return "timeout", "The poll budget ran out. It is still looked at now and then, and may yet finish."
    return None, None


def _after(status: Status, generation: Generation, seen: ObservedState) -> tuple[Status, bool]:
    """(the status after what was seen, whether that takes back that the chat was gone)."""
    if status is Status.FAILED and generation.error_code == GONE and seen in REVIVALS:
        return REVIVALS[seen], True
    return TRANSITIONS[status].get(seen, status), False


def _alive(demo_url: str | None, generation: Generation) -> str | None:
    """`demo_url`, unless it is the one that died and was taken down."""
    return None if demo_url == generation.broken_url and generation.demo_url is None else demo_url


def _sum(before: float | None, more: float | None) -> float | None:
    return before if more is None else round((before or 0.0) + more, 6)
