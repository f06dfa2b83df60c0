"""What the agent answers: the same names whichever way a prototype was made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict

from protokeep.client.models import Prototype as Served
from protokeep.core.prototype import Prototype
from protokeep.core.provider_keys import key_source_of


class Failure(TypedDict):
    """Why it failed or is held up."""

    code: str
    message: str


class Metadata(TypedDict):
    """How it was made. `api_version` is None where a running protokeep chose it."""

    api_version: str | None
    model_used: str
    workflow: str
    key_source: str
    timeout_seconds: float


class V0Project(TypedDict):
    """A prototype at v0. Times and counts are the prototype's own, not this call's."""

    chat_id: str | None
    project_id: str | None
    project_url: str | None
    web_url: str | None
    demo_url: str | None
    chat_url: str | None
    prompt: str | None
    project_status: str
    is_existing: bool
    poll_count: int
    elapsed_seconds: float
    metadata: Metadata
    prototype_id: str | None
    product_id: str | None
    state: str
    error: Failure | None


#: We name no model, so v0 takes the one that is its default.
MODEL_USED = "v0 default"


@dataclass(frozen=True, slots=True)
class Way:
    """How prototypes are made here: what `metadata` says."""

    workflow: str
    key_source: str
    api_version: str | None
    timeout_seconds: float

    def metadata(self) -> Metadata:
        """As it is answered."""
        return Metadata(
            api_version=self.api_version,
            model_used=MODEL_USED,
            workflow=self.workflow,
            key_source=self.key_source,
            timeout_seconds=self.timeout_seconds,
        )


def of_row(prototype: Prototype, way: Way, *, is_existing: bool, known_to_us: bool = True) -> V0Project:
    """A prototype as the core knows it. `known_to_us` False: it is in no database, and its ids are no one's."""
    generation = prototype.generation
    error: Failure | None = None
    elapsed = 0.0
    if generation is not None:
        code, message = generation.error.code, generation.error.message
        if code is None:
            code, message = generation.hold.code, generation.hold.message
        error = Failure(code=code, message=message or "") if code is not None else None
        end = generation.settled_at or datetime.now(UTC)
        elapsed = round(max((end - generation.created_at).total_seconds(), 0.0), 3)
        if generation.api_version:
            way = replace(way, api_version=f"v{generation.api_version}")
        if generation.account:
            way = replace(way, key_source=key_source_of(generation.account).value)
    return V0Project(
        chat_id=prototype.chat_id,
        project_id=prototype.project_id,
        project_url=prototype.project_url,
        web_url=generation.links.web_url if generation else None,
        demo_url=generation.links.demo_url if generation else None,
        chat_url=generation.links.chat_url if generation else None,
        prompt=prototype.prompt,
        project_status=prototype.status.value,
        is_existing=is_existing,
        poll_count=generation.polling.poll_count if generation else 0,
        elapsed_seconds=elapsed,
        metadata=way.metadata(),
        prototype_id=prototype.id if known_to_us else None,
        product_id=prototype.product_id if known_to_us else None,
        state=prototype.state.value,
        error=error,
    )


def of_served(prototype: Served, way: Way, *, is_existing: bool) -> V0Project:
    """A prototype as a running protokeep tells it."""
    why = prototype.error or prototype.reason
    return V0Project(
        chat_id=prototype.v0_chat_id,
        project_id=prototype.v0_project_id,
        project_url=prototype.project_url,
        web_url=prototype.web_url,
        demo_url=prototype.demo_url,
        chat_url=prototype.chat_url,
        prompt=prototype.prompt,
        project_status=prototype.project_status,
        is_existing=is_existing,
        poll_count=prototype.poll_count,
        elapsed_seconds=prototype.elapsed_seconds or 0.0,
        metadata=way.metadata(),
        prototype_id=prototype.id,
        product_id=prototype.product_id,
        state=prototype.state,
        error=Failure(code=why.code, message=why.message) if why else None,
    )
