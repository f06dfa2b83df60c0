"""Leaving a database takes away everything of ours, and nothing of the owner's."""

from __future__ import annotations

import json

import pytest

from owner_databases import GENERATIONS, digest, fill, make_generation
from owner_schemas import MOCKUP, indexes, make_owner, rows, run
from protokeep.core.errors import NotReady
from protokeep.store import migrate as migrating
from protokeep.store.leave import CHATS_LOST, leave, plan_leaving
from protokeep.store.migrate import migrate, plain_sql
from protokeep.store.owner_table import TRACKING_COLUMNS
from schema_dump import schema_of

ALIVE = "INSERT INTO protokeep_processes (process_id, beat, beat_at, server) VALUES ('p', 1, {now}, 's')"


class TestOwnersTable:
    @pytest.mark.parametrize("generation", GENERATIONS)
    async def test_leaving_with_columns_leaves_every_generation_as_it_was(
        self, empty_pg_url: str, generation: str
    ) -> None:
        """
        Schema and rows are the same before protokeep came and after it left.
        """
        await make_generation(empty_pg_url, generation)
        await fill(empty_pg_url, 40, chats=["chat-1", "chat-1"])
        before = await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True)
        await migrate(empty_pg_url)
        assert await schema_of(empty_pg_url) != before[0]

        await leave(empty_pg_url, with_columns=True)

        assert (await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True)) == before
        assert (await plan_leaving(empty_pg_url, with_columns=True)).statements == ()

    async def test_leaving_keeps_the_columns_of_the_specification_unless_told(self, empty_database_url: str) -> None:
        """
        By default the specification's columns, CHECK and indexes stay, and nothing else of ours does.
        """
        await make_owner(empty_database_url)
        await migrate(empty_database_url)
        expected = [line for line in await schema_of(empty_database_url) if _stays(line)]

        await leave(empty_database_url, with_columns=False)

        after = await schema_of(empty_database_url)
        assert [line for line in after if _stays(line)] == expected
        assert not any("protokeep_" in line or "pgqueuer" in line for line in after)
        assert set(TRACKING_COLUMNS) <= set((await rows(empty_database_url, "SELECT * FROM design_mockups"))[0])

    async def test_an_owners_sqlite_table_is_left_as_it_was(self, empty_sqlite_url: str) -> None:
        """
        On SQLite the text of the owner's table is the same before and after.
        """
        await make_owner(empty_sqlite_url)
        before = await schema_of(empty_sqlite_url), await rows(empty_sqlite_url, "SELECT * FROM design_mockups")
        await migrate(empty_sqlite_url)

        await leave(empty_sqlite_url, with_columns=True)

        after = await schema_of(empty_sqlite_url), await rows(empty_sqlite_url, "SELECT * FROM design_mockups")
        assert after == before

    async def test_columns_that_the_owners_tool_added_stay(self, empty_pg_url: str) -> None:
        """
        What the owner applied by hand is the owner's: leaving does not take it away.
        """
        await make_owner(empty_pg_url)
        await run(empty_pg_url, plain_sql())
        before = await schema_of(empty_pg_url)
        await migrate(empty_pg_url, "own")
        assert "idx_protokeep_mockups_product_newest" not in await indexes(empty_pg_url)

        departure = await plan_leaving(empty_pg_url, with_columns=True)
        await leave(empty_pg_url, with_columns=True)

        assert departure.changes == ()
        assert "not protokeep that added them" in departure.remains[0]
        assert await schema_of(empty_pg_url) == before

    async def test_a_table_that_we_created_stays_with_its_rows(self, database_url: str) -> None:
        """
        In a database of our own, design_mockups and its rows stay: somebody may need them.
        """
        await run(
            database_url,
            f"INSERT INTO design_mockups (id, product_id, user_id, provider) VALUES ('{MOCKUP}', 'p', 'u', 'v0')",
        )

        departure = await plan_leaving(database_url, with_columns=True)
        await leave(database_url, with_columns=True)

        assert "protokeep created it" in departure.remains[0]
        assert len(await rows(database_url, "SELECT project_status FROM design_mockups")) == 1


