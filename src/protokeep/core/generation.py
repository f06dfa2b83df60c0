"""A generation: everything that protokeep knows of one prototype at its provider.

`Generation` is one row of `protokeep_generations`. Its parts group the columns by the question that they answer: how
far sending got, when to poll, whether the chat is visible, the last turn, where the result can be opened.
Instants are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from protokeep.core.provider_keys import UNKNOWN_ACCOUNT

#: The error code of a prototype whose chat no longer exists at the provider.
GONE = "gone"
#: The error code of a prototype that a person has stopped.
STOPPED = "stopped"
#: Markers of rows that were there before protokeep begin with this, and no chat carries them.
ADOPTED = "adopted:"


class RecoveryPoint(StrEnum):
    """How far the last request (the create or a follow-up) got, durably. Users see `Status` instead."""

    CLAIMED = "claimed"  #: nothing has been sent
    SENT = "sent"  #: the call was made, or was about to be: look up before sending again
    ACCEPTED = "accepted"  #: the provider has it, and its ids are written; it is polled
    SETTLED = "settled"  #: nothing more is expected


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a prototype waits, or why it failed. `code` is stable, `message` is for people; both None: no reason."""

    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """How far the last request got on its way to the provider, and which process may work on it.

    `fence` grows with every process that takes the row. `lookups` counts searches that found nothing since the last
    sending. `outcome_unknown`: it was sent, and no trustworthy answer came.
    """

    recovery_point: RecoveryPoint
    fence: int = 0
    attempts: int = 0
    lookups: int = 0
    outcome_unknown: bool = False
    sent_at: datetime | None = None
    lease_until: datetime | None = None
    next_try_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the provider has not accepted the request yet, as far as the row says."""
        return self.recovery_point in (RecoveryPoint.CLAIMED, RecoveryPoint.SENT)

    @property
    def was_sent(self) -> bool:
        """Whether the request may have reached the provider, and nobody knows yet whether it did."""
        return self.recovery_point is RecoveryPoint.SENT

    def released(self, retry_at: datetime | None = None) -> Submission:
        """Without a lease. Any process may take the row up at `retry_at`; None: nothing is left to send."""
        return replace(self, lease_until=None, next_try_at=retry_at)

    def answered(self, point: RecoveryPoint) -> Submission:
        """With the provider's answer known: nothing is left to send or to look up."""
        return replace(self, recovery_point=point, outcome_unknown=False).released()

    def unsent(self) -> Submission:
        """Claimed as before the first sending, because certainly nothing reached the provider."""
        return replace(self, recovery_point=RecoveryPoint.CLAIMED, sent_at=None, outcome_unknown=False, lookups=0)

    def waiting(self, retry_at: datetime) -> Submission:
        """Released until `retry_at`; a request that was sent stays sent, and its outcome unknown."""
        return replace(self, outcome_unknown=self.was_sent).released(retry_at)


@dataclass(frozen=True, slots=True)
class Polling:
    """When the chat is polled. `next_poll_at` None: only when somebody asks.

    `deadline_at` is the end of the poll clock. `observed_at` is when the provider last answered about the chat.
    """

    next_poll_at: datetime | None = None
    poll_count: int = 0
    watched_until: datetime | None = None
    deadline_at: datetime | None = None
    observed_at: datetime | None = None
    hook_received_at: datetime | None = None

    def is_watched(self, now: datetime) -> bool:
        """Whether somebody has the prototype open."""
        return self.watched_until is not None and self.watched_until > now


@dataclass(frozen=True, slots=True)
class Absence:
    """Whether the provider shows the chat. `missing_since` None: it does, or nobody asked yet.

    `missing_polls` counts "not found" answers in a row. `last_shown_at` is when a read last showed the chat.
    """

    missing_since: datetime | None = None
    missing_polls: int = 0
    last_missing_at: datetime | None = None
    last_shown_at: datetime | None = None

    def ended(self) -> Absence:
        """Without an absence: the chat does not count as missing any more."""
        return Absence(last_shown_at=self.last_shown_at)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The last turn. Turn 1 is the create; every follow-up message begins another turn.

    `previous_message_id` is the message or version that the turn before ended with: news about it say nothing about
    this turn.
    `baseline_message_id` is the newest message before this turn's was sent ("": there was none; None: nothing was sent
    in this turn). `known_message_id` is the newest message that is known not to be an unanswered one of ours.
    """

    turn: int = 1
    message: str | None = None
    requested_at: datetime | None = None
    previous_message_id: str | None = None
    baseline_message_id: str | None = None
    known_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Where people open the result. `broken_url` is a preview that answered 404 in `broken_checks` checks in a row."""

    demo_url: str | None = None
    web_url: str | None = None
    chat_url: str | None = None
    broken_url: str | None = None
    broken_since: datetime | None = None
    broken_checks: int = 0

    @property
    def best(self) -> str | None:
        """The first that there is of the preview, the page at the provider, and the chat."""
        return self.demo_url or self.web_url or self.chat_url


