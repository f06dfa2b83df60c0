"""Everything that people, processes, the network and the builder may do, as a machine that hypothesis plays with.

What must hold is checked after every step, and once more when everything has calmed down.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from copies import PutBack, copy_of
from protokeep.core.errors import ProtokeepError
from protokeep.core.prototype import SETTLED, State, Status, generation_of
from protokeep.service import NewPrototype
from protokeep.wiring import ENVIRONMENT_ACCOUNT
from world import ANN, BOB, PROMPT, Crash, Node, World

NODES = 3
PRODUCTS = st.sampled_from(["p-1", "p-2"])
NUMBERS = st.integers(0, NODES - 1)
PICKS = st.integers(0, 5)
BEFORE_IDS_ARE_KNOWN = ["before_claim", "after_claim", "before_take", "before_sent", "after_sent", "after_create"]
LATER = ["after_record", "after_look", "after_track", "in_sweep", "after_follow_up_sent", "after_follow_up"]
POINTS = st.sampled_from([*BEFORE_IDS_ARE_KNOWN, *LATER])
CREATES = "chats.create*"
#: What sends a follow-up: v1's and v2's names.
SENDS = ("chats.sendMessage", "messages.send*")
READS = ["chats.list", "chats.find", "messages.get", "chats.getById", "messages.list", "chats.findMessages"]
#: Long enough for every pause, deadline and second thought, in seconds.
CALMING_DOWN = (1, 2, 4, 8, 15, 30, 60, 120, 130, 3, 3, 10, 60, 60, 300, 300, 300, 10, 10, 700, 3, 30, 400, 3, 30)
#: How far things have calmed down when those wake who sleep still.
ZOMBIES_WAKE = 9
SAME_WORDS = "The same again"
#: States that a row may rest in when the builder cannot be asked, or does not tell.
UNDECIDED_FOR_NOW = (State.PARKED, State.UNDECIDED)
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
        self._numbers = itertools.count(1)
        #: What was asked for in follow-ups, how often, and what of it was certainly accepted.
        self._wishes: Counter[tuple[str, str]] = Counter()
        self._accepted: set[tuple[str, str]] = set()
        self._naps: dict[int, Nap] = {}
        self._sleepers: list[tuple[Nap, asyncio.Task[Any]]] = []
        self._put_back: PutBack | None = None
        self._went_back = False
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
        return await self._begun(await self.world.node(holds=number == NODES - 1))

    async def _begun(self, node: Node) -> Node:
        """A process that beats, as its jobs would let it, and that may fall asleep."""
        await node.context.heartbeat.beat()
        self._naps[id(node)] = Nap(node)
        return node

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
        new = NewPrototype(product, PROMPT)
        clicks = [
            (number, node.keeper.ensure(ANN, new, wait=0)) for number, node in enumerate(self._nodes) for _ in range(3)
        ]
        self.run(self._together(clicks))

    @rule(number=NUMBERS)
    def work(self, number: int) -> None:
        self._does(number, self._nodes[number].work())

    @rule(number=NUMBERS)
    def sweep(self, number: int) -> None:
        self._does(number, self._nodes[number].sweep())

    @rule()
    def sweep_everywhere_at_once(self) -> None:
        self.run(self._together([(number, node.sweep()) for number, node in enumerate(self._nodes)]))

    @rule()
    def work_everywhere_at_once(self) -> None:
        """Every process takes up everything that waits, each row by itself and all of them at once."""

        async def all_at_once() -> None:
            rows = await self.world.rows("SELECT id FROM design_mockups")
            jobs = [
                (number, node.keeper.submit(str(row["id"]))) for number, node in enumerate(self._nodes) for row in rows
            ]
            for number, node in enumerate(self._nodes):
                held, node.queue.held = node.queue.held, []
                jobs += [(number, node.keeper.submit_held(claimed)) for claimed in held]
            await self._together(jobs)

        self.run(all_at_once())

    @rule(number=NUMBERS, product=PRODUCTS)
    def look(self, number: int, product: str) -> None:
        self._does(number, self._nodes[number].keeper.status(ANN, product, "v0"))

    @rule(number=NUMBERS, pick=PICKS, key=st.sampled_from([None, "k1"]))
    def follow_up(self, number: int, pick: int, key: str | None) -> None:
        prototype_id = self._row(pick)
        if prototype_id is not None:
            self._say(prototype_id, [(number, ANN, f"And now number {next(self._numbers)}", key)])

    @rule(pick=PICKS, numbers=st.tuples(NUMBERS, NUMBERS))
    def two_people_follow_up_at_once(self, pick: int, numbers: tuple[int, int]) -> None:
        """Two people, two messages, two keys of their own, at the same moment."""
        prototype_id = self._row(pick)
        if prototype_id is not None:
            words = [f"And now number {next(self._numbers)}" for _ in range(2)]
            saying = zip(numbers, (ANN, BOB), words, words, strict=True)
            self._say(prototype_id, list(saying))

    @rule(number=NUMBERS, pick=PICKS)
    def says_the_same_again(self, number: int, pick: int) -> None:
        """The same words each time: each time that they are accepted is another message."""
        prototype_id = self._row(pick)
        if prototype_id is not None:
            self._say(prototype_id, [(number, ANN, SAME_WORDS, None)])

    def _say(self, prototype_id: str, saying: list[tuple[int, Any, str, str | None]]) -> None:
        """Ask for follow-ups, and remember which were accepted, and which may have been before a crash."""
        asking = [
            (number, self._nodes[number].keeper.iterate(who, prototype_id, words, idempotency_key=key, wait=0))
            for number, who, words, key in saying
        ]
        for _, _, words, _ in saying:
            self._wishes[prototype_id, words] += 1
        for (_, _, words, _), outcome in zip(saying, self.run(self._together(asking)), strict=True):
            if outcome is not None and generation_of(outcome).follow_up == words:
                self._accepted.add((prototype_id, words))

    @rule(number=NUMBERS, pick=PICKS)
    def stop(self, number: int, pick: int) -> None:
        prototype_id = self._row(pick)
        if prototype_id is not None:
            self._does(number, self._nodes[number].keeper.stop(ANN, prototype_id))

    @rule(number=NUMBERS, pick=PICKS)
    def delete(self, number: int, pick: int) -> None:
        prototype_id = self._row(pick)
        if prototype_id is not None:
            self._does(number, self._nodes[number].keeper.delete(ANN, prototype_id))

    def _row(self, pick: int) -> str | None:
        rows = self.run(self.world.rows("SELECT id FROM design_mockups ORDER BY created_at, id"))
        return str(rows[pick % len(rows)]["id"]) if rows else None

    @rule(number=NUMBERS)
    def wrap_up(self, number: int) -> None:
        self._does(number, self._nodes[number].keeper.wrap_up())

    @rule(number=NUMBERS, pick=PICKS, begun=st.booleans())
    def hook_arrives(self, number: int, pick: int, begun: bool) -> None:
        """A delivery late, twice or out of order; one chat of it is nobody's."""
        chats = [*self.world.sandbox.chats.values()]
        named = ["chat-of-nobody", *([chats[pick % len(chats)].id] if chats else [])]
        now = self.world.clock()
        heard = self._nodes[number].store.look_soon(
            ENVIRONMENT_ACCOUNT, named, now, begun=begun, later=now + timedelta(seconds=30)
        )
        self._does(number, heard)

    @rule(number=NUMBERS)
    def reconcile(self, number: int) -> None:
        self._does(number, self._nodes[number].keeper.reconcile())

    @rule(number=NUMBERS, point=POINTS)
    def crash_soon(self, number: int, point: str) -> None:
        self._nodes[number].crash_at(point)

    @rule(number=NUMBERS, alone=st.booleans(), holds=st.booleans())
    def restart(self, number: int, alone: bool, holds: bool) -> None:
        async def restarted() -> None:
            self._nodes[number] = await self._begun(await self.world.node(alone=alone, holds=holds))

        self.run(restarted())

    @rule(number=NUMBERS, place=st.sampled_from(["commit", "call"]))
    def falls_asleep_soon(self, number: int, place: str) -> None:
        """The process sleeps right after its next commit, or right before its next call that acts."""
        self._naps[id(self._nodes[number])].place = place

    @rule(count=st.integers(1, 3))
    def sleepers_wake(self, count: int) -> None:
        self.run(self._wake(count))

    @rule(number=NUMBERS)
    def beat(self, number: int) -> None:
        self._does(number, self._nodes[number].context.heartbeat.beat())

    @rule()
    def copy_is_taken(self) -> None:
        async def taken() -> None:
            for node in self._nodes:
                await node.context.heartbeat.beat()
            self._put_back = await copy_of(self.world.database_url)

        self.run(taken())

    @rule()
    def database_goes_back(self) -> None:
        """The copy takes the database's place, under all processes that run or sleep."""
        if self._put_back is not None:
            self.run(self._put_back())
            self._went_back = True

    # -- what time, the network and the builder do -----------------------------------------------------------

    @rule(seconds=st.sampled_from([-3, 1, 3, 7, 15, 40, 100, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600, -600, -120, 120, 600, 3600]))
    def clock_is_set(self, seconds: int) -> None:
        """The wall clock of the database, and of every host, is set."""
        self.world.clock.step(seconds)

    @rule(count=st.integers(1, 2))
    def answers_get_lost(self, count: int) -> None:
        self.world.sandbox.set_knobs(drop_next_answers=count)

    @rule(status=st.sampled_from([401, 402, 422, 429, 500, 502]), acts=st.booleans())
    def create_is_refused(self, status: int, acts: bool) -> None:
        rules = [{"operation": CREATES, "status": status, "times": 1}]
        self.world.sandbox.set_knobs(**{"fail_after_acting" if acts and status >= 500 else "fail_next": rules})

    @rule(status=st.sampled_from([401, 402, 422, 429, 500]), acts=st.booleans())
    def sending_is_refused(self, status: int, acts: bool) -> None:
        rules = [{"operation": operation, "status": status, "times": 1} for operation in SENDS]
        self.world.sandbox.set_knobs(**{"fail_after_acting" if acts and status >= 500 else "fail_next": rules})

    @rule(acts=st.booleans())
    def sent_message_loses_its_answer(self, acts: bool) -> None:
        rules = [{"operation": operation, "acts": acts, "times": 1} for operation in SENDS]
        self.world.sandbox.set_knobs(drop_next=rules)

    @rule(status=st.sampled_from([404, 429, 500]))
    def deleting_fails(self, status: int) -> None:
        self.world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": status, "times": 2}])

    @rule(operation=st.sampled_from(READS))
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

    @rule(pick=PICKS)
    def somebody_deletes_a_chat_at_the_builder(self, pick: int) -> None:
        chats = [chat for chat in self.world.sandbox.chats.values() if not chat.deleted]
        if chats:
            self.world.sandbox.delete(chats[pick % len(chats)].id)

    @rule(pick=PICKS, everything=st.booleans(), seconds=st.sampled_from([20, 90, 700]), messages_only=st.booleans())
    def chats_are_not_shown(self, pick: int, everything: bool, seconds: int, messages_only: bool) -> None:
        """Reads answer 404 for a while, for one chat or for all; lists show them all the same."""
        chats = [*self.world.sandbox.chats.values()]
        if not everything and not chats:
            return
        until = (self.world.clock() + timedelta(seconds=seconds)).isoformat()
        chat = "*" if everything else chats[pick % len(chats)].id
        rules = [{"chat": chat, "until": until, "listed": True, "messages_only": messages_only}]
        self.world.sandbox.set_knobs(hide=rules)

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
        messages = [one for chat in world.sandbox.chats.values() for one in chat.messages]
        said = Counter(one.content for one in messages if one.role == "user")
        twice = {words for words, count in said.items() if words.startswith("And now") and count > 1}
        assert not twice, f"follow-ups that were sent twice: {twice}"
        wished = sum(count for (_, words), count in self._wishes.items() if words == SAME_WORDS)
        assert said[SAME_WORDS] <= wished, f"{said[SAME_WORDS]} messages for {wished} wishes"
        rows = await world.rows("SELECT id, product_id, project_status, v0_chat_id FROM design_mockups")
        taken = Counter(row["v0_chat_id"] for row in rows if row["v0_chat_id"])
        assert all(count == 1 for count in taken.values()), f"a chat in two rows: {taken}"
        events = await world.rows("SELECT mockup_id, product_id, kind, status, data FROM protokeep_events ORDER BY id")
        self._history_is_true(rows, events)
        self._rows_are_wanted(events)

    def _history_is_true(self, rows: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        """The log replays to the table, and no status moved backwards."""
        last: dict[str, Status] = {}
        gone: set[str] = set()
        for event in events:
            if event["status"] is not None:
                mockup_id, status = str(event["mockup_id"]), Status(event["status"])
                before = last.get(mockup_id, Status.PENDING)
                # What counted as gone is taken back by any later sight.
                if mockup_id in gone:
                    before = Status.PENDING
                is_gone = json.loads(event["data"] or "{}").get("code") == "gone"
                (gone.add if is_gone else gone.discard)(mockup_id)
                # Only a follow-up that a person asked for, and the builder took, begins anew.
                anew = event["kind"] in ("continued", "adopted") and "round" in json.loads(event["data"] or "{}")
                if anew:
                    before = Status.PENDING
                assert FORWARD.index(status) >= FORWARD.index(before), f"{mockup_id}: {before} -> {status}"
                last[mockup_id] = status
        for row in rows:
            assert last[str(row["id"])] == row["project_status"], f"row {row['id']} does not match its history"

    async def _told(self, chats: set[str]) -> list[str]:
        """What the log says of the prototypes that chats carry the marker of."""
        markers = {chat.metadata["protokeep_marker"] for chat in self.world.sandbox.chats.values() if chat.id in chats}
        events = await self.world.rows("SELECT mockup_id, kind, status, data FROM protokeep_events ORDER BY id")
        return _lines([one for one in events if str(one["mockup_id"]) in markers])

    def _rows_are_wanted(self, events: list[dict[str, Any]]) -> None:
        """A row was made because there was none (any more), because the one before had failed, or because of a wish."""
        failed: Counter[str] = Counter()
        deleted: Counter[str] = Counter()
        firsts: Counter[str] = Counter()
        replaced: Counter[str] = Counter()
        anothers: Counter[str] = Counter()
        for event in events:
            product = str(event["product_id"])
            if event["status"] == "failed" and event["kind"] == "status":
                failed[product] += 1
            if event["kind"] == "deleting":
                deleted[product] += 1
            if event["kind"] == "claimed":
                data = json.loads(event["data"])
                if data["another"]:
                    anothers[product] += 1
                elif data["outcome"] == "created":
                    firsts[product] += 1
                    assert firsts[product] <= 1 + deleted[product], f"{product}: made as if there were none"
                else:
                    replaced[product] += 1
                made = firsts[product] + replaced[product]
                unusable = failed[product] + deleted[product]
                assert made <= 1 + unusable, f"{product}: replaced what had not failed: {_lines(events)}"
        for product, count in anothers.items():
            assert count <= self._anothers[product], f"{product}: more others than were asked for"

    # -- what must hold when everything has calmed down ------------------------------------------------------

    async def _quiet(self) -> None:
        world = self.world
        rest = {"drop_next_answers": 0, "drop_next": [], "fail_next": [], "fail_after_acting": [], "down": False}
        rest["hide"] = []
        world.sandbox.set_knobs(**rest, list_delay_seconds=0, failure_rate=0.0)
        survivor = await self._begun(await world.node())
        for number, seconds in enumerate(CALMING_DOWN):
            world.clock.advance(seconds)
            await survivor.context.heartbeat.beat()
            await survivor.keeper.reconcile()
            await survivor.sweep()
            await survivor.work()
            await survivor.keeper.wrap_up()
            if number == ZOMBIES_WAKE:
                await self._wake(len(self._sleepers))
        await self._promises()
        await self._nothing_is_lost()
        orphans = await world.orphans()
        assert not orphans, f"remote chats that no row knows: {await self._told(orphans)}"
        for row in await world.rows("SELECT id FROM design_mockups"):
            prototype = await world.get(str(row["id"]))
            visible = (State.READY, State.FAILED, State.PARKED, State.UNDECIDED)
            stands = prototype.state in visible and (prototype.status in SETTLED or prototype.state in visible[2:])
            # One that a person deleted at the builder may not be shown to be gone: nothing else may be in sight there.
            chat = world.sandbox.chats.get(prototype.chat_id or "")
            stands = stands or (prototype.state is State.NOT_VISIBLE and chat is not None and chat.deleted)
            assert stands, f"{prototype.id} is {prototype.state} after everything has calmed down"

    async def _nothing_is_lost(self) -> None:
        """A follow-up that was accepted is at the builder, or its row says why not."""
        if self._went_back:
            return  # What the copy did not know was asked for, it did not know.
        said = {one.content for chat in self.world.sandbox.chats.values() for one in chat.messages}
        for prototype_id, words in self._accepted:
            found = await self.world.store.get_any(prototype_id)
            if words in said or found is None or found.state in (State.FAILED, State.DELETING, *UNDECIDED_FOR_NOW):
                continue
            assert "refused" in await self.world.kinds(found), f"{words!r} was accepted and never sent"


class Nap:
    """Lets a process fall asleep at a place, in the middle of whatever it does, until it is woken."""

    def __init__(self, node: Node) -> None:
        self.place: str | None = None
        self.asleep = asyncio.Event()
        self._woken = asyncio.Event()
        self._wrap_saves(node)
        self._wrap_calls(node)

    def wake(self) -> None:
        """Let it go on."""
        self._woken.set()

    async def _sleep_at(self, place: str) -> None:
        if self.place == place:
            self.place = None
            self.asleep.set()
            await self._woken.wait()

    def _wrap_saves(self, node: Node) -> None:
        save = node.store.save

        async def saved(*values: Any, **more: Any) -> Any:
            outcome = await save(*values, **more)
            await self._sleep_at("commit")
            return outcome

        node.store.save = saved  # type: ignore[method-assign]

    def _wrap_calls(self, node: Node) -> None:
        for provider in node.context.providers.of_account(ENVIRONMENT_ACCOUNT):
            transport = provider._http._client._transport  # type: ignore[attr-defined]
            self._wrap_transport(transport)

    def _wrap_transport(self, transport: Any) -> None:
        handle = transport.handle_async_request

        async def handled(request: Any) -> Any:
            if request.method == "POST":
                await self._sleep_at("call")
            return await handle(request)

        transport.handle_async_request = handled


def _lines(events: list[dict[str, Any]]) -> list[str]:
    return [f"{str(one['mockup_id'])[:4]} {one['kind']} {one['status']} {one['data']}" for one in events]
