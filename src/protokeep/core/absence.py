"""What a "not found" proves: when a chat is only not visible, when it is gone, and when it is looked at again.

One "not found" proves nothing: the chat may be too young to be shown, the builder may have an incident, or the key may
be another team's. Such a prototype is not visible at the builder: its status stays, and it is looked at ever more
slowly. It is gone when a read has shown it before, when it is not young any more, and when it has stayed away for
minutes while the account shows its other chats. A later sight takes even that back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protokeep.core.prototype import GONE, UNFINISHED, Generation, Prototype, generation_of
from protokeep.core.timing import Timing, late_by

#: The hold of a follow-up or a deletion whose chat the builder does not show, as a stable word.
NOT_VISIBLE = "not_visible"
GONE_MESSAGE = "The chat no longer exists at the builder."


@dataclass(frozen=True, slots=True)
class AccountVisibility:
    """What a round of looks tells about the account as a whole.

    `seen` and `missing` count the chats of the round that the builder showed, and that it answered with "not found".
    `key_since`: since when the account's key is in use, as far as this process can know. `shows_ours`: a list that was
    asked for this purpose names other chats of ours.
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
    """About when the builder took what was sent last."""
    return max(generation.created_at, generation.sent_at or generation.created_at)


def recorded_missing(prototype: Prototype, now: datetime) -> Prototype:
    """After a look that the builder answered with "not found": counted, and nothing concluded."""
    generation = generation_of(prototype)
    since = min(generation.missing_since or now, now)
    looks = generation.missing_polls + 1
    return replace(
        prototype, generation=replace(generation, missing_since=since, missing_polls=looks, last_missing_at=now)
    )


def recorded_shown(prototype: Prototype, now: datetime, pace: Timing) -> Prototype:
    """After a read that showed the chat. The poll clock stood still while it was not visible."""
    generation = generation_of(prototype)
    deadline_at = generation.deadline_at
    if generation.missing_since is not None and deadline_at is not None and prototype.status in UNFINISHED:
        away = max(now - generation.missing_since, timedelta(0))
        deadline_at = min(deadline_at + away, now + pace.poll_timeout)
    return replace(
        prototype,
        generation=replace(
            generation,
            deadline_at=deadline_at,
            last_shown_at=now,
            missing_since=None,
            missing_polls=0,
            last_missing_at=None,
        ),
    )


def deadline_extended(prototype: Prototype, now: datetime, pace: Timing) -> Prototype:
    """Before a look that comes much later than it was due: time in which nobody looked counts against nothing.

    The process slept or was down, looks were paused, or the clock was set forward: the poll clock and an absence both
    move on by that time. A clock that was set back leaves no deadline further away than a whole poll clock.
    """
    generation = generation_of(prototype)
    late = late_by(generation, now, pace)
    deadline_at, since = generation.deadline_at, generation.missing_since
    if deadline_at is not None and prototype.status in UNFINISHED:
        deadline_at = min(deadline_at + late, now + pace.poll_timeout)
    if since is not None:
        since = min(since + late, now)
    return replace(prototype, generation=replace(generation, deadline_at=deadline_at, missing_since=since))


def polling_paused(prototype: Prototype, now: datetime, until: datetime, pace: Timing) -> Prototype:
    """Nobody looks at it between `now` and `until`, however short that is: it counts against nothing."""
    generation = generation_of(prototype)
    deadline_at, since = generation.deadline_at, generation.missing_since
    if deadline_at is not None and prototype.status in UNFINISHED:
        deadline_at = min(deadline_at + (until - now), until + pace.poll_timeout)
    if since is not None:
        since = min(since + (until - now), until)
    changed = replace(generation, deadline_at=deadline_at, missing_since=since)
    return replace(prototype, generation=replace(changed, poll_count=generation.poll_count + 1, next_poll_at=until))


def missing_long_enough(generation: Generation, now: datetime, pace: Timing) -> bool:
    """Whether a chat that is not young was missing for minutes, in several looks. Says nothing about the account."""
    if generation.missing_since is None or now - accepted_at(generation) < pace.young_chat:
        return False
    return generation.missing_polls >= pace.gone_polls and now - generation.missing_since >= pace.gone_after


def may_be_gone(generation: Generation, now: datetime, pace: Timing) -> bool:
    """Whether only the account as a whole is left to be asked about. True of few chats at any time.

    A chat that no read has ever shown, of an older row say, has to stay away for much longer.
    """
    if generation.last_shown_at is not None:
        return missing_long_enough(generation, now, pace)
    since = generation.missing_since or now
    return missing_long_enough(generation, now, pace) and now - since >= pace.unseen_gone_after


def others_visible(generation: Generation, around: AccountVisibility, now: datetime, pace: Timing) -> bool:
    """Whether the account shows its other chats, and the key is one that this chat would be shown to.

    Chats that go missing together are believed only when a list shows others of ours, and after a long time.
    """
    key_is_known = generation.last_shown_at is not None and generation.last_shown_at >= around.key_since
    if not key_is_known and now - around.key_since < pace.key_settles:
        return False
    if around.many_missing:
        since = generation.missing_since or now
        return around.shows_ours and now - since >= pace.gone_together_after
    return around.shown > 0 or around.shows_ours


def is_gone(generation: Generation, around: AccountVisibility, now: datetime, pace: Timing) -> bool:
    """Whether a missing chat is gone: seen before, not young, away for minutes, and the account otherwise visible."""
    return may_be_gone(generation, now, pace) and others_visible(generation, around, now, pace)


def deletion_is_done(generation: Generation, around: AccountVisibility, now: datetime, pace: Timing) -> bool:
    """Whether a chat whose deletion was answered with "not found" is there no more.

    It need not have been seen before. An account that shows nothing at all is believed in the end.
    """
    if not missing_long_enough(generation, now, pace):
        return False
    since = generation.missing_since or now
    return others_visible(generation, around, now, pace) or now - since >= pace.deleted_after


def retry_after(generation: Generation, now: datetime, pace: Timing) -> timedelta:
    """The pause before the next look at a missing chat: 3 s, 6 s, 12 s .. up to a minute, later slower."""
    away = max(now - (generation.missing_since or now), timedelta(0))
    doubled: timedelta = pace.poll_interval * 2 ** min(max(generation.missing_polls - 1, 0), 10)
    return min(max(min(doubled, timedelta(seconds=60)), away / 10), timedelta(days=1))


def next_poll_of_missing(prototype: Prototype, now: datetime, pace: Timing) -> datetime | None:
    """When to look at a missing chat again; None: not by itself, after a week.

    One that counts as gone is looked at a quarter of an hour later, then ever more slowly, to once a day.
    """
    generation = generation_of(prototype)
    if generation.missing_since is None or now - generation.missing_since > pace.missing_polls_end:
        return None
    pause = retry_after(generation, now, pace)
    return now + (max(pause, pace.gone_poll_pause) if generation.error_code == GONE else pause)
