"""The migrations, on real databases: empty, an owner's, half-applied, and from several sides at once."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from owner_schemas import MOCKUP, SPEC_INDEXES, indexes, make_owner, revisions, rows, run
from protokeep.store import migrate as migrating
from protokeep.store import revisions as revision_rules
from protokeep.store.migrate import HEADS, MigrationError, migrate
from protokeep.store.owner_table import OWN_TABLES

REFUSED = (sqlite3.IntegrityError, asyncpg.CheckViolationError)


class TestEmpty:
    async def test_an_empty_database_gets_all_tables_and_indexes(self, empty_database_url: str) -> None:
        """
        An empty database gets `design_mockups`, the spec's indexes, ours, and our tables.
        """
        await migrate(empty_database_url)

        assert SPEC_INDEXES | {"idx_protokeep_mockups_product_newest"} <= await indexes(empty_database_url)
        for table in OWN_TABLES:
            await rows(empty_database_url, f"SELECT * FROM {table}")
        keeper = await rows(empty_database_url, "SELECT value FROM protokeep_meta WHERE name = 'installation_id'")
        assert len(keeper[0]["value"]) == 32

    async def test_migrating_again_keeps_the_installations_id(self, empty_database_url: str) -> None:
        """
        Migrating a second time keeps the installation's id.
        """
        await migrate(empty_database_url)
        before = await rows(empty_database_url, "SELECT * FROM protokeep_meta ORDER BY name")

        await migrate(empty_database_url)

        assert before == await rows(empty_database_url, "SELECT * FROM protokeep_meta ORDER BY name")
        assert set(HEADS["all"]) == await revisions(empty_database_url)

    async def test_our_tables_need_the_owners_table_first(self, empty_database_url: str) -> None:
        """
        Our tables cannot be made before `design_mockups`: the error names the .sql, and nothing is left.
        """
        with pytest.raises(MigrationError, match=r"20251128000000_add_v0_project_tracking\.sql"):
            await migrate(empty_database_url, "own")

        assert set() == await indexes(empty_database_url)

    async def test_a_fresh_row_is_pending_and_dated(self, database_url: str) -> None:
        """
        A row that says little is pending and dated; on SQLite its instants have the one fixed form.
        """
        await run(
            database_url,
            f"INSERT INTO design_mockups (id, product_id, user_id, provider) VALUES ('{MOCKUP}', 'p', 'u', 'v0')",
        )

        (row,) = await rows(database_url, "SELECT * FROM design_mockups")

        assert row["project_status"] == "pending"
        assert None is row["v0_chat_id"] is row["v0_project_id"] is row["project_url"]
        if database_url.startswith("sqlite"):
            assert (len(row["created_at"]), row["created_at"][-1]) == (27, "Z")

    async def test_the_job_queue_is_installed_and_checked_for_its_version(self, empty_pg_url: str) -> None:
        """
        PgQueuer's tables are there, and are looked at again when another version of it is installed.
        """
        await migrate(empty_pg_url)
        await run(
            empty_pg_url,
            "UPDATE protokeep_meta SET value = '0' WHERE name = 'pgqueuer_version'; DROP TABLE pgqueuer_schedules",
        )

        await migrate(empty_pg_url)

        assert await rows(empty_pg_url, "SELECT * FROM pgqueuer_schedules") == []


class TestRules:
    async def test_the_database_refuses_a_sixth_status(self, database_url: str) -> None:
        """
        The database itself knows the five words.
        """
        insert = (
            "INSERT INTO design_mockups (id, product_id, user_id, provider, project_status)"
            " VALUES ('{}', 'p', 'u', 'v0', '{}')"
        )
        for number, status in enumerate(("pending", "in_progress", "completed", "failed", "timeout")):
            await run(database_url, insert.format(MOCKUP[:-1] + str(number), status))

        with pytest.raises(REFUSED, match="design_mockups_project_status_check"):
            await run(database_url, insert.format(MOCKUP[:-1] + "9", "done"))

    async def test_deleting_the_owners_row_frees_its_slot_and_keeps_its_history(self, database_url: str) -> None:
        """
        Deleting a prototype's row frees its slot and forgets its generation; its history stays.
        """
        await run(
            database_url,
            f"""
            INSERT INTO design_mockups (id, product_id, user_id, provider)
            VALUES ('{MOCKUP}', 'p', 'u', 'v0');
            INSERT INTO protokeep_slots VALUES ('w', 'p', 'v0', '{MOCKUP}', '2026-01-01T00:00:00.000000Z');
            INSERT INTO protokeep_generations (mockup_id, workspace_id, provider, account, api_version,
                marker, created_by, recovery_point, created_at)
            VALUES ('{MOCKUP}', 'w', 'v0', 'a', 2, 'm', 'u', 'claimed', '2026-01-01T00:00:00.000000Z');
            INSERT INTO protokeep_events (workspace_id, product_id, mockup_id, kind, source, at)
            VALUES ('w', 'p', '{MOCKUP}', 'claimed', 'person', '2026-01-01T00:00:00.000000Z');
            """,
        )

        await run(database_url, "DELETE FROM design_mockups")

        assert await rows(database_url, "SELECT * FROM protokeep_slots") == []
        assert await rows(database_url, "SELECT * FROM protokeep_generations") == []
        assert len(await rows(database_url, "SELECT * FROM protokeep_events")) == 1

    async def test_web_roles_of_supabase_see_none_of_our_tables(self, empty_pg_url: str) -> None:
        """
        Where new tables are open to everybody who comes by the web (Supabase), ours are not.
        """
        await run(
            empty_pg_url,
            "DO $$ BEGIN CREATE ROLE anon; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;"
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon",
        )
        try:
            await migrate(empty_pg_url)
            seen = await rows(
                empty_pg_url,
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
                " AND has_table_privilege('anon', oid, 'SELECT, INSERT, UPDATE, DELETE')",
            )
        finally:
            await run(empty_pg_url, "DROP OWNED BY anon")  # The role is the whole server's, and other tests use it.

        assert seen == [{"relname": "design_mockups"}]


class TestAtOnce:
    async def test_several_callers_in_one_process_migrate_once(self, empty_database_url: str) -> None:
        """
        Several callers in one process: one migrates, and all return when it is done.
        """
        await make_owner(empty_database_url)

        await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))

        assert set(HEADS["all"]) == await revisions(empty_database_url)

    async def test_several_databases_in_one_process_are_migrated(self, tmp_path: Path) -> None:
        """
        Several databases in one process do not get into each other's way.
        """
        urls = [f"sqlite:///{tmp_path / name}" for name in ("a.db", "b.db", "c.db", "d.db")]

        await asyncio.gather(*(migrate(url) for url in urls))

        for url in urls:
            assert await revisions(url) == set(HEADS["all"])

    async def test_several_processes_that_start_at_once_migrate_once(self, empty_database_url: str) -> None:
        """
        Several processes that start at the same time, as replicas do.
        """
        code = (
            f"import asyncio; from protokeep.store.migrate import migrate;asyncio.run(migrate({empty_database_url!r}))"
        )
        running = [await asyncio.create_subprocess_exec(sys.executable, "-c", code) for _ in range(3)]

        assert [await process.wait() for process in running] == [0, 0, 0]
        assert set(HEADS["all"]) == await revisions(empty_database_url)

    async def test_waiting_too_long_for_another_migration_says_what_to_do(
        self, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The wait for another process ends with an error that says what to do.
        """
        monkeypatch.setattr(revision_rules, "LOCK_WAIT_SECONDS", 0.05)
        if empty_database_url.startswith("sqlite"):
            other = sqlite3.connect(empty_database_url.removeprefix("sqlite:///"))
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(MigrationError, match="Another process"):
                await migrate(empty_database_url)
            other.close()
        else:
            connection = await asyncpg.connect(empty_database_url)
            await connection.execute("SELECT pg_advisory_lock($1)", migrating.ADVISORY_KEY)
            with pytest.raises(MigrationError, match="Another process"):
                await migrate(empty_database_url)
            await connection.close()

    async def test_a_table_in_use_is_not_waited_for_long(
        self, empty_pg_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A table that somebody holds is not waited for long: the error says so, and trying again works.
        """
        await make_owner(empty_pg_url)
        monkeypatch.setattr(revision_rules, "TABLE_WAIT_SECONDS", 0.05)
        holder = await asyncpg.connect(empty_pg_url)
        async with holder.transaction():
            await holder.execute("SELECT * FROM design_mockups")
            with pytest.raises(MigrationError, match="stayed in use"):
                await migrate(empty_pg_url)
        await holder.close()

        await migrate(empty_pg_url)


class TestCalling:
    def test_the_known_heads_are_those_of_the_files(self) -> None:
        """
        The revisions that are looked for without Alembic are the newest of each branch.
        """
        config = Config()
        config.set_main_option("script_location", "protokeep.store:migrations")
        scripts = ScriptDirectory.from_config(config)

        assert HEADS["all"] == tuple(
            scripts.get_revision(f"{name}@head").revision for name in ("tracking", "protokeep")
        )
        assert set(HEADS["all"]) == set(scripts.get_heads())

    async def test_a_start_with_nothing_to_do_loads_no_alembic(self, database_url: str) -> None:
        """
        A start with nothing to do loads neither Alembic nor SQLAlchemy.
        """
        code = (
            "import asyncio, sys; from protokeep.store.migrate import migrate;"
            f"asyncio.run(migrate({database_url!r}));"
            "sys.exit(bool({'alembic', 'sqlalchemy', 'pgqueuer'} & sys.modules.keys()))"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)

        assert await process.wait() == 0

    async def test_a_database_of_a_newer_version_is_not_touched(self, database_url: str) -> None:
        """
        An older protokeep does not touch what a newer one made.
        """
        await run(database_url, "INSERT INTO protokeep_alembic_version VALUES ('20991231000000')")

        with pytest.raises(MigrationError, match="newer protokeep"):
            await migrate(database_url)

    @pytest.mark.parametrize(
        ("url", "advice"),
        [
            ("mysql://localhost/x", "must begin with"),
            ("sqlite://", "needs a file"),
            ("sqlite:///:memory:", "needs a file"),
            ("sqlite:////dev/null/there/x.db", "cannot be written"),
            ("postgresql://someone:secret@127.0.0.1:1/x", "Cannot connect"),
        ],
    )
    async def test_a_bad_address_is_told_without_its_password(self, url: str, advice: str) -> None:
        """
        Each says what is wrong, and no password is repeated.
        """
        with pytest.raises(MigrationError, match=advice) as raised:
            await migrate(url)

        assert "secret" not in str(raised.value)

    async def test_a_file_that_is_no_database_is_left_alone(self, empty_sqlite_url: str) -> None:
        """
        A file of something else is left alone.
        """
        with open(empty_sqlite_url.removeprefix("sqlite:///"), "w") as file:  # noqa: ASYNC230 - a few bytes
            file.write("hello, this is a text of some length\n" * 40)

        with pytest.raises(MigrationError, match="not an SQLite database"):
            await migrate(empty_sqlite_url)

    async def test_a_role_without_the_right_is_told_which_one_has_it(self, empty_pg_url: str) -> None:
        """
        A role without the right to change the table is told which one has it.
        """
        await make_owner(empty_pg_url)
        await run(empty_pg_url, "CREATE ROLE guest LOGIN")
        try:
            with pytest.raises(MigrationError, match="the role that owns design_mockups"):
                await migrate(empty_pg_url.replace("protokeep@", "guest@"))
        finally:
            await run(empty_pg_url, "DROP ROLE guest")
