"""The texts and links of the pages of plans: what will happen, when it ends, and what became of each chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.clean_up import OPEN_ITEMS, ItemState, Plan, PlanAction, PlanItem, PlanState, undo_of
from protokeep.service.plan_reports import REMOVED, PlanFigures
from protokeep.store.census_reads import FoundChat
from protokeep.store.clean_up_policies import Policy
from protokeep.store.plans import Fate
from protokeep.web.pages import formatting
from protokeep.web.pages.clean_up_words import (
    ITEM_STATES,
    KEEP_CHOICES,
    PLAN_STATES,
    account_name,
    chats_text,
    quoted,
    rule_reason,
)

UNDOS = {
    "at_once": "can be kept",
    "new_chat": "can be restored from its copy, as a new chat",
    "none": "",
}
#: The rules of `Plan.rules_off`, for people.
_RULES_OFF = {rule.value: words for rule, words in KEEP_CHOICES.items()}


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan as a row and as the head of its page."""

    id: str
    url: str
    title: str
    chip: tuple[str, str, str]
    account: str
    requested_by: str
    is_of_policy: bool
    deletions: str
    sentence: str
    problem: str | None
    digest: str
    grace_days: int
    per_day: int
    approvals: Sequence[str]
    approvals_left: int
    rules_off: Sequence[str]
    state: str
    expires: str


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many chats go or stay by one rule."""

    reason: str
    chats: str
    credits: str | None


@dataclass(frozen=True, slots=True)
class ItemView:
    """What a plan does with one chat. `undo` is empty where nothing can be taken back."""

    id: str
    title: str
    url: str | None
    author: str
    reason: str
    state: str
    is_open: bool
    due: str | None
    undo: str
    can_undo: bool
    credits: str | None
    pinned_by: str | None
    is_there: bool


def plan_view(plan: Plan, now: datetime, figures: PlanFigures | None = None) -> PlanView:
    """The texts of a plan; with `figures`, a sentence that says when it ends."""
    left = max(plan.approvals_needed - len(plan.approvals), 0)
    return PlanView(
        id=plan.id,
        url=f"/clean-up/plans/{plan.id}",
        title=f"Plan of {plan.created_at.day} {plan.created_at:%B, %H:%M} UTC",
        chip=PLAN_STATES[plan.state],
        account=account_name(plan.account),
        requested_by=plan.requested_by,
        is_of_policy=plan.origin == "policy",
        deletions=f"{plan.deletions:,} of {plan.chats:,}",
        sentence=sentence_of(plan, now, figures),
        problem=quoted(plan.problem) if plan.problem else None,
        digest=plan.digest,
        grace_days=plan.grace_days,
        per_day=plan.per_day,
        approvals=[f"{by}, {formatting.ago(at, now)}" for by, at in plan.approvals],
        approvals_left=left,
        rules_off=[_RULES_OFF.get(rule, rule) for rule in plan.rules_off],
        state=plan.state.value,
        expires=formatting.on_day(plan.expires_at, now),
    )


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A standing policy in a sentence, with the account that its form names."""

    account: str
    sentence: str
    set_by: str


def policy_view(policy: Policy, now: datetime) -> PolicyView:
    """What a standing policy does, and who set it."""
    days = f"{policy.older_than_days:,} day{'s' * (policy.older_than_days != 1)}"
    return PolicyView(
        account=policy.account,
        sentence=f"About once a day, failed, empty and superseded chats of {account_name(policy.account)} that are "
        f"older than {days} go into a new draft, unless one waits already.",
        set_by=f"{policy.set_by}, {formatting.ago(policy.set_at, now)}",
    )


def _grace_text(figures: PlanFigures | None) -> str:
    """How many chats an approved plan still deletes: another plan may have taken some of them."""
    if figures is None:
        return "It is approved, and in its grace period."
    if figures.left == 1:
        return "It is approved, and 1 chat is in its grace period."
    return f"It is approved, and {chats_text(figures.left)} are in their grace period."


