"""Between rows and core values."""

from __future__ import annotations

from dataclasses import fields
from operator import itemgetter
from typing import Any

from protokeep.core.prototype import Generation, Prototype, RecoveryPoint, Slowed, Status, generation_of
from protokeep.store.database import Row

_STATUSES = {status.value: status for status in Status}
#: A generation's values in the order of its fields. Its columns have their names, but for one that the owner's has too.
_GENERATION = itemgetter(*("claimed_at" if field.name == "created_at" else field.name for field in fields(Generation)))


def prototype_of(row: Row) -> Prototype:
    """A row of the prototype SELECT. A status that is missing, or none of ours, reads as pending."""
    return Prototype(
        id=row["id"],
        product_id=row["product_id"],
        user_id=row["user_id"],
        provider=row["provider"],
        prompt=row["prompt"],
        status=_STATUSES.get(row["status"], Status.PENDING),
        created_at=row["created_at"],
        updated_at=row["updated_at"] or row["created_at"],
        chat_id=row["chat_id"],
        project_id=row["project_id"],
        project_url=row["project_url"],
        image_url=row["image_url"],
        thumbnail_url=row["thumbnail_url"],
        is_current=row["current_id"] is not None,
        generation=None if row["marker"] is None else _generation_of(row),
        slowed=None if row["slowed_until"] is None else _slowed_of(row),
    )


def _slowed_of(row: Row) -> Slowed:
    return Slowed(row["slowed_until"], row["slowed_code"] or "slowed", row["slowed_message"] or "Looks are paused.")


def _generation_of(row: Row) -> Generation:
    row["recovery_point"] = RecoveryPoint(row["recovery_point"])
    row["unknown"] = bool(row["unknown"])
    row["waiting"] = bool(row["waiting"])
    return Generation(*_GENERATION(row))


def generation_values(prototype: Prototype) -> dict[str, Any]:
    """What `save_generation` writes, guarded by the version that was read."""
    generation = generation_of(prototype)
    return {
        "mockup_id": prototype.id,
        "version": generation.version,
        "recovery_point": generation.recovery_point.value,
        "attempts": generation.attempts,
        "lookups": generation.lookups,
        "unknown": generation.unknown,
        "sent_at": generation.sent_at,
        "lease_until": generation.lease_until,
        "next_try_at": generation.next_try_at,
        "hold_code": generation.hold_code,
        "hold_message": generation.hold_message,
        "message_id": generation.message_id,
        "web_url": generation.web_url,
        "demo_url": generation.demo_url,
        "chat_url": generation.chat_url,
        "waiting": generation.waiting,
        "next_poll_at": generation.next_poll_at,
        "poll_count": generation.poll_count,
        "deadline_at": generation.deadline_at,
        "missing_since": generation.missing_since,
        "observed_at": generation.observed_at,
        "settled_at": generation.settled_at,
        "error_code": generation.error_code,
        "error_message": generation.error_message,
        "rounds": generation.rounds,
        "follow_up": generation.follow_up,
        "asked_at": generation.asked_at,
        "stale_id": generation.stale_id,
        "before_id": generation.before_id,
        "wrap_up_at": generation.wrap_up_at,
        "credits": generation.credits,
        "image_source": generation.image_source,
        "picture_etag": generation.picture_etag,
        "dead_url": generation.dead_url,
        "dead_since": generation.dead_since,
        "removing_at": generation.removing_at,
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
