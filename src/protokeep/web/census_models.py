"""Requests and answers of the API of censuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.census import Census
from protokeep.core.census_summary import NEEDLESS, CensusSummary, Named, Tally
from protokeep.core.census_tasks import CensusTasks
from protokeep.service.census import MOST_REASON, CensusOverview
from protokeep.service.census_adoption import MOST_AT_ONCE, AdoptResult
from protokeep.store.census_queries import LISTED_PROMPT
from protokeep.store.census_reads import FoundChat, FoundGroup
from protokeep.web.census_export import fields_of

StateOfCensus = Literal["running", "paused", "done", "failed", "cancelled"]
ClaimWord = Literal["ours", "surplus", "lost", "nobody"]
KindWord = Literal["current", "variant", "duplicate", "failed", "empty", "undecided", "single"]
ContentWord = Literal["finished", "generating", "failed", "empty", "untold", "unreadable"]
SortWord = Literal["created", "updated", "name", "credits"]
AccountName = Annotated[
    str | None, Field(max_length=500, description="The account at the app builder; null: the workspace's own.")
]
ChatId = Annotated[str, Field(min_length=1, max_length=200)]


class NewCensus(BaseModel):
    """A request for a census."""

    model_config = ConfigDict(extra="forbid", strict=True)

    account: AccountName = None
    whole: Annotated[
        bool | None, Field(description="Read the lists to their ends; null: only what is new, after the first census.")
    ] = None


class CensusView(BaseModel):
    """A census. `chats` are those that it has seen so far, `expected` those that the whole census before it saw.

    `problem` says why it is paused or failed, or what it could not find out.
    """

    id: str
    account: str
    state: StateOfCensus
    is_whole: bool
    requested_by: str
    started_at: datetime
    finished_at: datetime | None
    step_at: Annotated[datetime | None, Field(description="When it goes on.")]
    phase: str
    calls: int
    chats: int
    expected: int | None
    prompts_left: Annotated[
        int, Field(description="Prompts that are still to be read, when all else was; groups can be seen by then.")
    ]
    problem: str | None

    @classmethod
    def of(cls, census: Census) -> CensusView:
        """The view of a census."""
        told = {name: getattr(census, name) for name in cls.model_fields if name != "prompts_left"}
        return cls(**told, prompts_left=CensusTasks.of(census.position).prompts_left)


class CensusesView(BaseModel):
    """The newest census of an account, and those before it.

    `expected_calls` and `seconds_left` are what the open one takes, as far as an earlier one tells.
    """

    account: str
    accounts: Annotated[list[str], Field(description="The accounts that the workspace may read.")]
    census: CensusView | None
    earlier: list[CensusView]
    expected_calls: int | None
    seconds_left: float | None

    @classmethod
    def of(cls, overview: CensusOverview) -> CensusesView:
        """The view of what is known of an account's censuses."""
        views = [CensusView.of(census) for census in overview.censuses]
        return cls(
            account=overview.account,
            accounts=list(overview.accounts),
            census=views[0] if views else None,
            earlier=views[1:],
            expected_calls=overview.expected_calls,
            seconds_left=overview.seconds_left,
        )


class ChatView(BaseModel):
    """A chat of the account. What the app builder's list does not tell is null."""

    chat_id: str
    api_version: int
    name: str
    prompt: Annotated[str | None, Field(description="Its first message, as far as it is known.")]
    prompt_cut: bool
    product_id: Annotated[str | None, Field(description="The product that it is for, or seems to be for.")]
    prototype_id: str | None
    is_current: Annotated[bool, Field(description="Whether it is what the product's users get.")]
    group_id: str | None
    claim: ClaimWord
    kind: KindWord | None
    content: ContentWord
    author_id: str | None
    created_at: datetime | None
    updated_at: datetime | None
    privacy: str | None
    is_favorite: bool | None
    may_delete: bool | None
    project_id: str | None
    vercel_project_id: str | None
    credits: float | None
    pinned_by: str | None
    pin_reason: str | None
    asks_to_be_kept: Annotated[bool, Field(description="`keep` stands in its name or in its metadata.")]
    is_missing: Annotated[bool, Field(description="The newest whole census did not see it.")]
    web_url: str | None
    demo_url: str | None
    has_picture: bool
    fingerprint: str
    first_seen_at: datetime | None
    last_seen_at: datetime | None

    @classmethod
    def of(cls, found: FoundChat) -> ChatView:
        """The view of a chat in a list: a long prompt is cut."""
        fields = fields_of(found)
        prompt = fields.pop("prompt")
        is_cut = prompt is not None and len(prompt) > LISTED_PROMPT
        return cls(**fields, prompt=prompt[:LISTED_PROMPT] if is_cut else prompt, prompt_cut=is_cut)


