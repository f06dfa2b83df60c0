"""The settings of what only grows: how long it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from protokeep.core.retention import RetentionPeriods

#: Days for which rows are kept; 0: for ever.
Days = Annotated[int, Field(ge=0, le=36_500)]


class RetentionSettings(BaseSettings):
    """Part of `Settings`."""

    #: How long a request with the same idempotency key gets the same answer.
    idempotency_key_days: Annotated[int, Field(ge=1, le=365)] = 7
    #: Days after which the steps on the way to a result leave a prototype's history.
    event_days: Days = 0
    #: Days after which the picture of a prototype goes that is not its product's current one.
    picture_days: Days = 0
    #: How old lines of the audit have to be before `protokeep prune --audit-to` may move them into a file.
    audit_days: Days = 0

    @property
    def retention_periods(self) -> RetentionPeriods:
        """How long rows are kept."""
        return RetentionPeriods(
            timedelta(days=self.idempotency_key_days),
            _period(self.event_days),
            _period(self.picture_days),
            _period(self.audit_days),
        )


def _period(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None
