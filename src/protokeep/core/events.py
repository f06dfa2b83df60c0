"""The history of a prototype: each event with its time and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """The cause of an event."""

    PERSON = "person"
    SUBMIT = "submit"
    POLL = "poll"
    HOOK = "hook"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a prototype's history. `status` is the status after it; None: it did not change.

    Kinds of a create: claimed, sent, accepted, adopted, parked, undecided, refused, status, surplus. Kinds of a
    follow-up: asked and continued. Kinds of a deletion: deleting, deleted. Kinds of a variant:
    made_current (by a person), succeeded (the current one was deleted), named.
    """

    kind: str
    source: Source
    at: datetime
    actor: str | None = None
    status: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
