"""Between rows and core values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from protokeep.core.generation import (
    Absence,
    FollowUp,
    Generation,
    Links,
    Polling,
    Reason,
    RecoveryPoint,
    Submission,
)
from protokeep.core.prototype import PollingPause, Prototype, Status, TrackedPrototype
from protokeep.store.sql import Row, instant

_STATUSES = {status.value: status for status in Status}

#: The parts of a generation by their field. Their columns have the names of their fields.
_PARTS: dict[str, type[Any]] = {
    "submission": Submission,
    "polling": Polling,
    "absence": Absence,
    "follow_up": FollowUp,
    "links": Links,
}
#: But for these columns.
_COLUMNS = {("follow_up", "message"): "follow_up", ("follow_up", "requested_at"): "follow_up_at"}
_REASONS = ("hold", "error")
#: Fields of a generation that have no column.
_NOT_WRITTEN = ("explicitly_new",)


def _part_columns(part: str) -> dict[str, str]:
    return {field.name: _COLUMNS.get((part, field.name), field.name) for field in fields(_PARTS[part])}


_PART_COLUMNS = {part: _part_columns(part) for part in _PARTS}
_PLAIN = [field.name for field in fields(Generation) if field.name not in (*_PARTS, *_REASONS, *_NOT_WRITTEN)]
#: The columns of a generation, in the order of the prototype SELECT.
GENERATION_COLUMNS = [
    *_PLAIN,
    *(column for columns in _PART_COLUMNS.values() for column in columns.values()),
    *(f"{reason}_{name}" for reason in _REASONS for name in ("code", "message")),
]

# Where the values of the prototype SELECT stand: the owner's, a generation's, and the rest.
_OWNERS = 13
_REST = _OWNERS + len(GENERATION_COLUMNS)
_END = _REST + 4
_MARKER = _OWNERS + GENERATION_COLUMNS.index("marker")
_INSTANTS = [name for name in GENERATION_COLUMNS if name.endswith(("_at", "_until", "_since"))]
_FLAGS = ("outcome_unknown", "awaiting_input")

#: Prototypes that are kept made: a row that is the same to the last value is the same prototype.
KEPT = 512
#: Rows with longer prompts are not kept.
KEPT_PROMPT = 2000

_kept: dict[str, tuple[Sequence[Any], Prototype]] = {}


def prototype_of(row: Row) -> Prototype:
    """A row that begins with the prototype SELECT."""
    return prototype_from(tuple(row.values())[:_END])


def prototype_from(values: Sequence[Any]) -> Prototype:
    """The same from its bare values, in the order of the SELECT."""
    known = _kept.get(values[0])
    if known is not None and known[0] == values:
        return known[1]
    made = _made(values)
    if len(made.prompt or "") <= KEPT_PROMPT:
        if len(_kept) >= KEPT:
            _kept.clear()
        _kept[values[0]] = values, made
    return made


def _made(values: Sequence[Any]) -> Prototype:
    """A status that is missing, or none of ours, reads as pending."""
    mockup_id, product_id, user_id, provider, created_at = values[:5]
    prompt, updated_at, chat_id, project_id, status, project_url, image_url, thumbnail_url = values[5:_OWNERS]
    current_id, paused_until, paused_code, paused_message = values[_REST:_END]
    row: dict[str, Any] = {
        "id": mockup_id,
        "product_id": product_id,
        "user_id": user_id,
        "provider": provider,
        "prompt": prompt,
        "status": _STATUSES.get(status, Status.PENDING),
        "created_at": instant(created_at),
        "updated_at": instant(updated_at or created_at),
        "chat_id": chat_id,
        "project_id": project_id,
        "project_url": project_url,
        "image_url": image_url,
        "thumbnail_url": thumbnail_url,
        "is_current": current_id is not None,
        "polling_pause": None
        if paused_until is None
        else PollingPause(instant(paused_until), paused_code or "slowed", paused_message or "Looks are paused."),
    }
    if values[_MARKER] is None:
        return Prototype(**row)
    columns = dict(zip(GENERATION_COLUMNS, values[_OWNERS:_REST], strict=True))
    return TrackedPrototype(**row, generation=generation_from(columns))


def generation_from(columns: dict[str, Any]) -> Generation:
    """A generation from its columns, by name. Instants and flags may be written as the database has them."""
    for name in _INSTANTS:
        if columns[name] is not None:
            columns[name] = instant(columns[name])
    for name in _FLAGS:
        columns[name] = bool(columns[name])
    columns["recovery_point"] = RecoveryPoint(columns["recovery_point"])
    parts: dict[str, Any] = {
        part: _PARTS[part](**{field: columns[column] for field, column in names.items()})
        for part, names in _PART_COLUMNS.items()
    }
    reasons: dict[str, Any] = {name: Reason(columns[f"{name}_code"], columns[f"{name}_message"]) for name in _REASONS}
    return Generation(**{name: columns[name] for name in _PLAIN}, **parts, **reasons)


def tracked_prototype_of(row: Row) -> TrackedPrototype:
    """A row that begins with the prototype SELECT, and whose prototype is tracked."""
    prototype = prototype_of(row)
    if not isinstance(prototype, TrackedPrototype):
        raise LookupError(f"prototype {prototype.id} is not tracked")
    return prototype


def generation_values(prototype: TrackedPrototype) -> dict[str, Any]:
    """What `save_generation` writes, guarded by the version that was read."""
    generation = prototype.generation
    return {
        "mockup_id": prototype.id,
        "version": generation.version,
        "recovery_point": generation.submission.recovery_point.value,
        "attempts": generation.submission.attempts,
        "lookups": generation.submission.lookups,
        "outcome_unknown": generation.submission.outcome_unknown,
        "sent_at": generation.submission.sent_at,
        "lease_until": generation.submission.lease_until,
        "next_try_at": generation.submission.next_try_at,
        "hold_code": generation.hold.code,
        "hold_message": generation.hold.message,
        "message_id": generation.message_id,
        "web_url": generation.links.web_url,
        "demo_url": generation.links.demo_url,
        "chat_url": generation.links.chat_url,
        "awaiting_input": generation.awaiting_input,
        "next_poll_at": generation.polling.next_poll_at,
        "poll_count": generation.polling.poll_count,
        "deadline_at": generation.polling.deadline_at,
        "missing_since": generation.absence.missing_since,
        "observed_at": generation.polling.observed_at,
        "settled_at": generation.settled_at,
        "error_code": generation.error.code,
        "error_message": generation.error.message,
        "turn": generation.follow_up.turn,
        "follow_up": generation.follow_up.message,
        "follow_up_at": generation.follow_up.requested_at,
        "previous_message_id": generation.follow_up.previous_message_id,
        "baseline_message_id": generation.follow_up.baseline_message_id,
        "finalize_at": generation.finalize_at,
        "credits": generation.credits,
        "image_source": generation.image_source,
        "picture_etag": generation.picture_etag,
        "broken_url": generation.links.broken_url,
        "broken_since": generation.links.broken_since,
        "broken_checks": generation.links.broken_checks,
        "deletion_requested_at": generation.deletion_requested_at,
        "last_shown_at": generation.absence.last_shown_at,
        "missing_polls": generation.absence.missing_polls,
        "last_missing_at": generation.absence.last_missing_at,
        "known_message_id": generation.follow_up.known_message_id,
    }


def mockup_values(prototype: Prototype) -> dict[str, Any]:
    """What `save_mockup` writes."""
    return {
        "mockup_id": prototype.id,
        "chat_id": prototype.chat_id,
        "project_id": prototype.project_id,
        "status": prototype.status.value,
        "project_url": prototype.project_url,
        "now": prototype.updated_at,
    }
