"""An owner's `design_mockups` keeps its rows and types, whichever way the tracking columns come to it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from owner_schemas import MOCKUP, PRODUCT, SPEC_INDEXES, USER, indexes, make_owner, revisions, rows, run, types
from protokeep.store import revisions as revision_rules
from protokeep.store.migrate import HEADS, MigrationError, migrate, plain_sql
from protokeep.store.owner_changes import Change, apply_change, changes_to_adopt
from protokeep.store.owner_table import TRACKING_COLUMNS


async def owners_rows(url: str) -> list[dict[str, object]]:
    """The owner's rows, without the columns that tracking adds."""
    found = await rows(url, "SELECT * FROM design_mockups ORDER BY id")
    return [{name: value for name, value in row.items() if name not in TRACKING_COLUMNS} for row in found]


class TestAdopted:
    @pytest.mark.parametrize("tenant", [False, True], ids=["plain", "tenant"])
    async def test_an_owners_rows_keep_every_value(self, empty_database_url: str, tenant: bool) -> None:
        """
        An owner's rows keep every value; the new fields are NULL and the status is pending.
        """
        await make_owner(empty_database_url, tenant=tenant)
        before = await owners_rows(empty_database_url)

        await migrate(empty_database_url)
        await migrate(empty_database_url)

        assert before == await owners_rows(empty_database_url)
        assert await indexes(empty_database_url) >= SPEC_INDEXES
        for row in await rows(empty_database_url, "SELECT * FROM design_mockups"):
            assert row["project_status"] == "pending"
            assert None is row["v0_chat_id"] is row["v0_project_id"] is row["project_url"]

    async def test_the_owners_uuid_ids_stay_uuids(self, empty_pg_url: str) -> None:
        """
        uuid ids stay uuid, and what we keep about them is uuid too.
        """
        await make_owner(empty_pg_url)
        before = await types(empty_pg_url, "design_mockups")

        await migrate(empty_pg_url)

        assert before.items() <= (await types(empty_pg_url, "design_mockups")).items()
        assert {"mockup_id": "uuid", "product_id": "uuid"}.items() <= (
            await types(empty_pg_url, "protokeep_slots")
        ).items()

    async def test_text_ids_are_referenced_as_text(self, empty_pg_url: str) -> None:
        """
        An id of text in another spelling is referenced as text.
        """
        await run(
            empty_pg_url,
            "CREATE TABLE design_mockups (id varchar(40) PRIMARY KEY, product_id varchar(99), user_id text)",
        )

        await migrate(empty_pg_url)

        assert (await types(empty_pg_url, "protokeep_slots"))["mockup_id"] == "text"

    @pytest.mark.parametrize("kind", ["bigint", "integer"])
    async def test_numbered_ids_are_refused_and_the_table_is_left(self, empty_database_url: str, kind: str) -> None:
        """
        Numbered rows cannot be kept: that is said, and the table is left as it was.
        """
        await run(
            empty_database_url,
            f"CREATE TABLE design_mockups (id {kind} PRIMARY KEY, product_id text, user_id text)",
        )

        with pytest.raises(MigrationError, match=f"design_mockups.id is {kind}"):
            await migrate(empty_database_url)

        assert not SPEC_INDEXES & await indexes(empty_database_url)

    async def test_ids_that_are_not_unique_are_refused(self, empty_database_url: str) -> None:
        """
        Rows have to be told apart by their id.
        """
        await run(empty_database_url, "CREATE TABLE design_mockups (id text, product_id text, user_id text)")

        with pytest.raises(MigrationError, match="primary key"):
            await migrate(empty_database_url)

    async def test_the_search_path_says_which_table_is_meant(self, empty_pg_url: str) -> None:
        """
        The search path of the address says which `design_mockups` is meant; ours go beside it.
        """
        await run(empty_pg_url, "CREATE SCHEMA app")
        await make_owner(f"{empty_pg_url}?search_path=app")

        await migrate(f"{empty_pg_url}?search_path=app")

        schemas = await rows(
            empty_pg_url, "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ 'mock|proto|pgq'"
        )
        assert schemas == [{"schemaname": "app"}]

    async def test_a_table_further_down_the_search_path_is_found(self, empty_pg_url: str) -> None:
        """
        A `design_mockups` that is found by its name is the one; no second one is made in front of it.
        """
        await make_owner(empty_pg_url)
        await run(empty_pg_url, "CREATE SCHEMA app")

        await migrate(f"{empty_pg_url}?search_path=app%2Cpublic")

        made = await rows(empty_pg_url, "SELECT schemaname FROM pg_tables WHERE tablename = 'design_mockups'")
        assert made == [{"schemaname": "public"}]
        assert await indexes(empty_pg_url) >= SPEC_INDEXES

    async def test_half_applied_columns_get_their_rule_and_keep_old_words(self, empty_pg_url: str) -> None:
        """
        Columns without their rule get it; words and NULLs from before stay, and no new row may use such a word.
        """
        await make_owner(empty_pg_url)
        await run(
            empty_pg_url,
            f"""
            ALTER TABLE design_mockups ADD COLUMN v0_chat_id text, ADD COLUMN project_status text;
            UPDATE design_mockups SET v0_chat_id = 'c-1', project_status = 'shipped' WHERE id = '{MOCKUP}';
            """,
        )

        await migrate(empty_pg_url)

        found = await rows(empty_pg_url, "SELECT v0_chat_id, project_status FROM design_mockups ORDER BY id")
        assert [tuple(row.values()) for row in found] == [("c-1", "shipped"), (None, None)]
        insert = (
            "INSERT INTO design_mockups (product_id, user_id, provider, prompt, project_status)"
            f" VALUES ('{PRODUCT}', '{USER}', 'v0', '', 'shipped')"
        )
        with pytest.raises(asyncpg.CheckViolationError):
            await run(empty_pg_url, insert)

    async def test_half_applied_columns_in_sqlite_stay_as_they_are(self, empty_sqlite_url: str) -> None:
        """
        Columns that are there keep what they hold: a status that is missing reads as pending.
        """
        await make_owner(empty_sqlite_url)
        await run(
            empty_sqlite_url,
            "ALTER TABLE design_mockups ADD COLUMN v0_chat_id text;"
            "ALTER TABLE design_mockups ADD COLUMN project_status text;"
            "UPDATE design_mockups SET v0_chat_id = 'c-1';",
        )

        await migrate(empty_sqlite_url)

        (row,) = await rows(empty_sqlite_url, "SELECT * FROM design_mockups")
        assert (row["v0_chat_id"], row["project_status"], row["project_url"]) == ("c-1", None, None)


