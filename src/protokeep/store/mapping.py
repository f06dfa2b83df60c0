"""Between rows and prototypes: the only place that knows which column holds which field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from protokeep.core.generation import (
    Absence,
    FollowUp,
    Generation,
    Links,
    Polling,
    RecoveryPoint,
    Submission,
)
from protokeep.core.prototype import NO_TIME, SETTLED, PollingPause, Prototype, Status, TrackedPrototype
from protokeep.store.sql import owners_instant

_STATUSES = {status.value: status for status in Status}
_GENERATION = TypeAdapter(Generation)

#: The parts of a generation, by their field. A column has the name of the part's field, but for `_OTHER_COLUMNS`.
_PARTS: dict[str, type[Any]] = {
    "submission": Submission,
    "polling": Polling,
    "absence": Absence,
    "follow_up": FollowUp,
    "links": Links,
}
_OTHER_COLUMNS = {("follow_up", "message"): "follow_up", ("follow_up", "requested_at"): "follow_up_at"}
#: The columns of each part, by the part's field.
_PART_COLUMNS = {
    part: {field.name: _OTHER_COLUMNS.get((part, field.name), field.name) for field in fields(kind)}
    for part, kind in _PARTS.items()
} | {reason: {"code": f"{reason}_code", "message": f"{reason}_message"} for reason in ("hold", "error")}
_PLAIN_COLUMNS = [field.name for field in fields(Generation) if field.name not in _PART_COLUMNS]
_GENERATION_COLUMNS = [*_PLAIN_COLUMNS, *(name for part in _PART_COLUMNS.values() for name in part.values())]

#: The columns of `protokeep_generations g` that make a generation. Its `created_at` has another name in a row, where
#: `created_at` is the owner's.
GENERATION_COLUMNS = tuple(
    "g.created_at AS claimed_at" if name == "created_at" else f"g.{name}" for name in _GENERATION_COLUMNS
)


def prototype_of(row: Mapping[str, Any]) -> Prototype:
    """The prototype in a row of `PrototypeQueries.select`. A status that is missing or unknown reads as pending."""
    made_at = owners_instant(row["created_at"]) or NO_TIME
    values: dict[str, Any] = {
        "id": row["id"],
        "product_id": row["product_id"],
        "user_id": None if row["user_id"] is None else str(row["user_id"]),
        "provider": row["provider"] or "unknown",
        "prompt": row["prompt"],
        "status": _STATUSES.get(row["status"], Status.PENDING),
        "created_at": made_at,
        "updated_at": owners_instant(row["updated_at"]) or made_at,
        "chat_id": row["chat_id"],
        "project_id": row["project_id"],
        "project_url": row["project_url"],
        "image_url": row["image_url"],
        "thumbnail_url": row["thumbnail_url"],
        "phase_submission_id": None if row["phase_submission_id"] is None else str(row["phase_submission_id"]),
        "metadata": _metadata_of(row["metadata"]),
        "product_name": row["product_name"],
        "tags": tuple(sorted(row["tags"].split(","))) if row["tags"] else (),
        "archived_at": row["archived_at"],
        "is_current": row["current_id"] is not None,
        "polling_pause": _polling_pause_of(row),
    }
    if row["marker"] is None:
        return Prototype(**values)
    generation = _generation_of(row)
    if generation.submission.recovery_point is RecoveryPoint.ACCEPTED and values["status"] in SETTLED:
        # The owner's own programs wrote this word, and the builder, who decides, has not said it.
        values["status"] = Status.IN_PROGRESS
    if generation.is_adopted:
        values["updated_at"] = _last_change(values["updated_at"], generation)
    return TrackedPrototype(**values, generation=generation)


def _last_change(updated_at: datetime, generation: Generation) -> datetime:
    """When an older row, or what is known of it here, changed last: its own time is its owner's, and stays."""
    return max(at for at in (updated_at, generation.settled_at, generation.follow_up.requested_at) if at is not None)


def tracked_prototype_of(row: Mapping[str, Any]) -> TrackedPrototype:
    """The same for a row whose prototype is tracked. Raises `LookupError` for another one."""
    prototype = prototype_of(row)
    if not isinstance(prototype, TrackedPrototype):
        raise LookupError(f"prototype {prototype.id} is not tracked")
    return prototype


def _generation_of(row: Mapping[str, Any]) -> Generation:
    columns = {**row, "created_at": row["claimed_at"]}
    values: dict[str, Any] = {name: columns[name] for name in _PLAIN_COLUMNS}
    for part, names in _PART_COLUMNS.items():
        values[part] = {field: columns[column] for field, column in names.items()}
    return _GENERATION.validate_python(values)


def _metadata_of(text: str | None) -> dict[str, Any] | None:
    """The owner's metadata. None: there is none, or none that an answer in JSON could hold."""
    if not isinstance(text, str):
        return None
    try:
        value = from_json(text, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # Numbers that are too large for JSON are read as infinite.
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _polling_pause_of(row: Mapping[str, Any]) -> PollingPause | None:
    if row["polling_paused_until"] is None:
        return None
    code, message = row["polling_paused_code"], row["polling_paused_message"]
    return PollingPause(row["polling_paused_until"], code or "slowed", message or "Status checks are paused.")


def generation_values(prototype: TrackedPrototype) -> dict[str, Any]:
    """The values of `save_generation`, guarded by the version that was read, and of `insert_generation`."""
    generation = prototype.generation
    values: dict[str, Any] = {name: getattr(generation, name) for name in _PLAIN_COLUMNS}
    for part, names in _PART_COLUMNS.items():
        values |= {column: getattr(getattr(generation, part), field) for field, column in names.items()}
    return {
        **values,
        "recovery_point": generation.submission.recovery_point.value,
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
        "phase_submission_id": prototype.phase_submission_id,
        "chat_id": prototype.chat_id,
        "project_id": prototype.project_id,
        "status": prototype.status.value,
        "project_url": prototype.project_url,
        "created_at": prototype.created_at,
        "updated_at": prototype.updated_at,
    }


def changed_mockup_values(before: Prototype, after: Prototype) -> dict[str, Any] | None:
    """The values of `save_mockup`, with None for columns that stay as they are; None: all of them do."""
    old, new = mockup_values(before), mockup_values(after)
    if old == new:
        return None
    saved = ("chat_id", "project_id", "status", "project_url")
    return {**new, **{name: new[name] if new[name] != old[name] else None for name in saved}}


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
        created_at=created_at,
        submission=Submission(recovery_point),
        polling=Polling(next_poll_at=next_poll_at, deadline_at=deadline_at),
    )


def with_next_version(prototype: TrackedPrototype) -> TrackedPrototype:
    """The prototype as a guarded write has left it."""
    return prototype.with_generation(version=prototype.generation.version + 1)


def is_unchanged_poll(before: TrackedPrototype, after: TrackedPrototype) -> bool:
    """Whether a poll changed only columns that `record_poll` writes and that people do not see.

    People do see when a missing chat is polled next.
    """
    if after.generation.absence.missing_since is not None:
        return False
    polling, absence = before.generation.polling, before.generation.absence
    same = after.with_generation(
        polling=replace(
            after.generation.polling,
            observed_at=polling.observed_at,
            poll_count=polling.poll_count,
            next_poll_at=polling.next_poll_at,
        ),
        absence=replace(after.generation.absence, last_shown_at=absence.last_shown_at),
    )
    return same == before
