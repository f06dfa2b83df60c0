"""A follow-up in the same chat: every step as a pure change of the prototype, beside those of a create.

    asked (claimed) -> sent -> continued (accepted) -> settled

The status stays what the builder last said until the builder has taken the message.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from protokeep.core.absence import GONE_MESSAGE, NOT_VISIBLE
from protokeep.core.errors import ProviderError
from protokeep.core.prototype import (
    GONE,
    SETTLED,
    UNFINISHED,
    Generation,
    Observation,
    ObservedState,
    Prototype,
    RecoveryPoint,
    Status,
    advance,
    generation_of,
)
from protokeep.core.submission import about_to_send
from protokeep.core.timing import Timing, next_poll


def follow_up_blocked_reason(prototype: Prototype) -> str | None:
    """Why no follow-up can be sent now, for people; None: it can."""
    generation = prototype.generation
    if generation is None or prototype.chat_id is None:
        return "It has no chat at the builder yet, so nothing can be said in it."
    if generation.deletion_requested_at is not None:
        return "It is being deleted."
    if generation.follow_up_pending:
        return "The last message has not reached the builder yet. Wait until it has."
    if generation.error_code == GONE:
        return "Its chat no longer exists at the builder. Make a new one."
    if prototype.status in UNFINISHED and not generation.awaiting_input:
        return "It is still being made. Wait until it is ready, or stop it."
    return None


def requested(prototype: Prototype, message: str, now: datetime) -> Prototype:
    """The claim of a follow-up: looks rest until the builder has it."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        updated_at=now,
        generation=replace(
            generation,
            recovery_point=RecoveryPoint.CLAIMED,
            turn=generation.turn + 1,
            follow_up=message,
            follow_up_at=now,
            previous_message_id=generation.message_id,
            baseline_message_id=None,
            known_message_id=generation.known_message_id or generation.message_id,
            attempts=0,
            lookups=0,
            outcome_unknown=False,
            sent_at=None,
            lease_until=None,
            next_try_at=now,
            next_poll_at=None,
            finalize_at=None,
            hold_code=None,
            hold_message=None,
        ),
    )


def about_to_send_follow_up(
    prototype: Prototype,
    now: datetime,
    pace: Timing,
    *,
    previous_message_id: str | None,
    baseline_message_id: str | None,
) -> Prototype:
    """Written before the call, with what the chat ended with: whatever is newer came of this message."""
    sent = about_to_send(prototype, now, pace)
    generation = generation_of(sent)
    return replace(
        sent,
        generation=replace(
            generation,
            previous_message_id=previous_message_id or generation.previous_message_id,
            baseline_message_id=baseline_message_id or "",
        ),
    )


def follow_up_accepted(
    prototype: Prototype,
    *,
    message_id: str | None,
    seen: Observation | None,
    now: datetime,
    pace: Timing,
    batched: bool,
    newest_message_id: str | None = None,
) -> Prototype:
    """The builder has the message: a new round, with a poll clock of its own.

    `newest_message_id` is our message, or a newer one: the next one of ours will come after it.
    """
    begun = advance(prototype, Observation(ObservedState.CONTINUED), now)
    begun = replace(
        begun,
        generation=replace(
            generation_of(begun),
            error_code=None,
            error_message=None,
            recovery_point=RecoveryPoint.ACCEPTED,
            message_id=message_id,
            known_message_id=newest_message_id or message_id or generation_of(begun).known_message_id,
            outcome_unknown=False,
            lease_until=None,
            next_try_at=None,
            deadline_at=now + pace.poll_timeout,
            missing_since=None,
            missing_polls=0,
            last_missing_at=None,
            settled_at=None,
            finalize_at=None,
            broken_since=None,
            broken_checks=0,
        ),
    )
    if seen is not None:
        begun = advance(begun, seen, now)
    return replace(
        begun, generation=replace(generation_of(begun), next_poll_at=next_poll(begun, now, pace, batched=batched))
    )


def rejected(prototype: Prototype, error: ProviderError, now: datetime, pace: Timing, *, batched: bool) -> Prototype:
    """The builder refused the message and did nothing: what was there is there still, and says why."""
    generation = generation_of(prototype)
    settled = prototype.status in SETTLED
    failed = prototype.status not in (*UNFINISHED, Status.COMPLETED)
    kept = replace(
        prototype,
        updated_at=now,
        generation=replace(
            generation,
            recovery_point=RecoveryPoint.SETTLED if settled else RecoveryPoint.ACCEPTED,
            outcome_unknown=False,
            lease_until=None,
            next_try_at=None,
            hold_code="follow_up_refused",
            hold_message=f"The follow-up was not taken, and changed nothing. {error}",
            # What an answer before left open is told by the refusal now; it is no fault of what is there.
            error_code=generation.error_code if failed else None,
            error_message=generation.error_message if failed else None,
            previous_message_id=None,
            baseline_message_id=None,
        ),
    )
    due = next_poll(kept, now, pace, batched=batched)
    return replace(kept, generation=replace(generation_of(kept), next_poll_at=due))


