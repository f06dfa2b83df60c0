"""The claim: one short transaction that decides who creates.

The database decides, by the key of `protokeep_slots`; never a SELECT followed by an INSERT. A lost race raises
`LostRace`, which rolls everything back; the caller begins again and then reads the winner's row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import Adoption, ClaimResult, CreateRequest, claimed_prototype
from protokeep.core.errors import KeyReused, ProductUnknown
from protokeep.core.events import Event, Source
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype, Status, TrackedPrototype
from protokeep.core.provider_keys import key_source_of
from protokeep.core.quotas import Quota, Quotas, day_of
from protokeep.core.reuse import Decision, Outcome, decide, usable
from protokeep.core.validation import user_id_for
from protokeep.store import audit
from protokeep.store.database import ConstraintBroken, Part, Session, Untouched, must_touch
from protokeep.store.mapping import prototype_of
from protokeep.store.prototype_queries import PrototypeQueries, query

#: How long a claim waits for another one of the same product on PostgreSQL.
LOCK_TIMEOUT = "5s"
#: Older rows of an adopted table that are considered for the slot.
OLDER_ROWS = 50


NO_CAPS = Quotas()


class LostRace(Untouched):
    """Somebody was first; everything this transaction did is to be rolled back."""


async def claim(
    session: Session,
    statements: PrototypeQueries,
    wanted: CreateRequest,
    clock_budget: timedelta,
    caps: Quotas = NO_CAPS,
    also: Sequence[Part] = (),
) -> ClaimResult | Decision:
    """Carry out the reuse rule in the transaction of `session`: what there is, or why `wanted.mockup_id` was made.

    `also` is written with what is made. Raises `LostRace` when a race was lost, `QuotaReached`.
    """
    replayed = await _replayed(session, statements, wanted)
    if replayed is not None:
        return replayed
    current = await find_current(session, statements, wanted.workspace_id, wanted.product_id, wanted.provider)
    decision = decide(current, wanted.prompt, create_new=wanted.create_new)
    if decision.outcome is Outcome.REUSED and current is not None:
        await _keep_key(session, wanted, current.id)
        return ClaimResult(await _take_over(session, statements, wanted, current, clock_budget), decision, won=False)
    await _check_owners_product(session, statements, wanted)
    await _keep_key(session, wanted, wanted.mockup_id)
    await _take_slot(session, wanted, decision, current)
    counted = caps.of(wanted.workspace_id, wanted.user_id, wanted.product_id)
    # The counts last: many claims share them, and wait for each other from there until the commit that follows.
    parts = [*_rows_of(statements, wanted, decision), *also, *(_count(wanted, cap) for cap in counted)]
    touched = await session.together(parts)
    if touched[0] == 0:
        raise _no_such_product(wanted)
    for cap, passed in zip(counted, touched[len(parts) - len(counted) :], strict=True):
        if not passed:
            raise cap.refusal(wanted.now)
    return decision


async def claim_free(
    session: Session,
    statements: PrototypeQueries,
    wanted: CreateRequest,
    caps: Quotas = NO_CAPS,
    also: Sequence[Part] = (),
) -> Decision | None:
    """The same in one statement of PostgreSQL, for a product that nothing was ever made for.

    None: it is not as simple as that, or somebody was first, and nothing was written. Nobody who counts against the
    same caps waits for this process then: PostgreSQL holds their rows, not an open transaction.
    """
    if wanted.create_new or wanted.idempotency_key is not None:
        return None
    decision = decide(None, wanted.prompt, create_new=False)
    try:
        touched = await session.together(free_parts(statements, wanted, decision, caps, also), if_first=True)
    except ConstraintBroken:
        return None  # A cap was reached in this moment, or the owner's table refuses it: the long way says which.
    return decision if touched[0] else None


def free_parts(
    statements: PrototypeQueries,
    wanted: CreateRequest,
    decision: Decision,
    caps: Quotas = NO_CAPS,
    also: Sequence[Part] = (),
) -> list[Part]:
    """What that one statement consists of; all of it depends on the first."""
    counted = caps.of(wanted.workspace_id, wanted.user_id, wanted.product_id)
    free = {
        **_slot_of(wanted),
        "owners_product_id": wanted.product_id,
        "owners_provider": wanted.provider,
        "known_product_id": wanted.product_id,
        "day_at": day_of(wanted.now),
        "wait_at_most": LOCK_TIMEOUT,
    }
    for number, cap in enumerate(counted):
        free |= {f"kind{number}": cap.kind, f"subject{number}": cap.subject, f"cap{number}": cap.limit}
    return [
        (statements.claim_free_slot(len(counted)), free),
        *_rows_of(statements, wanted, decision),
        *also,
        *(_count(wanted, cap, "count_free_create") for cap in counted),
    ]


def new_prototype(statements: PrototypeQueries, wanted: CreateRequest) -> TrackedPrototype:
    """What a claim that won has written."""
    return claimed_prototype(wanted, user_id_for(wanted.user_id, must_be_uuid=statements.shape.user_is_uuid))


async def find_current(
    session: Session, statements: PrototypeQueries, workspace_id: str, product_id: str, provider: str
) -> Prototype | None:
    """The prototype in the slot; without one, the newest usable older row that has no slot, else the newest row."""
    key = {"workspace_id": workspace_id, "product_id": product_id, "provider": provider}
    row = await session.row(statements.current, key)
    if row is not None:
        return prototype_of(row)
    rows = await session.rows(statements.newest, {**key, "limit": OLDER_ROWS})
    older = [prototype_of(row) for row in rows]
    return next((prototype for prototype in older if usable(prototype)), older[0] if older else None)


async def _replayed(session: Session, statements: PrototypeQueries, wanted: CreateRequest) -> ClaimResult | None:
    if wanted.idempotency_key is None:
        return None
    row = await session.row(
        query("find_idempotency_key"),
        {"workspace_id": wanted.workspace_id, "actor": wanted.user_id, "key": wanted.idempotency_key},
    )
    if row is None:
        return None
    if row["fingerprint"] != wanted.fingerprint:
        raise KeyReused(
            "This Idempotency-Key was used for another request. Send a new key, or repeat the first request exactly.",
            field="Idempotency-Key",
        )
    key = {"workspace_id": wanted.workspace_id, "mockup_id": row["mockup_id"]}
    prototype = await session.row(statements.get, key)
    if prototype is None:
        raise KeyReused(
            "The prototype that this Idempotency-Key made has been deleted. Send a new key.", field="Idempotency-Key"
        )
    reason = "The same Idempotency-Key was answered before."
    return ClaimResult(prototype_of(prototype), Decision(Outcome.REPLAYED, reason), won=False)


async def _keep_key(session: Session, wanted: CreateRequest, mockup_id: str) -> None:
    if wanted.idempotency_key is None:
        return
    kept = await session.row(
        query("keep_idempotency_key"),
        {
            "workspace_id": wanted.workspace_id,
            "actor": wanted.user_id,
            "key": wanted.idempotency_key,
            "fingerprint": wanted.fingerprint,
            "mockup_id": mockup_id,
            "now": wanted.now,
        },
    )
    if kept is None:
        raise LostRace


async def _take_slot(session: Session, wanted: CreateRequest, decision: Decision, current: Prototype | None) -> None:
    slot = _slot_of(wanted)
    if wanted.create_new:
        taken = await session.row(query("put_in_slot"), slot)
    elif decision.outcome is Outcome.REPLACED and current is not None and current.is_current:
        taken = await session.row(query("replace_in_slot"), {**slot, "expected": current.id})
    else:
        taken = await session.row(query("claim_slot"), slot)
    if taken is None:
        raise LostRace


def _slot_of(wanted: CreateRequest) -> dict[str, Any]:
    return {
        "workspace_id": wanted.workspace_id,
        "product_id": wanted.product_id,
        "provider": wanted.provider,
        "mockup_id": wanted.mockup_id,
        "now": wanted.now,
    }


def _rows_of(statements: PrototypeQueries, wanted: CreateRequest, decision: Decision) -> list[Part]:
    """What a new prototype is: the row that people see first."""
    prototype = new_prototype(statements, wanted)
    generation = prototype.generation
    mockup = {
        "id": prototype.id,
        "product_id": prototype.product_id,
        "user_id": prototype.user_id,
        "provider": prototype.provider,
        "prompt": prototype.prompt,
        "now": prototype.created_at,
    }
    tracked = {
        "mockup_id": prototype.id,
        "workspace_id": generation.workspace_id,
        "provider": prototype.provider,
        "account": generation.account,
        "api_version": generation.api_version,
        "marker": generation.marker,
        "created_by": generation.created_by,
        "recovery_point": generation.submission.recovery_point.value,
        "next_try_at": generation.submission.next_try_at,
        "next_poll_at": generation.polling.next_poll_at,
        "deadline_at": generation.polling.deadline_at,
        "fence": generation.submission.fence,
        "lease_until": generation.submission.lease_until,
        "now": generation.created_at,
    }
    claimed = Event(
        "claimed",
        Source.PERSON,
        wanted.now,
        actor=wanted.user_id,
        status="pending",
        data={
            "outcome": decision.outcome.value,
            "reason": decision.reason,
            "another": wanted.create_new,
            "key_source": key_source_of(wanted.account).value,
        },
    )
    product = {
        "workspace_id": wanted.workspace_id,
        "product_id": wanted.product_id,
        "name": wanted.product_name,
        "now": wanted.now,
    }
    parts: list[Part] = [
        (statements.insert_mockup, mockup),
        (query("insert_generation"), tracked),
        (query("note_product"), product),
        event_part(wanted.workspace_id, wanted.product_id, wanted.mockup_id, claimed),
    ]
    if wanted.principal is not None:
        told = {"product_id": wanted.product_id, "outcome": decision.outcome.value}
        parts.append(audit.part(AuditEntry.of(wanted.principal, Action.CREATED, wanted.now, wanted.mockup_id, **told)))
    return parts


def _count(wanted: CreateRequest, cap: Quota, how: str = "count_create") -> Part:
    """Count this create; no row back: the cap is reached. The row of the count is what parallel ones meet at."""
    return query(how), {
        "workspace_id": wanted.workspace_id,
        "kind": cap.kind,
        "subject": cap.subject,
        "day_at": day_of(wanted.now),
        "cap": cap.limit,
        "line": line_of(f"{wanted.workspace_id}:{cap.kind}:{cap.subject}"),
    }


def line_of(name: str) -> int:
    """PostgreSQL names advisory locks by 64 bits: two names with the same ones only stand in one line."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


