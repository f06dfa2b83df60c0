"""Requests and answers of the API for plans of clean-ups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.clean_up import Plan, PlanItem, undo_of
from protokeep.service.plan_reports import PlanReport
from protokeep.service.plans import Undone
from protokeep.store.clean_up_policies import Policy
from protokeep.web.models import values_of

KindWord = Literal["duplicate", "failed", "empty", "superseded", "not_claimed"]
Digest = Annotated[str, Field(max_length=100, description="The plan's digest: it names exactly this list.")]
ChatIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=900)]

#: A list without anything would select by nothing, which is everything: whoever means that leaves it out.
Named = Annotated[ChatIds, Field(min_length=1)]


_WORKSPACE = "team"
_DIGEST = "5f2b7c0d9e314a68"


def _taking(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a body; `example` is one that the API takes."""
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [example]})


class NewPlan(BaseModel):
    """Which chats a plan is to delete. Naming chats or groups selects these; otherwise `kinds` does."""

    model_config = _taking({"workspace": _WORKSPACE, "kinds": ["duplicate", "failed"], "grace_days": 14})

    workspace: Annotated[str, Field(max_length=200, description="The name of your workspace, repeated.")]
    account: Annotated[str | None, Field(max_length=700, description="Null: the first that may be cleaned up.")] = None
    kinds: Annotated[list[KindWord] | None, Field(max_length=5, description="Null: all of them.")] = None
    chat_ids: Annotated[Named | None, Field(description="These chats; null: selected by the other fields.")] = None
    group_ids: Annotated[Named | None, Field(description="The chats of these groups; null: of any.")] = None
    author_ids: Annotated[Named | None, Field(description="Only chats of these authors; null: of any.")] = None
    older_than_days: Annotated[
        int | None, Field(ge=1, le=36500, description="Null: 90, for chats that no product uses.")
    ] = None
    rules_off: Annotated[list[str], Field(max_length=20, description="Keep rules to switch off.")] = []
    grace_days: Annotated[int, Field(description="Days from the approval to the first deletion, at least 3.")] = 14
    per_day: Annotated[int, Field(description="Deletions in a UTC day.")] = 100


class EditedPlan(BaseModel):
    """An exported list in which some actions were changed."""

    model_config = _taking({"content": "chat_id,action,fingerprint\r\naBcDeFg1234,keep,9c1f\r\n"})

    content: Annotated[str, Field(min_length=1, description="CSV or JSON; lines that did not change may be left out.")]


class Approval(BaseModel):
    """An approval of exactly one list."""

    model_config = _taking({"digest": _DIGEST, "workspace": _WORKSPACE})

    digest: Digest
    workspace: Annotated[str, Field(max_length=200, description="The name of your workspace, repeated.")]


class Application(BaseModel):
    """The start of an approved plan."""

    model_config = _taking({"digest": _DIGEST})

    digest: Digest


class Undo(BaseModel):
    """What is to be taken back. Null: the whole plan."""

    model_config = _taking({"chat_ids": ["aBcDeFg1234"]})

    chat_ids: Annotated[ChatIds | None, Field(description="These chats; null: the whole plan.")] = None


class NewPolicy(BaseModel):
    """Drafts that are made by themselves."""

    model_config = _taking({"workspace": _WORKSPACE, "older_than_days": 90})

    workspace: Annotated[str, Field(max_length=200, description="The name of your workspace, repeated.")]
    older_than_days: Annotated[int, Field(description="Chats that are older than so many days.")]
    account: Annotated[str | None, Field(max_length=700, description="Null: the first that may be cleaned up.")] = None


class ApprovalView(BaseModel):
    """Who approved a plan, and when."""

    by: Annotated[str, Field(description="Who approved it.")]
    at: Annotated[datetime, Field(description="When.")]


