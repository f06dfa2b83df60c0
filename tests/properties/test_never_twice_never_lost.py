"""What must always hold, in any order of clicks, crashes, lost answers, refusals and jumps of the clock.

A schedule is a list of steps that hypothesis makes up, over the real service, a real database and the emulated v0
over real HTTP. `PROTOKEEP_SCHEDULES=10000` runs more of them (`make schedules`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from postgres import PostgresServer
from protokeep.core.errors import ProtokeepError
from protokeep.core.prototype import SETTLED, State, Status
from protokeep.service import NewPrototype
from world import ANN, BOB, PROMPT, Crash, Node, World

SCHEDULES = int(os.environ.get("PROTOKEEP_SCHEDULES", "25"))
STEPS = 25
NODES = 3
PRODUCTS = st.sampled_from(["p-1", "p-2"])
NUMBERS = st.integers(0, NODES - 1)
BEFORE_IDS_ARE_KNOWN = ["before_claim", "after_claim", "before_take", "before_sent", "after_sent", "after_create"]
POINTS = st.sampled_from([*BEFORE_IDS_ARE_KNOWN, "after_record", "after_look", "after_track", "in_sweep"])
CREATES = "chats.create*"
FORWARD = [Status.PENDING, Status.IN_PROGRESS, Status.TIMEOUT, Status.COMPLETED, Status.FAILED]


class Schedules(RuleBasedStateMachine):
    """One world of two products, three processes and everything that can go wrong."""

    database_url: str
    api_version: int

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        #: Explicit wishes for another one, by who made them under which key (without a key: each by itself).
        self._anothers: Counter[str] = Counter()
        self._keys: set[tuple[str, str, str]] = set()
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
            world = await self._stack.enter_async_context(World.open(self.fresh_database(), self.api_version))
            self._nodes = [world.first, *[await world.node() for _ in range(NODES - 1)]]
            return world

        self._world = self.run(opened())

    def fresh_database(self) -> str:
        raise NotImplementedError

    def teardown(self) -> None:
        try:
            if self._world is not None:
                self.run(self._quiet())
        finally:
            self.run(self._stack.aclose())
            self._runner.close()
            self.forget_database()

    def forget_database(self) -> None:
        raise NotImplementedError

    # -- what people and processes do ------------------------------------------------------------------------

    def _does(self, number: int, action: Coroutine[Any, Any, Any]) -> Any:
        """A process does something; a crash ends it, and a new one starts in its place."""

        async def guarded() -> Any:
            try:
                return await action
            except Crash:
                self._nodes[number] = await self.world.node()
                return None
            except ProtokeepError:
                return None

        return self.run(guarded())

    @rule(number=NUMBERS, product=PRODUCTS, who=st.sampled_from([ANN, BOB]))
    def click(self, number: int, product: str, who: Any) -> None:
        new = NewPrototype(product, PROMPT)
        self._does(number, self._nodes[number].keeper.ensure(who, new, wait=0))

    @rule(number=NUMBERS, product=PRODUCTS, who=st.sampled_from([ANN, BOB]), key=st.sampled_from([None, "k1", "k2"]))
    def click_for_another(self, number: int, product: str, who: Any, key: str | None) -> None:
        if key is None or (who.user_id, key, product) not in self._keys:
            self._anothers[product] += 1
        if key is not None:
            self._keys.add((who.user_id, key, product))
        new = NewPrototype(product, PROMPT, create_new=True, idempotency_key=key)
        self._does(number, self._nodes[number].keeper.ensure(who, new, wait=0))

    @rule(product=PRODUCTS)
    def clicks_on_all_processes_at_once(self, product: str) -> None:
        async def all_at_once() -> None:
            new = NewPrototype(product, PROMPT)
            clicks = [node.keeper.ensure(ANN, new, wait=0) for node in self._nodes for _ in range(3)]
            for outcome in await asyncio.gather(*clicks, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, Crash | ProtokeepError):
                    raise outcome

        self.run(all_at_once())

    @rule(number=NUMBERS)
    def work(self, number: int) -> None:
        self._does(number, self._nodes[number].work())

    @rule(number=NUMBERS)
    def sweep(self, number: int) -> None:
        self._does(number, self._nodes[number].sweep())

    @rule()
    def sweep_everywhere_at_once(self) -> None:
        async def all_at_once() -> None:
            outcomes = await asyncio.gather(*(node.sweep() for node in self._nodes), return_exceptions=True)
            for number, outcome in enumerate(outcomes):
                if isinstance(outcome, Crash):
                    self._nodes[number] = await self.world.node()
                elif isinstance(outcome, BaseException) and not isinstance(outcome, ProtokeepError):
                    raise outcome

        self.run(all_at_once())

    @rule(number=NUMBERS, product=PRODUCTS)
    def look(self, number: int, product: str) -> None:
        self._does(number, self._nodes[number].keeper.status(ANN, product, "v0"))

    @rule(number=NUMBERS)
    def reconcile(self, number: int) -> None:
        self._does(number, self._nodes[number].keeper.reconcile())

    @rule(number=NUMBERS, point=POINTS)
    def crash_soon(self, number: int, point: str) -> None:
        self._nodes[number].crash_at(point)

    @rule(number=NUMBERS)
    def restart(self, number: int) -> None:
        async def restarted() -> None:
            self._nodes[number] = await self.world.node()

        self.run(restarted())

    # -- what time, the network and the builder do -----------------------------------------------------------

    @rule(seconds=st.sampled_from([-3, 1, 3, 7, 15, 40, 100, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @rule(count=st.integers(1, 2))
    def answers_get_lost(self, count: int) -> None:
        self.world.sandbox.set_knobs(drop_next_answers=count)

    @rule(status=st.sampled_from([401, 402, 422, 429, 500, 502]), acts=st.booleans())
    def create_is_refused(self, status: int, acts: bool) -> None:
        rules = [{"operation": CREATES, "status": status, "times": 1}]
        self.world.sandbox.set_knobs(**{"fail_after_acting" if acts and status >= 500 else "fail_next": rules})

    @rule(operation=st.sampled_from(["chats.list", "chats.find", "messages.get", "chats.getById"]))
    def reading_fails(self, operation: str) -> None:
        self.world.sandbox.set_knobs(fail_next=[{"operation": operation, "status": 503, "times": 2}])

    @rule(seconds=st.sampled_from([0, 5, 60]))
    def lists_lag(self, seconds: int) -> None:
        self.world.sandbox.set_knobs(list_delay_seconds=seconds)

    @rule(down=st.booleans())
    def builder_goes_away_or_comes_back(self, down: bool) -> None:
        self.world.sandbox.set_knobs(down=down)

    @rule(rate=st.sampled_from([0.0, 0.5]))
    def generations_fail(self, rate: float) -> None:
        self.world.sandbox.set_knobs(failure_rate=rate)

    @rule(pick=st.integers(0, 5))
    def somebody_deletes_a_chat_at_the_builder(self, pick: int) -> None:
        chats = [chat for chat in self.world.sandbox.chats.values() if not chat.deleted]
        if chats:
            self.world.sandbox.delete(chats[pick % len(chats)].id)

    # -- what must hold after every step ---------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        if self._world is not None:
            self.run(self._promises())

    async def _promises(self) -> None:
        world = self.world
        # One that a person deleted at the builder does not exist any more: its slot may get another.
        living = [chat for chat in world.sandbox.chats.values() if not chat.deleted]
        chats = Counter(chat.metadata["protokeep_marker"] for chat in living)
        doubled = {marker: count for marker, count in chats.items() if count > 1}
        assert not doubled, f"more than one remote generation for {doubled}"
        rows = await world.rows("SELECT id, product_id, project_status, v0_chat_id FROM design_mockups")
        taken = Counter(row["v0_chat_id"] for row in rows if row["v0_chat_id"])
        assert all(count == 1 for count in taken.values()), f"a chat in two rows: {taken}"
        events = await world.rows("SELECT mockup_id, product_id, kind, status, data FROM protokeep_events ORDER BY id")
        self._history_is_true(rows, events)
        self._rows_are_wanted(events)

    def _history_is_true(self, rows: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        """The log replays to the table, and no status moved backwards."""
        last: dict[str, Status] = {}
        for event in events:
            if event["status"] is not None:
                mockup_id, status = str(event["mockup_id"]), Status(event["status"])
                before = last.get(mockup_id, Status.PENDING)
                assert FORWARD.index(status) >= FORWARD.index(before), f"{mockup_id}: {before} -> {status}"
                last[mockup_id] = status
        for row in rows:
            assert last[str(row["id"])] == row["project_status"], f"row {row['id']} does not match its history"

    def _rows_are_wanted(self, events: list[dict[str, Any]]) -> None:
        """A row was made because there was none, because the one before had failed, or because of a wish."""
        failed: Counter[str] = Counter()
        firsts: Counter[str] = Counter()
        replaced: Counter[str] = Counter()
        anothers: Counter[str] = Counter()
        for event in events:
            product = str(event["product_id"])
            if event["status"] == "failed" and event["kind"] == "status":
                failed[product] += 1
            if event["kind"] == "claimed":
                data = json.loads(event["data"])
                if data["another"]:
                    anothers[product] += 1
                elif data["outcome"] == "created":
                    firsts[product] += 1
                else:
                    replaced[product] += 1
                    assert replaced[product] <= failed[product], f"{product}: replaced what had not failed"
        assert all(count <= 1 for count in firsts.values()), f"made as if there were none: {firsts}"
        for product, count in anothers.items():
            assert count <= self._anothers[product], f"{product}: more others than were asked for"

    # -- what must hold when everything has calmed down ------------------------------------------------------

    async def _quiet(self) -> None:
        world = self.world
        rest = {"drop_next_answers": 0, "fail_next": [], "fail_after_acting": [], "down": False}
        world.sandbox.set_knobs(**rest, list_delay_seconds=0, failure_rate=0.0)
        survivor = await world.node()
        for seconds in [1, 2, 4, 8, 15, 30, 60, 120, 130, 3, 3, 10, 60, 60, 300, 300, 300, 10, 10, 700, 3]:
            world.clock.advance(seconds)
            await survivor.sweep()
            await survivor.work()
        await survivor.keeper.reconcile()
        await self._promises()
        assert await world.orphans() == set(), "remote chats that no row knows"
        for row in await world.rows("SELECT id FROM design_mockups"):
            prototype = await world.get(str(row["id"]))
            stands = prototype.status in SETTLED or prototype.state in (State.PARKED, State.UNDECIDED)
            assert stands, f"{prototype.id} is {prototype.state} after everything has calmed down"


def _machine(fresh: Callable[[], str], forget: Callable[[str], None], version: int) -> type[Schedules]:
    class Machine(Schedules):
        api_version = version

        def fresh_database(self) -> str:
            self._url: str = fresh()
            return self._url

        def forget_database(self) -> None:
            forget(self._url)

    return Machine


def _run(machine: type[Schedules], schedules: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=schedules,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            # A failing schedule is told as it is: making it shorter takes minutes, reading twenty-five steps does not.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )


@pytest.mark.timeout(0)
@pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
def test_on_sqlite(sqlite_template: Path, version: int) -> None:
    """Any schedule, on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10**9))

        def fresh() -> str:
            path = Path(folder) / f"{next(numbers)}.db"
            shutil.copy(sqlite_template, path)
            return f"sqlite:///{path}"

        def forget(url: str) -> None:
            for leftover in Path(folder).glob(Path(url).name + "*"):
                leftover.unlink()

        _run(_machine(fresh, forget, version), SCHEDULES)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
def test_on_postgresql(postgres: PostgresServer, pg_template: str, version: int) -> None:
    """Any schedule, on PostgreSQL."""

    def fresh() -> str:
        return postgres.create_database(template=pg_template)

    _run(_machine(fresh, postgres.drop_database, version), max(SCHEDULES // 4, 5))