class ChatsView(BaseModel):
    """A page of chats."""

    chats: list[ChatView]
    next_cursor: str | None


class GroupView(BaseModel):
    """Chats that are the same. `unclaimed` counts those that no product uses."""

    group_id: str
    name: str
    members: int
    unclaimed: int
    confidence: float
    reasons: list[str]
    product_id: str | None
    product_confidence: float
    credits: float | None
    newest_at: datetime | None

    @classmethod
    def of(cls, found: FoundGroup) -> GroupView:
        """The view of a group."""
        group = found.group
        return cls(
            group_id=group.id,
            name=found.name,
            members=found.members,
            unclaimed=found.unclaimed,
            confidence=group.confidence,
            reasons=list(group.reasons),
            product_id=group.product_id,
            product_confidence=group.product_confidence,
            credits=found.credits,
            newest_at=found.newest_at,
        )


class GroupsView(BaseModel):
    """A page of groups, the largest first."""

    groups: list[GroupView]
    next_cursor: str | None


class TallyView(BaseModel):
    """A number of chats and what they cost, in the app builder's credits; null: it does not tell."""

    chats: int
    credits: float | None


class NeedlessView(TallyView):
    """Chats that nobody needs, and why."""

    reason: str


class NamedTallyView(TallyView):
    """The chats of one author or product; null: of none that is known."""

    name: str | None


class SummaryView(BaseModel):
    """The account in numbers. Chats of other workspaces and installations are counted in `by_claim` only."""

    total: TallyView
    missing: TallyView
    pinned: TallyView
    favorites: TallyView
    by_claim: dict[str, TallyView]
    by_kind: dict[str, TallyView]
    by_content: dict[str, TallyView]
    by_age: dict[str, TallyView]
    needless: dict[str, NeedlessView]
    authors: list[NamedTallyView]
    products: list[NamedTallyView]

    @classmethod
    def of(cls, summary: CensusSummary) -> SummaryView:
        """The view of a summary."""
        needless = {
            name: NeedlessView(chats=tally.chats, credits=tally.credits, reason=NEEDLESS[name])
            for name, tally in summary.needless.items()
        }
        tallies = ("total", "missing", "pinned", "favorites")
        by = ("by_claim", "by_kind", "by_content", "by_age")
        return cls(
            **{name: _tally(getattr(summary, name)) for name in tallies},
            **{name: _tallies(getattr(summary, name)) for name in by},
            needless=needless,
            authors=[_named(one) for one in summary.authors],
            products=[_named(one) for one in summary.products],
        )


class NewPin(BaseModel):
    """Why a chat is to be kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[str | None, Field(max_length=MOST_REASON)] = None


class Adopt(BaseModel):
    """Which chats become prototypes of which product: those of a group, or those named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    product_id: Annotated[str, Field(max_length=1000, description="Your own id of the product.")]
    chat_ids: Annotated[list[ChatId], Field(max_length=MOST_AT_ONCE)] = []
    group_id: Annotated[str | None, Field(max_length=200)] = None
    product_name: Annotated[str | None, Field(description="What people call the product.")] = None
    account: AccountName = None


class AdoptedView(BaseModel):
    """What became of a chat: `adopted`; `known`: it was this product's; `taken`: another product has it."""

    chat_id: str
    outcome: Literal["adopted", "known", "taken"]
    prototype_id: str | None
    is_current: bool


class RefusedView(BaseModel):
    """A chat that was not adopted, and why."""

    chat_id: str
    reason: str


class AdoptionView(BaseModel):
    """What became of all chats. `left` of the group were not tried yet: ask again."""

    product_id: str
    adopted: list[AdoptedView]
    refused: list[RefusedView]
    left: int

    @classmethod
    def of(cls, result: AdoptResult) -> AdoptionView:
        """The view of an adoption."""
        adopted = [
            AdoptedView(chat_id=one.chat_id, outcome=one.outcome, prototype_id=one.mockup_id, is_current=one.is_current)
            for one in result.adopted
        ]
        refused = [RefusedView(chat_id=one.chat_id, reason=one.reason) for one in result.refused]
        return cls(product_id=result.product_id, adopted=adopted, refused=refused, left=result.left)


def _tally(tally: Tally) -> TallyView:
    return TallyView(chats=tally.chats, credits=tally.credits)


def _tallies(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    return {name: _tally(tally) for name, tally in tallies.items()}


def _named(one: Named) -> NamedTallyView:
    return NamedTallyView(name=one.name, chats=one.chats, credits=one.credits)
