"""Guards of censuses in the database: one open at a time, no step saved twice, and whose a chat is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from factories import NOW
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.census import Census, CensusState, Claim
from protokeep.store import census as writes
from protokeep.store.census import CensusStore
from protokeep.store.sql import Connection, query
from world import ADA, EVE, World


def _census(name: str, workspace_id: str = "default") -> Census:
    return Census(name, workspace_id, "v0:environment", CensusState.RUNNING, True, "ada", NOW, step_at=NOW)


def _entry(subject: str) -> AuditEntry:
    return AuditEntry.of(ADA, Action.CENSUS_STARTED, NOW, subject)


async def test_one_census_of_an_account_is_open_at_a_time(world: World) -> None:
    """
    Of ten that begin at once one is open, and the audit names it alone. Another workspace has its own.
    """
    store = CensusStore(world.store)
    begun = await asyncio.gather(*(store.begin(_census(str(number)), _entry(str(number))) for number in range(10)))

    assert sum(begun) == 1
    assert len(await world.rows("SELECT 1 FROM protokeep_audit")) == 1
    assert await store.begin(_census("other", "elsewhere"), _entry("other"))
    (census,) = await store.newest("default", "v0:environment")
    assert await store.cancel("default", "v0:environment", NOW, _entry(census.id))
    assert not await store.cancel("default", "v0:environment", NOW, _entry(census.id))
    assert await store.begin(_census("next"), _entry("next"))


async def test_a_step_that_was_overtaken_writes_nothing(world: World) -> None:
    """
    A census is taken by one of two; what the other read is rolled back, and so is a step of a cancelled census.
    """
    store = CensusStore(world.store)
    await store.begin(_census("one"), _entry("one"))
    (read,) = await store.due(NOW)
    taken = await asyncio.gather(*(store.take(read, NOW + timedelta(seconds=90)) for _ in range(2)))
    (mine,) = [one for one in taken if one is not None]
    assert await store.due(NOW) == []

    async def adds_costs(connection: Connection) -> None:
        await writes.add_costs(connection, mine, 1, {"chat": 1.0}, first=True, last=True)
        await connection.execute(query("insert_pin"), PIN)

    assert not await store.save(replace(read, calls=7), adds_costs)
    assert await world.rows("SELECT 1 FROM protokeep_pins") == []
    assert await store.save(replace(mine, calls=1), adds_costs)
    assert len(await world.rows("SELECT 1 FROM protokeep_pins")) == 1
    await store.cancel("default", "v0:environment", NOW, _entry("one"))
    assert not await store.save(replace(mine, version=mine.version + 2), adds_costs)


PIN = {
    "workspace_id": "default",
    "account": "v0:environment",
    "chat_id": "chat",
    "pinned_by": "ada",
    "now": NOW,
    "reason": None,
}


async def test_whose_a_chat_is_where_rows_disagree(world: World) -> None:
    """
    A chat that a row of ours has is ours, whatever others have; a second chat of theirs is foreign.
    """
    mine, theirs = await world.make("p-1"), await world.make("p-2", who=EVE)
    assert mine.chat_id
    assert theirs.chat_id
    await world.store.note_surplus(await world.store.get_unscoped(mine.id), "second", NOW)  # type: ignore[arg-type]
    await world.store.note_surplus(await world.store.get_unscoped(theirs.id), "third", NOW)  # type: ignore[arg-type]
    store, chats = CensusStore(world.store), [mine.chat_id, theirs.chat_id, "second", "third", "free"]

    assert await store.owners("default", "v0:environment", chats) == {
        mine.chat_id: Claim.OURS,
        theirs.chat_id: Claim.FOREIGN,
        "second": Claim.SURPLUS,
        "third": Claim.FOREIGN,
    }
