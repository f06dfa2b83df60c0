"""Hourly work that no prototype waits for: expired rows are deleted."""

from __future__ import annotations

from datetime import datetime, timedelta

from protokeep.service.context import Context

#: From one housekeeping to the next.
HOUSEKEEPING_INTERVAL = timedelta(hours=1)
#: Counts of creates are kept for today and, for clocks that differ, for yesterday.
COUNTS_KEPT = timedelta(days=2)


class Housekeeping:
    """Deletes expired idempotency keys and counts."""

    def __init__(self, context: Context, key_retention: timedelta) -> None:
        self._context = context
        self._key_retention = key_retention
        self._done_at: datetime | None = None

    async def run_if_due(self) -> None:
        """Do everything once an hour."""
        now = self._context.clock()
        if self._done_at is not None and now - self._done_at < HOUSEKEEPING_INTERVAL:
            return
        self._done_at = now
        await self._context.store.idempotency.delete_expired(now - self._key_retention)
        await self._context.store.claims.delete_expired_counts(now - COUNTS_KEPT)
