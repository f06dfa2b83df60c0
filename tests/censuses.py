"""Censuses in tests: a small old account, the steps of its censuses, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from protokeep.core.census import Census
from protokeep.core.principals import Principal
from protokeep.core.timing import Timing
from protokeep.sandbox import seed_account
from protokeep.sandbox.seeded.labels import SeededAccount
from protokeep.service.census import CensusService
from protokeep.service.census_pictures import CensusPictures
from protokeep.service.clean_up import CleanUp
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.store.census_reads import ChatFilters, FoundChat
from world import ADA, KEY, Crash, Node, World, quick

#: Long enough after a process was killed that another one takes its step.
AFTER_LEASE = 100.0
#: Calls follow each other at once.
AT_ONCE = quick(clean_up_pace=timedelta(0))
#: Columns that differ between two censuses that found the same.
OWN_COLUMNS = (
    *("workspace_id", "first_census_id", "last_census_id", "walk", "first_seen_at", "last_seen_at", "prompt_read_at"),
)


@dataclass
class Censuses:
    """The census service and the steps of one process."""

    world: World
    node: Node
    service: CensusService = field(init=False)
    clean_up: CleanUp = field(init=False)

    def __post_init__(self) -> None:
        context, budget = self.node.context, self.node.keeper.budget
        self.service = CensusService(context, CleanUpBudget(context, budget), CensusPictures(context, budget))
        self.clean_up = CleanUp(context, budget)

    async def run(self, who: Principal = ADA, **start: Any) -> Census:
        """Begin a census, and take its steps until it has ended."""
        await self.service.start(who, **start)
        return await self.finish(who)

    async def finish(self, who: Principal = ADA) -> Census:
        """Take steps until no census is open. The newest one of that person's workspace."""
        for _ in range(5000):
            due = await self.clean_up.step()
            if due is None:
                return await self.newest(who)
            self.world.clock.advance(max((due - self.world.clock()).total_seconds(), 0.001))
        raise AssertionError("the census does not end")

    async def newest(self, who: Principal = ADA) -> Census:
        """The newest census of that person's workspace."""
        census = (await self.service.censuses(who)).newest
        assert census is not None
        return census

    async def chats(self, who: Principal = ADA, **filters: Any) -> Sequence[FoundChat]:
        """All chats that a person of that workspace may see."""
        pages = self.service.all_chats(who, ChatFilters(**filters))
        return [found async for page in pages for found in page]

    async def ids(self, who: Principal = ADA, **filters: Any) -> list[str]:
        """Their ids."""
        return [found.record.chat.chat_id for found in await self.chats(who, **filters)]

    async def kept(self, workspace_id: str) -> list[dict[str, Any]]:
        """What the table keeps of the chats of a workspace, without what is a census's own."""
        rows = await self.world.rows(
            f"SELECT * FROM protokeep_census_chats WHERE workspace_id = '{workspace_id}' ORDER BY chat_id"
        )
        return [{name: value for name, value in row.items() if name not in OWN_COLUMNS} for row in rows]


class Kills:
    """Ends the process at every checkpoint once: at each step before the call, before the save, and after it."""

    def __init__(self) -> None:
        self.points: list[str] = []
        self._killed: set[str] = set()

    def __call__(self, point: str) -> None:
        self._killed &= {"census_taken", "census_read"}
        if not point.startswith("census_"):
            return
        if point == "census_saved":
            self._killed.clear()
        elif point in self._killed:
            return
        else:
            self._killed.add(point)
        self.points.append(point)
        raise Crash(point)


def old_account(world: World, chats: int = 150, **options: Any) -> SeededAccount:
    """Fill the account of the environment's key."""
    return seed_account(world.sandbox, options.pop("key", KEY), chats=chats, **options)


def timing(pace_seconds: float = 0.0) -> Timing:
    """Calls of censuses so far apart."""
    return quick(clean_up_pace=timedelta(seconds=pace_seconds))
