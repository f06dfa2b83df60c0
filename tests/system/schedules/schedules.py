"""Everything that people, processes, the network and the builder may do, as a machine that hypothesis plays with.

What must hold is checked after every step, and once more when everything has calmed down.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from database_copies import copy_of
from foreign_chats import plant
from protokeep.jobs import BEAT_SECONDS
from protokeep.service import NewPrototype
from protokeep.wiring import ENVIRONMENT_ACCOUNT
from system.schedules.machine import NODES
from system.schedules.promises import SAME_WORDS, Promises
from tracked import tracked
from world import ADA, ANN, BOB, PROMPT

PRODUCTS = st.sampled_from(["p-1", "p-2"])
NUMBERS = st.integers(0, NODES - 1)
PICKS = st.integers(0, 5)
BEFORE_IDS_ARE_KNOWN = ["before_claim", "after_claim", "before_take", "before_sent", "after_sent", "after_call"]
LATER = ["after_record", "after_poll", "after_pass", "in_sweep"]
POINTS = st.sampled_from([*BEFORE_IDS_ARE_KNOWN, *LATER])
CREATES = "chats.create*"
#: What sends a follow-up: v1's and v2's names.
SENDS = ("chats.sendMessage", "messages.send*")
READS = ["chats.list", "chats.find", "messages.get", "chats.getById", "messages.list", "chats.findMessages"]


class Schedules(Promises):
    """One world of two products, three processes and everything that can go wrong."""

    # -- what people and processes do ------------------------------------------------------------------------

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
                jobs += [(number, node.keeper.submit_held(tracked(claimed))) for claimed in held]
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

    @rule(number=NUMBERS, pick=PICKS)
    def stop(self, number: int, pick: int) -> None:
        self._replaceable = True
        prototype_id = self._row(pick)
        if prototype_id is not None:
            self._does(number, self._nodes[number].keeper.stop(ANN, prototype_id))

    @rule(number=NUMBERS, pick=PICKS)
    def delete(self, number: int, pick: int) -> None:
        self._replaceable = True
        prototype_id = self._row(pick)
        if prototype_id is not None:
            self._does(number, self._nodes[number].keeper.delete(ADA, prototype_id))

    @rule(number=NUMBERS)
    def wrap_up(self, number: int) -> None:
        self._does(number, self._nodes[number].keeper.finalize())

    @rule(number=NUMBERS, pick=PICKS, begun=st.booleans())
    def hook_arrives(self, number: int, pick: int, begun: bool) -> None:
        """A delivery late, twice or out of order; one chat of it is nobody's."""
        chats = [*self.world.sandbox.chats.values()]
        named = ["chat-of-nobody", *([chats[pick % len(chats)].id] if chats else [])]
        now = self.world.clock()
        heard = self._nodes[number].store.poll_soon(
            ENVIRONMENT_ACCOUNT, named, now, begun=begun, later=now + timedelta(seconds=30)
        )
        self._does(number, heard)

    @rule(number=NUMBERS)
    def reconcile(self, number: int) -> None:
        self._does(number, self._nodes[number].keeper.reconcile())

    @rule(number=NUMBERS, point=POINTS)
    def crash_soon(self, number: int, point: str) -> None:
        self._nodes[number].crash_at(point)

    @rule(number=NUMBERS, single_process=st.booleans(), holds_claims=st.booleans())
    def restart(self, number: int, single_process: bool, holds_claims: bool) -> None:
        async def restarted() -> None:
            self._nodes[number] = await self._begun(
                await self.world.node(single_process=single_process, holds_claims=holds_claims)
            )

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
        """The copy takes the database's place, under all processes. Those that do not sleep have beaten since."""
        if self._put_back is None:
            return
        self.world.clock.advance(BEAT_SECONDS)
        for number, node in enumerate(self._nodes):
            self._does(number, node.context.heartbeat.beat())
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

    @rule(order=st.sampled_from(["newest", "oldest", "random", "favorites"]), ignore_filter=st.booleans())
    def lists_lie(self, order: str, ignore_filter: bool) -> None:
        self.world.sandbox.set_knobs(list_order=order, ignore_filter=ignore_filter)

    @rule(seconds=st.sampled_from([0, 60, 9000]))
    def somebodys_private_chat(self, seconds: int) -> None:
        """A team-mate's chat stands in every list, and cannot be read."""
        plant(self.world, timedelta(seconds=seconds), forbidden=True, favorite=True)

    @rule(down=st.booleans())
    def builder_goes_away_or_comes_back(self, down: bool) -> None:
        self.world.sandbox.set_knobs(down=down)

    @rule(rate=st.sampled_from([0.0, 0.5]))
    def generations_fail(self, rate: float) -> None:
        self._replaceable = self._replaceable or rate > 0
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
        self._replaceable = self._replaceable or seconds > 300
        until = (self.world.clock.elsewhere() + timedelta(seconds=seconds)).isoformat()
        chat = "*" if everything else chats[pick % len(chats)].id
        rules = [{"chat": chat, "until": until, "listed": True, "messages_only": messages_only}]
        self.world.sandbox.set_knobs(hide=rules)

    # -- what must hold after every step ---------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        if self._world is not None:
            self.run(self._promises())
