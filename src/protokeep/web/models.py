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
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=300)]


class CreateProject(BaseModel):
    """A request for a product's prototype. The deprecated fields are those of the specification's first screens."""

    model_config = ConfigDict(extra="forbid", strict=True)

    product_id: Annotated[str, Field(description="Your own id of the product: 1-200 characters.")]
    prompt: Annotated[str, Field(description="What the prototype should be: 1-100,000 characters.")]
    provider: Annotated[str, Field(description="The app builder.")] = "v0"
    create_new: Annotated[bool, Field(description="Make another one even if the product has one.")] = False
    product_name: Annotated[str | None, Field(description="What people call the product.")] = None
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
    provider: Annotated[str | None, Field(max_length=50)] = None
    status: StatusWord | None = None
    mine: bool = False


class StatusQuery(BaseModel):
    """Which builder's prototype of a product."""

    provider: Annotated[str, Field(max_length=50)] = "v0"


class ErrorView(BaseModel):
    """Why a prototype has failed or timed out."""

    code: str
    message: str


class ReasonView(BaseModel):
    """Why a prototype makes no progress, and when protokeep tries again by itself."""

    code: str
    message: str
    next_try_at: datetime | None


class PrototypeView(BaseModel):
    """A prototype. Missing values are null; no field is ever absent. The values come from `core.visible_fields`."""

    id: str
    product_id: str
    product_name: str | None
    user_id: str | None
    provider: str
    prompt: str | None
    prompt_cut: Annotated[bool, Field(description="Whether `prompt` is only the beginning, as in lists and events.")]
    v0_chat_id: str | None
    v0_project_id: str | None
    project_status: StatusWord
    state: StateWord
    reason: ReasonView | None
    project_url: str | None
    demo_url: str | None
    web_url: str | None
    chat_url: str | None
    thumbnail_url: str | None
    image_url: str | None
    phase_submission_id: str | None
    metadata: dict[str, Any] | None
    error: ErrorView | None
    is_current: bool
    created_at: datetime
    updated_at: datetime
    observed_at: datetime | None
    poll_count: int
    elapsed_seconds: float | None
    credits: float | None
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


class DecisionView(BaseModel):
    """Why a request got this prototype."""

    outcome: Literal["created", "reused", "replaced", "replayed"]
    reason: str
    prompt_differs: bool


class EnsuredView(PrototypeView):
    """The prototype that a request got, and why."""

    is_existing: bool
    decision: DecisionView


class MockupsView(BaseModel):
    """A page of a product's prototypes, newest first."""

    mockups: list[PrototypeView]
    next_cursor: str | None


class BinView(BaseModel):
    """A page of what waits in the bin; what goes next comes first."""

    prototypes: list[PrototypeView]
    next_cursor: str | None


class CheckedStatusView(PrototypeView):
    """A prototype with the names that the specification's later screens read."""

    project_id: str | None
    projectId: str | None
    chat_id: str | None
    is_complete: bool
    can_submit_new: bool


class DeletedView(BaseModel):
    """A deletion that was accepted."""

    success: Literal[True] = True
    id: str


class EventView(BaseModel):
    """One event in a prototype's history."""

    kind: str
    source: Literal["person", "submit", "poll", "hook", "sweep"]
    actor: str | None
    status: StatusWord | None
    data: dict[str, Any] | None
    at: datetime

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

    history: list[EventView]
    surplus_chat_ids: list[str]


class Problem(BaseModel):
    """A problem document (RFC 9457). `field` names the invalid field of the request."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    field: str | None = None