class TestCare:
    async def test_a_plan_changes_nothing(self, database_url: str) -> None:
        """
        The dry run changes nothing, and says what would be lost.
        """
        before = await schema_of(database_url)

        departure = await plan_leaving(database_url, with_columns=True)

        assert await schema_of(database_url) == before
        assert any("protokeep_slots" in statement for statement in departure.statements)
        assert {"API tokens", "v0 API keys", "lines of the audit"} < set(departure.losses)

    async def test_chats_that_go_with_the_columns_are_counted(self, empty_database_url: str) -> None:
        """
        Rows that name a chat lose it with the columns, which nothing brings back; without the columns nothing is lost.
        """
        await make_owner(empty_database_url)
        await migrate(empty_database_url)
        await run(empty_database_url, f"UPDATE design_mockups SET v0_chat_id = 'c' WHERE id = '{MOCKUP}'")

        with_columns = await plan_leaving(empty_database_url, with_columns=True)
        without = await plan_leaving(empty_database_url, with_columns=False)

        assert with_columns.losses[CHATS_LOST] == 1
        assert CHATS_LOST not in without.losses

    async def test_nothing_is_taken_away_while_a_process_works(self, database_url: str) -> None:
        """
        A process with a fresh heartbeat stands in the way, until it has been silent for a while.
        """
        is_sqlite = database_url.startswith("sqlite")
        now = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')" if is_sqlite else "now()"
        await run(database_url, ALIVE.format(now=now))
        before = await schema_of(database_url)

        with pytest.raises(NotReady, match="Stop every `serve` and `worker`"):
            await leave(database_url, with_columns=False)

        assert await schema_of(database_url) == before
        await run(database_url, "UPDATE protokeep_processes SET beat_at = '2020-01-01T00:00:00.000000Z'")
        await leave(database_url, with_columns=False)
        assert await schema_of(database_url) != before

    async def test_a_queue_that_others_use_stays(self, pg_url: str) -> None:
        """
        PgQueuer's tables stay where they hold jobs of another program.
        """
        await run(
            pg_url, "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) VALUES ('* * * * *', 'x', now())"
        )

        departure = await plan_leaving(pg_url, with_columns=False)
        await leave(pg_url, with_columns=False)

        assert any("tables of PgQueuer stay" in words for words in departure.remains)
        assert len(await rows(pg_url, "SELECT * FROM pgqueuer_schedules")) == 1

    async def test_what_was_added_is_known_although_the_migration_was_interrupted(
        self, empty_pg_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A migration that ends halfway has written down what it was about to add; the next one goes on.
        """
        await make_owner(empty_pg_url)
        before = await schema_of(empty_pg_url)

        async def interrupted(*_: object) -> None:
            raise NotReady("the power went away")

        with monkeypatch.context() as patched:
            patched.setattr(migrating, "apply_change", interrupted)
            with pytest.raises(NotReady, match="power"):
                await migrate(empty_pg_url)
        await migrate(empty_pg_url)
        (added,) = await rows(empty_pg_url, "SELECT value FROM protokeep_meta WHERE name = 'added_to_owner_table'")

        await leave(empty_pg_url, with_columns=True)

        assert "column v0_chat_id" in json.loads(added["value"])
        assert await schema_of(empty_pg_url) == before

    async def test_a_table_of_another_schema_is_left_as_it_was(self, empty_pg_url: str) -> None:
        """
        Where our tables are in another schema than the owner's, both are found by the search path.
        """
        await make_generation(empty_pg_url, "with_tenants")
        await run(empty_pg_url, "CREATE SCHEMA app")
        before = await schema_of(empty_pg_url)
        address = f"{empty_pg_url}?search_path=app%2Cpublic"
        await migrate(address)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'app'"
        assert len(await rows(empty_pg_url, tables)) > 15

        await leave(address, with_columns=True)

        assert await schema_of(empty_pg_url) == before
        assert await rows(empty_pg_url, tables) == []

    async def test_moving_in_again_works(self, empty_database_url: str) -> None:
        """
        After leaving, a migration finds an owner's table again, and adopts it.
        """
        await make_owner(empty_database_url)
        await migrate(empty_database_url)
        before = await schema_of(empty_database_url)
        await leave(empty_database_url, with_columns=True)

        await migrate(empty_database_url)

        assert await schema_of(empty_database_url) == before


def _stays(line: str) -> bool:
    """Whether a line of the schema belongs to the owner, or to the specification."""
    return not any(word in line for word in ("protokeep", "pgqueuer", "internal triggers design_mockups"))
