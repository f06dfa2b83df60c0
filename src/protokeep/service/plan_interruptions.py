"""When a run of a plan stops: refusals of the account, requests for fewer calls, and outages (R8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from protokeep.core.clean_up import Plan, PlanState
from protokeep.core.errors import ProviderError, ProviderUnreachable
from protokeep.core.timing import backoff
from protokeep.service.context import Context

log = structlog.get_logger(__name__)

#: A person has to do something about these.
NEED_A_PERSON = (401, 402, 403)
TOO_MANY_REQUESTS = 429
#: Requests for fewer calls in one UTC day after which a plan rests until the next day.
SLOWDOWNS_A_DAY = 2
OLDER_COPY = (
    "protokeep was stopped for long, or its database is an older copy: pins, and chats that were taken back, may be "
    "missing. Scan the account, read the list, then resume the plan or cancel it."
)


def is_refusal_of_account(error: ProviderError) -> bool:
    """Whether an answer says something about the whole account, and not about one chat: then the run stops."""
    if error.status is None:
        return error.code in ("no_answer", "unreachable") or isinstance(error, ProviderUnreachable)
    return error.status in (*NEED_A_PERSON, TOO_MANY_REQUESTS) or error.status >= 500


class Interruptions:
    """Stops plans, slows them down, and lets them go on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.plans
        self._checked_epoch = 0

    async def refused(self, plan: Plan, error: ProviderError) -> None:
        """Stop the run because of what the app builder answered."""
        if error.status in NEED_A_PERSON:
            await self.stop(plan, error.code, f"{error} Then resume the plan.")
        elif error.status == TOO_MANY_REQUESTS:
            await self._slow_down(plan, error)
        else:
            await self._back_off(plan, error)

    async def stop_on_older_copy(self) -> None:
        """Stop all plans when the database turns out to be an older copy.

        Pins, what people took back, and the prototypes that they made of chats since then may be missing.
        """
        heartbeat = self._context.heartbeat
        await heartbeat.started()
        if heartbeat.epoch == self._checked_epoch:
            return
        if heartbeat.may_lack_changes:
            for plan in await self._store.applying():
                await self.stop(plan, "database_went_back", OLDER_COPY)
            if await self._store.applying():  # Somebody changed one at this moment: it is stopped with the next step.
                return
        self._checked_epoch = heartbeat.epoch

    async def refused_one(self, plan: Plan) -> None:
        """Go on after a refusal that is about one chat. Many of them in a row are one of the account."""
        await self._store.save(replace(plan, failures=plan.failures + 1))

    async def stop(self, plan: Plan, code: str, words: str) -> None:
        """Pause a plan until a person resumes it. Chats that people want back are tried again, ever more rarely."""
        now = self._context.clock()
        failures = plan.failures + 1
        state = PlanState.PAUSED if plan.state is PlanState.APPLYING else plan.state
        later = now + backoff(min(failures + 4, 12), self._context.timing)
        stopped = replace(plan, state=state, problem_code=code, problem=words, failures=failures, step_at=later)
        if await self._store.save(stopped):
            log.warning("plan_stopped", plan_id=plan.id, code=code, reason=words)

    def rests_until(self, plan: Plan, now: datetime) -> datetime | None:
        """Until when a plan rests that was asked twice for fewer calls in a day; None: it does not."""
        if plan.slowed_at is None or plan.slowdowns < SLOWDOWNS_A_DAY:
            return None
        tomorrow = _day(plan.slowed_at) + timedelta(days=1)
        return tomorrow if now < tomorrow else None

    async def went_well(self, plan: Plan, calls: int) -> None:
        """A step went well: the problem is over, and the next step waits as long as its calls ask for.

        A plan that was slowed down waits twice as long.
        """
        now = self._context.clock()
        current = await self._store.find(plan.workspace_id, plan.id)
        if current is None or current.state is not PlanState.APPLYING or current.version != plan.version:
            return  # Somebody changed it, or it was stopped.
        is_slowed = plan.slowed_at is not None and _day(plan.slowed_at) == _day(now)
        pause = self._context.timing.clean_up_pace * calls * (2 if is_slowed else 1)
        if not pause and plan.problem is None and plan.failures == 0:
            return
        slowed = plan if is_slowed else replace(plan, slowed_at=None, slowdowns=0)
        await self._store.save(replace(slowed, step_at=now + pause, failures=0, problem=None, problem_code=None))

    async def _slow_down(self, plan: Plan, error: ProviderError) -> None:
        now = self._context.clock()
        same_day = plan.slowed_at is not None and _day(plan.slowed_at) == _day(now)
        slowdowns = plan.slowdowns + 1 if same_day else 1
        is_second = slowdowns >= SLOWDOWNS_A_DAY
        later = _day(now) + timedelta(days=1) if is_second else now + (error.retry_after or timedelta(seconds=30))
        words = "It resumes tomorrow." if is_second else "It continues at half the pace."
        slowed = replace(
            plan,
            slowed_at=now,
            slowdowns=slowdowns,
            step_at=later,
            problem_code=error.code,
            problem=f"{error} {words}",
        )
        if await self._store.save(slowed):
            log.warning("plan_slowed_down", plan_id=plan.id, times=slowdowns)

    async def _back_off(self, plan: Plan, error: ProviderError) -> None:
        now = self._context.clock()
        failures = plan.failures + 1
        pause = max(error.retry_after or timedelta(0), backoff(failures, self._context.timing))
        held = replace(
            plan,
            failures=failures,
            step_at=now + pause,
            problem_code=error.code,
            problem=f"{error} protokeep tries again automatically.",
        )
        await self._store.save(held)


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
