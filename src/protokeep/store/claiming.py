"""How a request gets at the claim: the cheap ways first, and one claim per product at a time in this process.

All of it only saves work. Who creates is decided by the database, in `claims`, among any number of processes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from protokeep.bus import Bus, Change
from protokeep.core.create_request import ClaimResult, CreateRequest
from protokeep.core.errors import InvalidInput, KeyInFlight, NotReady
from protokeep.core.prototype import Prototype
from protokeep.core.quotas import Quotas
from protokeep.core.reuse import Decision, Outcome, decide
from protokeep.store import claims
from protokeep.store.database import ConstraintBroken, Database, DatabaseError, Part, Untouched
from protokeep.store.mapping import prototype_from
from protokeep.store.prototype_queries import PrototypeQueries

#: Races one claim may lose before it gives up; every loss means that somebody else got on.
MAX_LOSSES = 25
#: Claims that a process has under way at once on PostgreSQL: they wait for each other's counts, which costs least here.
CLAIMS_AT_ONCE = 2
LOCK_NOT_AVAILABLE = "55P03"

Slot = tuple[str, str, str]


class Claiming:
    """Claims of one process. `told` makes the part of a transaction that tells other processes of a change."""

    def __init__(self, database: Database, bus: Bus, told: Callable[[Change], list[Part]]) -> None:
        self._database = database
        self._bus = bus
        self._told = told
        self._at_once = asyncio.Semaphore(CLAIMS_AT_ONCE)
        self._under_way: dict[Slot, asyncio.Future[Prototype | None]] = {}

    async def claim(
        self, statements: PrototypeQueries, wanted: CreateRequest, poll_timeout: timedelta, caps: Quotas
    ) -> ClaimResult:
        """The prototype for a request: the existing one, or a claim that makes this request its one creator.

        Raises `QuotaReached` when it would be one too many; nothing is written then.
        """
        if wanted.create_new or wanted.idempotency_key is not None:
            return await self._made(statements, wanted, poll_timeout, caps)
        slot = wanted.workspace_id, wanted.product_id, wanted.provider
        while True:
            busy = self._under_way.get(slot)
            current = await (self._current(statements, slot) if busy is None else asyncio.shield(busy))
            reused = _reused(current, wanted)
            if reused is not None:
                return reused
            if self._under_way.get(slot) is None:
                break
        ours = self._under_way[slot] = asyncio.get_running_loop().create_future()
        made = None
        try:
            claimed = await self._made(statements, wanted, poll_timeout, caps)
            made = claimed.prototype if claimed.won else None
            return claimed
        finally:
            del self._under_way[slot]
            ours.set_result(made)

    async def _current(self, statements: PrototypeQueries, slot: Slot) -> Prototype | None:
        key = dict(zip(("workspace_id", "product_id", "provider"), slot, strict=True))
        rows = await self._database.bare(statements.current, key)
        return prototype_from(rows[0]) if rows else None

    async def _made(
        self, statements: PrototypeQueries, wanted: CreateRequest, poll_timeout: timedelta, caps: Quotas
    ) -> ClaimResult:
        change = Change(wanted.workspace_id, wanted.product_id, wanted.mockup_id, wanted.account, "claimed")
        told = self._told(change)
        try:
            claimed = await self._in_one_statement(statements, wanted, caps, told) or await self._in_a_transaction(
                statements, wanted, poll_timeout, caps, told
            )
        except DatabaseError as error:
            raise _translated(error, wanted) from error
        if isinstance(claimed, ClaimResult):
            return claimed
        self._bus.publish(change)
        return ClaimResult(claims.new_prototype(statements, wanted), claimed, won=True)

    async def _in_one_statement(
        self, statements: PrototypeQueries, wanted: CreateRequest, caps: Quotas, told: Sequence[Part]
    ) -> Decision | None:
        """Where the database can, and the claim is the common one."""
        if self._database.is_sqlite:
            return None
        async with self._at_once, self._database.alone() as session:
            return await claims.claim_free(session, statements, wanted, caps, told)

    async def _in_a_transaction(
        self,
        statements: PrototypeQueries,
        wanted: CreateRequest,
        poll_timeout: timedelta,
        caps: Quotas,
        told: Sequence[Part],
    ) -> Decision | ClaimResult:
        """Begun again after each lost race."""
        for _ in range(MAX_LOSSES):
            with contextlib.suppress(Untouched):
                async with self._database.transaction() as session:
                    await session.wait_at_most(claims.LOCK_TIMEOUT)
                    return await claims.claim(session, statements, wanted, poll_timeout, caps, told)
        raise NotReady("This product is being changed by too many at once. Try again in a moment.")


def _reused(current: Prototype | None, wanted: CreateRequest) -> ClaimResult | None:
    """The common case: the slot is taken by something usable."""
    if current is None:
        return None
    decision = decide(current, wanted.prompt, create_new=False)
    return ClaimResult(current, decision, won=False) if decision.outcome is Outcome.REUSED else None


def _translated(error: DatabaseError, wanted: CreateRequest) -> Exception:
    """What a failed claim means to its caller."""
    if getattr(error.driver, "sqlstate", None) == LOCK_NOT_AVAILABLE:
        if wanted.idempotency_key is not None:
            return KeyInFlight("The first request with this Idempotency-Key is still being written. Try again.")
        return NotReady("This product is being claimed by somebody else right now. Try again in a moment.")
    if isinstance(error, ConstraintBroken):
        return InvalidInput(f"This database's design_mockups does not take the prototype: {error.driver}.")
    return error
