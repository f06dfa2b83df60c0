"""Adoption of older rows: the owner's rows that name a chat, or a project, and that were there before protokeep.

Nobody knows which of the builder's accounts such a chat is in. So every account whose key is here is asked, once: first
with its list, which shows many chats at a time, then about each chat that no list shows. Until an account shows the
chat, nothing in the owner's row changes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protokeep.core.generation import Absence, Reason, RecoveryPoint
from protokeep.core.polling import ChatShown, polled
from protokeep.core.prototype import Observation, ObservedState, Status, TrackedPrototype
from protokeep.core.timing import Timing

#: A project is asked about the chat that was made nearest to its row, and not longer before the row than this.
MADE_BEFORE_ROW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ListedChat:
    """A chat as a list of its account shows it."""

    chat_id: str
    observation: Observation
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskedAccount:
    """How far one account was asked. `problem`: why it could not be asked last; None: it could."""

    account: str
    listed_at: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class AdoptionProgress:
    """How far the adoption of older rows is, in rows.

    `to_adopt` were not taken up yet; `looking` are being asked about; `adopted` are followed; `not_in_any_account` were
    shown by no account whose key is here. `failed` counts accounts that could not be asked. `last_at`: when the last
    round was; None: there was none.
    """

    to_adopt: int
    looking: int
    adopted: int
    not_in_any_account: int
    accounts: Sequence[AskedAccount] = ()
    last_at: datetime | None = None

    @property
    def failed(self) -> int:
        """How many accounts could not be asked."""
        return sum(asked.problem is not None for asked in self.accounts)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to find out with the keys that are here."""
        return not (self.to_adopt or self.looking)

    @property
    def percent(self) -> int:
        """The part of the older rows of which it is known where their chats are, from 0 to 100."""
        known = self.adopted + self.not_in_any_account
        return 100 * known // max(known + self.to_adopt + self.looking, 1)


def found(
    prototype: TrackedPrototype,
    account: str,
    chat: ListedChat,
    now: datetime,
    timing: Timing,
    *,
    finalize_at: datetime,
) -> TrackedPrototype:
    """The older prototype after an account has shown its chat, which is followed there from now on.

    What the builder says counts from this first sight on, whatever the old system has written; a chat that says nothing
    of its state leaves the status as it was. `finalize_at`: when its picture is read if it is finished.
    """
    asked = replace(prototype, chat_id=chat.chat_id).with_generation(account=account, absence=Absence())
    if chat.observation.state is not ObservedState.QUEUED:
        unread = replace(asked.generation.submission, recovery_point=RecoveryPoint.ACCEPTED)
        asked = replace(asked, status=Status.PENDING).with_generation(submission=unread, error=Reason())
    shown = polled(asked, ChatShown(chat.observation), now, timing, batched=True)
    generation = shown.generation
    due = None if generation.finalize_at is None else finalize_at
    # How long it took is not known, and its end was before this.
    return shown.with_generation(finalize_at=due, settled_at=None)


def chat_of_project(chats: Sequence[ListedChat], made_at: datetime | None, taken: Collection[str]) -> ListedChat | None:
    """The chat of a row that names only its project: of those that no row has, the one made nearest to the row.

    `made_at` None, or a chat without a time: the first of the list, which is newest first.
    """
    free = [chat for chat in chats if chat.chat_id not in taken]
    dated = [(chat.created_at, chat) for chat in free if chat.created_at is not None]
    if made_at is None or len(dated) < len(free):
        return free[0] if free else None
    near = [(abs(at - made_at), chat) for at, chat in dated if at >= made_at - MADE_BEFORE_ROW]
    return min(near, key=lambda pair: pair[0])[1] if near else None
