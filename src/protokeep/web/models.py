"""Requests and answers of the API. They are separate from the core's classes, so that those may change."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from protokeep.core.prototype import Prototype
from protokeep.core.visible_fields import listed_fields, visible_fields
from protokeep.store.sql import Row

StatusWord = Literal["pending", "in_progress", "completed", "failed", "timeout"]
StateWord = Literal[
    "queued",
    "making",
    "waiting",
    "ready",
    "failed",
    "stopped",
    "timed_out",
    "not_visible",
    "undecided",
    "parked",
    "untracked",
    "deleting",
    "in_bin",
]
KeySourceWord = Literal["environment", "workspace", "own", "argument", "unknown"]


#: Marks a field in OpenAPI. Pydantic's own mark would warn whenever the field is read.
DEPRECATED: dict[str, JsonValue] = {"deprecated": True}
#: How much of a list, and where it goes on.
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=300, description="next_cursor of the page before.")]


def values_of(view: type[BaseModel], value: object, *others: str) -> dict[str, Any]:
    """The fields of a view that `value` has by the same names. `others` are fields that come from elsewhere."""
    return {name: getattr(value, name) for name in view.model_fields if name not in others}


class CreateProject(BaseModel):
    """A request for a product's prototype. The deprecated fields are those of the specification's first screens."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"product_id": "shop", "prompt": "A landing page for a bakery"}]},
    )

    product_id: Annotated[str, Field(description="Your own id of the product: 1-200 characters.")]
    prompt: Annotated[str, Field(description="What the prototype should be: 1-100,000 characters.")]
    provider: Annotated[str, Field(description="The app builder.")] = "v0"
    create_new: Annotated[bool, Field(description="Create another variant even if the product has a prototype.")] = (
        False
    )
    product_name: Annotated[str | None, Field(description="What people call the product.")] = None
    product_is_new: Annotated[
        bool, Field(description="You know that this is another product than one whose id reads the same.")
    ] = False
    phase_submission_id: Annotated[
        str | None,
        Field(max_length=200, description="Stored in your table's column of that name.", json_schema_extra=DEPRECATED),
    ] = None
    use_multi_agent: Annotated[bool | None, Field(description="Ignored.", json_schema_extra=DEPRECATED)] = None
    context: Annotated[dict[str, Any] | None, Field(description="Ignored.", json_schema_extra=DEPRECATED)] = None


class ListQuery(BaseModel):
    """Which of a product's prototypes to list."""

    limit: Limit = 100
    cursor: Cursor = None
    provider: Annotated[str | None, Field(max_length=50, description="The app builder.")] = None
    status: Annotated[StatusWord | None, Field(description="Only prototypes of this status.")] = None
    mine: Annotated[bool, Field(description="Only what you asked for yourself.")] = False


class StatusQuery(BaseModel):
    """Which builder's prototype of a product."""

    provider: Annotated[str, Field(max_length=50, description="The app builder.")] = "v0"


class ErrorView(BaseModel):
    """Why a prototype has failed or timed out."""

    code: Annotated[str, Field(description="A stable word for programs.")]
    message: Annotated[str, Field(description="The same for people.")]


class ReasonView(BaseModel):
    """Why a prototype makes no progress, and when protokeep tries again by itself."""

    code: Annotated[str, Field(description="A stable word for programs.")]
    message: Annotated[str, Field(description="The same for people.")]
    next_try_at: Annotated[
        datetime | None, Field(description="When protokeep tries again automatically; null: it waits for a person.")
    ]


class PrototypeView(BaseModel):
    """A prototype. Missing values are null; no field is ever absent. The values come from `core.visible_fields`."""

    id: Annotated[str, Field(description="Its id.")]
    product_id: Annotated[str, Field(description="Your own id of the product.")]
    product_name: Annotated[str | None, Field(description="What people call the product.")]
    tags: Annotated[list[str], Field(description="The product's tags, in the order of the alphabet.")]
    archived_at: Annotated[
        datetime | None, Field(description="When the product was archived; null: it is in the default lists.")
    ]
    user_id: Annotated[str | None, Field(description="Who asked for it.")]
    provider: Annotated[str, Field(description="The app builder.")]
    prompt: Annotated[str | None, Field(description="What it was made from.")]
    prompt_cut: Annotated[bool, Field(description="Whether `prompt` is only the beginning, as in lists and events.")]
    v0_chat_id: Annotated[str | None, Field(description="The id of its chat at the app builder.")]
    v0_project_id: Annotated[str | None, Field(description="The id of its project at the app builder.")]
    project_status: Annotated[StatusWord, Field(description="What the app builder said last, or timeout.")]
    state: Annotated[StateWord, Field(description="The state as one word for people.")]
    reason: Annotated[ReasonView | None, Field(description="Why there is no progress.")]
    project_url: Annotated[
        str | None, Field(description="The best address a person can open: preview, web address or chat.")
    ]
    demo_url: Annotated[str | None, Field(description="Its preview.")]
    web_url: Annotated[str | None, Field(description="Its page at the app builder.")]
    chat_url: Annotated[str | None, Field(description="Its chat at the app builder.")]
    thumbnail_url: Annotated[str | None, Field(description="A small picture of it.")]
    image_url: Annotated[str | None, Field(description="A picture of it.")]
    phase_submission_id: Annotated[str | None, Field(description="What your own table's column of this name holds.")]
    metadata: Annotated[dict[str, Any] | None, Field(description="What your own table's column of this name holds.")]
    error: Annotated[ErrorView | None, Field(description="Why it has failed or timed out.")]
    is_current: Annotated[
        bool, Field(description="Whether it is the product's current prototype, which a create gets again.")
    ]
    created_at: Annotated[datetime, Field(description="When it was asked for.")]
    updated_at: Annotated[datetime, Field(description="When it changed last.")]
    observed_at: Annotated[datetime | None, Field(description="When the app builder was asked last.")]
    poll_count: Annotated[int, Field(description="How often the app builder was asked.")]
    elapsed_seconds: Annotated[float | None, Field(description="How long the last turn took, or takes so far.")]
    credits: Annotated[float | None, Field(description="What the app builder says it cost, all turns together.")]
    key_source: Annotated[KeySourceWord | None, Field(description="Whose key paid for it.")]
    deletion_due_at: Annotated[datetime | None, Field(description="In the bin: it can be taken back until then.")]
    archive_id: Annotated[str | None, Field(description="The copy of its chat that was made before its deletion.")]
    variant: Annotated[int | None, Field(description="Its number within the product, by order of creation.")]
    variant_name: Annotated[str | None, Field(description="The short name that people gave it.")]

    @classmethod
    def of(cls, prototype: Prototype, now: datetime) -> PrototypeView:
        """The view of a prototype."""
        return cls(**visible_fields(prototype, now))

    @classmethod
    def listed(cls, prototype: Prototype, now: datetime) -> PrototypeView:
        """The view of a prototype in a list or an event: a long prompt is cut."""
        return cls(**listed_fields(visible_fields(prototype, now)))


