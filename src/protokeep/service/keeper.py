"""The keeper: everything protokeep does, as one object."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from protokeep.core import validation
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import Adoption, CreateRequest
from protokeep.core.errors import (
    InvalidInput,
    NotAllowed,
    NotConfigured,
    NotFound,
)
from protokeep.core.generation import RecoveryPoint
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, State, TrackedPrototype
from protokeep.core.provider_keys import owner_of
from protokeep.core.reuse import Decision
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context
from protokeep.service.deletion import Deleter
from protokeep.service.finalization import Finalizer
from protokeep.service.lookups import Lookups
from protokeep.service.orphans import OrphanReconciler
from protokeep.service.polling import Poller, seconds
from protokeep.service.submission import Submitter
from protokeep.service.visibility import Visibility
from protokeep.store.afterwards import Picture
from protokeep.store.database import Row
from protokeep.store.prototypes import Page

log = structlog.get_logger(__name__)

#: How often idempotency keys are tidied and older rows looked for.
HOUSEKEEPING = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class NewPrototype:
    """What a caller asks for, unchecked."""

    product_id: str
    prompt: str
    provider: str = "v0"
    create_new: bool = False
    product_name: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Ensured:
    """The product's prototype and why it is this one.

    `is_existing`: it was there before this request. `accepted`: the builder has it, or refused it for good; False: it
    is claimed and will be sent, looked up or tried again by itself.
    """

    prototype: Prototype
    decision: Decision
    is_existing: bool
    accepted: bool


class Keeper:
    """Ensures, lists, tells and follows prototypes. Safe to call from any number of processes at once."""

    def __init__(self, context: Context, *, key_retention: timedelta = timedelta(days=7)) -> None:
        self.context = context
        self._budget = CallBudget(context)
        lookups = Lookups(context, self._budget)
        self._recoverer = OrphanReconciler(context, lookups)
        visibility = Visibility(context)
        self._remover = Deleter(context, visibility)
        self._submitter = Submitter(context, self._recoverer, self._remover, lookups, visibility)
        self._tracker = Poller(context, self._budget, visibility)
        self._finisher = Finalizer(context)
        self._key_retention = key_retention
        self._tidied_at: datetime | None = None

    # -- for people --------------------------------------------------------------------------------------------

    async def ensure(self, principal: Principal, new: NewPrototype, *, wait: float = 10.0) -> Ensured:
        """The product's prototype; made, if there is none that can be used or another is asked for.

        Waits up to `wait` seconds for the builder to accept a new one. Raises `InvalidInput`, `NotConfigured`,
        `NotMigrated`, `KeyReused`, `QuotaReached`; whatever happens after the claim is told by the prototype's state.
        """
        context = self.context
        wanted = await self._wanted(principal, new)
        context.checkpoint("before_claim")
        claimed = await context.store.claim(wanted, context.timing.poll_timeout, context.quotas)
        context.checkpoint("after_claim")
        prototype = claimed.prototype
        if claimed.won and isinstance(prototype, TrackedPrototype):
            log.info("prototype_claimed", prototype_id=prototype.id, outcome=claimed.decision.outcome.value)
            prototype = await self._submitted(prototype, wait, held=wanted.leased_until is not None)
        else:
            told = {"product_id": prototype.product_id, "outcome": claimed.decision.outcome.value}
            context.audit.note(AuditEntry.of(principal, Action.REUSED, wanted.now, prototype.id, **told))
        return Ensured(prototype, claimed.decision, is_existing=not claimed.won, accepted=_accepted(prototype))

    async def list(
        self, principal: Principal, product_id: str, page: Page, *, mine: bool = False
    ) -> tuple[Sequence[Prototype], tuple[datetime, str] | None]:
        """A page of a product's prototypes, newest first, and what the next page comes after (None: the end)."""
        store = self.context.store
        shape = await store.owner_table()
        product = validation.product_id_of(product_id, must_be_uuid=shape.product_is_uuid)
        user_id = validation.user_id_for(principal.user_id, must_be_uuid=shape.user_is_uuid) if mine else None
        if page.provider is not None:
            self.context.providers.known(page.provider)
        asked = Page(page.limit + 1, page.provider, page.status, user_id, page.after)
        found = await store.list_of_product(principal.workspace_id, product, asked)
        shown = found[: page.limit]
        more = len(found) > page.limit
        return shown, (shown[-1].created_at, shown[-1].id) if more else None

    async def status(self, principal: Principal, product_id: str, provider: str, *, wait: float = 0.0) -> Prototype:
        """The prototype a product has now, looked at upstream if what is written is too old. Creates nothing.

        With `wait`, holds up to that many seconds until its state changes. Raises `NotFound`.
        """
        context = self.context
        shape = await context.store.owner_table()
        product = validation.product_id_of(product_id, must_be_uuid=shape.product_is_uuid)
        context.providers.known(provider)
        current = await context.store.current(principal.workspace_id, product, provider)
        if current is None:
            raise NotFound(
                f"Product {product} has no {provider} prototype. Make one with POST /api/design/create-project."
            )
        if not isinstance(current, TrackedPrototype):
            return current
        refreshed = await self._tracker.refresh(current)
        return await self._held(refreshed, wait) if wait > 0 else refreshed

    async def get(self, principal: Principal, prototype_id: str) -> Prototype:
        """One prototype. Raises `NotFound`."""
        mockup_id = _uuid_of(prototype_id)
        found = await self.context.store.get(principal.workspace_id, mockup_id) if mockup_id else None
        if found is None:
            raise NotFound("There is no such prototype. Ids are listed by GET /api/design/mockups/{product_id}.")
        return found

    async def history(self, prototype: Prototype) -> tuple[Sequence[Row], Sequence[str]]:
        """What happened to a prototype, oldest first, and the ids of surplus chats."""
        store = self.context.store
        if prototype.generation is None:
            return [], []
        history = await store.history(prototype.generation.workspace_id, prototype.id)
        return history, await store.surplus(prototype.id)

    async def iterate(
        self,
        principal: Principal,
        prototype_id: str,
        message: str,
        *,
        idempotency_key: str | None = None,
        wait: float = 10.0,
    ) -> Prototype:
        """Send a follow-up message into the prototype's chat: no second chat, and the message once only.

        Waits up to `wait` seconds for the builder to take it. Raises `NotFound`, `InvalidInput`, `KeyReused`,
        `NotNow`, and `NotAllowed` where it would be paid with somebody else's own key; whatever happens after the
        claim is told by the prototype's state.
        """
        prototype = await self.get(principal, prototype_id)
        _check_payer(principal, prototype)
        claimed, won = await self._submitter.continuer.claim(principal, prototype, message, idempotency_key)
        if not (won and isinstance(claimed, TrackedPrototype)):
            return claimed
        log.info("follow_up_claimed", prototype_id=claimed.id, round=claimed.generation.follow_up.turn)
        return await self._submitted(claimed, wait)

    async def stop(self, principal: Principal, prototype_id: str) -> Prototype:
        """Stop what is being generated. Raises `NotFound`, `NotNow`, `ProviderError`."""
        prototype = await self.get(principal, prototype_id)
        after = await self._submitter.continuer.stop(principal, prototype)
        return await self._tracker.refresh(after) if isinstance(after, TrackedPrototype) else after

    async def delete(self, principal: Principal, prototype_id: str) -> Prototype | None:
        """Delete a prototype and its chat at the builder. None: both are gone.

        Else the prototype as it waits to be deleted: tried again by itself. Deleting again is no error.
        """
        try:
            prototype = await self.get(principal, prototype_id)
        except NotFound:
            mockup_id = _uuid_of(prototype_id)
            if mockup_id and await self.context.store.afterwards.was_deleted(principal.workspace_id, mockup_id):
                return None
            raise
        return await self._remover.ask(principal, prototype)

    async def picture(self, principal: Principal, prototype_id: str) -> Picture:
        """The picture of a prototype, from our own store. Raises `NotFound`."""
        prototype = await self.get(principal, prototype_id)
        picture = await self.context.store.afterwards.picture(prototype.id)
        if picture is None:
            raise NotFound("This prototype has no picture, or none yet.")
        return picture

    # -- for jobs ----------------------------------------------------------------------------------------------

    async def submit(self, mockup_id: str) -> None:
        """Take one claimed or sent row as far as it can go now. Safe to run twice, late, or at once elsewhere."""
        await self._submitter.submit(mockup_id)

    async def submit_held(self, claimed: TrackedPrototype) -> None:
        """The same for a row that this process holds since its claim."""
        await self._submitter.submit_held(claimed)

    async def track(self, account: str) -> datetime | None:
        """One pass over an account's prototypes; when the next is due, None if there is nothing (for us) to do."""
        return await self._tracker.track(account)

    async def track_hooked(self, account: str) -> int:
        """Read what hooks have just named, beside a pass. How many prototypes that were."""
        return await self._tracker.track_hooked(account)

    async def release(self, account: str) -> None:
        """Stop tracking an account, so that another process may at once."""
        await self._tracker.release(account)

    async def sweep(self) -> int:
        """Queue whatever the rows say is unfinished and nobody works on. How many rows and accounts that was."""
        context = self.context
        now = context.clock()
        if not (await context.store.owner_table()).tracked:
            return 0
        due = await context.store.due_for_submit(now)
        for mockup_id, fence, sent in due:
            await context.queue.submit(mockup_id, fence, first=sent)
        context.checkpoint("in_sweep")
        accounts = await context.store.accounts.to_track(context.owner, now)
        for account in accounts:
            await context.queue.track(account)
        if self._tidied_at is None or now - self._tidied_at >= HOUSEKEEPING:
            self._tidied_at = now
            await self._tidy(now)
        return len(due) + len(accounts)

    async def finalize(self) -> int:
        """Read what is read once at the end, delete what could not be deleted, count calls. How many rows that was."""
        if not (await self.context.store.owner_table()).tracked:
            return 0
        await self._budget.flush()
        return await self._remover.sweep() + await self._finisher.sweep()

    async def reconcile(self) -> None:
        """Look after the accounts that new prototypes are made with.

        Where the database may be an older copy of itself, and daily, takes back chats of ours that no row knows; every
        few minutes, searches the newest ones. Nothing is sent before the first has succeeded. What is wrong with one
        account keeps no other waiting.
        """
        await self.context.providers.refresh()
        epoch = self.context.heartbeat.epoch
        accounts = self.context.providers.for_new()
        await self._recoverer.reconcile(accounts)
        if self._recoverer.has_verified(accounts):
            self.context.heartbeat.taken_back(epoch)

    # -- inside ------------------------------------------------------------------------------------------------

    async def _wanted(self, principal: Principal, new: NewPrototype) -> CreateRequest:
        context = self.context
        shape = await context.store.owner_table()
        await context.providers.refresh()
        choice = context.providers.choose(new.provider, principal.workspace_id, principal.user_id)
        mockup_id = str(uuid4())
        if shape.required_unknown:
            raise InvalidInput(
                "This database's design_mockups needs values that protokeep does not have: "
                f"{', '.join(shape.required_unknown)}. Give these columns a default."
            )
        return CreateRequest(
            mockup_id=mockup_id,
            workspace_id=principal.workspace_id,
            product_id=validation.product_id_of(new.product_id, must_be_uuid=shape.product_is_uuid),
            provider=new.provider,
            prompt=validation.prompt_of(new.prompt),
            user_id=principal.user_id,
            account=choice.account,
            api_version=choice.api_version,
            marker=mockup_id,
            now=context.clock(),
            create_new=new.create_new,
            product_name=validation.name_of(new.product_name),
            idempotency_key=validation.idempotency_key_of(new.idempotency_key),
            principal=principal,
            leased_until=context.clock() + context.timing.lease if context.queue.has_room() else None,
            adoption_account=context.providers.shared(new.provider, principal.workspace_id),
        )

    async def _submitted(self, claimed: TrackedPrototype, wait: float, *, held: bool = False) -> TrackedPrototype:
        """Begin or queue the submit, then wait until the builder has accepted it, or the wait is over."""
        context = self.context
        mockup_id = claimed.id
        latest = claimed
        deadline = asyncio.get_running_loop().time() + wait
        with context.bus.watching(mockup_id) as changed:
            try:
                if held:
                    context.queue.start(claimed)
                else:
                    await context.queue.submit(mockup_id, claimed.generation.submission.fence)
            except Exception:
                log.exception("submit_not_queued", prototype_id=mockup_id)  # The sweep finds the row.
            while not (_accepted(latest) or latest.state in (State.PARKED, State.UNDECIDED)):
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0 or context.bus.closed:
                    break
                await _happens(changed, min(left, 1.0))
                changed.clear()
                latest = await context.store.get_unscoped(mockup_id) or latest
        return latest

    async def _held(self, prototype: TrackedPrototype, wait: float) -> TrackedPrototype:
        """Hold until the state differs from `prototype`'s, looking now and then as a watcher does."""
        context = self.context
        deadline = asyncio.get_running_loop().time() + wait
        latest = prototype
        with context.bus.watching(prototype.id) as changed:
            while latest.state is prototype.state and latest.status is prototype.status:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0 or context.bus.closed:
                    break
                await _happens(changed, min(left, seconds(context.timing.poll_interval)))
                changed.clear()
                latest = await context.store.get_unscoped(prototype.id) or latest
                if latest.state is prototype.state:
                    latest = await self._tracker.refresh(latest)
        return latest

    async def _tidy(self, now: datetime) -> None:
        context = self.context
        await context.store.delete_expired_idempotency_keys(now - self._key_retention)
        await context.store.delete_expired_create_counts(now - timedelta(days=2))
        await context.providers.refresh()
        try:
            choice = context.providers.choose("v0")
        except NotConfigured:
            return  # Without a key older rows cannot be followed, and nothing else depends on it.
        adoption = Adoption("default", choice.account, now)
        adopted = await context.store.adopt_untracked(adoption, context.timing.poll_timeout)
        if adopted:
            log.info("older_rows_adopted", count=adopted)


def _uuid_of(prototype_id: str) -> str | None:
    """The id in the form that is written; None: it is no id at all."""
    try:
        return str(UUID(prototype_id))
    except ValueError:
        return None


def _check_payer(principal: Principal, prototype: Prototype) -> None:
    """Nobody spends another person's own key: a chat's messages are paid by the account that the chat is in."""
    generation = prototype.generation
    payer = owner_of(generation.account) if generation is not None else None
    if payer is not None and payer.user_id not in ("", principal.user_id):
        raise NotAllowed(
            f"This prototype is paid for with {payer.user_id}'s own key, so only {payer.user_id} sends follow-ups. "
            "Make another one with create_new."
        )


def _accepted(prototype: Prototype) -> bool:
    generation = prototype.generation
    return generation is None or generation.submission.recovery_point in (RecoveryPoint.ACCEPTED, RecoveryPoint.SETTLED)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
