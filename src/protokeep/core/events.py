"""What happened to a prototype, when, and because of whom or what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """Who or what made it happen."""

    PERSON = "person"
    SUBMIT = "submit"
    POLL = "poll"
    HOOK = "hook"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a prototype's history. `status` is the status after it, None where it changed none.

    Kinds: claimed, sent, accepted, adopted, parked, undecided, refused, status, surplus; of follow-ups asked and
    continued; deleting, deleted.
    """

    kind: str
    source: Source
    at: datetime
    actor: str | None = None
    status: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
