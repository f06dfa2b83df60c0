"""The steps of censuses and plans of an application without jobs, on a clock that can be put forward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from protokeep.service.clean_up import CleanUp
from protokeep.wiring import Application

#: Steps that are enough for the small accounts of tests.
MOST_STEPS = 5000


@dataclass
class Steps:
    """Takes the steps that jobs would take, one after the other, without waiting between them."""

    application: Application

    def __post_init__(self) -> None:
        context = self.application.keeper.context
        context.timing = replace(context.timing, clean_up_pace=timedelta(0))
        self._clean_up = CleanUp(context, self.application.keeper.budget)
        self._read_clock = context.clock
        self._ahead = timedelta()

    def put_forward(self, by: timedelta) -> None:
        """Let time pass for everything but sessions."""
        self._ahead += by
        self.application.keeper.context.clock = self._now

    async def run(self) -> None:
        """Take steps until none is due at this time, whatever they had to wait for in between."""
        for _ in range(MOST_STEPS):
            due = await self._clean_up.step()
            if due is None or due - self._now() > timedelta(minutes=5):
                return
            self.put_forward(max(due - self._now(), timedelta(milliseconds=1)))
        raise AssertionError("the steps do not end")

    def _now(self) -> datetime:
        return self._read_clock() + self._ahead
