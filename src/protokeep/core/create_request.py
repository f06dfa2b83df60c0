"""What somebody wants, and what the claim came to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from protokeep.core.principals import Principal
from protokeep.core.prototype import Generation, Prototype, RecoveryPoint, Status
from protokeep.core.reuse import Decision


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One request for a prototype, checked. `mockup_id` is the id it gets if it must be made.

    `by` is who asks, for the audit; None: nobody does, an older row is taken over. `adopting_account` follows such a
    row, where `account` is the asking person's own. Until `leased_until` what is made is this process's to submit;
    None: it is anybody's.
    """

    mockup_id: str
    workspace_id: str
    product_id: str
    provider: str
    prompt: str
    user_id: str
    account: str
    api_version: int
    marker: str
    now: datetime
    create_new: bool = False
    product_name: str | None = None
    idempotency_key: str | None = None
    principal: Principal | None = None
    adopting_account: str | None = None
    leased_until: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """What the request asks for, as a digest: the same key with another fingerprint is a conflict."""
        asked = [self.product_id, self.provider, self.prompt, self.create_new, self.product_name]
        return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()


def claimed_prototype(wanted: CreateRequest, user_id: str) -> Prototype:
    """What a claim of `wanted` begins with, exactly as it is written. `user_id`: as the owner's table has it."""
    generation = Generation(
        workspace_id=wanted.workspace_id,
        account=wanted.account,
        api_version=wanted.api_version,
        marker=wanted.marker,
        created_by=wanted.user_id,
        recovery_point=RecoveryPoint.CLAIMED,
        attempts=0,
        lookups=0,
        outcome_unknown=False,
        fence=int(wanted.leased_until is not None),
        version=0,
        awaiting_input=False,
        poll_count=0,
        created_at=wanted.now,
        lease_until=wanted.leased_until,
        next_try_at=wanted.now,
    )
    return Prototype(
        id=wanted.mockup_id,
        product_id=wanted.product_id,
        user_id=user_id,
        provider=wanted.provider,
        prompt=wanted.prompt,
        status=Status.PENDING,
        created_at=wanted.now,
        updated_at=wanted.now,
        is_current=True,
        generation=generation,
    )


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """`won` says that this request made the claim, so that a create has to follow."""

    prototype: Prototype
    decision: Decision
    won: bool


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """An idempotency key and what it was sent with, for changes of a prototype that exists."""

    workspace_id: str
    actor: str
    key: str
    request: tuple[str, ...]
    now: datetime

    @property
    def fingerprint(self) -> str:
        """What the request asks for, as a digest."""
        return hashlib.sha256(json.dumps(self.request, ensure_ascii=False).encode()).hexdigest()