async def _take_over(
    session: Session, statements: PrototypeQueries, wanted: CreateRequest, older: Prototype, clock_budget: timedelta
) -> Prototype:
    """An older row of an adopted table takes the slot, and is tracked from now on if it names a chat."""
    if older.is_current:
        return older
    slot = await session.row(query("claim_slot"), {**_slot_of(wanted), "mockup_id": older.id})
    if slot is None:
        raise LostRace
    return await adopt(session, statements, replace(older, is_current=True), wanted.adoption, clock_budget)


async def adopt(
    session: Session, statements: PrototypeQueries, older: Prototype, adoption: Adoption, clock_budget: timedelta
) -> Prototype:
    """Begin to track an older row that names a chat. Chats from before us are v0 API v1.

    Raises `Untouched` when another process began to track it meanwhile: the transaction is rolled back.
    """
    if isinstance(older, TrackedPrototype) or older.chat_id is None:
        return older
    await must_touch(
        session,
        query("insert_generation"),
        {
            "mockup_id": older.id,
            "workspace_id": adoption.workspace_id,
            "provider": older.provider,
            "account": adoption.account,
            "api_version": 1,
            "marker": f"adopted:{older.id}",
            "created_by": older.user_id or "",
            # A completed one is ready, and is looked at once all the same.
            "recovery_point": (
                RecoveryPoint.SETTLED if older.status is Status.COMPLETED else RecoveryPoint.ACCEPTED
            ).value,
            "next_try_at": None,
            "next_poll_at": adoption.now,
            "deadline_at": adoption.now + clock_budget,
            "fence": 0,
            "lease_until": None,
            "now": adoption.now,
        },
    )
    adopted = Event("adopted", Source.SWEEP, adoption.now, status=older.status.value)
    await session.together([event_part(adoption.workspace_id, older.product_id, older.id, adopted)])
    return await _read(session, statements, older.id)


