"""The clean-up of an account: plans, their items, and how an item may change. A plan is the dry run of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PlanState(StrEnum):
    """How far a plan is."""

    DRAFT = "draft"  #: nothing happens before it is approved
    APPROVED = "approved"  #: its grace period runs; people can save their chats
    APPLYING = "applying"
    PAUSED = "paused"  #: by a person, or because the app builder refused a call; it says why
    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  #: nobody approved it in time


class PlanAction(StrEnum):
    """What a plan does with a chat."""

    KEEP = "keep"
    DELETE = "delete"


class ItemState(StrEnum):
    """How far an item of a plan is. `OPEN_ITEMS` may still lead to a deletion."""

    PLANNED = "planned"
    WAITING = "waiting"  #: its plan is approved, and its grace period runs
    ARCHIVED = "archived"  #: a verified copy of the chat is here
    DELETING = "deleting"  #: the deletion may have been sent
    DELETED = "deleted"
    SKIPPED = "skipped"  #: it changed, or may not be deleted; `reason` says why
    FAILED = "failed"  #: the app builder refuses its deletion
    PROTECTED = "protected"  #: a person took it out of the plan, or it was kept from the beginning
    RESTORING = "restoring"  #: it was deleted, and is being made again from its archive
    RESTORED = "restored"  #: it was deleted, and made again from its archive


#: States in which a chat has an open deletion: at most one plan may have it there.
OPEN_ITEMS = frozenset({ItemState.WAITING, ItemState.ARCHIVED, ItemState.DELETING})


@dataclass(frozen=True, slots=True)
class PlanItem:
    """What a plan does with one chat, and how far that is.

    `rule` names the rule that decided, as a stable word; `reason` says it to people. `fingerprint` is the chat's when
    the plan was made: a chat with another one is never deleted.
    """

    chat_id: str
    api_version: int
    action: PlanAction
    rule: str
    reason: str
    fingerprint: str
    name: str = ""
    author_id: str | None = None
    group_id: str | None = None
    credits: float | None = None
    state: ItemState = ItemState.PLANNED
    due_at: datetime | None = None  #: when it may go on
    sent_at: datetime | None = None  #: when its deletion was sent last
    undo_by: str | None = None  #: the person who wants it back
    restored_as: str | None = None  #: the chat that was made from its archive
    attempts: int = 0
    archive_id: str | None = None
    answer: str | None = None  #: what the app builder answered last
    decided_by: str | None = None  #: the person who decided it, if a rule did not
    version: int = 0  #: grows with each change; guards writes


@dataclass(frozen=True, slots=True)
class Plan:
    """An immutable list of what is to be done with the chats of an account, and how far that is."""

    id: str
    workspace_id: str
    account: str
    digest: str  #: of its items; an approval and an application name it
    state: PlanState
    requested_by: str
    created_at: datetime
    expires_at: datetime
    grace_days: int
    per_day: int  #: deletions in a UTC day
    chats: int  #: chats of the account when it was made
    deletions: int  #: items that delete
    approvals_needed: int = 1
    approvals: Sequence[tuple[str, datetime]] = ()
    edited_from: str | None = None  #: the plan that it was imported over
    origin: str = "person"  #: `person`, or `policy` for one that the standing policy made
    rules_off: tuple[str, ...] = ()  #: the keep rules that were switched off
    slowed_at: datetime | None = None  #: when the app builder asked for fewer calls last
    slowdowns: int = 0  #: how often it did so in that UTC day
    failures: int = 0  #: calls in a row without a trustworthy answer
    step_at: datetime | None = None  #: when its next step is due
    problem_code: str | None = None
    problem: str | None = None
    finished_at: datetime | None = None
    version: int = 0


def digest_of(workspace_id: str, account: str, items: Sequence[PlanItem]) -> str:
    """The digest of what a plan does: another chat, action or fingerprint gives another digest."""
    lines = sorted((item.chat_id, item.api_version, item.action.value, item.fingerprint) for item in items)
    return hashlib.sha256(json.dumps([workspace_id, account, lines]).encode()).hexdigest()


#: Limits of a plan, each with its reason.
GRACE_DAYS_MIN, GRACE_DAYS_MAX = 3, 365  #: people who are away for a weekend still see it
PER_DAY_MAX = 10_000
DRAFT_DAYS = 7  #: an older list says little about the account of today
#: More deletions than this, or than half of the account, need a second admin.
DELETIONS_OF_ONE_ADMIN = 1000
#: Nothing is deleted so soon after the first census of an account.
FIRST_CENSUS_HOURS = 24
#: Begins the answer of an item whose chat cannot be made again, such as one without files.
NOT_MADE_AGAIN = "It cannot be made again"
#: About how many calls the removal of a chat takes: reading it whole, and one that stays, and deleting it.
CALLS_PER_DELETION = {1: 5, 2: 5}


def approvals_needed(deletions: int, chats: int) -> int:
    """How many different admins have to approve a plan (R5)."""
    return 2 if deletions > DELETIONS_OF_ONE_ADMIN or 2 * deletions > chats else 1


def calls_of(items: Sequence[PlanItem]) -> int:
    """About how many calls at the app builder a plan takes."""
    return sum(
        CALLS_PER_DELETION.get(item.api_version, max(CALLS_PER_DELETION.values()))
        for item in items
        if item.action is PlanAction.DELETE
    )


def undo_of(item: PlanItem) -> str:
    """Which undo an item has now: `at_once`, `new_chat` (made again from its archive), or `none`."""
    if item.state in OPEN_ITEMS | {ItemState.PLANNED}:
        return "at_once" if item.state is not ItemState.DELETING else "new_chat"
    is_possible = item.archive_id is not None and not (item.answer or "").startswith(NOT_MADE_AGAIN)
    return "new_chat" if item.state is ItemState.DELETED and is_possible else "none"
