"""Owners' databases of every generation keep every value when they are migrated, twice, and filled."""

from __future__ import annotations

import pytest

from owner_databases import GENERATIONS, OWN_STATEMENTS, digest, fill, make_generation, statuses
from owner_schemas import SPEC_INDEXES, indexes, run
from protokeep.store.migrate import migrate


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_no_value_of_an_owner_changes_by_a_migration(empty_pg_url: str, generation: str) -> None:
    """
    Migrating twice changes no value of the owner's; the old system's statements work afterwards.
    """
    await make_generation(empty_pg_url, generation)
    ids = await fill(empty_pg_url, 48, chats=["chat-1", "chat-1", "chat-2"])
    before = await digest(empty_pg_url)

    await migrate(empty_pg_url)
    await migrate(empty_pg_url)

    assert await digest(empty_pg_url) == before
    assert set(await statuses(empty_pg_url)) == set(ids)
    assert await indexes(empty_pg_url) >= SPEC_INDEXES
    for statement in OWN_STATEMENTS:
        await run(empty_pg_url, statement)
    assert await digest(empty_pg_url) != before
