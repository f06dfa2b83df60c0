"""Variants: the prototypes of one product. One of them is the current one, which whoever asks for the product gets.

They have numbers, by order of creation, and names if people give them some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.reuse import usable


def cannot_be_current_because(prototype: Prototype) -> str | None:
    """Why a prototype cannot be made the current one, for people; None: it can, or is it."""
    if prototype.is_current:
        return None
    if not isinstance(prototype, TrackedPrototype):
        return "It was made before protokeep and is not tracked, so it cannot be made current."
    generation = prototype.generation
    if generation.is_in_bin:
        return "It is in the bin. Take it back first."
    if generation.deletion_requested_at is not None:
        return "It is being deleted, so it cannot be made current."
    if not usable(prototype):
        return "It failed, so nobody could use it. Ask for a change or retry it first."
    return None


def made_current(prototype: TrackedPrototype) -> TrackedPrototype:
    """The prototype as the current one of its product. Nothing happens at the app builder."""
    return replace(prototype, is_current=True)


def named(prototype: TrackedPrototype, name: str | None) -> TrackedPrototype:
    """The variant with another name; None takes its name away."""
    return prototype.with_generation(variant_name=name)


def successor_of(deleted: Prototype, newest_first: Sequence[Prototype]) -> Prototype | None:
    """Which variant becomes the current one after the deletion of the one that was: the newest usable one.

    Without a usable one the newest that is left, so that the product stays in sight; None: nothing is left.
    """
    left = [one for one in newest_first if one.id != deleted.id and not _is_unwanted(one)]
    left.sort(key=_age, reverse=True)  # Databases put rows without a time in different places.
    return next((one for one in left if usable(one)), left[0] if left else None)


def _age(prototype: Prototype) -> tuple[datetime, int]:
    number = prototype.generation.variant if prototype.generation is not None else None
    return prototype.created_at, number or 0


def _is_unwanted(prototype: Prototype) -> bool:
    return prototype.generation is not None and prototype.generation.is_unwanted
