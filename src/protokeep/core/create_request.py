"""Requests for prototypes, and the results of their claims."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from protokeep.core.generation import Generation, RecoveryPoint, Submission
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, Status, TrackedPrototype
from protokeep.core.reuse import Decision


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One request for a prototype, checked. `mockup_id` is the id of the prototype if it has to be made.

    `principal` is the person who asks, for the audit. `leased_until`: until then only the claiming process sends this
    create; None: any process may.
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
    phase_submission_id: str | None = None
    idempotency_key: str | None = None
    principal: Principal | None = None
    leased_until: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """A digest of the requested values. The same key with another fingerprint is a conflict."""
        asked = [
            self.product_id,
            self.provider,
            self.prompt,
            self.create_new,
            self.product_name,
            self.phase_submission_id,
        ]
        return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()

    @property
    def idempotent(self) -> IdempotentRequest | None:
        """The idempotency key with what it stands for; None: the request has no key."""
        if self.idempotency_key is None:
            return None
        return IdempotentRequest(self.workspace_id, self.user_id, self.idempotency_key, (self.fingerprint,), self.now)


def claimed_prototype(request: CreateRequest, user_id: str) -> TrackedPrototype:
    """The prototype that the claim of `request` begins with, exactly as it is written.

    `user_id`: as the owner's table has it.
    """
    generation = Generation(
        workspace_id=request.workspace_id,
        account=request.account,
        api_version=request.api_version,
        marker=request.marker,
        created_by=request.user_id,
        created_at=request.now,
        submission=Submission(
            RecoveryPoint.CLAIMED,
            fence=int(request.leased_until is not None),
            lease_until=request.leased_until,
            next_try_at=request.now,
        ),
        explicitly_new=request.create_new,
    )
    return TrackedPrototype(
        id=request.mockup_id,
        product_id=request.product_id,
        user_id=user_id,
        provider=request.provider,
        prompt=request.prompt,
        phase_submission_id=request.phase_submission_id,
        status=Status.PENDING,
        created_at=request.now,
        updated_at=request.now,
        product_name=request.product_name,
        is_current=True,
        generation=generation,
    )


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The prototype of a request. `won`: this request made the claim, so a create has to follow."""

    prototype: Prototype
    decision: Decision
    won: bool


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """An idempotency key and the request that it was sent with, for changes of a prototype that exists."""

    workspace_id: str
    actor: str
    key: str
    request: tuple[str, ...]
    now: datetime

    @property
    def fingerprint(self) -> str:
        """A digest of the request."""
        return hashlib.sha256(json.dumps(self.request, ensure_ascii=False).encode()).hexdigest()