class PlanView(BaseModel):
    """A plan without its items. `deletions` of `chats` are to be deleted; `problem` says why it is paused."""

    id: Annotated[str, Field(description="Its id.")]
    account: Annotated[str, Field(description="The account that it cleans up.")]
    digest: Annotated[str, Field(description="Names exactly this list: an approval repeats it.")]
    state: Annotated[str, Field(description="How far it is, in one word.")]
    requested_by: Annotated[str, Field(description="Who made it.")]
    created_at: Annotated[datetime, Field(description="When it was made.")]
    expires_at: Annotated[datetime, Field(description="When it expires.")]
    grace_days: Annotated[int, Field(description="Days from the approval to the first deletion.")]
    per_day: Annotated[int, Field(description="Deletions in a UTC day, at most.")]
    chats: Annotated[int, Field(description="How many chats it lists.")]
    deletions: Annotated[int, Field(description="How many of them it deletes.")]
    approvals_needed: Annotated[int, Field(description="How many admins have to approve it.")]
    approvals: Annotated[list[ApprovalView], Field(description="Who approved it.")]
    edited_from: Annotated[str | None, Field(description="The plan whose exported list was edited into this one.")]
    origin: Annotated[str, Field(description="person, or policy: the standing policy made it.")]
    rules_off: Annotated[list[str], Field(description="Keep rules that are switched off in it.")]
    problem_code: Annotated[str | None, Field(description="Why it is paused, as a stable word for programs.")]
    problem: Annotated[str | None, Field(description="Why it is paused, for people.")]
    finished_at: Annotated[datetime | None, Field(description="When it ended; null: it has not.")]

    @classmethod
    def fields_of(cls, plan: Plan) -> dict[str, Any]:
        """The view's values, by field name."""
        values = values_of(PlanView, plan, "approvals")
        values["rules_off"] = list(plan.rules_off)
        return {**values, "approvals": [ApprovalView(by=by, at=at) for by, at in plan.approvals]}

    @classmethod
    def of(cls, plan: Plan) -> PlanView:
        """The view of a plan."""
        return cls(**cls.fields_of(plan))


class PlanDetail(PlanView):
    """A plan with what it takes: calls, the credits that its chats had cost, and when its last deletion is due."""

    calls: Annotated[int, Field(description="About how many calls to the app builder it takes.")]
    credits: Annotated[float, Field(description="What its chats had cost, in the app builder's credits.")]
    ends_at: Annotated[
        datetime | None, Field(description="When its last deletion is due; null: it deletes nothing, or nothing more.")
    ]


class PlansView(BaseModel):
    """The plans of the workspace, newest first, and the accounts that it may clean up."""

    plans: Annotated[list[PlanView], Field(description="The plans, newest first.")]
    accounts: Annotated[list[str], Field(description="The accounts that may be cleaned up.")]


class ItemView(BaseModel):
    """What a plan does with one chat. `undo`: at_once, new_chat (made again from its archive) or none."""

    chat_id: Annotated[str, Field(description="Its id at the app builder.")]
    name: Annotated[str, Field(description="What the app builder calls it.")]
    author_id: Annotated[str | None, Field(description="Who made it at the app builder.")]
    action: Annotated[str, Field(description="keep or delete.")]
    rule: Annotated[str, Field(description="The rule that decided it.")]
    reason: Annotated[str, Field(description="The same for people.")]
    state: Annotated[str, Field(description="How far it is, in one word.")]
    undo: Annotated[str, Field(description="What taking it back would do.")]
    group_id: Annotated[str | None, Field(description="The chats that it is the same as.")]
    credits: Annotated[float | None, Field(description="What it cost, in the app builder's credits.")]
    fingerprint: Annotated[str, Field(description="The chat as the plan knows it: one that changed since stays.")]
    due_at: Annotated[datetime | None, Field(description="When it is deleted, at the earliest.")]
    answer: Annotated[str | None, Field(description="What the app builder answered last.")]
    archive_id: Annotated[str | None, Field(description="The copy that was made before its deletion.")]
    decided_by: Annotated[str | None, Field(description="The person who decided it; null: a rule did.")]
    restored_as: Annotated[str | None, Field(description="The chat that was restored from its copy.")]
    pinned_by: Annotated[str | None, Field(description="Who pinned the chat, so that it stays; null: nobody.")]

    @classmethod
    def of(cls, item: PlanItem, pinned_by: str | None) -> ItemView:
        """The view of an item."""
        values = values_of(cls, item, "undo", "pinned_by")
        return cls(**values, undo=undo_of(item), pinned_by=pinned_by)


