"""A follow-up in a chat that exists: every step as a pure change of the prototype, beside those of a create.

    requested (claimed) -> sent -> accepted -> settled

The status stays as the provider last reported it until the provider has accepted the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from protokeep.core.absence import GONE_MESSAGE, NOT_VISIBLE
from protokeep.core.conversation import Conversation, Message
from protokeep.core.errors import ProviderError
from protokeep.core.generation import GONE, STOPPED, FollowUp, Generation, Reason, RecoveryPoint, Submission
from protokeep.core.prototype import (
    SETTLED,
    UNFINISHED,
    Observation,
    ObservedState,
    Prototype,
    Status,
    TrackedPrototype,
    advance,
)
from protokeep.core.provider_keys import LOOKING_MESSAGE, NOT_IN_ACCOUNT_MESSAGE
from protokeep.core.submission import about_to_send
from protokeep.core.timing import LOOK_BACK, Timing, next_poll

#: Characters of a message that the history shows.
MESSAGE_SHOWN = 2000


def follow_up_blocked_reason(prototype: Prototype) -> str | None:
    """Why no follow-up can be sent now, for people; None: it can."""
    if not isinstance(prototype, TrackedPrototype) or prototype.chat_id is None:
        return "You can ask for changes once the app builder has started."
    generation = prototype.generation
    if generation.deletion_requested_at is not None:
        return "It is being deleted."
    if generation.is_in_bin:
        return "It is in the bin. Take it back first."
    if generation.follow_up_pending:
        return "The last change has not reached the app builder yet. Wait until it has."
    if not generation.is_account_known:
        return NOT_IN_ACCOUNT_MESSAGE if generation.is_in_no_account else LOOKING_MESSAGE
    if generation.error.code == GONE:
        return "Its chat no longer exists at the app builder. Create another variant."
    if prototype.status in UNFINISHED and not generation.awaiting_input:
        return "It is still being generated. Wait until it is ready, or stop it."
    return None


def requested(prototype: TrackedPrototype, message: str, now: datetime) -> TrackedPrototype:
    """The claim of a follow-up. The chat is not polled until the provider has the message."""
    generation = prototype.generation
    previous = generation.follow_up
    return replace(
        prototype.with_generation(
            submission=Submission(RecoveryPoint.CLAIMED, fence=generation.submission.fence, next_try_at=now),
            follow_up=FollowUp(
                turn=previous.turn + 1,
                message=message,
                requested_at=now,
                previous_message_id=generation.message_id,
                known_message_id=previous.known_message_id or generation.message_id,
            ),
            polling=replace(generation.polling, next_poll_at=None),
            finalize_at=None,
            hold=Reason(),
        ),
        updated_at=now,
    )


def about_to_send_follow_up(
    prototype: TrackedPrototype, now: datetime, timing: Timing, conversation: Conversation
) -> TrackedPrototype:
    """Written before the call, with the newest message of the chat: every newer message comes of this follow-up."""
    sent = about_to_send(prototype, now, timing)
    follow_up = sent.generation.follow_up
    newest = conversation.messages[0].id if conversation.messages else ""
    return sent.with_generation(
        follow_up=replace(
            follow_up,
            previous_message_id=conversation.previous_message_id or follow_up.previous_message_id,
            baseline_message_id=newest,
        )
    )


def follow_up_accepted(
    prototype: TrackedPrototype,
    *,
    message_id: str | None,
    observation: Observation | None,
    now: datetime,
    timing: Timing,
    batched: bool,
    newest_message_id: str | None = None,
) -> TrackedPrototype:
    """The provider has the message: a new turn, with a poll clock of its own.

    `newest_message_id` is our message or a newer one: our next message will come after it.
    """
    begun = advance(prototype, Observation(ObservedState.CONTINUED), now)
    generation = begun.generation
    known_message_id = newest_message_id or message_id or generation.follow_up.known_message_id
    begun = begun.with_generation(
        submission=generation.submission.answered(RecoveryPoint.ACCEPTED),
        error=Reason(),
        message_id=message_id,
        follow_up=replace(generation.follow_up, known_message_id=known_message_id),
        polling=replace(generation.polling, deadline_at=now + timing.poll_timeout),
        absence=generation.absence.ended(),
        links=replace(generation.links, broken_since=None, broken_checks=0),
        settled_at=None,
        finalize_at=None,
    )
    if observation is not None:
        begun = advance(begun, observation, now)
    return _polled_next(begun, now, timing, batched=batched)


def rejected(
    prototype: TrackedPrototype, error: ProviderError, now: datetime, timing: Timing, *, batched: bool
) -> TrackedPrototype:
    """The provider refused the message and did nothing: the result of the turn before counts, with the reason."""
    generation = prototype.generation
    point = RecoveryPoint.SETTLED if prototype.status in SETTLED else RecoveryPoint.ACCEPTED
    failed = prototype.status not in (*UNFINISHED, Status.COMPLETED)
    unchanged = prototype.with_generation(
        submission=generation.submission.answered(point),
        hold=Reason("follow_up_refused", f"The app builder did not accept the change, and nothing changed. {error}"),
        # The refusal explains the error that an unclear answer to this message left.
        error=generation.error if failed else Reason(),
        follow_up=_without_turn(generation.follow_up),
    )
    return replace(_polled_next(unchanged, now, timing, batched=batched), updated_at=now)


def not_sent(prototype: TrackedPrototype) -> TrackedPrototype:
    """The provider had no chat for the message: certainly nothing was sent, and the message is claimed as before."""
    return prototype.with_generation(submission=prototype.generation.submission.unsent())


def chat_not_shown(prototype: TrackedPrototype, until: datetime) -> TrackedPrototype:
    """The provider does not show the chat at present: the message waits, and stays sent if it was."""
    message = f"{prototype.provider} does not show the chat at present. The change waits, and protokeep keeps checking."
    return prototype.with_generation(
        submission=prototype.generation.submission.waiting(until), hold=Reason(NOT_VISIBLE, message)
    )


def gone_message(prototype: TrackedPrototype) -> str:
    """The line of history of a follow-up whose chat is gone: whether the message was sent, and its text."""
    generation = prototype.generation
    unknown = "It is not known whether the message arrived"
    fate = unknown if generation.submission.was_sent else "The message was not sent"
    return f"{GONE_MESSAGE} {fate}: {(generation.follow_up.message or '')[:MESSAGE_SHOWN]}"


def abandoned(prototype: TrackedPrototype) -> TrackedPrototype:
    """The chat that the follow-up was for is gone. Should it come back, the result of the turn before counts again."""
    generation = prototype.generation
    return prototype.with_generation(
        submission=generation.submission.answered(RecoveryPoint.SETTLED),
        hold=Reason(),
        follow_up=_without_turn(generation.follow_up),
    )


def stopped(prototype: TrackedPrototype, now: datetime, by: str) -> TrackedPrototype:
    """The provider says that it stopped generating, because the person `by` asked for that."""
    message = f"Stopped by {by}. Ask for a change to continue."
    after = advance(prototype, Observation(ObservedState.BROKE, error_code=STOPPED, error_message=message), now)
    return after.with_generation(polling=replace(after.generation.polling, next_poll_at=None))


@dataclass(frozen=True, slots=True)
class Found:
    """The chat holds our message: it must not be sent again."""

    message: Message


@dataclass(frozen=True, slots=True)
class CertainlyAbsent:
    """Our message is not in the chat, and would be if it had arrived by the time of the reading."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """The chat does not say whether our message arrived: it is read again before anything is sent."""


SentMessage = Found | CertainlyAbsent | CannotTell


def find_sent_message(prototype: TrackedPrototype, conversation: Conversation, *, trusted: bool) -> SentMessage:
    """Look for the message of the current turn in its chat.

    Only a message after the newest one known before can be ours: the same text may have been said earlier. Where that
    message is out of sight, times decide. `trusted`: the row was claimed since this process knows its database, so
    that the row is not from an older copy of the database.
    """
    follow_up = prototype.generation.follow_up
    if follow_up.baseline_message_id is None and trusted:
        return CertainlyAbsent()  # The row says that nothing was sent in this turn.
    baseline_message_id = follow_up.baseline_message_id
    if baseline_message_id is None:
        baseline_message_id = follow_up.known_message_id
    newer = None if baseline_message_id is None else conversation.newer_than(baseline_message_id)
    if newer is None:
        return _found_by_time(prototype.generation, _with_text(conversation.messages, follow_up))
    matching = _with_text(newer, follow_up)
    return Found(matching[0]) if matching else CertainlyAbsent()


def _with_text(messages: Sequence[Message], follow_up: FollowUp) -> list[Message]:
    text = follow_up.message or ""
    return [message for message in messages if message.role == "user" and same_text(message.content, text)]


def _found_by_time(generation: Generation, messages: Sequence[Message]) -> SentMessage:
    """Decide by time: a message since the sending is ours, one long before it is not, and one in between may be."""
    since = generation.submission.sent_at or generation.turn_at
    dated = [(message, message.created_at) for message in messages if message.created_at is not None]
    later = [message for message, created_at in dated if created_at >= since]
    if later:
        return Found(later[-1])
    doubtful = len(dated) < len(messages) or any(created_at >= since - LOOK_BACK for _, created_at in dated)
    return CannotTell() if doubtful or generation.submission.was_sent else CertainlyAbsent()


def same_text(one: str, other: str) -> bool:
    """Whether two messages are the same but for white space, which providers may trim."""
    return one.split() == other.split()


def _without_turn(follow_up: FollowUp) -> FollowUp:
    """The follow-up without its turn, which came to nothing: news about the turn before count again."""
    return replace(follow_up, previous_message_id=None, baseline_message_id=None)


def _polled_next(prototype: TrackedPrototype, now: datetime, timing: Timing, *, batched: bool) -> TrackedPrototype:
    due = next_poll(prototype, now, timing, batched=batched)
    return prototype.with_generation(polling=replace(prototype.generation.polling, next_poll_at=due))