async def _read(session: Session, statements: PrototypeQueries, mockup_id: str) -> Prototype:
    """A row that this transaction wrote."""
    row = await session.row(statements.get_any, {"mockup_id": mockup_id})
    if row is None:
        raise RuntimeError(f"row {mockup_id} vanished inside its own transaction")
    return prototype_of(row)


async def _check_owners_product(session: Session, statements: PrototypeQueries, wanted: CreateRequest) -> None:
    if statements.find_owners_product is None:
        return
    if await session.row(statements.find_owners_product, {"product_id": wanted.product_id}) is None:
        raise _no_such_product(wanted)


def _no_such_product(wanted: CreateRequest) -> ProductUnknown:
    return ProductUnknown(
        f"There is no product {wanted.product_id} in this database's products. Create the product first.",
        field="product_id",
    )


def event_part(workspace_id: str, product_id: str, mockup_id: str, event: Event) -> Part:
    """An event, as a part of what is written together."""
    return query("insert_event"), {
        "workspace_id": workspace_id,
        "product_id": product_id,
        "mockup_id": mockup_id,
        "kind": event.kind,
        "source": event.source.value,
        "actor": event.actor,
        "status": event.status,
        "data": json.dumps(dict(event.data), ensure_ascii=False) if event.data else None,
        "at": event.at,
    }
