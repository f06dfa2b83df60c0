"""What people read about a plan: figures before it runs, whom to tell, and a report of what it did, verified."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from protokeep.core.clean_up import OPEN_ITEMS, ItemState, Plan, PlanAction, PlanItem, PlanState, calls_of
from protokeep.core.foreign_text import one_line
from protokeep.service.context import Context
from protokeep.service.plans import PlanService
from protokeep.store.plans import Fate

#: States of an item whose chat was deleted by the plan, whatever became of it afterwards.
REMOVED = frozenset({ItemState.DELETED, ItemState.RESTORING, ItemState.RESTORED})
#: The rule of an item whose chat was not there any more when it was read.
GONE = "gone"
TITLES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """What a plan takes. `left`: chats that it still deletes. `ends_at` None: it deletes nothing (any more)."""

    calls: int
    credits: float
    left: int
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuthorChats:
    """The chats of one author that a plan is about to delete, and a message to the author."""

    author_id: str | None
    chats: Sequence[tuple[str, str]]  #: (id, name)
    message: str


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What a plan did.

    `verified`: whether a whole census after its end shows none of its chats; None: there was none yet.
    """

    sentence: str
    removed: int
    restored: int
    skipped: int
    failed: int
    protected: int
    open: int
    gone_before: int
    pinned_touched: int
    credits: float
    reasons: dict[str, int] = field(default_factory=dict)
    verified: bool | None = None
    still_there: Sequence[str] = ()


class PlanReports:
    """Reads plans for people."""

    def __init__(self, context: Context, plans: PlanService) -> None:
        self._context = context
        self._store = context.store.plans
        self._plans = plans

    async def figures(self, workspace_id: str, plan_id: str) -> PlanFigures:
        """What a plan takes from now on."""
        plan = await self._plans.get(workspace_id, plan_id)
        items = await self._store.items(plan.id, actions=frozenset({PlanAction.DELETE}))
        left = [item for item in items if item.state in OPEN_ITEMS | {ItemState.PLANNED}]
        return PlanFigures(
            calls=calls_of(items),
            credits=_rounded(sum(item.credits or 0 for item in items)),
            left=len(left),
            ends_at=_end_of(plan, left, self._context.clock()),
        )

    async def people(self, workspace_id: str, plan_id: str) -> list[AuthorChats]:
        """Each author with the chats that are about to go, those with the most chats first."""
        plan = await self._plans.get(workspace_id, plan_id)
        states = frozenset({ItemState.PLANNED, ItemState.WAITING, ItemState.ARCHIVED})
        by_author: dict[str | None, list[PlanItem]] = {}
        for item in await self._store.items(plan.id, states=states, actions=frozenset({PlanAction.DELETE})):
            by_author.setdefault(item.author_id, []).append(item)
        found = [_author_chats(plan, author_id, items, self._context.clock()) for author_id, items in by_author.items()]
        return sorted(found, key=lambda author: (-len(author.chats), author.author_id or ""))

    async def report(self, workspace_id: str, plan_id: str) -> PlanReport:
        """What became of a plan so far, in a sentence and in numbers."""
        plan = await self._plans.get(workspace_id, plan_id)
        fates = [fate for fate in await self._store.fates(plan.id) if fate.action is PlanAction.DELETE]
        removed = _sum(fates, REMOVED)
        credits = _rounded(sum(fate.credits for fate in fates if fate.state in REMOVED))
        reasons: Counter[str] = Counter()
        for fate in fates:
            if fate.state in (ItemState.SKIPPED, ItemState.FAILED, ItemState.PROTECTED):
                reasons[fate.rule] += fate.items
        verified, still_there = await self._verify(plan)
        pinned_touched = await self._store.pinned_touched(plan.id)
        skipped = _sum(fates, frozenset({ItemState.SKIPPED}))
        report = PlanReport(
            sentence="",
            removed=removed,
            restored=_sum(fates, frozenset({ItemState.RESTORED})),
            skipped=skipped,
            failed=_sum(fates, frozenset({ItemState.FAILED})),
            protected=_sum(fates, frozenset({ItemState.PROTECTED})),
            open=_sum(fates, OPEN_ITEMS | {ItemState.PLANNED, ItemState.RESTORING}),
            gone_before=reasons.get(GONE, 0),
            pinned_touched=pinned_touched,
            credits=credits,
            reasons=dict(reasons),
            verified=verified,
            still_there=still_there,
        )
        return _with_sentence(report)

    async def fates(self, workspace_id: str, plan_id: str) -> list[Fate]:
        """The chats of a plan, counted by rule and by what became of them."""
        plan = await self._plans.get(workspace_id, plan_id)
        return await self._store.fates(plan.id)

    async def _verify(self, plan: Plan) -> tuple[bool | None, list[str]]:
        """Whether a whole census that began after the plan's end shows none of its chats, and those that it shows.

        A census that reads only what is new proves nothing: it stops before it comes to the old chats.
        """
        still_there = await self._store.seen_after_deletion(plan)
        if still_there:
            return False, still_there
        if plan.state not in (PlanState.DONE, PlanState.CANCELLED) or plan.finished_at is None:
            return None, []
        censuses = await self._store.censuses(plan.workspace_id, plan.account)
        is_verified = any(is_whole and began >= plan.finished_at for began, _, is_whole in censuses)
        return (True if is_verified else None), []


