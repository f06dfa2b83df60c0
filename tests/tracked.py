"""The generation of a prototype that a test knows to be tracked."""

from __future__ import annotations

from protokeep.core.generation import Generation
from protokeep.core.prototype import Prototype, TrackedPrototype


def tracked(prototype: Prototype | None) -> TrackedPrototype:
    """The prototype, which has to be tracked."""
    assert isinstance(prototype, TrackedPrototype)
    return prototype


def generation_of(prototype: Prototype | None) -> Generation:
    """The generation of a prototype, which has to be tracked."""
    return tracked(prototype).generation
