"""Prototypes as JSON, and what their validators stand on.

The store gives out the same object for a row that did not change, so what was made of it once is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from pydantic_core import to_json

from protokeep.core.prototype import Prototype
from protokeep.store.mapping import KEPT, KEPT_PROMPT
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
    slowed = prototype.polling_pause is not None and prototype.polling_pause.until > now
    before, after = (_frames_while_slowed if slowed else _frames).of(prototype)
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
            generation.links.web_url,
            generation.links.demo_url,
            generation.error.code,
            generation.hold.code,
            generation.submission.next_try_at,
            generation.credits,
            generation.picture_etag,
            prototype.polling_pause,
        )
    return hashlib.blake2b(to_json(shown), digest_size=12).digest()


def _frame(prototype: Prototype, now: datetime) -> tuple[bytes, bytes]:
    """What stands before and after the elapsed time. All else depends on `now` only by whether looks are slowed."""
    values = PrototypeView.fields_of(prototype, now)
    # Inside a text its quotes would be escaped: this stands in the JSON once.
    before, after = to_json({**values, "elapsed_seconds": None}).split(b'"elapsed_seconds":null')
    return before + b'"elapsed_seconds":', after


_frames = Kept(lambda one: _frame(one, one.polling_pause.until if one.polling_pause else one.created_at))
_frames_while_slowed = Kept(lambda one: _frame(one, datetime.min.replace(tzinfo=UTC)))
_validators = Kept(_validator)
