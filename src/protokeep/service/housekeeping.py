"""Hourly work that no prototype waits for: expired rows are deleted, and older prototypes become tracked."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from protokeep.core.create_request import Adoption
from protokeep.core.errors import NotConfigured
from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.service.context import Context
from protokeep.service.provider_accounts import DEFAULT_PROVIDER

log = structlog.get_logger(__name__)

#: From one housekeeping to the next.
HOUSEKEEPING_INTERVAL = timedelta(hours=1)
#: Counts of creates are kept for today and, for clocks that differ, for yesterday.
COUNTS_KEPT = timedelta(days=2)


class Housekeeping:
    """Deletes expired idempotency keys and counts, and adopts older rows that name a chat."""

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
        await self._adopt_older_rows(now)

    async def _adopt_older_rows(self, now: datetime) -> None:
        context = self._context
        await context.providers.refresh()
        try:
            choice = context.providers.choose(DEFAULT_PROVIDER)
        except NotConfigured:
            return  # Without a key older rows cannot be polled, and nothing else depends on it.
        adoption = Adoption(DEFAULT_WORKSPACE, choice.account, now)
        adopted = await context.store.adopt_untracked(adoption, context.timing.poll_timeout)
        if adopted:
            log.info("older_rows_adopted", count=adopted)