class TestBesideOthers:
    async def test_a_migration_gives_way_while_others_use_the_table(self, empty_pg_url: str) -> None:
        """
        While a transaction of the old system is open, others are served and the migration goes on when it ends.
        """
        await make_owner(empty_pg_url)
        holder = await asyncpg.connect(empty_pg_url)
        async with holder.transaction():
            await holder.execute("LOCK TABLE design_mockups IN ROW EXCLUSIVE MODE")
            migrating = asyncio.create_task(migrate(empty_pg_url))
            await _until_waiting(empty_pg_url)

            for _ in range(3):  # More than one attempt of the migration.
                await asyncio.wait_for(run(empty_pg_url, f"UPDATE products SET name = 'x' WHERE id = '{PRODUCT}'"), 10)
                await asyncio.wait_for(run(empty_pg_url, "INSERT INTO design_mockups " + NEW_ROW), 10)
                await _until_waiting(empty_pg_url)

            assert not migrating.done()
        await migrating
        await holder.close()
        assert await indexes(empty_pg_url) >= SPEC_INDEXES
        assert len(await rows(empty_pg_url, "SELECT * FROM design_mockups")) == 5

    async def test_a_migration_waits_beside_others_while_the_table_is_vacuumed(self, empty_pg_url: str) -> None:
        """
        It waits for an autovacuum, or another migration, with a lock that no reader and no writer waits behind.
        """
        await make_owner(empty_pg_url)
        holder = await asyncpg.connect(empty_pg_url)
        async with holder.transaction():
            await holder.execute("LOCK TABLE design_mockups IN SHARE UPDATE EXCLUSIVE MODE")
            migrating = asyncio.create_task(migrate(empty_pg_url))

            modes = await _until_waiting(empty_pg_url)

        await migrating
        await holder.close()
        assert modes == {"ShareUpdateExclusiveLock"}

    async def test_a_change_of_the_table_waits_beside_others_for_its_turn(self, empty_pg_url: str) -> None:
        """
        Every single change takes its turn so, and gets the table for itself only afterwards.
        """
        await make_owner(empty_pg_url)
        holder, connection = await asyncpg.connect(empty_pg_url), await asyncpg.connect(empty_pg_url)
        change = Change("ALTER TABLE design_mockups ADD COLUMN another text", "everybody")
        async with holder.transaction():
            await holder.execute("LOCK TABLE design_mockups IN SHARE UPDATE EXCLUSIVE MODE")
            applying = asyncio.create_task(apply_change(connection, change, 30))
            modes = await _until_waiting(empty_pg_url)

        await applying
        await connection.close()
        await holder.close()
        assert modes == {"ShareUpdateExclusiveLock"}
        assert "another" in await types(empty_pg_url, "design_mockups")

    async def test_no_index_of_a_large_table_is_built_while_writers_wait(self, empty_pg_url: str) -> None:
        """
        Everything that takes time by the size of the table is done beside readers and writers.
        """
        await make_owner(empty_pg_url)
        connection = await asyncpg.connect(empty_pg_url)
        changes = await changes_to_adopt(connection)
        await connection.close()

        slow = [change.sql for change in changes if "INDEX" in change.sql]
        assert len(slow) == len(SPEC_INDEXES) + 1
        assert all("INDEX CONCURRENTLY" in statement for statement in slow)
        assert [change.sql for change in changes if "CHECK" in change.sql and "NOT VALID" not in change.sql] == []
        assert {change.holds for change in changes if change.index or "VALIDATE" in change.sql} == {"nobody"}

    async def test_an_index_that_an_interrupted_build_left_is_built_anew(self, empty_pg_url: str) -> None:
        """
        An index that is not valid is dropped and built again.
        """
        await make_owner(empty_pg_url)
        await run(
            empty_pg_url,
            "CREATE INDEX idx_design_mockups_user_product ON design_mockups (user_id, product_id);"
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_design_mockups_user_product'::regclass",
        )

        await migrate(empty_pg_url)

        found = await rows(empty_pg_url, "SELECT indexrelid FROM pg_index WHERE NOT indisvalid")
        assert found == []
        assert await indexes(empty_pg_url) >= SPEC_INDEXES

    async def test_an_index_build_that_failed_leaves_no_index_behind(
        self, empty_pg_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A build that is given up is taken away: it would cost every write, and serve no read. Trying again works.
        """
        await make_owner(empty_pg_url)
        holder = await asyncpg.connect(empty_pg_url)
        snapshot = holder.transaction(isolation="repeatable_read")
        await snapshot.start()
        await holder.execute("SELECT 1")
        monkeypatch.setattr(revision_rules, "TABLE_WAIT_SECONDS", 0.3)

        with pytest.raises(MigrationError, match="Try again"):
            await migrate(empty_pg_url)
        left = await rows(empty_pg_url, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        await snapshot.rollback()
        await holder.close()

        assert left == []
        await migrate(empty_pg_url)
        assert await indexes(empty_pg_url) >= SPEC_INDEXES

    async def test_rows_without_a_status_are_not_rewritten(self, empty_database_url: str) -> None:
        """
        No row is updated, so no trigger of the owner's fires: `updated_at` stays what it was.
        """
        await make_owner(empty_database_url)
        await run(
            empty_database_url,
            "ALTER TABLE design_mockups ADD COLUMN project_status text; CREATE TABLE touched (id text);"
            + (SQLITE_TRIGGER if empty_database_url.startswith("sqlite") else POSTGRESQL_TRIGGER),
        )

        await migrate(empty_database_url)

        assert await rows(empty_database_url, "SELECT * FROM touched") == []

    async def test_processes_that_migrate_at_once_do_not_wait_in_a_circle(self, empty_pg_url: str) -> None:
        """
        An index build waits for all snapshots, and processes that wait for the migration's lock hold none.
        """
        await make_owner(empty_pg_url)

        await asyncio.wait_for(asyncio.gather(*(migrate(empty_pg_url) for _ in range(3))), 50)

        assert await indexes(empty_pg_url) >= SPEC_INDEXES


NEW_ROW = f"(product_id, user_id, provider, prompt) VALUES ('{PRODUCT}', '{USER}', 'v0', 'beside')"
POSTGRESQL_TRIGGER = """
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO touched VALUES (NEW.id::text); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE UPDATE ON design_mockups FOR EACH ROW EXECUTE FUNCTION note();
"""
SQLITE_TRIGGER = """
CREATE TRIGGER note AFTER UPDATE ON design_mockups BEGIN INSERT INTO touched VALUES (NEW.id); END;
"""


async def _until_waiting(url: str) -> set[str]:
    """The modes in which statements wait for the owner's table, as soon as one does."""
    waiting = "SELECT mode FROM pg_locks WHERE NOT granted AND relation = 'design_mockups'::regclass"
    while True:
        if found := await rows(url, waiting):
            return {row["mode"] for row in found}
        await asyncio.sleep(0.01)


class TestPlainSql:
    async def test_the_sql_applies_by_hand_twice_and_migrating_fits_on_top(self, empty_pg_url: str) -> None:
        """
        The .sql applies by hand, twice, inside somebody's transaction; migrating afterwards fits on top.
        """
        await make_owner(empty_pg_url)
        before = await owners_rows(empty_pg_url)
        await run(empty_pg_url, plain_sql())
        await run(empty_pg_url, f"BEGIN; {plain_sql()} COMMIT;")

        await migrate(empty_pg_url)

        assert before == await owners_rows(empty_pg_url)
        assert set(HEADS["all"]) == await revisions(empty_pg_url)
        checks = await rows(
            empty_pg_url,
            "SELECT conname FROM pg_constraint WHERE conname LIKE '%project_status%' AND convalidated",
        )
        assert checks == [{"conname": "design_mockups_project_status_check"}]

    async def test_the_sql_makes_the_table_in_an_empty_database(self, empty_pg_url: str) -> None:
        """
        The .sql makes the table where there is none.
        """
        await run(empty_pg_url, plain_sql())

        assert await indexes(empty_pg_url) >= SPEC_INDEXES

    async def test_our_tables_come_beside_a_table_that_is_not_tracked_yet(self, empty_pg_url: str) -> None:
        """
        With `own`, our tables come beside a table that is not tracked yet; the rest may follow by either way.
        """
        await make_owner(empty_pg_url)

        await migrate(empty_pg_url, "own")

        assert not SPEC_INDEXES & await indexes(empty_pg_url)
        await run(empty_pg_url, plain_sql())
        await migrate(empty_pg_url, "own")
        await migrate(empty_pg_url, "all")
        assert set(HEADS["all"]) == await revisions(empty_pg_url)

    async def test_the_sql_waits_for_nobody_where_all_is_there(self, empty_pg_url: str) -> None:
        """
        Applied to a table that has everything, it neither waits for others nor lets them wait.
        """
        await run(empty_pg_url, plain_sql())
        holder = await asyncpg.connect(empty_pg_url)
        async with holder.transaction():
            await holder.execute("LOCK TABLE design_mockups IN ROW EXCLUSIVE MODE")

            await asyncio.wait_for(run(empty_pg_url, f"SET lock_timeout = '50ms'; {plain_sql()}"), timeout=10)
        await holder.close()

    async def test_the_sql_limits_its_own_wait_for_locks(self, empty_pg_url: str) -> None:
        """
        It limits its own wait for locks, keeps a limit that is set, and leaves none behind.
        """
        connection = await asyncpg.connect(empty_pg_url)
        holder = await asyncpg.connect(empty_pg_url)
        try:
            async with connection.transaction():
                await connection.execute(plain_sql())
                assert await connection.fetchval("SELECT current_setting('lock_timeout')") == "0"
            await connection.execute("ALTER TABLE design_mockups DROP COLUMN project_url")
            async with holder.transaction():
                await holder.execute("LOCK TABLE design_mockups IN ACCESS SHARE MODE")
                await connection.execute("SET lock_timeout = '50ms'")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await asyncio.wait_for(connection.execute(plain_sql()), timeout=3)
        finally:
            await connection.close()
            await holder.close()
