"""Hourly work that no prototype waits for: what is too old is deleted."""

from __future__ import annotations

from datetime import datetime, timedelta

from protokeep.core.retention import RetentionPeriods
from protokeep.service.context import Context
from protokeep.service.retention import Retention

#: From one housekeeping to the next.
HOUSEKEEPING_INTERVAL = timedelta(hours=1)
#: Counts of creates are kept for today and, for clocks that differ, for yesterday.
COUNTS_KEPT = timedelta(days=2)


class Housekeeping:
    """Deletes counts of days that are over; `retention` removes what grows."""

    def __init__(self, context: Context, periods: RetentionPeriods) -> None:
        self._context = context
        self.retention = Retention(context, periods)
        self._done_at: datetime | None = None

    async def run_if_due(self) -> None:
        """Do everything once an hour."""
        now = self._context.clock()
        if self._done_at is not None and now - self._done_at < HOUSEKEEPING_INTERVAL:
            return
        self._done_at = now
        await self._context.store.claims.delete_expired_counts(now - COUNTS_KEPT)
