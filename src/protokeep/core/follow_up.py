"""A follow-up in the same chat: every step as a pure change of the prototype, beside those of a create.

    asked (claimed) -> sent -> continued (accepted) -> settled

The status stays what the builder last said until the builder has taken the message.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from protokeep.core.absence import GONE_WORDS, NOT_VISIBLE
from protokeep.core.errors import ProviderError
from protokeep.core.prototype import (
    GONE,
    SETTLED,
    UNFINISHED,
    Generation,
    Observation,
    Prototype,
    RecoveryPoint,
    Seen,
    Status,
    advance,
    generation_of,
)
from protokeep.core.submission import about_to_send
from protokeep.core.timing import Pace, next_poll


def why_not(prototype: Prototype) -> str | None:
    """Why no follow-up can be sent now, for people; None: it can."""
    generation = prototype.generation
    if generation is None or prototype.chat_id is None:
        return "It has no chat at the builder yet, so nothing can be said in it."
    if generation.removing_at is not None:
        return "It is being deleted."
    if generation.continuing:
        return "The last message has not reached the builder yet. Wait until it has."
    if generation.error_code == GONE:
        return "Its chat no longer exists at the builder. Make a new one."
    if prototype.status in UNFINISHED and not generation.waiting:
        return "It is still being made. Wait until it is ready, or stop it."
    return None


def asked(prototype: Prototype, message: str, now: datetime) -> Prototype:
    """The claim of a follow-up: looks rest until the builder has it."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        updated_at=now,
        generation=replace(
            generation,
            recovery_point=RecoveryPoint.CLAIMED,
            rounds=generation.rounds + 1,
            follow_up=message,
            asked_at=now,
            stale_id=generation.message_id,
            before_id=None,
            known_message_id=generation.known_message_id or generation.message_id,
            attempts=0,
            lookups=0,
            unknown=False,
            sent_at=None,
            lease_until=None,
            next_try_at=now,
            next_poll_at=None,
            wrap_up_at=None,
            hold_code=None,
            hold_message=None,
        ),
    )


def sending(
    prototype: Prototype, now: datetime, pace: Pace, *, stale_id: str | None, before_id: str | None
) -> Prototype:
    """Written before the call, with what the chat ended with: whatever is newer came of this message."""
    sent = about_to_send(prototype, now, pace)
    generation = generation_of(sent)
    return replace(
        sent, generation=replace(generation, stale_id=stale_id or generation.stale_id, before_id=before_id or "")
    )


def continued(
    prototype: Prototype,
    *,
    message_id: str | None,
    seen: Observation | None,
    now: datetime,
    pace: Pace,
    batched: bool,
    newest_message_id: str | None = None,
) -> Prototype:
    """The builder has the message: a new round, with a poll clock of its own.

    `newest_message_id` is our message, or a newer one: the next one of ours will come after it.
    """
    begun = advance(prototype, Observation(Seen.CONTINUED), now)
    begun = replace(
        begun,
        generation=replace(
            generation_of(begun),
            error_code=None,
            error_message=None,
            recovery_point=RecoveryPoint.ACCEPTED,
            message_id=message_id,
            known_message_id=newest_message_id or message_id or generation_of(begun).known_message_id,
            unknown=False,
            lease_until=None,
            next_try_at=None,
            deadline_at=now + pace.poll_timeout,
            missing_since=None,
            missing_looks=0,
            missed_at=None,
            settled_at=None,
            wrap_up_at=None,
            dead_since=None,
            dead_looks=0,
        ),
    )
    if seen is not None:
        begun = advance(begun, seen, now)
    return replace(
        begun, generation=replace(generation_of(begun), next_poll_at=next_poll(begun, now, pace, batched=batched))
    )


def turned_down(prototype: Prototype, error: ProviderError, now: datetime, pace: Pace, *, batched: bool) -> Prototype:
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
            unknown=False,
            lease_until=None,
            next_try_at=None,
            hold_code="follow_up_refused",
            hold_message=f"The follow-up was not taken, and changed nothing. {error}",
            # What an answer before left open is told by the refusal now; it is no fault of what is there.
            error_code=generation.error_code if failed else None,
            error_message=generation.error_message if failed else None,
            stale_id=None,
            before_id=None,
        ),
    )
    due = next_poll(kept, now, pace, batched=batched)
    return replace(kept, generation=replace(generation_of(kept), next_poll_at=due))


