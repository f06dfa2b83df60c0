"""What the API takes and gives. These belong to the surface; core values do not leak."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.prototype import SETTLED, Prototype
from protokeep.core.provider_keys import key_source_of
from protokeep.service import Ensured
from protokeep.store.database import Row

StatusWord = Literal["pending", "in_progress", "completed", "failed", "timeout"]
StateWord = Literal[
    "queued",
    "making",
    "waiting",
    "ready",
    "failed",
    "timed_out",
    "not_visible",
    "undecided",
    "parked",
    "untracked",
    "deleting",
]
KeySourceWord = Literal["environment", "workspace", "own", "argument"]


class CreateProject(BaseModel):
    """A request for a product's prototype."""

    model_config = ConfigDict(extra="forbid", strict=True)

    product_id: Annotated[str, Field(description="Your own id of the product: 1-200 characters.")]
    prompt: Annotated[str, Field(description="What the prototype should be: 1-100,000 characters.")]
    provider: Annotated[str, Field(description="The app builder.")] = "v0"
    create_new: Annotated[bool, Field(description="Make another one even if the product has one.")] = False
    product_name: Annotated[str | None, Field(description="What people call the product.")] = None


def elapsed_seconds(prototype: Prototype, now: datetime) -> float | None:
    """How long the last round has taken, or took; None where nobody tracks it."""
    generation = prototype.generation
    if generation is None:
        return None
    end = generation.settled_at or (now if prototype.status not in SETTLED else prototype.updated_at)
    began = generation.began_at
    if generation.follow_up_pending:
        began, end = generation.turn_at, now
    return round(max((end - began).total_seconds(), 0.0), 3)


class ErrorView(BaseModel):
    """Why it failed, timed out or cannot be decided yet."""

    code: str
    message: str


class ReasonView(BaseModel):
    """What holds it up, and when it is tried again by itself."""

    code: str
    message: str
    next_try_at: datetime | None


class PrototypeView(BaseModel):
    """One prototype. Missing values are null, never absent."""

    id: str
    product_id: str
    user_id: str | None
    provider: str
    prompt: str | None
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
    error: ErrorView | None
    is_current: bool
    created_at: datetime
    updated_at: datetime
    observed_at: datetime | None
    poll_count: int
    elapsed_seconds: float | None
    credits: float | None
    key_source: Annotated[KeySourceWord | None, Field(description="Whose key paid for it.")]

    @classmethod
    def fields_of(cls, prototype: Prototype, now: datetime) -> dict[str, Any]:
        """The view's values; `now` is for the elapsed time of what is still being made."""
        generation = prototype.generation
        error = reason = picture = None
        if generation is not None:
            if generation.picture_etag is not None:
                picture = f"/api/design/prototypes/{prototype.id}/picture"
            if generation.error.code is not None:
                error = {"code": generation.error.code, "message": generation.error.message or ""}
            if generation.hold.code is not None:
                reason = {
                    "code": generation.hold.code,
                    "message": generation.hold.message or "",
                    "next_try_at": generation.submission.next_try_at,
                }
            elif generation.submission.outcome_unknown:
                reason = {
                    "code": "outcome_unknown",
                    "message": "It is not known whether the builder made it. It is being looked for; nothing is sent "
                    "a second time before that is clear.",
                    "next_try_at": generation.submission.next_try_at,
                }
            elif generation.not_visible:
                reason = {
                    "code": "not_visible",
                    "message": f"{prototype.provider} does not show it at present. Nothing is concluded from that: it "
                    "is looked at again, and what is known of it stays.",
                    "next_try_at": generation.polling.next_poll_at,
                }
            slowed = prototype.polling_pause
            if reason is None and slowed is not None and slowed.until > now and prototype.status not in SETTLED:
                reason = {"code": slowed.code, "message": slowed.message, "next_try_at": slowed.until}
        return {
            "id": prototype.id,
            "product_id": prototype.product_id,
            "user_id": prototype.user_id,
            "provider": prototype.provider,
            "prompt": prototype.prompt,
            "v0_chat_id": prototype.chat_id,
            "v0_project_id": prototype.project_id,
            "project_status": prototype.status.value,
            "state": prototype.state.value,
            "reason": reason,
            "project_url": prototype.project_url,
            "demo_url": generation.links.demo_url if generation else None,
            "web_url": generation.links.web_url if generation else None,
            "chat_url": generation.links.chat_url if generation else None,
            "thumbnail_url": picture or prototype.thumbnail_url,
            "image_url": picture or prototype.image_url,
            "error": error,
            "is_current": prototype.is_current,
            "created_at": prototype.created_at,
            "updated_at": prototype.updated_at,
            "observed_at": generation.polling.observed_at if generation else None,
            "poll_count": generation.polling.poll_count if generation else 0,
            "elapsed_seconds": elapsed_seconds(prototype, now),
            "credits": generation.credits if generation else None,
            "key_source": key_source_of(generation.account).value if generation else None,
        }

    @classmethod
    def of(cls, prototype: Prototype, now: datetime) -> PrototypeView:
        """The view of a prototype."""
        return cls(**cls.fields_of(prototype, now))


class DecisionView(BaseModel):
    """Why this prototype."""

    outcome: Literal["created", "reused", "replaced", "replayed"]
    reason: str
    prompt_differs: bool


class EnsuredView(PrototypeView):
    """The prototype a request got, and why."""

    is_existing: bool
    decision: DecisionView

    @classmethod
    def fields_of_ensured(cls, ensured: Ensured, now: datetime) -> dict[str, Any]:
        """The values of an answer to create-project."""
        decision = ensured.decision
        values = cls.fields_of(ensured.prototype, now)
        values["is_existing"] = ensured.is_existing
        values["decision"] = {
            "outcome": decision.outcome.value,
            "reason": decision.reason,
            "prompt_differs": decision.prompt_differs,
        }
        return values


class MockupsView(BaseModel):
    """A page of a product's prototypes, newest first."""

    mockups: list[PrototypeView]
    next_cursor: str | None


class EventView(BaseModel):
    """One line of a prototype's history."""

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
    """One prototype with its history, oldest line first."""

    history: list[EventView]
    surplus_chat_ids: list[str]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    field: str | None = None
