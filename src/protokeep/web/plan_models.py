"""Requests and answers of the API for plans of clean-ups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.clean_up import Plan, PlanItem, undo_of
from protokeep.service.plan_reports import PlanReport
from protokeep.service.plans import Undone
from protokeep.store.clean_up_policies import Policy

KindWord = Literal["duplicate", "failed", "empty", "superseded", "not_claimed"]
ChatIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=900)]

#: A list without anything would select by nothing, which is everything: whoever means that leaves it out.
Named = Annotated[ChatIds, Field(min_length=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewPlan(_Body):
    """Which chats a plan is to delete. Naming chats or groups selects these; otherwise `kinds` does."""

    workspace: Annotated[str, Field(max_length=200, description="The name of your workspace, repeated.")]
    account: Annotated[str | None, Field(max_length=700, description="Null: the first that may be cleaned up.")] = None
    kinds: Annotated[list[KindWord] | None, Field(max_length=5, description="Null: all of them.")] = None
    chat_ids: Named | None = None
    group_ids: Named | None = None
    author_ids: Named | None = None
    older_than_days: Annotated[
        int | None, Field(ge=1, le=36500, description="Null: 90, for chats that nobody has claimed.")
    ] = None
    rules_off: Annotated[list[str], Field(max_length=20, description="Keep rules that do not count.")] = []
    grace_days: Annotated[int, Field(description="Days from the approval to the first deletion, at least 3.")] = 14
    per_day: Annotated[int, Field(description="Deletions in a UTC day.")] = 100


class EditedPlan(_Body):
    """An exported list in which some actions were changed."""

    content: Annotated[str, Field(min_length=1, description="CSV or JSON; lines that did not change may be left out.")]


class Approval(_Body):
    """An approval of exactly one list."""

    digest: Annotated[str, Field(max_length=100)]
    workspace: Annotated[str, Field(max_length=200, description="The name of your workspace, repeated.")]


class Application(_Body):
    """The start of an approved plan."""

    digest: Annotated[str, Field(max_length=100)]


class Undo(_Body):
    """What is to be taken back. Null: the whole plan."""

    chat_ids: ChatIds | None = None


class NewPolicy(_Body):
    """Drafts that are made by themselves."""

    workspace: Annotated[str, Field(max_length=200, description="The name of your workspace, repeated.")]
    older_than_days: int
    account: Annotated[str | None, Field(max_length=700)] = None


class ApprovalView(BaseModel):
    """Who approved a plan, and when."""

    by: str
    at: datetime


class PlanView(BaseModel):
    """A plan without its items. `deletions` of `chats` are to be deleted; `problem` says why it is paused."""

    id: str
    account: str
    digest: str
    state: str
    requested_by: str
    created_at: datetime
    expires_at: datetime
    grace_days: int
    per_day: int
    chats: int
    deletions: int
    approvals_needed: int
    approvals: list[ApprovalView]
    edited_from: str | None
    origin: str
    rules_off: list[str]
    problem_code: str | None
    problem: str | None
    finished_at: datetime | None

    @classmethod
    def fields_of(cls, plan: Plan) -> dict[str, Any]:
        """The view's values, by field name."""
        values = {name: getattr(plan, name) for name in PlanView.model_fields if name != "approvals"}
        values["rules_off"] = list(plan.rules_off)
        return {**values, "approvals": [ApprovalView(by=by, at=at) for by, at in plan.approvals]}

    @classmethod
    def of(cls, plan: Plan) -> PlanView:
        """The view of a plan."""
        return cls(**cls.fields_of(plan))


class PlanDetail(PlanView):
    """A plan with what it takes: calls, the credits that its chats had cost, and when its last deletion is due."""

    calls: int
    credits: float
    ends_at: datetime | None


class PlansView(BaseModel):
    """The plans of the workspace, newest first, and the accounts that it may clean up."""

    plans: list[PlanView]
    accounts: list[str]


class ItemView(BaseModel):
    """What a plan does with one chat. `undo`: at_once, new_chat (made again from its archive) or none."""

    chat_id: str
    name: str
    author_id: str | None
    action: str
    rule: str
    reason: str
    state: str
    undo: str
    group_id: str | None
    credits: float | None
    fingerprint: str
    due_at: datetime | None
    answer: str | None
    archive_id: str | None
    decided_by: str | None
    restored_as: str | None

    @classmethod
    def of(cls, item: PlanItem) -> ItemView:
        """The view of an item."""
        values = {name: getattr(item, name) for name in cls.model_fields if name != "undo"}
        return cls(**values, undo=undo_of(item))


class ItemsView(BaseModel):
    """A page of items, in the order of their chats."""

    items: list[ItemView]
    next_cursor: str | None


class AuthorView(BaseModel):
    """The chats of one author that are about to go, and a message to the author. Null: the author is not known."""

    author_id: str | None
    chats: list[dict[str, str]]
    message: str


class PlanPeopleView(BaseModel):
    """Whom to tell before a plan deletes anything."""

    people: list[AuthorView]


class ReportView(BaseModel):
    """What a plan did, in a sentence and in numbers. `verified` null: no census has begun since its end."""

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
    reasons: dict[str, int]
    verified: bool | None
    still_there: list[str]

    @classmethod
    def of(cls, report: PlanReport) -> ReportView:
        """The view of a report."""
        values = {name: getattr(report, name) for name in cls.model_fields if name != "still_there"}
        return cls(**values, still_there=list(report.still_there))


class UndoView(BaseModel):
    """How many chats stay, are made again, are decided by what happened, and could not be taken back."""

    protected: int
    restoring: int
    under_way: int
    not_possible: int

    @classmethod
    def of(cls, undone: Undone) -> UndoView:
        """The view of an undo."""
        return cls(**{name: getattr(undone, name) for name in cls.model_fields})


class PolicyView(BaseModel):
    """A standing policy: failed, empty and superseded chats that are older go into a draft."""

    account: str
    older_than_days: int
    set_by: str
    set_at: datetime
    next_at: datetime

    @classmethod
    def of(cls, policy: Policy) -> PolicyView:
        """The view of a policy."""
        return cls(**{name: getattr(policy, name) for name in cls.model_fields})


class PoliciesView(BaseModel):
    """The standing policies of the workspace; none unless an admin has set one."""

    policies: list[PolicyView]
