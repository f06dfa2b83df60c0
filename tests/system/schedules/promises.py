"""What must always hold, and what must hold when everything has calmed down."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from protokeep.core.prototype import SETTLED, State, Status
from protokeep.sandbox import Chat
from system.schedules.machine import Machine

#: Long enough for every pause, deadline and second thought, in seconds.
CALMING_DOWN = (1, 2, 4, 8, 15, 30, 60, 120, 130, 3, 3, 10, 60, 60, 300, 300, 300, 10, 10, 700, 3, 30, 400, 3, 30)
#: How far things have calmed down when those wake who sleep still.
ZOMBIES_WAKE = 9
#: Words that are sent again and again; each time that they are accepted is another message.
SAME_WORDS = "The same again"
#: States that a row may rest in when the builder cannot be asked, or does not tell.
UNDECIDED_FOR_NOW = (State.PARKED, State.UNDECIDED)
MAY_DROP_FOLLOW_UPS = (State.FAILED, State.STOPPED, State.DELETING, *UNDECIDED_FOR_NOW)
FORWARD = [Status.PENDING, Status.IN_PROGRESS, Status.TIMEOUT, Status.COMPLETED, Status.FAILED]


class Promises(Machine):
    """A machine that checks its world."""

    async def _promises(self) -> None:
        world = self.world
        # One that a person deleted at the builder does not exist any more: its slot may get another.
        chats = Counter(chat.metadata["protokeep_marker"] for chat in self._living())
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

    def _living(self) -> list[Chat]:
        """The chats of ours that exist at the builder."""
        chats = self.world.sandbox.chats.values()
        return [chat for chat in chats if not chat.deleted and "protokeep_marker" in chat.metadata]

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
        markers = {chat.metadata["protokeep_marker"] for chat in self._living() if chat.id in chats}
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

    async def quiet(self) -> None:
        world = self.world
        rest = {"drop_next_answers": 0, "drop_next": [], "fail_next": [], "fail_after_acting": [], "down": False}
        rest["hide"] = []
        honest = {"list_order": "newest", "ignore_filter": False}
        world.sandbox.set_knobs(**rest, **honest, list_delay_seconds=0, failure_rate=0.0)
        for chat in world.sandbox.chats.values():
            chat.forbidden = False
        for node in self._nodes:  # They live on: a database that went back is noticed by those who knew it.
            await node.context.heartbeat.beat()
        survivor = await self._begun(await world.node())
        for number, seconds in enumerate(CALMING_DOWN):
            world.clock.advance(seconds)
            await survivor.context.heartbeat.beat()
            await survivor.keeper.reconcile()
            await survivor.sweep()
            await survivor.work()
            await survivor.keeper.finalize()
            if number == ZOMBIES_WAKE:
                await self._wake(len(self._sleepers))
        await self._promises()
        await self._nothing_is_lost()
        self._one_chat_per_product()
        orphans = {chat.id for chat in self._living()} & await world.orphans()
        assert not orphans, f"remote chats that no row knows: {await self._told(orphans)}"
        for row in await world.rows("SELECT id FROM design_mockups"):
            prototype = await world.get(str(row["id"]))
            ended = (State.READY, State.FAILED, State.STOPPED)
            stands = prototype.state in ended and prototype.status in SETTLED
            stands = stands or prototype.state in (State.PARKED, State.UNDECIDED)
            # One that a person deleted at the builder may not be shown to be gone: nothing else may be in sight there.
            its_chat = world.sandbox.chats.get(prototype.chat_id or "")
            # A stop that the copy does not know of: the builder says that it ended for some other reason.
            stands = stands or (prototype.state is State.WAITING and self._went_back)
            unproven = prototype.state in (State.NOT_VISIBLE, State.DELETING)
            stands = stands or (unproven and (its_chat is None or its_chat.deleted))
            assert stands, f"{prototype.id} is {prototype.state} after everything has calmed down"

    def _one_chat_per_product(self) -> None:
        """Whatever was clicked, and whatever copy of the database it was clicked in, one chat serves a product."""
        if self._replaceable:
            return
        chats = Counter(chat.metadata["protokeep_product"] for chat in self._living())
        for product, count in chats.items():
            assert count <= 1 + self._anothers[product], f"{product} has {count} chats"

    async def _nothing_is_lost(self) -> None:
        """A follow-up that was accepted is at the builder, or its row says why not."""
        if self._went_back:
            return  # What the copy did not know was asked for, it did not know.
        said = {one.content for chat in self.world.sandbox.chats.values() for one in chat.messages}
        for prototype_id, words in self._accepted:
            found = await self.world.store.get_unscoped(prototype_id)
            if words in said or found is None or found.state in MAY_DROP_FOLLOW_UPS:
                continue
            assert "refused" in await self.world.kinds(found), f"{words!r} was accepted and never sent"


def _lines(events: list[dict[str, Any]]) -> list[str]:
    return [f"{str(one['mockup_id'])[:4]} {one['kind']} {one['status']} {one['data']}" for one in events]
