"""Two processes that claim the same place in the same moment: one makes a prototype, the other gets it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from owner_schemas import MOCKUP, run
from protokeep.core.errors import DatabaseBusy
from protokeep.core.reuse import Outcome
from protokeep.service import Ensured, NewPrototype
from protokeep.store import claims
from protokeep.store.sql import Connection, Statement
from tracked import generation_of
from world import ANN, BOB, PROMPT, Node, World, on_postgresql


class Meeting:
    """After the first process has seen what there is, and before it takes the place, the other one claims."""

    def __init__(self, other: Node, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> None:
        self.theirs: Ensured | None = None
        plain = claims.find_current
        new = NewPrototype("p-1", PROMPT, **asked)

        async def seen(*given: Any) -> Any:
            found = await plain(*given)
            if self.theirs is None:
                monkeypatch.setattr(claims, "find_current", plain)
                self.theirs = await other.keeper.ensure(BOB, new, wait=0)
            return found

        monkeypatch.setattr(claims, "find_current", seen)


async def slots(world: World) -> list[str]:
    """What has a place."""
    return [str(row["mockup_id"]) for row in await world.rows("SELECT mockup_id FROM protokeep_slots")]


@on_postgresql
@pytest.mark.parametrize("key", ["k-2", None])
async def test_two_claims_of_an_empty_slot_make_one_prototype(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """
    Both found the place empty: there is one prototype, and both have it.
    """
    meeting = Meeting(await world.node(), monkeypatch, idempotency_key=key)

    mine = await world.ensure(idempotency_key="k-1")

    assert meeting.theirs is not None
    assert (meeting.theirs.decision.outcome, mine.decision.outcome) == (Outcome.CREATED, Outcome.REUSED)
    assert mine.prototype.id == meeting.theirs.prototype.id
    assert await slots(world) == [mine.prototype.id]
    assert len(await world.listed()) == 1
    await world.sweep()
    assert world.chats_created == 1


@on_postgresql
async def test_two_claims_of_a_failed_one_replace_it_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Both found one that failed: it is replaced once, and both have that.
    """
    with world.knobs(fail_next=[{"operation": "chats.create*", "status": 422}]):
        failed = await world.make()
    meeting = Meeting(await world.node(), monkeypatch)

    mine = await world.ensure()

    assert meeting.theirs is not None
    assert (meeting.theirs.decision.outcome, mine.decision.outcome) == (Outcome.REPLACED, Outcome.REUSED)
    assert mine.prototype.id == meeting.theirs.prototype.id != failed.id
    assert await slots(world) == [mine.prototype.id]
    assert len(await world.listed()) == 2


@on_postgresql
async def test_two_claims_with_one_key_are_one_and_its_repetition(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The same request with one key, twice in the same moment: one is made, and the other is its repetition.
    """
    other = await world.node()
    meeting = Meeting(other, monkeypatch, create_new=True, idempotency_key="k")

    mine = await world.ensure(who=BOB, create_new=True, idempotency_key="k")

    assert meeting.theirs is not None
    assert mine.decision.outcome is Outcome.REPLAYED
    assert mine.prototype.id == meeting.theirs.prototype.id
    assert len(await world.listed(who=ANN)) == 1


@on_postgresql
async def test_create_new_makes_another_one_even_in_a_race(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever wants another one gets it, also in that moment; the place is the last one's, and all are there.
    """
    meeting = Meeting(await world.node(), monkeypatch)

    mine = await world.ensure(create_new=True)

    assert meeting.theirs is not None
    assert mine.prototype.id != meeting.theirs.prototype.id
    assert await slots(world) == [mine.prototype.id]
    assert len(await world.listed()) == 2


async def test_replacing_at_one_builder_leaves_the_slot_at_another(world: World) -> None:
    """
    A place at one builder is not the place at another: replacing the one leaves the other.
    """
    with world.knobs(fail_next=[{"operation": "chats.create*", "status": 422}]):
        failed = await world.make()
    elsewhere = await world.make("p-2")
    await run(
        world.database_url,
        f"UPDATE protokeep_slots SET product_id = 'p-1', provider = 'stitch' WHERE mockup_id = '{elsewhere.id}'",
    )

    again = await world.ensure()

    assert again.decision.outcome is Outcome.REPLACED
    assert generation_of(await world.get(failed.id)).workspace_id == "default"
    assert sorted(await slots(world)) == sorted([again.prototype.id, elsewhere.id])


async def test_a_click_does_not_wait_for_ever_behind_one_that_is_stuck(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The database hardly answers the first one: the second is told in time, and writes nothing.
    """
    stuck, released = asyncio.Event(), asyncio.Event()
    plain = claims.find_current

    async def hardly(*given: Any) -> Any:
        stuck.set()
        await released.wait()
        return await plain(*given)

    monkeypatch.setattr(claims, "find_current", hardly)
    first = asyncio.create_task(world.ensure())
    await stuck.wait()
    monkeypatch.setattr(claims, "WAIT_SECONDS", 0.05)
    with pytest.raises(DatabaseBusy, match="Nothing was written"):
        await asyncio.wait_for(world.ensure(create_new=True), 5)
    released.set()

    mine = await first
    again = await world.ensure()
    assert (mine.decision.outcome, again.decision.outcome) == (Outcome.CREATED, Outcome.REUSED)
    assert len(await world.listed()) == 1


@on_postgresql
@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_a_claim_that_the_database_undid_begins_again(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """
    PostgreSQL broke a claim off in favour of another transaction: it is made all the same, once.
    """
    plain = claims.find_current

    async def undone(connection: Connection, *given: Any) -> Any:
        monkeypatch.setattr(claims, "find_current", plain)
        await connection.execute(Statement(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"))

    monkeypatch.setattr(claims, "find_current", undone)

    mine = await world.ensure(idempotency_key="k")

    assert mine.decision.outcome is Outcome.CREATED
    assert await slots(world) == [mine.prototype.id]
    assert len(await world.listed()) == 1


@on_postgresql
@pytest.mark.parametrize("chat", ["'chat-1'", "NULL"])
async def test_an_older_row_that_is_deleted_during_the_claim_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch, chat: str
) -> None:
    """
    The owner deletes the row that a claim was about to give: the product gets a new one, and nobody sees an error.
    """
    await run(
        world.database_url,
        "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, created_at, project_url, v0_chat_id)"
        f" VALUES ('{MOCKUP}', 'p-1', 'u', 'v0', 'x', now(), 'https://example.com/', {chat})",
    )
    plain = claims.find_current

    async def seen(*given: Any) -> Any:
        found = await plain(*given)
        monkeypatch.setattr(claims, "find_current", plain)
        await run(world.database_url, f"DELETE FROM design_mockups WHERE id = '{MOCKUP}'")
        return found

    monkeypatch.setattr(claims, "find_current", seen)

    mine = await world.ensure()

    assert mine.decision.outcome is Outcome.CREATED
    assert await slots(world) == [mine.prototype.id]
