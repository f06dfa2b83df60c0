"""Between rows and prototypes: the only place that knows which column holds which field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from protokeep.core.prototype import Generation, PollingPause, Prototype, RecoveryPoint, Status, generation_of
from protokeep.store.sql import instant

_STATUSES = {status.value: status for status in Status}
_GENERATION = TypeAdapter(Generation)
_GENERATION_FIELDS = [field.name for field in fields(Generation)]

#: The fields that a poll that saw nothing new changes.
POLL_FIELDS = ("observed_at", "last_shown_at", "poll_count", "next_poll_at")
#: The columns of `protokeep_generations g` that make a generation. Its `created_at` has another name in a row, where
#: `created_at` is the owner's.
GENERATION_COLUMNS = tuple(
    "g.created_at AS claimed_at" if name == "created_at" else f"g.{name}" for name in _GENERATION_FIELDS
)


def prototype_of(row: Mapping[str, Any]) -> Prototype:
    """The prototype in a row of `PrototypeQueries.select`. A status that is missing or unknown reads as pending."""
    return Prototype(
        id=row["id"],
        product_id=row["product_id"],
        user_id=row["user_id"],
        provider=row["provider"],
        prompt=row["prompt"],
        status=_STATUSES.get(row["status"], Status.PENDING),
        created_at=instant(row["created_at"]),
        updated_at=instant(row["updated_at"] or row["created_at"]),
        chat_id=row["chat_id"],
        project_id=row["project_id"],
        project_url=row["project_url"],
        image_url=row["image_url"],
        thumbnail_url=row["thumbnail_url"],
        is_current=row["current_id"] is not None,
        generation=None if row["marker"] is None else _generation_of(row),
        polling_pause=_polling_pause_of(row),
    )


def _generation_of(row: Mapping[str, Any]) -> Generation:
    return _GENERATION.validate_python({**row, "created_at": row["claimed_at"]})


def _polling_pause_of(row: Mapping[str, Any]) -> PollingPause | None:
    if row["polling_paused_until"] is None:
        return None
    code, message = row["polling_paused_code"], row["polling_paused_message"]
    return PollingPause(row["polling_paused_until"], code or "slowed", message or "Looks are paused.")


def generation_values(prototype: Prototype) -> dict[str, Any]:
    """The values of `save_generation`, guarded by the version that was read, and of `insert_generation`."""
    generation = generation_of(prototype)
    return {
        **{name: getattr(generation, name) for name in _GENERATION_FIELDS},
        "recovery_point": generation.recovery_point.value,
        "mockup_id": prototype.id,
        "provider": prototype.provider,
    }


def mockup_values(prototype: Prototype) -> dict[str, Any]:
    """The values of `save_mockup` and of `insert_mockup`."""
    return {
        "mockup_id": prototype.id,
        "product_id": prototype.product_id,
        "user_id": prototype.user_id,
        "provider": prototype.provider,
        "prompt": prototype.prompt,
        "chat_id": prototype.chat_id,
        "project_id": prototype.project_id,
        "status": prototype.status.value,
        "project_url": prototype.project_url,
        "created_at": prototype.created_at,
        "updated_at": prototype.updated_at,
    }


def adopted_generation(
    *,
    workspace_id: str,
    account: str,
    api_version: int,
    marker: str,
    created_by: str,
    recovery_point: RecoveryPoint,
    created_at: datetime,
    next_poll_at: datetime,
    deadline_at: datetime,
) -> Generation:
    """The generation of a chat that exists already: nothing is sent for it, and it is polled."""
    return Generation(
        workspace_id=workspace_id,
        account=account,
        api_version=api_version,
        marker=marker,
        created_by=created_by,
        recovery_point=recovery_point,
        attempts=0,
        lookups=0,
        outcome_unknown=False,
        fence=0,
        version=0,
        awaiting_input=False,
        poll_count=0,
        created_at=created_at,
        next_poll_at=next_poll_at,
        deadline_at=deadline_at,
    )


def with_next_version(prototype: Prototype) -> Prototype:
    """The prototype as a guarded write has left it."""
    return replace(
        prototype, generation=replace(generation_of(prototype), version=generation_of(prototype).version + 1)
    )


def is_unchanged_poll(before: Prototype, after: Prototype) -> bool:
    """Whether two prototypes differ only in what `record_poll` writes."""
    if before.generation is None or after.generation is None:
        return False
    poll = {name: getattr(before.generation, name) for name in POLL_FIELDS}
    return replace(after, generation=replace(after.generation, **poll)) == before
