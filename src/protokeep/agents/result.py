"""The dictionary that the agent answers with. It has the same keys wherever a prototype comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict

from protokeep.client.models import Prototype as RemotePrototype
from protokeep.core.generation import Generation
from protokeep.core.prototype import Prototype, Status
from protokeep.core.provider_keys import key_source_of


class Failure(TypedDict):
    """Why a prototype failed or is held up."""

    code: str
    message: str


class Metadata(TypedDict):
    """How a prototype was made. `api_version` is None if a running protokeep chose it."""

    api_version: str | None
    model_used: str
    workflow: str
    key_source: str
    timeout_seconds: float


class V0Project(TypedDict):
    """A prototype at v0. Times and counts are the prototype's own, not this call's.

    The last five keys are for callers of the specification's agent. There is no code here, so three are always None.
    """

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
    image_url: str | None
    thumbnail_url: str | None
    projectId: str | None
    is_complete: bool
    project_name: None
    code: None
    files: None


#: Requests name no model, so v0 takes its default.
MODEL_USED = "v0 default"


@dataclass(frozen=True, slots=True)
class ProjectSource:
    """How a prototype was made, for `metadata`. `api_version` None: unknown to the caller."""

    workflow: str
    key_source: str
    api_version: str | None
    timeout_seconds: float

    def metadata(self) -> Metadata:
        """The `metadata` of a `V0Project`."""
        return Metadata(
            api_version=self.api_version,
            model_used=MODEL_USED,
            workflow=self.workflow,
            key_source=self.key_source,
            timeout_seconds=self.timeout_seconds,
        )


def project_of_row(
    prototype: Prototype, source: ProjectSource, *, is_existing: bool, is_stored: bool = True
) -> V0Project:
    """The answer for a prototype of the core. `is_stored` False: it is in no database, so its own ids are left out."""
    generation = prototype.generation
    if generation is not None:
        if generation.api_version:
            source = replace(source, api_version=f"v{generation.api_version}")
        if generation.account:
            source = replace(source, key_source=key_source_of(generation.account).value)
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
        elapsed_seconds=_elapsed_seconds(generation),
        metadata=source.metadata(),
        prototype_id=prototype.id if is_stored else None,
        product_id=prototype.product_id if is_stored else None,
        state=prototype.state.value,
        error=_failure_of(generation),
        image_url=prototype.image_url,
        thumbnail_url=prototype.thumbnail_url,
        projectId=prototype.project_id,
        is_complete=prototype.status is Status.COMPLETED,
        project_name=None,
        code=None,
        files=None,
    )


def _elapsed_seconds(generation: Generation | None) -> float:
    if generation is None:
        return 0.0
    end = generation.settled_at or datetime.now(UTC)
    return round(max((end - generation.created_at).total_seconds(), 0.0), 3)


def _failure_of(generation: Generation | None) -> Failure | None:
    """Why it failed, else why it is held up."""
    for reason in (generation.error, generation.hold) if generation is not None else ():
        if reason.code is not None:
            return Failure(code=reason.code, message=reason.message or "")
    return None


def project_of_remote(prototype: RemotePrototype, source: ProjectSource, *, is_existing: bool) -> V0Project:
    """The answer for a prototype of a running protokeep."""
    failure = prototype.error or prototype.reason
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
        metadata=source.metadata(),
        prototype_id=prototype.id,
        product_id=prototype.product_id,
        state=prototype.state,
        error=Failure(code=failure.code, message=failure.message) if failure else None,
        image_url=prototype.image_url,
        thumbnail_url=prototype.thumbnail_url,
        projectId=prototype.v0_project_id,
        is_complete=prototype.project_status == Status.COMPLETED.value,
        project_name=None,
        code=None,
        files=None,
    )