def _with_sentence(report: PlanReport) -> PlanReport:
    changed = report.reasons.get("changed", 0)
    other = report.skipped - changed - report.gone_before
    parts = [
        f"{report.removed:,} removed",
        f"{report.pinned_touched:,} pinned deleted",
        f"{changed:,} skipped because they had changed",
        *([f"{other:,} skipped for other reasons"] if other else []),
        *([f"{report.gone_before:,} gone before"] if report.gone_before else []),
        *([f"{report.failed:,} failed"] if report.failed else []),
        *([f"{report.protected:,} taken back before"] if report.protected else []),
        *([f"{report.restored:,} made again"] if report.restored else []),
        *([f"{report.open:,} still open"] if report.open else []),
        f"{round(report.credits, 2):,.10g} credits they had cost",
    ]
    ends = {
        True: " A scan afterwards shows none of them.",
        False: f" A scan afterwards still shows {len(report.still_there):,} of them.",
        None: "",
    }
    return replace(report, sentence=", ".join(parts) + "." + ends[report.verified])


def _author_chats(plan: Plan, author_id: str | None, items: Sequence[PlanItem], now: datetime) -> AuthorChats:
    titles = [one_line(item.name, 100) or item.chat_id for item in items]
    shown = "\n".join(f"- {title}" for title in titles[:TITLES_SHOWN])
    more = f"\n- and {len(titles) - TITLES_SHOWN:,} more" if len(titles) > TITLES_SHOWN else ""
    due = min((item.due_at for item in items if item.due_at), default=now + timedelta(days=plan.grace_days))
    chats = "1 of your chats" if len(items) == 1 else f"{len(items):,} of your chats"
    message = (
        f"Hello! {chats} in our app builder account will be deleted from {due:%Y-%m-%d} on, because nothing seems to "
        f"need them. A copy of each is kept. To save one, pin it in protokeep, or write `keep` into its name before "
        f"then:\n{shown}{more}"
    )
    return AuthorChats(author_id, [(item.chat_id, item.name) for item in items], message)


def _end_of(plan: Plan, left: Sequence[PlanItem], now: datetime) -> datetime | None:
    if not left:
        return None
    begins = max([now, *(item.due_at for item in left if item.due_at)])
    if plan.state is PlanState.DRAFT:
        begins = now + timedelta(days=plan.grace_days)
    return begins + timedelta(days=math.ceil(len(left) / plan.per_day) - 1)


def _rounded(credits: float) -> float:
    """A sum of credits without the noise of binary fractions: app builders report six decimals at most."""
    return round(credits, 6)


def _sum(fates: Sequence[Fate], states: frozenset[ItemState]) -> int:
    return sum(fate.items for fate in fates if fate.state in states)
