"""Room for idempotency keys: each is a row for days, so a workspace may use so many of them and no more."""

from __future__ import annotations

from datetime import timedelta

from protokeep.core.create_request import IdempotentRequest
from protokeep.core.errors import TooMany
from protokeep.core.ttl_cache import TtlCache
from protokeep.service.heartbeat import Clock
from protokeep.store.idempotency import IdempotencyKeys

#: How long a count is reused. A workspace may exceed its limit by what it sends in this time.
COUNTED_EVERY = timedelta(minutes=1)
MOST_COUNTS = 1000
#: When somebody without room may try again: keys expire one after the other.
FULL_PAUSE = timedelta(minutes=10)


class KeyRoom:
    """Refuses new idempotency keys of a workspace that has as many as are remembered of it."""

    def __init__(self, keys: IdempotencyKeys, per_workspace: int, clock: Clock) -> None:
        """`per_workspace` 0: any number."""
        self._keys = keys
        self._per_workspace = per_workspace
        self._counts: TtlCache[str, int] = TtlCache(clock, COUNTED_EVERY, MOST_COUNTS)

    async def require(self, request: IdempotentRequest | None) -> None:
        """Raises `TooMany` for a new key where there is no room. A key that is known is replayed as ever."""
        if request is None or not self._per_workspace:
            return
        count = self._counts.get(request.workspace_id)
        if count is None:
            count = await self._keys.count(request.workspace_id, self._per_workspace)
            self._counts.put(request.workspace_id, count)
        if count >= self._per_workspace and await self._keys.prototype_of_request(request) is None:
            raise TooMany(
                f"This workspace has used {self._per_workspace:,} idempotency keys lately, which is as many as are "
                "remembered. Leave the Idempotency-Key out, or let the operator raise "
                "PROTOKEEP_IDEMPOTENCY_KEYS_PER_WORKSPACE.",
                retry_after=FULL_PAUSE,
            )