def sentence_of(plan: Plan, now: datetime, figures: PlanFigures | None) -> str:
    """What will happen, and when it ends."""
    chats = chats_text(plan.deletions)
    ends_at = figures.ends_at if figures else None
    ends = f" The last one is due about {formatting.day(ends_at, now)}." if ends_at else ""
    pace = f"at most {plan.per_day:,} a day"
    if plan.state is PlanState.DRAFT:
        if not plan.deletions:
            return "This plan deletes nothing: every chat is kept by a rule."
        return (
            f"This is a draft and deletes nothing. Once it is approved, {chats} of {plan.chats:,} wait for "
            f"{plan.grace_days} days; once it is also applied, they are copied and deleted, {pace}.{ends}"
        )
    grace_ends = max((at for _, at in plan.approvals), default=now) + timedelta(days=plan.grace_days)
    if plan.state is PlanState.APPROVED:
        return f"{_grace_text(figures)} Nothing is deleted before it is applied.{ends}"
    if plan.state is PlanState.APPLYING and now < grace_ends:
        return (
            f"It is applied, and nothing is deleted before {formatting.day(grace_ends, now)}: until then people can "
            f"pin their chats. Then each is read again, copied, and deleted, {pace}.{ends}"
        )
    if plan.state is PlanState.APPLYING:
        return f"It is running: each chat is read again, copied, and then deleted, {pace}.{ends}"
    return {
        PlanState.PAUSED: "It is paused: nothing is deleted until an admin resumes it.",
        PlanState.DONE: "It is done. The chats that it deleted can be restored from their copies, as new chats.",
        PlanState.CANCELLED: "It is cancelled: nothing more of it is deleted.",
        PlanState.EXPIRED: "No admin approved it in time, so it deletes nothing. Create a new plan.",
    }[plan.state]


def counts_view(fates: Sequence[Fate], action: PlanAction) -> list[RuleCount]:
    """How many chats a plan deletes or keeps, by rule, the largest number first."""
    numbers: dict[str, tuple[int, float]] = {}
    for fate in fates:
        if fate.action is action:
            chats, costs = numbers.get(fate.rule, (0, 0.0))
            numbers[fate.rule] = (chats + fate.items, costs + fate.credits)
    ordered = sorted(numbers.items(), key=lambda one: (-one[1][0], one[0]))
    return [
        RuleCount(rule_reason(rule), f"{chats:,}", formatting.credits_text(costs) if costs else None)
        for rule, (chats, costs) in ordered
    ]


def progress_of(fates: Sequence[Fate]) -> tuple[int, int]:
    """How many deletions are decided, and of how many."""
    decided = [fate for fate in fates if fate.action is PlanAction.DELETE]
    left = OPEN_ITEMS | {ItemState.PLANNED, ItemState.RESTORING}
    return sum(fate.items for fate in decided if fate.state not in left), sum(fate.items for fate in decided)


def item_view(item: PlanItem, found: Mapping[str, FoundChat], now: datetime) -> ItemView:
    """What a plan does with one chat; `found` are the chats of the census by their ids."""
    there = found.get(item.chat_id)
    undo = undo_of(item) if item.action is PlanAction.DELETE else "none"
    is_open = item.action is PlanAction.DELETE and item.state in OPEN_ITEMS | {ItemState.PLANNED}
    is_gone = item.state in REMOVED
    # Somebody wanted it back, and it could not be made again: the answer says why.
    is_lost = item.undo_by is not None and item.state is ItemState.DELETED
    chat = there.record.chat if there else None
    return ItemView(
        id=item.chat_id,
        title=item.name or "Untitled chat",
        url=formatting.safe_link(chat.web_url) if chat and not is_gone else None,
        author=item.author_id or "Unknown",
        reason=quoted(item.reason),
        state=ITEM_STATES[item.state],
        is_open=is_open,
        due=formatting.on_day(item.due_at, now) if item.due_at and is_open else None,
        undo=quoted(item.answer) if is_lost and item.answer else UNDOS[undo],
        can_undo=undo != "none" and item.undo_by is None and item.state is not ItemState.PLANNED,
        credits=formatting.credits_text(item.credits),
        pinned_by=there.record.pinned_by if there else None,
        is_there=there is not None and not is_gone,
    )