@dataclass(frozen=True, slots=True)
class Generation:
    """One remote generation: its owner, its account, and everything that is known of it.

    `marker` names its chat at the provider. `version` guards every write. `explicitly_new`: somebody asked for another
    prototype beside the product's existing one, so no other chat may take its place.
    """

    workspace_id: str
    account: str
    api_version: int
    marker: str
    created_by: str
    created_at: datetime
    submission: Submission
    version: int = 0
    explicitly_new: bool = False
    awaiting_input: bool = False
    hold: Reason = Reason()
    error: Reason = Reason()
    message_id: str | None = None
    polling: Polling = field(default_factory=Polling)
    absence: Absence = field(default_factory=Absence)
    follow_up: FollowUp = field(default_factory=FollowUp)
    links: Links = field(default_factory=Links)
    settled_at: datetime | None = None
    finalize_at: datetime | None = None
    deletion_requested_at: datetime | None = None
    deletion_due_at: datetime | None = None  #: until then it waits in the bin, and can be taken back
    deletion_requested_by: str | None = None
    archive_id: str | None = None  #: the copy of its chat that was made before its deletion
    credits: float | None = None
    image_source: str | None = None
    picture_etag: str | None = None
    variant: int | None = None  #: its number within the product, by order of creation; None: it has none yet
    variant_name: str | None = None  #: the short name that people gave it

    @property
    def is_in_bin(self) -> bool:
        """Whether somebody deleted it, and it can still be taken back."""
        return self.deletion_due_at is not None

    @property
    def is_unwanted(self) -> bool:
        """Whether somebody deleted it: it waits in the bin, or is being deleted."""
        return self.deletion_due_at is not None or self.deletion_requested_at is not None

    @property
    def is_adopted(self) -> bool:
        """Whether the prototype's row was in the owner's table before protokeep knew of it."""
        return self.marker.startswith(ADOPTED)

    @property
    def is_account_known(self) -> bool:
        """Whether it is known which account the chat is in: not of an older row before an account has shown it."""
        return self.account != UNKNOWN_ACCOUNT

    @property
    def is_in_no_account(self) -> bool:
        """Whether every account whose key is here was asked about the chat of an older row, and none showed it."""
        return not self.is_account_known and self.absence.missing_since is not None

    @property
    def turn_at(self) -> datetime:
        """When the current turn was asked for."""
        return self.follow_up.requested_at or self.created_at

    @property
    def began_at(self) -> datetime:
        """When the turn that ended last was asked for: a follow-up that was not accepted ended nothing."""
        ended_before = self.settled_at is not None and self.settled_at < self.turn_at
        return self.created_at if ended_before else self.turn_at

    @property
    def end_is_known(self) -> bool:
        """Whether `settled_at` says when the last turn ended. Of a chat that we did not begin it is when we met it."""
        return self.submission.sent_at is not None or self.follow_up.turn > 1

    @property
    def follow_up_pending(self) -> bool:
        """Whether a follow-up was asked for that the provider has not accepted yet."""
        return self.follow_up.turn > 1 and self.submission.is_open

    @property
    def not_visible(self) -> bool:
        """Whether the provider does not show the chat at present, which proves nothing yet."""
        is_missing = self.absence.missing_since is not None and not self.submission.is_open
        return is_missing and self.error.code in (None, "timeout")

    @property
    def hook_is_newer(self) -> bool:
        """Whether a hook spoke of this chat since the last poll."""
        received_at = self.polling.hook_received_at
        polled_at = [at for at in (self.polling.observed_at, self.absence.last_missing_at) if at is not None]
        return received_at is not None and all(received_at > at for at in polled_at)