def not_sent(prototype: Prototype) -> Prototype:
    """The builder had no chat to put the message into: certainly nothing was sent, and it is claimed as before."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation, recovery_point=RecoveryPoint.CLAIMED, sent_at=None, outcome_unknown=False, lookups=0
        ),
    )


def chat_not_shown(prototype: Prototype, until: datetime) -> Prototype:
    """The builder does not show the chat at present: the message waits, and what is known of its sending is kept."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation,
            outcome_unknown=generation.recovery_point is RecoveryPoint.SENT,
            lease_until=None,
            next_try_at=until,
            hold_code=NOT_VISIBLE,
            hold_message=f"{prototype.provider} does not show the chat at present. The message waits, and the chat is "
            "looked at again.",
        ),
    )


def gone_message(prototype: Prototype) -> str:
    """What history says of a follow-up whose chat is gone: what became of it, and its words."""
    generation = generation_of(prototype)
    sent = generation.recovery_point is RecoveryPoint.SENT
    fate = "It is not known whether the message arrived" if sent else "The message was not sent"
    return f"{GONE_MESSAGE} {fate}: {(generation.follow_up or '')[:2000]}"


def abandoned(prototype: Prototype) -> Prototype:
    """The chat that the follow-up was for is gone: there is nothing left to send it to.

    Should the chat come back, what it ended with before counts again.
    """
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation,
            recovery_point=RecoveryPoint.SETTLED,
            outcome_unknown=False,
            lease_until=None,
            next_try_at=None,
            hold_code=None,
            hold_message=None,
            previous_message_id=None,
            baseline_message_id=None,
        ),
    )


def deletion_requested(prototype: Prototype, now: datetime) -> Prototype:
    """Its deletion was asked for: no more looks; tried at once. What it answers with "not found" is counted anew."""
    generation = generation_of(prototype)
    made = prototype.chat_id is not None
    return replace(
        prototype,
        updated_at=now,
        is_current=False,
        generation=replace(
            generation,
            deletion_requested_at=now,
            missing_since=None,
            missing_polls=0,
            last_missing_at=None,
            recovery_point=RecoveryPoint.SETTLED if made else generation.recovery_point,
            lease_until=None if made else generation.lease_until,
            next_poll_at=None,
            finalize_at=None,
            next_try_at=generation.next_try_at if generation.recovery_point is RecoveryPoint.SENT else now,
            hold_code=None,
            hold_message=None,
        ),
    )


def deletion_not_visible(prototype: Prototype, until: datetime) -> Prototype:
    """The builder says that there is no such chat, which is no proof of it: the deletion is tried again."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation,
            next_try_at=until,
            hold_code=NOT_VISIBLE,
            hold_message=f"{prototype.provider} does not show the chat at present. That is no proof that it is gone, "
            "so its deletion is tried again.",
        ),
    )


def deletion_failed(prototype: Prototype, error: ProviderError, until: datetime) -> Prototype:
    """The builder did not delete it; tried again at `until`, and the reason is for people to see."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation,
            attempts=generation.attempts + 1,
            next_try_at=until,
            hold_code=error.code,
            hold_message=f"The builder did not delete it yet: {error}",
        ),
    )


def stopped(prototype: Prototype, now: datetime) -> Prototype:
    """The builder says that it stopped generating, because a person asked for that."""
    words = "It was stopped on request. A follow-up message goes on from there."
    after = advance(prototype, Observation(ObservedState.BROKE, error_code="stopped", error_message=words), now)
    return replace(after, generation=replace(generation_of(after), next_poll_at=None))


def links_checked(prototype: Prototype, opens: bool | None, now: datetime, pace: Timing) -> Prototype:
    """After a look at the preview. Several 404s over minutes take the link down; when it opens again it comes back."""
    generation = generation_of(prototype)
    checked = generation.demo_url or generation.broken_url
    if opens is None or checked is None:
        return prototype
    if opens:
        after = replace(generation, demo_url=checked, broken_url=None, broken_since=None, broken_checks=0)
    elif generation.broken_since is None or generation.broken_url != checked:
        after = replace(generation, broken_url=checked, broken_since=now, broken_checks=1)
    else:
        since, looks = min(generation.broken_since, now), generation.broken_checks + 1
        dead = looks >= pace.link_checks_needed and now - since >= pace.link_broken_after
        after = replace(
            generation, broken_since=since, broken_checks=looks, demo_url=None if dead else generation.demo_url
        )
    url = after.demo_url or after.web_url or after.chat_url
    if url == prototype.project_url and after == generation:
        return prototype
    moved = url != prototype.project_url
    return replace(prototype, project_url=url, updated_at=now if moved else prototype.updated_at, generation=after)


def next_link_check(generation: Generation, now: datetime, pace: Timing) -> datetime | None:
    """When to look again at a preview that answered 404: every minute or two until it is taken down, then slowly."""
    if generation.broken_since is None:
        return None
    since = now - generation.broken_since
    if generation.demo_url is not None:
        return now + pace.link_broken_after / pace.link_checks_needed
    return (
        None if since > pace.link_checks_end else now + min(max(since / 4, pace.link_broken_after), timedelta(hours=1))
    )


def same_text(one: str, other: str) -> bool:
    """Whether two messages are the same but for white space, which builders may trim."""
    return one.split() == other.split()
