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
from protokeep.web.models import values_of

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

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"whole": True}]})

    account: AccountName = None
    whole: Annotated[
        bool | None, Field(description="Read the lists to their ends; null: only what is new, after the first scan.")
    ] = None


class CensusView(BaseModel):
    """A census. `chats` are those that it has seen so far, `expected` those that the whole census before it saw.

    `problem` says why it is paused or failed, or what it could not find out.
    """

    id: Annotated[str, Field(description="Its id.")]
    account: Annotated[str, Field(description="The account that is read.")]
    state: Annotated[StateOfCensus, Field(description="How far it is, in one word.")]
    is_whole: Annotated[bool, Field(description="Whether it reads the lists to their ends.")]
    requested_by: Annotated[str, Field(description="Who began it.")]
    started_at: Annotated[datetime, Field(description="When it began.")]
    finished_at: Annotated[datetime | None, Field(description="When it ended; null: it is open.")]
    step_at: Annotated[datetime | None, Field(description="When it continues.")]
    phase: Annotated[str, Field(description="What it does now, for people.")]
    calls: Annotated[int, Field(description="Calls to the app builder so far.")]
    chats: Annotated[int, Field(description="Chats that it has seen so far.")]
    expected: Annotated[int | None, Field(description="Chats that the whole scan before it saw.")]
    prompts_left: Annotated[
        int, Field(description="Prompts that are still to be read, when all else was; groups can be seen by then.")
    ]
    problem: Annotated[str | None, Field(description="Why it is paused or failed, or what it could not find out.")]

    @classmethod
    def of(cls, census: Census) -> CensusView:
        """The view of a census."""
        told = values_of(cls, census, "prompts_left")
        return cls(**told, prompts_left=CensusTasks.of(census.position).prompts_left)


class CensusesView(BaseModel):
    """The newest census of an account, and those before it.

    `expected_calls` and `seconds_left` are what the open one takes, as far as an earlier one tells.
    """

    account: Annotated[str, Field(description="The account that is meant.")]
    accounts: Annotated[list[str], Field(description="The accounts that the workspace may read.")]
    census: Annotated[CensusView | None, Field(description="The newest one; null: there was none.")]
    earlier: Annotated[list[CensusView], Field(description="Those before it, newest first.")]
    expected_calls: Annotated[
        int | None, Field(description="Calls that the open one takes, as far as an earlier one tells.")
    ]
    seconds_left: Annotated[
        float | None, Field(description="Seconds that the open one still takes, as far as an earlier one tells.")
    ]

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

    chat_id: Annotated[str, Field(description="Its id at the app builder.")]
    api_version: Annotated[int, Field(description="The version of the API that shows it.")]
    name: Annotated[str, Field(description="What the app builder calls it.")]
    prompt: Annotated[str | None, Field(description="Its first message, as far as it is known.")]
    prompt_cut: Annotated[bool, Field(description="Whether `prompt` is only its beginning.")]
    product_id: Annotated[str | None, Field(description="The product that it is for, or seems to be for.")]
    prototype_id: Annotated[str | None, Field(description="The prototype whose chat it is.")]
    is_current: Annotated[bool, Field(description="Whether it is what the product's users get.")]
    group_id: Annotated[str | None, Field(description="The chats that it is the same as.")]
    claim: Annotated[ClaimWord, Field(description="Whose it is.")]
    kind: Annotated[KindWord | None, Field(description="What it is among the chats that are the same.")]
    content: Annotated[ContentWord, Field(description="What the app builder made of it.")]
    author_id: Annotated[str | None, Field(description="Who made it at the app builder.")]
    created_at: Annotated[datetime | None, Field(description="When it was made.")]
    updated_at: Annotated[datetime | None, Field(description="When it changed last.")]
    privacy: Annotated[str | None, Field(description="Who may see it at the app builder.")]
    is_favorite: Annotated[bool | None, Field(description="Whether it is a favorite at the app builder.")]
    may_delete: Annotated[bool | None, Field(description="Whether the account may delete it.")]
    project_id: Annotated[str | None, Field(description="Its project at the app builder.")]
    vercel_project_id: Annotated[str | None, Field(description="Its project at Vercel.")]
    credits: Annotated[float | None, Field(description="What it cost, in the app builder's credits.")]
    pinned_by: Annotated[str | None, Field(description="Who pinned it; null: nobody.")]
    pin_reason: Annotated[str | None, Field(description="Why it was pinned.")]
    asks_to_be_kept: Annotated[bool, Field(description="`keep` stands in its name or in its metadata.")]
    is_missing: Annotated[bool, Field(description="The newest whole scan did not see it, or a plan deleted it.")]
    web_url: Annotated[str | None, Field(description="Its page at the app builder.")]
    demo_url: Annotated[str | None, Field(description="Its preview.")]
    has_picture: Annotated[bool, Field(description="Whether there is a picture of it.")]
    fingerprint: Annotated[str, Field(description="Changes when the chat changes.")]
    first_seen_at: Annotated[datetime | None, Field(description="When a scan saw it first.")]
    last_seen_at: Annotated[datetime | None, Field(description="When a scan saw it last.")]

    @classmethod
    def of(cls, found: FoundChat) -> ChatView:
        """The view of a chat in a list: a long prompt is cut."""
        fields = fields_of(found)
        prompt = fields.pop("prompt")
        is_cut = prompt is not None and len(prompt) > LISTED_PROMPT
        return cls(**fields, prompt=prompt[:LISTED_PROMPT] if is_cut else prompt, prompt_cut=is_cut)


