"""Prototypes as JSON, and what their validators stand on.

The store gives out the same object for a row that did not change, so what was made of it once is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from pydantic_core import to_json

from protokeep.core.prototype import SETTLED, Prototype
from protokeep.store.rows import KEPT, KEPT_PROMPT
from protokeep.web.models import PrototypeView, elapsed_seconds

T = TypeVar("T")


class Kept(Generic[T]):
    """What was made of the last prototypes, each of them itself and not only an equal one."""

    def __init__(self, make: Callable[[Prototype], T]) -> None:
        self._make = make
        self._made: dict[int, tuple[Prototype, T]] = {}

    def of(self, prototype: Prototype) -> T:
        """Made now, or the first time."""
        known = self._made.get(id(prototype))
        if known is not None and known[0] is prototype:
            return known[1]
        made = self._make(prototype)
        if len(prototype.prompt or "") <= KEPT_PROMPT:
            if len(self._made) >= KEPT:
                self._made.clear()
            self._made[id(prototype)] = prototype, made
        return made


def json_of(prototype: Prototype, now: datetime) -> bytes:
    """The view of a prototype; `now` is for the elapsed time of what is still being made."""
    if prototype.slowed is not None and prototype.status not in SETTLED:  # A pause of looks ends by the clock too.
        return to_json(PrototypeView.fields_of(prototype, now))
    before, after = _frames.of(prototype)
    return b"%b%b%b" % (before, to_json(elapsed_seconds(prototype, now)), after)


def validator_of(prototype: Prototype) -> bytes:
    """A digest of everything people see, but not of the time of the last look."""
    return _validators.of(prototype)


def _validator(prototype: Prototype) -> bytes:
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
            prototype.slowed,
        )
    return hashlib.blake2b(to_json(shown), digest_size=12).digest()


def _frame(prototype: Prototype) -> tuple[bytes, bytes]:
    """What stands before and after the one value that depends on the time."""
    values = PrototypeView.fields_of(prototype, prototype.created_at)
    # Inside a text its quotes would be escaped: this stands in the JSON once.
    before, after = to_json({**values, "elapsed_seconds": None}).split(b'"elapsed_seconds":null')
    return before + b'"elapsed_seconds":', after


_frames = Kept(_frame)
_validators = Kept(_validator)
