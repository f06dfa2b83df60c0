"""Prototypes as values, made up for tests of the pure core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from protokeep.core.prototype import Generation, Prototype, RecoveryPoint, Status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """So long after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def generation(**values: Any) -> Generation:
    """A generation that the builder accepted at `NOW`, unless `values` say otherwise."""
    given: dict[str, Any] = {
        "workspace_id": "default",
        "account": "v0:environment",
        "api_version": 2,
        "marker": "m",
        "created_by": "ann",
        "recovery_point": RecoveryPoint.ACCEPTED,
        "attempts": 1,
        "lookups": 0,
        "outcome_unknown": False,
        "fence": 1,
        "version": 1,
        "awaiting_input": False,
        "poll_count": 0,
        "created_at": NOW,
        "deadline_at": after(600),
    }
    return Generation(**{**given, **values})


def prototype(status: Status = Status.PENDING, *, tracked: bool = True, **values: Any) -> Prototype:
    """A prototype in `status`; `values` that a generation has go there."""
    theirs = {name: values.pop(name) for name in list(values) if name in Generation.__dataclass_fields__}
    given: dict[str, Any] = {
        "id": "00000000-0000-4000-8000-000000000001",
        "product_id": "p-1",
        "user_id": "ann",
        "provider": "v0",
        "prompt": "A shop",
        "created_at": NOW,
        "updated_at": NOW,
        "chat_id": "chat-1" if tracked else None,
        "generation": generation(**theirs) if tracked else None,
    }
    return Prototype(status=status, **{**given, **values})