class ChatsView(BaseModel):
    """A page of chats."""

    chats: Annotated[list[ChatView], Field(description="The chats of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class GroupView(BaseModel):
    """Chats that are the same. `unclaimed` counts those that no product uses."""

    group_id: Annotated[str, Field(description="Its id.")]
    name: Annotated[str, Field(description="What it is called, after one of its chats.")]
    members: Annotated[int, Field(description="How many chats it has.")]
    unclaimed: Annotated[int, Field(description="How many of them no product uses.")]
    confidence: Annotated[float, Field(description="How sure it is that they are the same: 0 to 1.")]
    reasons: Annotated[list[str], Field(description="Why they are taken for the same.")]
    product_id: Annotated[str | None, Field(description="The product that they are for, or seem to be for.")]
    product_confidence: Annotated[float, Field(description="How sure the product is: 0 to 1.")]
    credits: Annotated[float | None, Field(description="What they cost together, in the app builder's credits.")]
    newest_at: Annotated[datetime | None, Field(description="When the newest of them was made.")]

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

    groups: Annotated[list[GroupView], Field(description="The groups of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class TallyView(BaseModel):
    """A number of chats and what they cost, in the app builder's credits; null: it does not tell."""

    chats: Annotated[int, Field(description="How many chats.")]
    credits: Annotated[float | None, Field(description="What they cost, in the app builder's credits.")]


class NeedlessView(TallyView):
    """Chats that nobody needs, and why."""

    reason: Annotated[str, Field(description="Why nothing needs them.")]


class NamedTallyView(TallyView):
    """The chats of one author or product; null: of none that is known."""

    name: Annotated[str | None, Field(description="The author's or the product's id; null: none is known.")]


class SummaryView(BaseModel):
    """The account in numbers. Chats of other workspaces and installations are counted in `by_claim` only."""

    total: Annotated[TallyView, Field(description="All chats that the workspace may see.")]
    missing: Annotated[TallyView, Field(description="Chats that the newest whole scan did not see.")]
    pinned: Annotated[TallyView, Field(description="Chats with a pin.")]
    favorites: Annotated[TallyView, Field(description="Favorites at the app builder.")]
    by_claim: Annotated[dict[str, TallyView], Field(description="By whose they are.")]
    by_kind: Annotated[dict[str, TallyView], Field(description="By what they are among those that are the same.")]
    by_content: Annotated[dict[str, TallyView], Field(description="By what the app builder made of them.")]
    by_age: Annotated[dict[str, TallyView], Field(description="By their age.")]
    needless: Annotated[dict[str, NeedlessView], Field(description="Chats that nothing needs, by reason.")]
    authors: Annotated[list[NamedTallyView], Field(description="By author, those with the most chats.")]
    products: Annotated[list[NamedTallyView], Field(description="By product, those with the most chats.")]

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

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"reason": "For the board"}]}
    )

    reason: Annotated[str | None, Field(max_length=MOST_REASON, description="Why it has to stay.")] = None


class Adopt(BaseModel):
    """Which chats become prototypes of which product: those of a group, or those named."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"product_id": "shop", "chat_ids": ["aBcDeFg1234"], "product_name": "Shop"}]},
    )

    product_id: Annotated[str, Field(max_length=1000, description="Your own id of the product.")]
    chat_ids: Annotated[list[ChatId], Field(max_length=MOST_AT_ONCE, description="These chats.")] = []
    group_id: Annotated[str | None, Field(max_length=200, description="The chats of this group.")] = None
    product_name: Annotated[str | None, Field(description="What people call the product.")] = None
    account: AccountName = None


class AdoptedView(BaseModel):
    """What became of a chat: `adopted`; `known`: it was this product's; `taken`: another product has it."""

    chat_id: Annotated[str, Field(description="Its id at the app builder.")]
    outcome: Annotated[Literal["adopted", "known", "taken"], Field(description="What became of it.")]
    prototype_id: Annotated[str | None, Field(description="The prototype whose chat it is now.")]
    is_current: Annotated[bool, Field(description="Whether it is what the product's users get.")]


class RefusedView(BaseModel):
    """A chat that was not adopted, and why."""

    chat_id: Annotated[str, Field(description="Its id at the app builder.")]
    reason: Annotated[str, Field(description="Why it was not adopted.")]


class AdoptionView(BaseModel):
    """What became of all chats. `left` of the group were not tried yet: ask again."""

    product_id: Annotated[str, Field(description="Your own id of the product.")]
    adopted: Annotated[list[AdoptedView], Field(description="The chats that were adopted, or had been.")]
    refused: Annotated[list[RefusedView], Field(description="The chats that were not adopted.")]
    left: Annotated[int, Field(description="How many of the group were not tried yet: ask again.")]

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
