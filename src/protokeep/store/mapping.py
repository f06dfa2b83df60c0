"""Between rows and core values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from protokeep.core.prototype import Generation, PollingPause, Prototype, RecoveryPoint, Status, generation_of
from protokeep.store.sql import Row, instant

_STATUSES = {status.value: status for status in Status}

# Where the values of the prototype SELECT stand: the owner's, a generation's in the order of its fields, and the rest.
_OWNERS = 13
_PROMPT = 5
_FIELDS = [field.name for field in fields(Generation)]
_REST = _OWNERS + len(_FIELDS)
_END = _REST + 4
_MARKER = _OWNERS + _FIELDS.index("marker")
_INSTANTS = [number for number, name in enumerate(_FIELDS) if name.endswith(("_at", "_until", "_since"))]
_RECOVERY_POINT = _FIELDS.index("recovery_point")
_FLAGS = [_FIELDS.index(name) for name in ("outcome_unknown", "awaiting_input")]

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
    current_id, slowed_until, slowed_code, slowed_message = values[_REST:_END]
    return Prototype(
        id=mockup_id,
        product_id=product_id,
        user_id=user_id,
        provider=provider,
        prompt=prompt,
        status=_STATUSES.get(status, Status.PENDING),
        created_at=instant(created_at),
        updated_at=instant(updated_at or created_at),
        chat_id=chat_id,
        project_id=project_id,
        project_url=project_url,
        image_url=image_url,
        thumbnail_url=thumbnail_url,
        is_current=current_id is not None,
        generation=None if values[_MARKER] is None else _generation(list(values[_OWNERS:_REST])),
        polling_pause=None
        if slowed_until is None
        else PollingPause(instant(slowed_until), slowed_code or "slowed", slowed_message or "Looks are paused."),
    )


def _generation(values: list[Any]) -> Generation:
    for number in _INSTANTS:
        if values[number] is not None:
            values[number] = instant(values[number])
    for number in _FLAGS:
        values[number] = bool(values[number])
    values[_RECOVERY_POINT] = RecoveryPoint(values[_RECOVERY_POINT])
    return Generation(*values)


def generation_values(prototype: Prototype) -> dict[str, Any]:
    """What `save_generation` writes, guarded by the version that was read."""
    generation = generation_of(prototype)
    return {
        "mockup_id": prototype.id,
        "version": generation.version,
        "recovery_point": generation.recovery_point.value,
        "attempts": generation.attempts,
        "lookups": generation.lookups,
        "outcome_unknown": generation.outcome_unknown,
        "sent_at": generation.sent_at,
        "lease_until": generation.lease_until,
        "next_try_at": generation.next_try_at,
        "hold_code": generation.hold_code,
        "hold_message": generation.hold_message,
        "message_id": generation.message_id,
        "web_url": generation.web_url,
        "demo_url": generation.demo_url,
        "chat_url": generation.chat_url,
        "awaiting_input": generation.awaiting_input,
        "next_poll_at": generation.next_poll_at,
        "poll_count": generation.poll_count,
        "deadline_at": generation.deadline_at,
        "missing_since": generation.missing_since,
        "observed_at": generation.observed_at,
        "settled_at": generation.settled_at,
        "error_code": generation.error_code,
        "error_message": generation.error_message,
        "turn": generation.turn,
        "follow_up": generation.follow_up,
        "follow_up_at": generation.follow_up_at,
        "previous_message_id": generation.previous_message_id,
        "baseline_message_id": generation.baseline_message_id,
        "finalize_at": generation.finalize_at,
        "credits": generation.credits,
        "image_source": generation.image_source,
        "picture_etag": generation.picture_etag,
        "broken_url": generation.broken_url,
        "broken_since": generation.broken_since,
        "broken_checks": generation.broken_checks,
        "deletion_requested_at": generation.deletion_requested_at,
        "last_shown_at": generation.last_shown_at,
        "missing_polls": generation.missing_polls,
        "last_missing_at": generation.last_missing_at,
        "known_message_id": generation.known_message_id,
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
