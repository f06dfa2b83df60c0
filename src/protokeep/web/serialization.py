"""Prototypes as JSON, and their validators."""

from __future__ import annotations

import hashlib
from datetime import datetime

from pydantic_core import to_json

from protokeep.core.prototype import Prototype
from protokeep.web.models import PrototypeView


def json_of(prototype: Prototype, now: datetime) -> bytes:
    """The view of a prototype; `now` is for the elapsed time of an unfinished one."""
    return to_json(PrototypeView.fields_of(prototype, now))


def validator_of(prototype: Prototype) -> bytes:
    """A digest of everything people see, but not of the time of the last poll."""
    generation = prototype.generation
    shown: tuple[object, ...] = (
        prototype.id,
        prototype.status.value,
        prototype.state.value,
        prototype.updated_at,
        prototype.project_url,
        prototype.is_current,
    )
    if generation is not None:
        shown += (
            generation.web_url,
            generation.demo_url,
            generation.error_code,
            generation.hold_code,
            generation.next_try_at,
            generation.credits,
            generation.picture_etag,
            prototype.polling_pause,
        )
    return hashlib.blake2b(to_json(shown), digest_size=12).digest()
