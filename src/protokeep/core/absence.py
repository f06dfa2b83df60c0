"""Conclusions from a "not found": when a chat is only not visible, when it is gone, and when it is polled again.

One "not found" proves nothing: the chat may be too young to be shown, the provider may have an incident, or the key
may be another team's. Such a prototype is not visible at the provider: its status stays, and it is polled ever more
slowly. It is gone when a read has shown it before, when it is not young any more, and when it has stayed away for
minutes while the account shows its other chats. A later sight takes even that back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protokeep.core.generation import GONE, Absence, Generation, Polling
from protokeep.core.prototype import UNFINISHED, TrackedPrototype
from protokeep.core.timing import Timing, late_by

#: The hold of a follow-up or a deletion whose chat the provider does not show, as a stable word.
NOT_VISIBLE = "not_visible"
GONE_MESSAGE = "The chat no longer exists at the app builder."


@dataclass(frozen=True, slots=True)
class AccountVisibility:
    """The visibility of an account's chats in a round of polls.

    `shown` and `missing` count the chats of the round that the provider showed, and that it answered with "not found".
    `key_since`: since when the account's key is in use, as far as this process can know. `shows_ours`: a list that was
    read for this purpose names other chats of ours.
    """

    key_since: datetime
    shown: int = 0
    missing: int = 0
    shows_ours: bool = False

    @property
    def many_missing(self) -> bool:
        """Whether half of the round or more, and at least two chats, are missing together."""
        return self.missing >= 2 and self.missing >= self.shown


def accepted_at(generation: Generation) -> datetime:
    """About when the provider accepted the last request."""
    return max(generation.created_at, generation.submission.sent_at or generation.created_at)


def recorded_missing(prototype: TrackedPrototype, now: datetime) -> TrackedPrototype:
    """The prototype after a "not found", which is counted and proves nothing yet."""
    absence = prototype.generation.absence
    since = min(absence.missing_since or now, now)
    counted = replace(absence, missing_since=since, missing_polls=absence.missing_polls + 1, last_missing_at=now)
    return prototype.with_generation(absence=counted)


def recorded_shown(prototype: TrackedPrototype, now: datetime, timing: Timing) -> TrackedPrototype:
    """The prototype after a read that showed the chat. The poll clock stood still while it was not visible."""
    generation = prototype.generation
    since = generation.absence.missing_since
    away = timedelta(0) if since is None else max(now - since, timedelta(0))
    return prototype.with_generation(
        polling=generation.polling if since is None else _extended(prototype, away, now + timing.poll_timeout),
        absence=Absence(last_shown_at=now),
    )


def deadline_extended(prototype: TrackedPrototype, now: datetime, timing: Timing) -> TrackedPrototype:
    """The prototype before a poll that comes late: time in which nobody polled does not count.

    The process slept or was down, polls were paused, or the clock was set forward: the deadline and the begin of an
    absence both move on by that time. After a clock was set back, no deadline is further away than a whole poll clock.
    """
    absence = prototype.generation.absence
    late = late_by(prototype.generation, now, timing)
    return prototype.with_generation(
        polling=_extended(prototype, late, now + timing.poll_timeout),
        absence=replace(absence, missing_since=_later(absence.missing_since, late, now)),
    )


def polling_paused(prototype: TrackedPrototype, now: datetime, until: datetime, timing: Timing) -> TrackedPrototype:
    """The prototype without polls between `now` and `until`. However short that time is, it does not count."""
    absence, pause = prototype.generation.absence, until - now
    polling = _extended(prototype, pause, until + timing.poll_timeout)
    return prototype.with_generation(
        polling=replace(polling, poll_count=polling.poll_count + 1, next_poll_at=until),
        absence=replace(absence, missing_since=_later(absence.missing_since, pause, until)),
    )


def _extended(prototype: TrackedPrototype, by: timedelta, latest: datetime) -> Polling:
    """Its polling, with the deadline of an unfinished prototype later by so much, but not after `latest`."""
    polling = prototype.generation.polling
    if polling.deadline_at is None or prototype.status not in UNFINISHED:
        return polling
    return replace(polling, deadline_at=min(polling.deadline_at + by, latest))


def _later(since: datetime | None, by: timedelta, latest: datetime) -> datetime | None:
    return None if since is None else min(since + by, latest)


def missing_long_enough(generation: Generation, now: datetime, timing: Timing) -> bool:
    """Whether a chat that is not young was missing for minutes, in several polls. Says nothing about the account."""
    absence = generation.absence
    if absence.missing_since is None or now - accepted_at(generation) < timing.young_chat:
        return False
    return absence.missing_polls >= timing.gone_polls and now - absence.missing_since >= timing.gone_after


def may_be_gone(generation: Generation, now: datetime, timing: Timing) -> bool:
    """Whether a missing chat may be gone, so that the account's visibility decides. True of few chats at any time.

    A chat that no read has ever shown, such as that of an older row, has to stay away for much longer.
    """
    absence = generation.absence
    if absence.last_shown_at is not None:
        return missing_long_enough(generation, now, timing)
    since = absence.missing_since or now
    return missing_long_enough(generation, now, timing) and now - since >= timing.unseen_gone_after


def others_visible(generation: Generation, account: AccountVisibility, now: datetime, timing: Timing) -> bool:
    """Whether the account shows its other chats, and the key is one that this chat would be shown to.

    Chats that go missing together are believed only when a list shows others of ours, and after a long time.
    """
    absence = generation.absence
    key_is_known = absence.last_shown_at is not None and absence.last_shown_at >= account.key_since
    if not key_is_known and now - account.key_since < timing.key_settles:
        return False
    if account.many_missing:
        since = absence.missing_since or now
        return account.shows_ours and now - since >= timing.gone_together_after
    return account.shown > 0 or account.shows_ours


def is_gone(generation: Generation, account: AccountVisibility, now: datetime, timing: Timing) -> bool:
    """Whether a missing chat is gone: shown before, not young, away for minutes, and the account otherwise visible.

    A row that was there before protokeep is believed to be gone only by a key that has shown its chat: any other key
    may be one of an account that the chat was never in.
    """
    shown_at = generation.absence.last_shown_at
    if generation.is_adopted and (shown_at is None or shown_at < account.key_since):
        return False
    return may_be_gone(generation, now, timing) and others_visible(generation, account, now, timing)


def deletion_is_done(generation: Generation, account: AccountVisibility, now: datetime, timing: Timing) -> bool:
    """Whether a chat whose deletion was answered with "not found" exists no more.

    The chat need not have been shown before. After a long time, an account that shows no chat at all is believed.
    """
    if not missing_long_enough(generation, now, timing):
        return False
    since = generation.absence.missing_since or now
    return others_visible(generation, account, now, timing) or now - since >= timing.deleted_after


def retry_after(generation: Generation, now: datetime, timing: Timing) -> timedelta:
    """The pause before the next poll of a missing chat: 3 s, 6 s, 12 s .. up to a minute, later slower."""
    absence = generation.absence
    away = max(now - (absence.missing_since or now), timedelta(0))
    doubled: timedelta = timing.poll_interval * 2 ** min(max(absence.missing_polls - 1, 0), 10)
    return min(max(min(doubled, timedelta(seconds=60)), away / 10), timedelta(days=1))


def next_poll_of_missing(prototype: TrackedPrototype, now: datetime, timing: Timing) -> datetime | None:
    """When to poll a missing chat again; None: not by itself, after a week.

    A chat that counts as gone is polled a quarter of an hour later, then ever more slowly, to once a day.
    """
    generation = prototype.generation
    since = generation.absence.missing_since
    if since is None or now - since > timing.missing_polls_end:
        return None
    pause = retry_after(generation, now, timing)
    return now + (max(pause, timing.gone_poll_pause) if generation.error.code == GONE else pause)
