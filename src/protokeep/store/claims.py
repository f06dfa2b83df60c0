"""The claim: one short transaction that decides which request creates the prototype of a product.

The primary key of `protokeep_slots` decides, among any number of processes; never a SELECT followed by an INSERT. A
lost race raises `LostRace`, which rolls the transaction back; the claim begins again and reads the winner's row.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from protokeep.bus import Change
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import ClaimResult, CreateRequest, claimed_prototype
from protokeep.core.errors import DatabaseBusy, InvalidInput, KeyInFlight, KeyReused, NotReady, ProductUnknown
from protokeep.core.events import Event, Source
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.provider_keys import UNKNOWN_ACCOUNT, key_source_of
from protokeep.core.quotas import Quota, Quotas, day_of
from protokeep.core.reuse import Decision, Outcome, decide, usable
from protokeep.core.validation import user_id_for
from protokeep.store import audit
from protokeep.store.arrangement import bring_back
from protokeep.store.changes import Changes
from protokeep.store.database import Database
from protokeep.store.events import add_event
from protokeep.store.idempotency import prototype_of_request, save_request
from protokeep.store.mapping import prototype_of
from protokeep.store.owner_table import PHASE_SUBMISSION
from protokeep.store.prototype_queries import PrototypeQueries
from protokeep.store.prototypes import insert_prototype
from protokeep.store.sql import WAIT_SECONDS, Connection, ConstraintBroken, LostRace, query

#: Races that a claim may lose before it gives up. Every loss means that another request was served.
MAX_LOSSES = 25
#: How long a claim waits for a lock of another claim on PostgreSQL, and the error that ends the wait.
LOCK_TIMEOUT = "5s"
LOCK_NOT_AVAILABLE = "55P03"
#: The errors of a transaction that PostgreSQL undid because of another one, and of a row that refers to none.
UNDONE_FOR_ANOTHER = ("40001", "40P01")
REFERS_TO_NONE = "23503"
#: Older rows of an adopted table that are considered for the slot.
OLDER_ROWS = 50

NO_QUOTAS = Quotas()


class Claims:
    """Makes claims, and counts creates against quotas."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    async def claim(self, queries: PrototypeQueries, request: CreateRequest, quotas: Quotas) -> ClaimResult:
        """The prototype for a request: the existing one, or a new one that this request has to create.

        Raises `QuotaReached` when the new one would be one too many, `KeyReused`, `KeyInFlight`, `ProductUnknown`,
        `InvalidInput` and `NotReady`. Nothing is written then.
        """
        # Requests for one product take turns, so that losers of the race hold no connection. This only saves work.
        async with self._turn(request):
            existing = await self._find_reusable(queries, request)
            return existing or await self._claim(queries, request, quotas)

    async def delete_expired_counts(self, before: datetime) -> int:
        """Deletes the counts of days before a time. Returns their number."""
        async with self._database.transaction() as connection:
            return await connection.execute(query("delete_expired_create_counts"), {"before": before})

    @contextlib.asynccontextmanager
    async def _turn(self, request: CreateRequest) -> AsyncIterator[None]:
        """The turn of a request among those for its product. Raises `DatabaseBusy` when it does not come.

        Without an end the last of a hundred clicks would wait for a hundred claims of a database that hardly answers.
        """
        turn = self._turns.setdefault((request.workspace_id, request.product_id, request.provider), asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        try:
            yield
        finally:
            turn.release()

    async def _find_reusable(self, queries: PrototypeQueries, request: CreateRequest) -> ClaimResult | None:
        """The common case, which needs no transaction: a usable prototype holds the slot."""
        if request.create_new or request.idempotency_key is not None:
            return None
        rows = await self._database.read(queries.current, _key_of(request))
        if not rows:
            return None
        current = prototype_of(rows[0])
        decision = decide(current, request.prompt, create_new=False)
        return ClaimResult(current, decision, won=False) if decision.outcome is Outcome.REUSED else None

    async def _claim(self, queries: PrototypeQueries, request: CreateRequest, quotas: Quotas) -> ClaimResult:
        for _ in range(MAX_LOSSES):
            with contextlib.suppress(LostRace), _explained(request):
                async with self._database.transaction() as connection:
                    if not connection.is_sqlite:
                        await connection.execute(query("limit_lock_wait"), {"duration": LOCK_TIMEOUT})
                    found = await find_existing(connection, queries, request)
                    if isinstance(found, Vacancy):
                        prototype = await create(connection, queries, request, found)
                        result = ClaimResult(prototype, found.decision, won=True)
                        changes: Sequence[Change] = _changes_of_claim(request, found)
                    else:
                        result, changes = found.result, found.changes
                    for change in changes:
                        self._changes.notify(connection, change)
                    if result.won:
                        # Last, so that other claims wait for the rows of the counters only until the commit.
                        await count(connection, request, quotas)
                for change in changes:
                    self._changes.publish(change)
                return result
        raise NotReady("Too many people are changing this product at once. Try again in a moment.")


class Existing(NamedTuple):
    """An existing prototype is the answer. `changes`: what viewers hear of, if it took the slot or became tracked."""

    result: ClaimResult
    changes: Sequence[Change] = ()


class Vacancy(NamedTuple):
    """No prototype is reused: why a new one is created, and the one that gives up its slot, if any."""

    decision: Decision
    replaced: Prototype | None


async def find_existing(
    connection: Connection, queries: PrototypeQueries, request: CreateRequest
) -> Existing | Vacancy:
    """Applies the reuse rule. Raises `KeyReused`, and `LostRace` when another request took the slot or the key."""
    replayed = await _find_replayed(connection, queries, request)
    if replayed is not None:
        return Existing(replayed)
    current = await find_current(connection, queries, _key_of(request))
    decision = decide(current, request.prompt, create_new=request.create_new)
    if decision.outcome is Outcome.REUSED and current is not None:
        await _save_key(connection, request, current.id)
        adopted = await _take_slot_for_older(connection, queries, request, current)
        changes = [_changed(request, adopted)] if adopted is not current else []
        return Existing(ClaimResult(adopted, decision, won=False), changes)
    return Vacancy(decision, current if current is not None and current.is_current else None)


async def find_current(connection: Connection, queries: PrototypeQueries, key: dict[str, str]) -> Prototype | None:
    """The prototype in a slot. Without one: the newest usable older row that has no slot, else the newest row.

    `key`: workspace_id, product_id and provider.
    """
    row = await connection.fetch_one(queries.current, key)
    if row is not None:
        return prototype_of(row)
    rows = await connection.fetch_all(queries.newest, {**key, "limit": OLDER_ROWS})
    # Again by time: the databases put rows of the owner's that have none in different places.
    older = sorted(map(prototype_of, rows), key=lambda prototype: prototype.created_at, reverse=True)
    return next((prototype for prototype in older if usable(prototype)), older[0] if older else None)


async def create(
    connection: Connection, queries: PrototypeQueries, request: CreateRequest, vacancy: Vacancy
) -> TrackedPrototype:
    """Takes the slot and inserts a new prototype. Raises `LostRace` when another request was first."""
    await _require_product(connection, queries, request)
    await _save_key(connection, request, request.mockup_id)
    await _take_slot(connection, request, vacancy.replaced)
    claimed = claimed_prototype(request, user_id_for(request.user_id, must_be_uuid=queries.shape.user_is_uuid))
    prototype = await insert_prototype(connection, queries, claimed, name=request.product_name)
    if prototype is None:
        raise _product_unknown(request)
    outcome = vacancy.decision.outcome.value
    data = {
        "outcome": outcome,
        "reason": vacancy.decision.reason,
        "another": request.create_new,
        "key_source": key_source_of(request.account).value,
    }
    event = Event("claimed", Source.PERSON, request.now, actor=request.user_id, status="pending", data=data)
    await add_event(connection, request.workspace_id, prototype.product_id, prototype.id, event)
    came_back = await bring_back(connection, request.workspace_id, request.product_id)
    if request.principal is not None:
        subject, product_id = request.mockup_id, request.product_id
        entry = AuditEntry.of(
            request.principal, Action.CREATED, request.now, subject, product_id=product_id, outcome=outcome
        )
        await audit.write(connection, entry)
        if came_back:
            await audit.write(connection, replace(entry, action=Action.UNARCHIVED, subject=product_id))
    return prototype


def _changes_of_claim(request: CreateRequest, vacancy: Vacancy) -> list[Change]:
    """The changes that viewers hear of: the new prototype, and the one that is not the current one any more."""
    changes = [Change(request.workspace_id, request.product_id, request.mockup_id, request.account, "claimed")]
    if vacancy.replaced is not None:
        changes.append(_changed(request, vacancy.replaced))
    return changes


def _changed(request: CreateRequest, prototype: Prototype) -> Change:
    """The change of another prototype of the product that a claim is for."""
    account = prototype.generation.account if prototype.generation else request.account
    return Change(request.workspace_id, request.product_id, prototype.id, account, "changed")


async def count(connection: Connection, request: CreateRequest, quotas: Quotas) -> None:
    """Counts a create against its quotas. Raises `QuotaReached`."""
    for quota in quotas.of(request.workspace_id, request.user_id, request.product_id):
        if await connection.execute(query("count_create"), _count_values(request, quota)) == 0:
            raise quota.refusal(request.now)


async def _find_replayed(
    connection: Connection, queries: PrototypeQueries, request: CreateRequest
) -> ClaimResult | None:
    """The answer that a request with the same key got before."""
    keyed = request.idempotent
    mockup_id = None if keyed is None else await prototype_of_request(connection, keyed)
    if mockup_id is None:
        return None
    row = await connection.fetch_one(queries.get, {"workspace_id": request.workspace_id, "mockup_id": mockup_id})
    if row is None:
        raise KeyReused(
            "The prototype of this Idempotency-Key has been deleted. Send a new key.", field="Idempotency-Key"
        )
    reason = "The same Idempotency-Key was answered before."
    return ClaimResult(prototype_of(row), Decision(Outcome.REPLAYED, reason), won=False)


async def _save_key(connection: Connection, request: CreateRequest, mockup_id: str) -> None:
    keyed = request.idempotent
    if keyed is not None:
        await save_request(connection, keyed, mockup_id)


async def _take_slot(connection: Connection, request: CreateRequest, replaced: Prototype | None) -> None:
    slot = {**_key_of(request), "mockup_id": request.mockup_id, "now": request.now}
    if request.create_new:
        taken = await connection.execute(query("set_slot"), slot)
    elif replaced is not None:
        taken = await connection.execute(query("replace_slot"), {**slot, "expected": replaced.id})
    else:
        taken = await connection.execute(query("claim_slot"), slot)
    if taken == 0:
        raise LostRace


async def _take_slot_for_older(
    connection: Connection, queries: PrototypeQueries, request: CreateRequest, older: Prototype
) -> Prototype:
    """Gives the slot to an older row of an adopted table, which is tracked from now on if it names a chat."""
    if older.is_current:
        return older
    slot = {**_key_of(request), "mockup_id": older.id, "now": request.now}
    if await connection.execute(query("claim_slot"), slot) == 0:
        raise LostRace
    values = {"account": UNKNOWN_ACCOUNT, "now": request.now, "limit": 1, "mockup_id": older.id}
    await connection.execute(queries.adopt_one, values)
    await connection.execute(queries.number_variants, {"account": UNKNOWN_ACCOUNT, "now": request.now})
    row = await connection.fetch_one(queries.get_unscoped, {"mockup_id": older.id})
    if row is None:
        raise LostRace
    return prototype_of(row)


async def _require_product(connection: Connection, queries: PrototypeQueries, request: CreateRequest) -> None:
    if queries.find_owner_product is None:
        return
    values = {"product_id": request.product_id, "workspace_id": request.workspace_id}
    if await connection.fetch_one(queries.find_owner_product, values) is None:
        raise _product_unknown(request)


def _product_unknown(request: CreateRequest) -> ProductUnknown:
    return ProductUnknown(
        f"There is no product {request.product_id} in this database's products. Create the product first.",
        field="product_id",
    )


def _key_of(request: CreateRequest) -> dict[str, str]:
    return {"workspace_id": request.workspace_id, "product_id": request.product_id, "provider": request.provider}


def _count_values(request: CreateRequest, quota: Quota) -> dict[str, Any]:
    return {
        "workspace_id": request.workspace_id,
        "kind": quota.kind,
        "subject": quota.subject,
        "day_at": day_of(request.now),
        "quota": quota.limit,
    }


@contextlib.contextmanager
def _explained(request: CreateRequest) -> Iterator[None]:
    """Turns errors of the database into errors for the person who asked, or into a lost race."""
    try:
        yield
    except DatabaseBusy as error:
        state = getattr(error.__cause__, "sqlstate", None)
        if state in UNDONE_FOR_ANOTHER:
            raise LostRace from error
        if state != LOCK_NOT_AVAILABLE:
            raise
        if request.idempotency_key is not None:
            raise KeyInFlight(
                "The first request with this Idempotency-Key is still being written. Try again."
            ) from error
        raise NotReady(
            "Another person is creating this product's prototype right now. Try again in a moment."
        ) from error
    except ConstraintBroken as error:
        if _names_a_deleted_row(error.driver):
            raise LostRace from error
        if _names_no_submission(error.driver):
            raise InvalidInput(
                "phase_submission_id names no submission that is there. Send the id of one that is, or leave it out.",
                field=PHASE_SUBMISSION,
            ) from error
        raise InvalidInput(f"This database's design_mockups does not take the prototype: {error.driver}.") from error


def _names_a_deleted_row(driver: Exception) -> bool:
    """Whether a row of ours was to refer to a prototype that its owner deleted after the claim had read it."""
    table = str(getattr(driver, "table_name", None))
    return getattr(driver, "sqlstate", None) == REFERS_TO_NONE and table.startswith("protokeep_")


def _names_no_submission(driver: Exception) -> bool:
    """Whether the row was to refer to a submission that is not there, as far as the name of the constraint says so."""
    is_reference = getattr(driver, "sqlstate", None) == REFERS_TO_NONE
    return is_reference and PHASE_SUBMISSION in str(getattr(driver, "constraint_name", None))