def unsent(prototype: Prototype) -> Prototype:
    """The builder had no chat to put the message into: certainly nothing was sent, and it is claimed as before."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(generation, recovery_point=RecoveryPoint.CLAIMED, sent_at=None, unknown=False, lookups=0),
    )


def chat_not_shown(prototype: Prototype, until: datetime) -> Prototype:
    """The builder does not show the chat at present: the message waits, and what is known of its sending is kept."""
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation,
            unknown=generation.recovery_point is RecoveryPoint.SENT,
            lease_until=None,
            next_try_at=until,
            hold_code=NOT_VISIBLE,
            hold_message=f"{prototype.provider} does not show the chat at present. The message waits, and the chat is "
            "looked at again.",
        ),
    )


def gone_words(prototype: Prototype) -> str:
    """What history says of a follow-up whose chat is gone: what became of it, and its words."""
    generation = generation_of(prototype)
    sent = generation.recovery_point is RecoveryPoint.SENT
    fate = "It is not known whether the message arrived" if sent else "The message was not sent"
    return f"{GONE_WORDS} {fate}: {(generation.follow_up or '')[:2000]}"


def without_claim(prototype: Prototype) -> Prototype:
    """The chat that the follow-up was for is gone: there is nothing left to send it to.

    Should the chat come back, what it ended with before counts again.
    """
    generation = generation_of(prototype)
    return replace(
        prototype,
        generation=replace(
            generation,
            recovery_point=RecoveryPoint.SETTLED,
            unknown=False,
            lease_until=None,
            next_try_at=None,
            hold_code=None,
            hold_message=None,
            stale_id=None,
            before_id=None,
        ),
    )


def removing(prototype: Prototype, now: datetime) -> Prototype:
    """Its deletion was asked for: no more looks; tried at once. What it answers with "not found" is counted anew."""
    generation = generation_of(prototype)
    made = prototype.chat_id is not None
    return replace(
        prototype,
        updated_at=now,
        is_current=False,
        generation=replace(
            generation,
            removing_at=now,
            missing_since=None,
            missing_looks=0,
            missed_at=None,
            recovery_point=RecoveryPoint.SETTLED if made else generation.recovery_point,
            lease_until=None if made else generation.lease_until,
            next_poll_at=None,
            wrap_up_at=None,
            next_try_at=generation.next_try_at if generation.recovery_point is RecoveryPoint.SENT else now,
            hold_code=None,
            hold_message=None,
        ),
    )


def not_shown_to_delete(prototype: Prototype, until: datetime) -> Prototype:
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


def not_removed(prototype: Prototype, error: ProviderError, until: datetime) -> Prototype:
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
    after = advance(prototype, Observation(Seen.BROKE, error_code="stopped", error_message=words), now)
    return replace(after, generation=replace(generation_of(after), next_poll_at=None))


def links_checked(prototype: Prototype, opens: bool | None, now: datetime, pace: Pace) -> Prototype:
    """After a look at the preview. Several 404s over minutes take the link down; when it opens again it comes back."""
    generation = generation_of(prototype)
    checked = generation.demo_url or generation.dead_url
    if opens is None or checked is None:
        return prototype
    if opens:
        after = replace(generation, demo_url=checked, dead_url=None, dead_since=None, dead_looks=0)
    elif generation.dead_since is None or generation.dead_url != checked:
        after = replace(generation, dead_url=checked, dead_since=now, dead_looks=1)
    else:
        since, looks = min(generation.dead_since, now), generation.dead_looks + 1
        dead = looks >= pace.dead_looks and now - since >= pace.dead_after
        after = replace(generation, dead_since=since, dead_looks=looks, demo_url=None if dead else generation.demo_url)
    url = after.demo_url or after.web_url or after.chat_url
    if url == prototype.project_url and after == generation:
        return prototype
    moved = url != prototype.project_url
    return replace(prototype, project_url=url, updated_at=now if moved else prototype.updated_at, generation=after)


def next_link_check(generation: Generation, now: datetime, pace: Pace) -> datetime | None:
    """When to look again at a preview that answered 404: every minute or two until it is taken down, then slowly."""
    if generation.dead_since is None:
        return None
    since = now - generation.dead_since
    if generation.demo_url is not None:
        return now + pace.dead_after / pace.dead_looks
    return None if since > pace.dead_looks_end else now + min(max(since / 4, pace.dead_after), timedelta(hours=1))


def same_words(one: str, other: str) -> bool:
    """Whether two messages are the same but for white space, which builders may trim."""
    return one.split() == other.split()
