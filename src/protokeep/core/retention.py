"""How long rows are kept that only grow, and which of them stay however old they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from protokeep.core.audit import Action

#: The kinds of events that tell of a step on the way to a result. What people did, what was made and what was deleted
#: is never removed: a chat whose prototype is gone is known by these events, and people read there what they asked for.
STEP_KINDS = ("accepted", "continued", "parked", "sent", "status", "undecided")
#: Lines of the audit that are never removed: receipts of clean-ups, which undoing and checking a plan read, and what
#: says that something was removed.
LASTING_ACTIONS = (
    *(action.value for action in Action if action.value.startswith("plan_")),
    Action.ARCHIVES_REMOVED.value,
    Action.AUDIT_REMOVED.value,
)


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long rows are kept; None: for ever. Of the audit it only says what an operator's command may remove."""

    idempotency_keys: timedelta = timedelta(days=7)
    events: timedelta | None = None
    pictures: timedelta | None = None
    audit: timedelta | None = None


DEFAULT_PERIODS = RetentionPeriods()
