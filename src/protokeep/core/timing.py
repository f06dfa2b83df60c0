"""Times of polls, look-ups, waits and retries, as pure functions of a prototype and the time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.generation import GONE, Generation, RecoveryPoint
from protokeep.core.prototype import SETTLED, Status, TrackedPrototype

#: How far back a look-up goes before the moment of sending: the clocks of two hosts and the provider's differ.
LOOK_BACK = timedelta(minutes=5)


def _seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


@dataclass(frozen=True, slots=True)
class Timing:
    """Every duration that decides something, with its reason."""

    #: How long a delivery holds a row without renewing the lease. The row of a killed worker is taken up after it; the
    #: sweep that notices runs every two seconds, so that the take-over stays under ten.
    lease: timedelta = timedelta(seconds=6)
    #: Limit of one create call. Creates answer in about four seconds; after this, the outcome is unknown.
    create_timeout: timedelta = timedelta(seconds=30)
    #: How long after a create was sent its chat may still be missing from look-ups: the create's own time limit
    #: plus a minute for lists that lag. Only later look-ups count as "not there".
    settle: timedelta = timedelta(seconds=90)
    #: Look-ups that find nothing, after `settle`, before a create is sent again.
    required_lookups: int = 2
    #: A claim older than this is looked up before its first create: the row may come from a restored backup,
    #: whose create was sent after the backup was taken.
    claim_is_fresh: timedelta = timedelta(seconds=30)
    #: The spec's poll clock.
    poll_interval: timedelta = timedelta(seconds=3)
    poll_timeout: timedelta = timedelta(seconds=600)
    #: From one sweep to the next where each sweep is dozens of calls, and nobody watches.
    batch_poll_interval: timedelta = timedelta(seconds=4)
    #: Polling interval of a single prototype that nobody watches: half its age, at least `poll_interval`, at most this.
    #: A generation of three minutes then takes eleven polls instead of sixty.
    max_poll_interval: timedelta = timedelta(seconds=60)
    #: Polling interval after a hook spoke of the turn: the next hook reports its end, and polls only make up for lost
    #: hooks.
    hooked_poll_interval: timedelta = timedelta(seconds=30)
    #: Pause after an answer that could not be read: reading it again delays the other chats.
    unreadable_pause: timedelta = timedelta(seconds=15)
    #: A preview that answers 404 in so many checks, over so long, is taken down. It is checked again, ever more
    #: rarely, until the last of these, and comes back when it opens.
    link_broken_after: timedelta = timedelta(seconds=300)
    link_checks_needed: int = 3
    link_checks_end: timedelta = timedelta(hours=24)
    #: After `timeout`, slow polls go on this long.
    polls_after_timeout: timedelta = timedelta(hours=24)
    #: A poll that comes this much later than it was due means that nobody polled meanwhile: the process slept, was
    #: down, or the clock was set forward.
    overdue_after: timedelta = timedelta(seconds=30)
    #: A chat whose message was accepted less than this ago is young: providers may not show it to every read yet.
    young_chat: timedelta = timedelta(seconds=600)
    #: A chat that was shown before has to be missing this long, in so many polls, before it counts as gone. Incidents
    #: that hide all chats last for seconds to minutes.
    gone_after: timedelta = timedelta(seconds=300)
    gone_polls: int = 4
    #: Chats that go missing together have to stay away this long, while lists show others.
    gone_together_after: timedelta = timedelta(hours=1)
    #: A chat that no read has ever shown has to stay away this long.
    unseen_gone_after: timedelta = timedelta(hours=24)
    #: After a change of the key, and after the start of a process, the key may be another team's for this long.
    key_settles: timedelta = timedelta(seconds=600)
    #: Polls of a gone chat begin this much later, and all polls of a missing chat end after the second.
    gone_poll_pause: timedelta = timedelta(seconds=900)
    missing_polls_end: timedelta = timedelta(days=7)
    #: A status request polls a chat that is missing for long at most this often.
    missing_recheck: timedelta = timedelta(seconds=60)
    #: A deletion that is answered with "not found" for this long is done, even if the account shows nothing at all.
    deleted_after: timedelta = timedelta(hours=24)
    #: A status request polls a completed prototype at most this often (its chat may have been deleted).
    completed_recheck: timedelta = timedelta(seconds=600)
    #: How long a status request counts as somebody watching.
    watched_for: timedelta = timedelta(seconds=15)
    #: The pause while an account has no credits; one create probes after it.
    credits_pause: timedelta = timedelta(seconds=120)
    #: Consecutive creates of an account with a 5xx or no answer before its circuit opens.
    circuit_failures: int = 3
    #: A process whose last beat is younger than this is at work, and its knowledge of the database counts for a process
    #: that starts. An installation that is older than this, and has no beat at all, may be a restored copy. Beats are
    #: three seconds apart.
    beat_is_fresh: timedelta = timedelta(seconds=10)
    #: After the database went back, nothing is sent for this long: lists may not show the newest chats yet.
    restore_settle: timedelta = timedelta(seconds=45)
    #: How often all chats of ours since the last time are searched for orphans.
    full_search_interval: timedelta = timedelta(hours=24)
    #: How often the newest chats are searched for orphans and second chats: somebody pays for them, and a few calls
    #: each time are less than a hundredth of a day's.
    recent_search_interval: timedelta = timedelta(minutes=5)
    #: From one call of a census or a clean-up to the next.
    clean_up_pace: timedelta = timedelta(seconds=1)
    #: Longest pause between two tries of a request.
    max_backoff: timedelta = timedelta(seconds=300)


def must_look_up_first(generation: Generation, now: datetime, timing: Timing) -> bool:
    """Whether a chat of ours may exist already, so that its marker is looked up before anything is sent."""
    return generation.submission.was_sent or now - generation.turn_at > timing.claim_is_fresh


def may_resend(generation: Generation, timing: Timing, *, settled: bool) -> bool:
    """Whether a look-up that saw everything and found nothing was the last one needed before a call.

    `settled`: a chat that the last call made would be in every list by now.
    """
    if generation.submission.recovery_point is RecoveryPoint.CLAIMED:
        return True
    return settled and generation.submission.lookups + 1 >= timing.required_lookups


def settled_since_sent(generation: Generation, now: datetime, timing: Timing) -> bool:
    """Whether a chat made by the last create would be in every list by now."""
    return generation.submission.sent_at is None or now - generation.submission.sent_at >= timing.settle


def next_lookup(generation: Generation, now: datetime, timing: Timing) -> datetime:
    """When to look the marker up again: soon at first, then about as far apart as the create is old."""
    age = now - (generation.submission.sent_at or now)
    if settled_since_sent(generation, now, timing):
        # The second of the deciding look-ups comes soon; look-ups that keep failing become ever rarer.
        return now + min(max((age - timing.settle) / 5, _seconds(5)), _seconds(60))
    return now + min(max(age / 2, _seconds(1)), _seconds(10))


def backoff(attempts: int, timing: Timing) -> timedelta:
    """The pause before try number `attempts + 1`: doubling from two seconds, with jitter, bounded."""
    base = min(2.0 ** min(attempts, 12), timing.max_backoff.total_seconds())
    return _seconds(base * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret


def next_poll(prototype: TrackedPrototype, now: datetime, timing: Timing, *, batched: bool) -> datetime | None:
    """When to poll the chat again; None: never, unless somebody asks.

    `batched`: one call reports many chats (v1's list), so that age does not slow the polls down. When a missing chat
    is polled is decided in `absence`.
    """
    generation, deadline_at = prototype.generation, prototype.generation.polling.deadline_at
    if prototype.status in SETTLED or generation.is_unwanted:
        return None
    # A person may take longer over an answer than a poll clock runs.
    is_late_answer = generation.awaiting_input and deadline_at is not None and deadline_at <= now
    if prototype.status is Status.TIMEOUT or is_late_answer:
        return _next_poll_after_timeout(now, deadline_at or generation.created_at, timing)
    if generation.is_adopted and deadline_at is None and not generation.polling.is_watched(now):
        # No clock of ours ends what was there before protokeep: the older it is, the more rarely it is polled.
        return now + min(max((now - prototype.created_at) / 10, timing.poll_interval), _seconds(900))
    due = now + _poll_interval(generation, now, timing, batched=batched)
    if deadline_at is not None and now < deadline_at < due:
        return deadline_at
    return due


def _next_poll_after_timeout(now: datetime, timed_out_at: datetime, timing: Timing) -> datetime | None:
    """Ever rarer polls for a day."""
    since = now - timed_out_at
    if since > timing.polls_after_timeout:
        return None
    return now + min(max(since / 10, _seconds(60)), _seconds(900))


def _poll_interval(generation: Generation, now: datetime, timing: Timing, *, batched: bool) -> timedelta:
    polling = generation.polling
    interval = timing.poll_interval
    watched = polling.is_watched(now)
    # The poll clock began when the provider's ids were known, which may be long after the claim.
    began_at = polling.deadline_at - timing.poll_timeout if polling.deadline_at else generation.turn_at
    if not batched and not watched:
        interval = max(interval, min((now - began_at) / 2, timing.max_poll_interval))
    if is_hooked(generation):
        interval = max(interval, timing.hooked_poll_interval if watched or batched else timing.max_poll_interval)
    return interval


def is_hooked(generation: Generation) -> bool:
    """Whether a hook has spoken of the current turn, so that hooks are known to reach us for it."""
    return generation.polling.hook_received_at is not None and generation.polling.hook_received_at >= generation.turn_at


def late_by(generation: Generation, now: datetime, timing: Timing) -> timedelta:
    """How much later than due a poll at `now` comes; zero for a delay that a queue or a short pause explains."""
    if generation.polling.next_poll_at is None:
        return timedelta(0)
    late = now - generation.polling.next_poll_at
    return late if late > timing.overdue_after else timedelta(0)


def is_poll_due_on_request(prototype: TrackedPrototype, now: datetime, timing: Timing) -> bool:
    """Whether a status request polls the provider rather than answering with the row as it is."""
    generation = prototype.generation
    if prototype.chat_id is None or generation.is_unwanted or generation.follow_up_pending:
        return False
    if not generation.is_account_known:  # Every account is asked once, not once per viewer.
        return False
    if prototype.status is Status.FAILED and generation.error.code != GONE:
        return False
    answered = [at for at in (generation.polling.observed_at, generation.absence.last_missing_at) if at is not None]
    last = max([generation.turn_at, *answered])
    clock_was_set_back = now < last
    return clock_was_set_back or now - last >= answer_valid_for(prototype, now, timing)


def answer_valid_for(prototype: TrackedPrototype, now: datetime, timing: Timing) -> timedelta:
    """How old the provider's last answer about a prototype may be before a status request polls again."""
    generation = prototype.generation
    if generation.error.code == GONE:
        return timing.missing_recheck
    if generation.absence.missing_since is not None:
        away = now - generation.absence.missing_since
        return min(max(timing.poll_interval, away / 2), timing.missing_recheck)
    if prototype.status is Status.COMPLETED:
        return timing.completed_recheck
    return timing.hooked_poll_interval if is_hooked(generation) else timing.poll_interval
