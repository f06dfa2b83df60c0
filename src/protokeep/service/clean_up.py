"""The clean-up of accounts: what takes censuses and plans forward, a step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from protokeep.core.errors import DatabaseUnavailable
from protokeep.service.archives import ChatArchives
from protokeep.service.call_budget import CallBudget
from protokeep.service.census_steps import CensusRunner
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.service.context import Context
from protokeep.service.plan_policies import PlanPolicies
from protokeep.service.plan_steps import PlanRunner
from protokeep.service.plans import PlanService

log = structlog.get_logger(__name__)

#: A step that is due within this is waited for; later ones are looked for again by the next pass.
SOON = timedelta(seconds=3)
#: Steps of one pass: the task that makes passes notices a stop between two of them.
STEPS = 200


class Runner(Protocol):
    """Takes something forward."""

    async def step(self) -> datetime | None:
        """Take one step that is due, of one thing. When the next step is due; None: nothing is open."""
        ...


class CleanUp:
    """Takes a step with each of its runners, in any process, as often as one likes."""

    def __init__(self, context: Context, call_budget: CallBudget) -> None:
        self._context = context
        budget = CleanUpBudget(context, call_budget)
        policies = PlanPolicies(context, PlanService(context))
        plans = PlanRunner(context, ChatArchives(context), budget, policies)
        self._runners: Sequence[Runner] = (CensusRunner(context, budget), plans)

    async def step(self) -> datetime | None:
        """One step of each runner. When the next step of any is due; None: nothing is open.

        An error of one runner delays no other one; its step is due again when its lease has ended.
        """
        table = await self._context.store.owner_table()
        if not table.tracked or table.fault is not None:
            return None
        due = []
        for runner in self._runners:
            try:
                due.append(await runner.step())
            except DatabaseUnavailable:
                raise
            except Exception:  # The others go on.
                log.exception("clean_up_step_failed", runner=type(runner).__name__)
        return min((at for at in due if at is not None), default=None)

    async def run(self) -> None:
        """Take steps until none is due soon."""
        for _ in range(STEPS):
            due = await self.step()
            now = self._context.clock()
            if due is None or due - now > SOON:
                return
            await asyncio.sleep(max((due - now).total_seconds(), 0))