class ItemsView(BaseModel):
    """A page of items, in the order of their chats."""

    items: Annotated[list[ItemView], Field(description="The items of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class AuthorView(BaseModel):
    """The chats of one author that are about to go, and a message to the author. Null: the author is not known."""

    author_id: Annotated[str | None, Field(description="The author's id at the app builder; null: it is not known.")]
    chats: Annotated[
        list[dict[str, str]], Field(description="The chats that are about to go: `chat_id` and `name` of each.")
    ]
    message: Annotated[str, Field(description="What to tell the author.")]


class PlanPeopleView(BaseModel):
    """Whom to tell before a plan deletes anything."""

    people: Annotated[list[AuthorView], Field(description="The authors.")]


class ReportView(BaseModel):
    """What a plan did, in a sentence and in numbers. `verified` null: no census has begun since its end."""

    sentence: Annotated[str, Field(description="What it did, in a sentence.")]
    removed: Annotated[int, Field(description="Chats that were deleted.")]
    restored: Annotated[int, Field(description="Chats that were made again.")]
    skipped: Annotated[int, Field(description="Chats that were left alone.")]
    failed: Annotated[int, Field(description="Chats that could not be deleted.")]
    protected: Annotated[int, Field(description="Chats that were taken back before their deletion.")]
    open: Annotated[int, Field(description="Chats that still wait.")]
    gone_before: Annotated[int, Field(description="Chats that were gone before.")]
    pinned_touched: Annotated[int, Field(description="Pinned chats that were deleted.")]
    credits: Annotated[float, Field(description="What the deleted chats had cost, in the app builder's credits.")]
    reasons: Annotated[dict[str, int], Field(description="How many chats stayed, by reason.")]
    verified: Annotated[
        bool | None, Field(description="Whether a scan after the end shows none of them; null: there was none yet.")
    ]
    still_there: Annotated[list[str], Field(description="Chats that a scan still shows.")]

    @classmethod
    def of(cls, report: PlanReport) -> ReportView:
        """The view of a report."""
        values = values_of(cls, report, "still_there")
        return cls(**values, still_there=list(report.still_there))


class UndoView(BaseModel):
    """How many chats stay, are made again, are decided by what happened, and could not be taken back."""

    protected: Annotated[int, Field(description="Chats that stay.")]
    restoring: Annotated[int, Field(description="Chats that are made again.")]
    under_way: Annotated[int, Field(description="Chats whose deletion is under way: what happened decides.")]
    not_possible: Annotated[int, Field(description="Chats with nothing to take back.")]

    @classmethod
    def of(cls, undone: Undone) -> UndoView:
        """The view of an undo."""
        return cls(**values_of(cls, undone))


class PolicyView(BaseModel):
    """A standing policy: failed, empty and superseded chats that are older go into a draft."""

    account: Annotated[str, Field(description="The account that it is for.")]
    older_than_days: Annotated[int, Field(description="Chats that are older than so many days.")]
    set_by: Annotated[str, Field(description="Who set it.")]
    set_at: Annotated[datetime, Field(description="When it was set.")]
    next_at: Annotated[datetime, Field(description="When it makes the next draft.")]

    @classmethod
    def of(cls, policy: Policy) -> PolicyView:
        """The view of a policy."""
        return cls(**values_of(cls, policy))


class PoliciesView(BaseModel):
    """The standing policies of the workspace; none unless an admin has set one."""

    policies: Annotated[list[PolicyView], Field(description="The standing policies.")]