class SimilarView(BaseModel):
    """A prototype of another product that may have been meant."""

    product_id: Annotated[str, Field(description="The other product.")]
    name: Annotated[str | None, Field(description="What people call it.")]
    prototype_id: Annotated[str, Field(description="Its prototype.")]
    state: Annotated[StateWord, Field(description="The state of its prototype.")]
    how: Annotated[
        Literal["id", "prompt"],
        Field(description="By what it is similar: an id that reads the same, or a prompt that says nearly the same."),
    ]
    alike: Annotated[float, Field(description="How much they have in common, 0 to 1; 1 for ids.")]
    reason: Annotated[str, Field(description="Why it is named, in a sentence for people.")]


class DecisionView(BaseModel):
    """Why a request got this prototype."""

    outcome: Annotated[
        Literal["created", "reused", "replaced", "replayed"], Field(description="What became of the request.")
    ]
    reason: Annotated[str, Field(description="The same in a sentence for people.")]
    prompt_differs: Annotated[bool, Field(description="Whether it was made from another prompt than this one.")]
    similar: Annotated[
        list[SimilarView], Field(description="Prototypes of other products that may have been meant; mostly none.")
    ]


class EnsuredView(PrototypeView):
    """The prototype that a request got, and why."""

    is_existing: Annotated[bool, Field(description="Whether it was there before this request.")]
    decision: Annotated[DecisionView, Field(description="Why it is this one.")]


class MockupsView(BaseModel):
    """A page of a product's prototypes, newest first."""

    mockups: Annotated[list[PrototypeView], Field(description="The prototypes of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class BinView(BaseModel):
    """A page of what waits in the bin; what goes next comes first."""

    prototypes: Annotated[list[PrototypeView], Field(description="The prototypes of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class CheckedStatusView(PrototypeView):
    """A prototype with the names that the specification's later screens read."""

    project_id: Annotated[str | None, Field(description="The same as v0_project_id.")]
    projectId: Annotated[str | None, Field(description="The same as v0_project_id.")]
    chat_id: Annotated[str | None, Field(description="The same as v0_chat_id.")]
    is_complete: Annotated[bool, Field(description="Whether it has ended.")]
    can_submit_new: Annotated[bool, Field(description="Whether a create would make a new one.")]


class DeletedView(BaseModel):
    """A deletion that was accepted."""

    success: Annotated[Literal[True], Field(description="Always true.")] = True
    id: Annotated[str, Field(description="Its id.")]


class EventView(BaseModel):
    """One event in a prototype's history."""

    kind: Annotated[str, Field(description="What happened.")]
    source: Annotated[
        Literal["person", "submit", "poll", "hook", "sweep"], Field(description="How protokeep came to know it.")
    ]
    actor: Annotated[str | None, Field(description="Who did it; null: nobody.")]
    status: Annotated[StatusWord | None, Field(description="The status that it led to.")]
    data: Annotated[dict[str, Any] | None, Field(description="Details of this kind of event.")]
    at: Annotated[datetime, Field(description="When it happened.")]

    @classmethod
    def of(cls, row: Row, data: dict[str, Any] | None) -> EventView:
        """The view of an event row."""
        return cls(
            kind=row["kind"],
            source=row["source"],
            actor=row["actor"],
            status=row["status"],
            data=data,
            at=row["happened_at"],
        )


class PrototypeDetail(PrototypeView):
    """A prototype with its history, oldest event first."""

    history: Annotated[list[EventView], Field(description="What happened to it, oldest first.")]
    surplus_chat_ids: Annotated[list[str], Field(description="Further chats at the app builder that carry its mark.")]


class Problem(BaseModel):
    """A problem document (RFC 9457). `field` names the invalid field of the request."""

    type: Annotated[str, Field(description="A stable name of this kind of problem.")]
    title: Annotated[str, Field(description="The kind in words.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong here, and what to do.")]
    instance: Annotated[str, Field(description="The path that was asked for.")]
    request_id: Annotated[str, Field(description="Names this answer in the log of the server.")]
    help: Annotated[str, Field(description="The page of this server that describes this kind of problem.")]
    field: Annotated[str | None, Field(description="The field of the request that is at fault, if it is one.")] = None
