"""What comes next in a plan, and when it goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from protokeep.core.clean_up import ItemState, Plan, PlanItem, PlanState
from protokeep.service.context import Context
from protokeep.service.plan_interruptions import Interruptions

log = structlog.get_logger(__name__)

#: Items whose chats are read, archived and deleted.
OPEN_FOR_STEP = frozenset({ItemState.WAITING, ItemState.ARCHIVED})


class Budget(Protocol):
    """When the next call of a clean-up may be made, counted for all processes."""

    async def next_call_at(self, account: str) -> datetime | None:
        """When the next call may be made; None: now."""
        ...

    async def spent(self, account: str, calls: int = 1) -> None:
        """Count calls that were made."""
        ...


class PlanSchedule:
    """Chooses the next item of a plan, within its quota of a day."""

    def __init__(self, context: Context, interruptions: Interruptions) -> None:
        self._store = context.store.plans
        self._interruptions = interruptions

    async def next_item(self, plan: Plan, now: datetime) -> PlanItem | None:
        """What comes next: chats that people want back first, then unknown outcomes, then deletions."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        restoring = await self._store.due_item(plan.id, frozenset({ItemState.RESTORING}), now)
        if restoring is not None and await self._may_restore(plan, day):
            return restoring
        deleting = await self._store.due_item(plan.id, frozenset({ItemState.DELETING}), now)
        if deleting is not None:
            return deleting
        if plan.state is not PlanState.APPLYING or self._interruptions.rests_until(plan, now) is not None:
            return None
        if await self._store.deletions_since(plan.id, day) >= plan.per_day:
            return None
        return await self._store.due_item(plan.id, OPEN_FOR_STEP, now)

    async def _may_restore(self, plan: Plan, day: datetime) -> bool:
        """Whether one more chat may be made again today: a fifth of the quota is kept for it, whatever was deleted."""
        restored = await self._store.restored_since(plan.id, day)
        deleted = await self._store.deletions_since(plan.id, day)
        return restored < max(plan.per_day - deleted, -(-plan.per_day // 5))

    async def go_on_later(self, plan: Plan, now: datetime) -> None:
        """Say when the plan goes on; a plan of which nothing is open any more is done."""
        tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        pending = await self._store.next_due(plan.id, frozenset({ItemState.RESTORING, ItemState.DELETING}))
        times = [pending if pending > now else tomorrow] if pending is not None else []
        if plan.state is PlanState.APPLYING:
            waiting = await self._store.next_due(plan.id, OPEN_FOR_STEP)
            if waiting is not None:
                rest = self._interruptions.rests_until(plan, now) or (tomorrow if waiting <= now else waiting)
                times.append(rest)
            elif await self._store.next_due(plan.id, frozenset({ItemState.DELETING})) is None:
                plan = replace(plan, state=PlanState.DONE, finished_at=now, problem=None, problem_code=None)
                log.info("plan_done", plan_id=plan.id)
        await self._store.save(replace(plan, step_at=min(times, default=None)))
