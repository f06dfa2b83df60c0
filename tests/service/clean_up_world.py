"""A workspace with an account in memory, and processes that carry plans out on a clock that stands still."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from clock import Clock
from fake_accounts import FakeAccount, save_census
from people import SECRET
from protokeep.bus import Bus
from protokeep.core.clean_up import ItemState, Plan, PlanItem
from protokeep.core.keep_rules import Selection
from protokeep.core.principals import Principal, Role
from protokeep.core.timing import Timing
from protokeep.service.archives import ChatArchives
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.plan_policies import PlanPolicies
from protokeep.service.plan_reports import PlanReports
from protokeep.service.plan_steps import PlanRunner
from protokeep.service.plans import PlanService
from protokeep.service.provider_accounts import Providers
from protokeep.store.database import Database
from protokeep.store.sql import Statement
from protokeep.store.store import Store
from protokeep.wiring import ENVIRONMENT_ACCOUNT

#: How often the long proofs run their cases: `PROTOKEEP_CLEAN_UP_CASES=1000` for all of them.
CASES = int(os.environ.get("PROTOKEEP_CLEAN_UP_CASES", "12"))
ADA = Principal("default", "ada", Role.ADMIN, "token-of-ada")
MAX = Principal("default", "max", Role.ADMIN, "token-of-max")
EVE = Principal("elsewhere", "eve", Role.ADMIN, "token-of-eve")
GRACE = timedelta(days=14)


class NoBudget:
    """A budget without limits, which counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def next_call_at(self, account: str) -> datetime | None:
        return None

    async def spent(self, account: str, calls: int = 1) -> None:
        self.calls += calls


@dataclass
class Process:
    """One process that carries plans out."""

    context: Context
    plans: PlanService
    reports: PlanReports
    policies: PlanPolicies
    runner: PlanRunner
    archives: ChatArchives


@dataclass
class CleanUpWorld:
    """One database, one account in memory, one clock, and any number of processes."""

    database_url: str
    clock: Clock
    account: FakeAccount
    serves: Any = lambda workspace: True
    processes: list[Process] = field(default_factory=list)
    pace: float = 0.0  #: seconds from one call to the next
    budget: NoBudget = field(default_factory=NoBudget)

    def process(self) -> Process:
        """One more process."""
        bus = Bus()
        providers = Providers({"v0": "V0_API_KEY"}, None, self._is_served)
        providers.add(ENVIRONMENT_ACCOUNT, self.account, for_new=True, key_mark="mark")
        context = Context(
            Store(Database(self.database_url), bus),
            providers,
            bus,
            self.clock,
            Timing(clean_up_pace=timedelta(seconds=self.pace)),
            elapsed=self.clock.elapsed,
            wall=self.clock,
            signer=Signer(SECRET),
        )
        plans = PlanService(context)
        archives = ChatArchives(context)
        policies = PlanPolicies(context, plans)
        runner = PlanRunner(context, archives, self.budget, policies)
        made = Process(context, plans, PlanReports(context, plans), policies, runner, archives)
        self.processes.append(made)
        return made

    async def end(self, process: Process) -> None:
        """Close the connections of a process that was killed."""
        self.processes.remove(process)
        await process.context.audit.close()
        await process.context.store.close()

    def _is_served(self, workspace_id: str) -> bool:
        return bool(self.serves(workspace_id))

    @property
    def first(self) -> Process:
        return self.processes[0]

    async def census(self, **more: Any) -> None:
        """A finished census of all chats, a minute later."""
        self.clock.advance(60)
        store = self.first.context.store
        await save_census(store, ENVIRONMENT_ACCOUNT, list(self.account.chats.values()), self.clock(), **more)

    async def propose(
        self, *, chats: list[str] | None = None, per_day: int = 1000, by: Principal = ADA, **options: Any
    ) -> Plan:
        """A draft, of these chats or of all that the rules delete."""
        selection = Selection(chat_ids=frozenset(chats)) if chats is not None else Selection()
        chosen = PlanOptions(per_day=per_day, **options)
        return await self.first.plans.propose(by, by.workspace_id, None, selection, chosen)

    async def approved(self, **more: Any) -> Plan:
        """A plan that was approved by as many as it needs and is applied, at the end of its grace period."""
        plan = await self.propose(**more)
        for admin in (ADA, MAX)[: plan.approvals_needed]:
            await self.first.plans.approve(admin, plan.id, plan.digest, "default")
        plan = await self.first.plans.apply(ADA, plan.id, plan.digest)
        self.clock.advance(GRACE.total_seconds() + 1)
        return plan

    async def run(self, process: Process | None = None, *, steps: int = 10_000, seconds: float = 1.0) -> None:
        """Take steps until nothing is due, and let a day pass where a plan waits for it."""
        runner = (process or self.first).runner
        idle = 0
        for _ in range(steps):
            worked = await runner.work()
            self.clock.advance(seconds)
            if worked:
                idle = 0
                continue
            idle += 1
            if idle > 3 and not await self.waits():
                return
            if idle > 1:
                self.clock.advance(3600)

    async def waits(self) -> bool:
        """Whether a plan has a step before it."""
        rows = await self.first.context.store.database.read(
            Statement("SELECT count(*) AS plans FROM protokeep_plans WHERE step_at IS NOT NULL AND state <> 'draft'")
        )
        return bool(rows[0]["plans"])

    async def items(self, plan: Plan) -> dict[str, PlanItem]:
        """The items of a plan by their chats."""
        return {item.chat_id: item for item in await self.first.context.store.plans.items(plan.id)}

    async def states(self, plan: Plan) -> dict[str, ItemState]:
        """The states of a plan's items by their chats."""
        return {chat_id: item.state for chat_id, item in (await self.items(plan)).items()}

    async def receipts(self, plan: Plan) -> list[dict[str, Any]]:
        """What the receipts of a plan say."""
        return [dict(one.entry.data) for one in await self.first.context.store.plans.receipts("default", plan.id)]


@contextlib.asynccontextmanager
async def opened(database_url: str, chats: int = 0, *, api_version: int = 2) -> AsyncIterator[CleanUpWorld]:
    """A world with one process and an account with `chats` old chats, which a census has seen."""
    clock = Clock()
    world = CleanUpWorld(database_url, clock, FakeAccount(api_version=api_version))
    process = world.process()
    await process.context.heartbeat.synchronise()
    for number in range(chats):
        world.account.add(f"c-{number:04}", clock())
    if chats:
        await world.census()
    try:
        yield world
    finally:
        for one in [*world.processes]:
            await world.end(one)
