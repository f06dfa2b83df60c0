"""The machine that hypothesis plays with: one world, its processes, and what was asked of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize

from database_copies import PutBack
from protokeep.core.errors import ProtokeepError
from system.schedules.suspension import Nap
from tracked import generation_of
from world import Crash, Node, World

NODES = 3


class Machine(RuleBasedStateMachine):
    """One world, and processes that may crash, or fall asleep, in the middle of anything."""

    database_url: str
    api_version: int

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        #: Explicit wishes for another one, by who made them under which key (without a key: each by itself).
        self._anothers: Counter[str] = Counter()
        self._keys: set[tuple[str, str, str]] = set()
        self._numbers = itertools.count(1)
        #: What was asked for in follow-ups, how often, and what of it was certainly accepted.
        self._wishes: Counter[tuple[str, str]] = Counter()
        self._accepted: set[tuple[str, str]] = set()
        self._naps: dict[int, Nap] = {}
        self._sleepers: list[tuple[Nap, asyncio.Task[Any]]] = []
        self._put_back: PutBack | None = None
        self._went_back = False
        #: Whether a chat may have ended in a way that lets the next click make another one.
        self._replaceable = False
        self._world: World | None = None
        self._nodes: list[Node] = []

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    @property
    def world(self) -> World:
        assert self._world is not None
        return self._world

    @initialize()
    def begin(self) -> None:
        async def opened() -> World:
            opening = World.open(self.fresh_database(), self.api_version, steady=True)
            world = await self._stack.enter_async_context(opening)
            self._world = world
            self._nodes = [await self._another(number) for number in range(NODES)]
            return world

        self._world = self.run(opened())

    async def _another(self, number: int) -> Node:
        """A new process; the last one holds what it claims, the others leave it to whoever takes it."""
        return await self._begun(await self.world.node(holds_claims=number == NODES - 1))

    async def _begun(self, node: Node) -> Node:
        """A process that beats, as its jobs would let it, and that may fall asleep."""
        await node.context.heartbeat.beat()
        self._naps[id(node)] = Nap(node)
        return node

    def fresh_database(self) -> str:
        raise NotImplementedError

    async def quiet(self) -> None:
        """Let everything calm down, and check once more what must hold."""
        raise NotImplementedError

    def teardown(self) -> None:
        try:
            if self._world is not None:
                self.run(self.quiet())
        finally:
            self.run(self._stack.aclose())
            self._runner.close()
            self.forget_database()

    def forget_database(self) -> None:
        raise NotImplementedError

    def _does(self, number: int, action: Coroutine[Any, Any, Any]) -> Any:
        """A process does something; a crash ends it, and a new one starts in its place."""
        (outcome,) = self.run(self._together([(number, action)]))
        return outcome

    async def _together(self, actions: list[tuple[int, Coroutine[Any, Any, Any]]]) -> list[Any]:
        """Processes do something at once. Who crashes, or falls asleep in the middle, is replaced by a new one."""
        doing = [(number, self._nodes[number], asyncio.create_task(action)) for number, action in actions]
        outcomes = []
        for number, node, task in doing:
            nap = self._naps[id(node)]
            fell_asleep = asyncio.create_task(nap.asleep.wait())
            await asyncio.wait({task, fell_asleep}, return_when=asyncio.FIRST_COMPLETED)
            fell_asleep.cancel()
            outcome = None
            if task.done():
                outcome = await self._outcome(task)
            else:
                self._sleepers.append((nap, task))
            crashed = isinstance(outcome, Crash)
            if (crashed or not task.done()) and self._nodes[number] is node:
                self._nodes[number] = await self._another(number)
            outcomes.append(None if crashed else outcome)
        return outcomes

    async def _outcome(self, task: asyncio.Task[Any]) -> Any:
        """What came of an action: an answer, or the crash that ended its process; refusals are no answer."""
        try:
            return await task
        except Crash as crash:
            return crash
        except ProtokeepError:
            return None

    async def _wake(self, count: int) -> None:
        """Sleepers go on where they were, as if no time had passed."""
        for _ in range(min(count, len(self._sleepers))):
            nap, task = self._sleepers.pop(0)
            nap.wake()
            await self._outcome(task)

    def _say(self, prototype_id: str, saying: list[tuple[int, Any, str, str | None]]) -> None:
        """Ask for follow-ups, and remember which were accepted, and which may have been before a crash."""
        asking = [
            (number, self._nodes[number].keeper.iterate(who, prototype_id, words, idempotency_key=key, wait=0))
            for number, who, words, key in saying
        ]
        for _, _, words, _ in saying:
            self._wishes[prototype_id, words] += 1
        for (_, _, words, _), outcome in zip(saying, self.run(self._together(asking)), strict=True):
            if outcome is not None and generation_of(outcome).follow_up.message == words:
                self._accepted.add((prototype_id, words))

    def _row(self, pick: int) -> str | None:
        rows = self.run(self.world.rows("SELECT id FROM design_mockups ORDER BY created_at, id"))
        return str(rows[pick % len(rows)]["id"]) if rows else None
