"""The keeper: everything that protokeep does, as one object."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from protokeep.core import validation
from protokeep.core.adoption import AdoptionProgress
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import ClaimResult, CreateRequest
from protokeep.core.errors import NotAllowed, NotFound
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import SETTLED, Prototype, TrackedPrototype
from protokeep.core.provider_keys import owner_of
from protokeep.core.retention import DEFAULT_PERIODS, RetentionPeriods
from protokeep.core.reuse import Decision, Outcome
from protokeep.core.similar import Similar
from protokeep.service.account_gate import AccountGate
from protokeep.service.adoption import Adopter
from protokeep.service.arrangement import Arrangement
from protokeep.service.bin import TOO_LATE, Bin
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context
from protokeep.service.counting import counted
from protokeep.service.deletion import Deleter
from protokeep.service.delivery import Delivery
from protokeep.service.finalization import Finalizer
from protokeep.service.follow_ups import FollowUpPayload, FollowUps
from protokeep.service.housekeeping import Housekeeping
from protokeep.service.lookups import Lookups
from protokeep.service.orphans import OrphanReconciler
from protokeep.service.polling import Poller
from protokeep.service.refreshing import Refresher
from protokeep.service.requests import NewPrototype, check_request
from protokeep.service.sendings import Sendings
from protokeep.service.similar import SimilarProducts
from protokeep.service.submission import CreatePayload
from protokeep.service.variants import Variants
from protokeep.service.visibility import Visibility
from protokeep.service.waiting import wait_until_accepted, wait_until_changed, waiting
from protokeep.store.pictures import Picture
from protokeep.store.prototypes import Page
from protokeep.store.sql import Row

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ensured:
    """The product's prototype and why it is this one.

    `is_existing`: it was there before this request. `accepted`: the provider has it, or refused it for good; False: it
    is claimed and will be sent, looked up or tried again by itself. `similar`: other products that may have been meant.
    """

    prototype: Prototype
    decision: Decision
    is_existing: bool
    accepted: bool
    similar: Sequence[Similar] = ()


class Keeper:
    """Ensures, lists, changes and polls prototypes. Safe to call from any number of processes at once."""

    def __init__(self, context: Context, *, retention: RetentionPeriods = DEFAULT_PERIODS) -> None:
        self.context = context
        self.budget = CallBudget(context)
        self._lookups = Lookups(context, self.budget)
        self._orphans = OrphanReconciler(context, self._lookups)
        visibility = Visibility(context)
        self._deleter = Deleter(context, visibility)
        self.bin = Bin(context, self._deleter, self.budget)
        self.variants = Variants(context)
        self.arrangement = Arrangement(context)
        sendings = Sendings(context, self._orphans)
        self._follow_ups = FollowUps(context, sendings)
        self._delivery = Delivery(
            context,
            sendings,
            AccountGate(context),
            self._orphans,
            self._deleter,
            CreatePayload(context, sendings, self._lookups),
            FollowUpPayload(context, sendings, visibility),
        )
        self._poller = Poller(context, self.budget, visibility)
        self._refresher = Refresher(context, self._poller)
        self._finalizer = Finalizer(context)
        self.housekeeping = Housekeeping(context, retention)
        self._adopter = Adopter(context, self.budget, visibility)
        self._similar = SimilarProducts(context.store)
        self._fault: str | None = None

    # -- for people --------------------------------------------------------------------------------------------

    @counted("create")
    async def ensure(self, principal: Principal, new: NewPrototype, *, wait: float = 10.0) -> Ensured:
        """The product's prototype. It is made if there is none that can be used, or if another one is asked for.

        Waits up to `wait` seconds for the provider to accept a new one, or not at all where many requests wait.

        Raises `InvalidInput`, `NotConfigured`, `NotMigrated`, `KeyReused`, `TooMany`, `QuotaReached`, and where the
        workspace asks first `UnclearProduct`; everything after the claim shows in the prototype's state.
        """
        context = self.context
        request = await check_request(context, principal, new)
        if not (new.product_is_new or new.create_new) and await context.asks_first(principal.workspace_id):
            await self._similar.require_clear(principal, request.product_id)
        await context.key_room.require(request.idempotent)
        context.checkpoint("before_claim")
        claim = await context.store.claim(request, context.quotas)
        context.checkpoint("after_claim")
        prototype = await self.arrangement.after_claim(principal, claim)
        if claim.won and isinstance(prototype, TrackedPrototype):
            log.info("prototype_claimed", prototype_id=prototype.id, outcome=claim.decision.outcome.value)
            prototype = await self._submit_claimed(principal, prototype, wait, held=request.leased_until is not None)
        else:
            details = {"product_id": prototype.product_id, "outcome": claim.decision.outcome.value}
            context.audit.note(AuditEntry.of(principal, Action.REUSED, request.now, prototype.id, **details))
        generation = prototype.generation
        accepted = generation is None or not generation.submission.is_open
        similar = await self._similar_to(principal, request, claim)
        return Ensured(prototype, claim.decision, is_existing=not claim.won, accepted=accepted, similar=similar)

    async def list(
        self, principal: Principal, product_id: str, page: Page, *, mine: bool = False
    ) -> tuple[Sequence[Prototype], tuple[datetime, str] | None]:
        """A page of a product's prototypes, newest first, and the place after which the next page begins.

        The place is None at the end. Raises `TooMany` and `TooSlow` where others would wait for this list.
        """
        store = self.context.store
        table = await store.owner_table()
        product = validation.product_id_of(product_id, must_be_uuid=table.product_is_uuid)
        user_id = validation.user_id_for(principal.user_id, must_be_uuid=table.user_is_uuid) if mine else None
        if page.provider is not None:
            validation.provider_of(page.provider)
        one_more = Page(page.limit + 1, page.provider, page.status, user_id, page.after)
        async with contextlib.AsyncExitStack() as stack:
            if one_more.is_scan:
                await stack.enter_async_context(self.context.scans.turn(principal))
            found = await store.list_of_product(principal.workspace_id, product, one_more)
        rows = found[: page.limit]
        return rows, (rows[-1].created_at, rows[-1].id) if len(found) > page.limit else None

    async def status(
        self, principal: Principal, product_id: str, provider: str, *, wait: float = 0.0, is_known: bool = False
    ) -> Prototype:
        """The prototype that a product has now, polled if its row is too old. Creates nothing. Raises `NotFound`.

        With `wait`, holds up to so many seconds for a change; a settled one only if it `is_known`; none if many wait.
        """
        context = self.context
        table = await context.store.owner_table()
        product = validation.product_id_of(product_id, must_be_uuid=table.product_is_uuid)
        provider = validation.provider_of(provider)
        current = await context.store.current(principal.workspace_id, product, provider)
        if current is None:
            advice = (
                "Create it with POST /api/design/create-project."
                if context.providers.is_known(provider)
                else f"protokeep makes prototypes at: {', '.join(context.providers.names)}."
            )
            raise NotFound(f"Product {product} has no {provider} prototype. {advice}")
        refreshed = await self._refresher.refresh(current) if isinstance(current, TrackedPrototype) else current
        if not isinstance(refreshed, TrackedPrototype) or wait <= 0 or (refreshed.status in SETTLED and not is_known):
            return refreshed
        with waiting(context, principal, wait) as seconds:
            return await wait_until_changed(context, refreshed, seconds, self._refresher.refresh)

    async def get(self, principal: Principal, prototype_id: str) -> Prototype:
        """One prototype. Raises `NotFound`."""
        mockup_id = _uuid_of(prototype_id)
        found = await self.context.store.get(principal.workspace_id, mockup_id) if mockup_id else None
        if found is None:
            raise NotFound("This prototype does not exist, or was deleted.")
        return found

    async def history(self, prototype: Prototype) -> tuple[Sequence[Row], Sequence[str]]:
        """The events of a prototype, oldest first, and the ids of its surplus chats."""
        store = self.context.store
        if prototype.generation is None:
            return [], []
        history = await store.history(prototype.generation.workspace_id, prototype.id)
        return history, await store.surplus(prototype.id)

    @counted("follow_up")
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

        Waits up to `wait` seconds for the provider to accept it. Raises `NotFound`, `InvalidInput`, `KeyReused`,
        `NotNow`, and `NotAllowed` where another person's own key would pay; everything after the claim shows in the
        prototype's state.
        """
        prototype = await self.get(principal, prototype_id)
        _check_payer(principal, prototype)
        claimed, won = await self._follow_ups.claim(principal, prototype, message, idempotency_key)
        if not won:
            return claimed
        log.info("follow_up_claimed", prototype_id=claimed.id, round=claimed.generation.follow_up.turn)
        return await self._submit_claimed(principal, claimed, wait)

    async def stop(self, principal: Principal, prototype_id: str) -> Prototype:
        """Stop a generation that runs. Raises `NotFound`, `NotNow`, `ProviderError`."""
        stopped = await self._follow_ups.stop(principal, await self.get(principal, prototype_id))
        return await self._refresher.refresh(stopped)

    async def delete(
        self, principal: Principal, prototype_id: str, *, at_once: bool = False
    ) -> TrackedPrototype | None:
        """Delete a prototype and its chat at the provider. None: both are gone.

        Otherwise the prototype: it waits in the bin, or its deletion is tried again by itself. Deleting again is no
        error. Of a row that nothing tracks only the row goes. Raises `NotAllowed` for a maker's deletion of what
        another person made, or past the bin (`at_once`).
        """
        if at_once and not principal.role.covers(Role.ADMIN):
            raise NotAllowed("Only an admin deletes at once. Without `now`, it waits in the bin first.")
        try:
            prototype = await self.get(principal, prototype_id)
        except NotFound:
            mockup_id = _uuid_of(prototype_id)
            if mockup_id and await self.context.store.was_deleted(principal.workspace_id, mockup_id):
                return None
            raise
        await self._check_may_delete(principal, prototype)
        return await self.bin.delete(principal, prototype, at_once=at_once)

    async def take_back(self, principal: Principal, prototype_id: str) -> Prototype:
        """Take a prototype out of the bin. Raises `NotFound`, `NotNow`, `NotAllowed` as a deletion does."""
        try:
            prototype = await self.get(principal, prototype_id)
        except NotFound:
            mockup_id = _uuid_of(prototype_id)
            if mockup_id and await self.context.store.was_deleted(principal.workspace_id, mockup_id):
                raise NotFound(TOO_LATE) from None
            raise
        await self._check_may_delete(principal, prototype)
        return await self.bin.take_back(principal, prototype)

    async def picture(self, principal: Principal, prototype_id: str) -> Picture:
        """The picture of a prototype, from our own store. Raises `NotFound`."""
        prototype = await self.get(principal, prototype_id)
        picture = await self.context.store.pictures.find(prototype.id)
        if picture is None:
            raise NotFound("This prototype has no picture, or none yet.")
        return picture

    # -- for jobs ----------------------------------------------------------------------------------------------

    async def submit(self, mockup_id: str) -> None:
        """Take one claimed or sent row as far as it can go now. Safe to run twice, late, or at once elsewhere."""
        await self._delivery.submit(mockup_id)

    async def submit_held(self, claimed: TrackedPrototype) -> None:
        """The same for a row that this process holds since its claim."""
        await self._delivery.submit_held(claimed)

    async def track(self, account: str) -> datetime | None:
        """Poll an account's prototypes once. When the next poll is due; None: this process has nothing to poll."""
        return await self._poller.track(account)

    async def track_hooked(self, account: str) -> int:
        """Poll the chats that hooks have just named, beside `track`. Returns how many prototypes were polled."""
        return await self._poller.track_hooked(account)

    async def release(self, account: str) -> None:
        """Stop tracking an account, so that another process may at once."""
        await self._poller.release(account)

    async def sweep(self) -> int:
        """Queue every unfinished row and account that no process works on. Returns their number."""
        context = self.context
        now = context.clock()
        if not await self._may_work():
            return 0
        due = await context.store.due_for_submit(now)
        for mockup_id, fence, sent in due:
            await context.queue.submit(mockup_id, fence, first=sent)
        context.checkpoint("in_sweep")
        accounts = await context.store.accounts.to_track(context.owner, now)
        for account in accounts:
            await context.queue.track(account)
        await self.housekeeping.run_if_due()
        return len(due) + len(accounts)

    async def adopt(self) -> None:
        """Take up older rows of the owner's table, and find out which accounts their chats are in, if it is time."""
        if await self._may_work():
            await self._adopter.run_if_due()

    async def adoption_progress(self) -> AdoptionProgress:
        """How far the adoption of older rows is, in rows and accounts. Raises `NotMigrated`."""
        return await self._adopter.progress()

    def adoption_under_way(self) -> AdoptionProgress | None:
        """How far the adoption of older rows was a moment ago; None: nothing of it is under way in this process."""
        return self._adopter.under_way()

    async def finalize(self) -> int:
        """Finalize ended prototypes, retry deletions, and count the calls that were made. Returns how many rows."""
        if not await self._may_work():
            return 0
        await self.budget.flush()
        return await self.bin.sweep() + await self._deleter.sweep() + await self._finalizer.sweep()

    async def reconcile(self) -> None:
        """Reconcile every account that may create prototypes: adopt chats that carry our marker and are in no row.

        All chats are searched where the database may be an older copy of itself, and daily; the newest ones every few
        minutes. Nothing is sent before the first search has succeeded. An error of one account delays no other one.
        """
        await self.context.providers.refresh()
        epoch = self.context.heartbeat.epoch
        accounts = self.context.providers.for_new()
        await self._orphans.reconcile(accounts)
        if self._orphans.has_verified(accounts):
            self.context.heartbeat.reconciled(epoch)

    # -- inside ------------------------------------------------------------------------------------------------

    async def _check_may_delete(self, principal: Principal, prototype: Prototype) -> None:
        """Raises `NotAllowed` unless the person is an admin, or asked for the prototype."""
        if principal.role.covers(Role.ADMIN):
            return
        table = await self.context.store.owner_table()
        generation = prototype.generation
        maker = generation.created_by if generation is not None else prototype.user_id
        names = (principal.user_id, validation.user_id_for(principal.user_id, must_be_uuid=table.user_is_uuid))
        if maker not in names:
            raise NotAllowed("You may delete what you asked for yourself. Ask an admin to delete this one.")

    async def _similar_to(self, principal: Principal, request: CreateRequest, claim: ClaimResult) -> Sequence[Similar]:
        """What exists at other products. A request that got what it asks for word by word needs no look."""
        decision = claim.decision
        if not claim.won and (decision.outcome is not Outcome.REUSED or not decision.prompt_differs):
            return ()
        found = await self._similar.matches(principal, request.product_id, request.prompt)
        return [match.similar for match in found]

    async def _may_work(self) -> bool:
        """Whether the owner's table can be worked with. A reason against it is logged once."""
        table = await self.context.store.owner_table()
        if table.fault is not None and table.fault != self._fault:
            log.error("owner_table_not_usable", reason=table.fault)
        self._fault = table.fault
        return table.tracked and table.fault is None

    async def _submit_claimed(
        self, principal: Principal, claimed: TrackedPrototype, wait: float, *, held: bool = False
    ) -> TrackedPrototype:
        """Start or queue the submit of a claim, then wait until the provider has accepted it, or the wait is over."""
        queue = self.context.queue

        async def start() -> None:
            try:
                if held:
                    queue.start(claimed)
                else:
                    await queue.submit(claimed.id, claimed.generation.submission.fence)
            except Exception:  # The sweep finds the row.
                log.exception("submit_not_queued", prototype_id=claimed.id)

        with waiting(self.context, principal, wait) as seconds:
            return await wait_until_accepted(self.context, claimed, seconds, start)


def _uuid_of(prototype_id: str) -> str | None:
    """The id in the form that is written; None: it is no id at all."""
    try:
        return str(UUID(prototype_id))
    except ValueError:
        return None


def _check_payer(principal: Principal, prototype: Prototype) -> None:
    """Raises `NotAllowed` where another person's own key would pay: the account that a chat is in pays its messages."""
    generation = prototype.generation
    payer = owner_of(generation.account) if generation is not None else None
    if payer is not None and payer.user_id not in ("", principal.user_id):
        raise NotAllowed(
            f"This prototype is paid for with {payer.user_id}'s own key, so only {payer.user_id} can ask for changes. "
            "Create another variant instead."
        )
