"""`protokeep adopt`, and the commands beside it that must not change an owner's table in passing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx2
import pytest

from owner_databases import GENERATIONS, PEOPLE, PRODUCTS, digest, fill, make_generation
from owner_schemas import make_owner
from owner_schemas import run as execute
from processes import run, started
from protokeep.store.migrate import plain_sql
from schema_dump import schema_of

SECRET = {"PROTOKEEP_SECRET_KEY": "a-secret-of-the-tests-0123456789-abcdef"}
GUEST = "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role};"
GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON design_mockups TO {role};
GRANT CREATE ON SCHEMA public TO {role};
GRANT SELECT ON products TO {role};
"""
NUMBERED = "CREATE TABLE design_mockups (id int PRIMARY KEY, product_id text, user_id text, provider text)"
DROP_GUEST = "DROP OWNED BY {role}; DROP ROLE {role}"


def as_role(url: str, role: str) -> str:
    """The address for another role."""
    return url.replace("protokeep@", f"{role}@")


def role_of(url: str) -> str:
    """A role of this test's own: roles are the whole server's."""
    return f"guest_{url.rpartition('/')[2]}"


def printed_copy(said: str) -> str:
    """The statement that a check prints for the owner, which copies chats out of the metadata; empty: none."""
    found = re.search(r"to your rows: (UPDATE .*)$", said, flags=re.M)
    return found[1] if found else ""


class TestCheck:
    @pytest.mark.parametrize("generation", GENERATIONS)
    async def test_a_check_says_what_the_database_is_and_changes_nothing(
        self, empty_pg_url: str, tmp_path: Path, generation: str
    ) -> None:
        """
        Rows, tenants, app builders and every statement are named; schema and rows stay as they are.
        """
        await make_generation(empty_pg_url, generation)
        await fill(empty_pg_url, 40, chats=["chat-1", "chat-1"])
        before = await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True)
        address = {"PROTOKEEP_DATABASE_URL": empty_pg_url.replace("postgresql:", "postgresql+asyncpg:")}

        said = await run(tmp_path, "adopt", "--check", **address)
        printed = json.loads((await run(tmp_path, "adopt", "--check", "--json", **address)).out)

        assert (said.code, said.err) == (0, "")
        assert "public.design_mockups: 40 rows" in said.out
        assert "app builders: v0 35, lovable 5" in said.out
        assert ("2 tenants" in said.out) == (generation in ("with_tenants", "newest", "supabase"))
        assert ("2 rows name a chat, 1 chats in all" in said.out) == (generation in ("newest", "half_applied"))
        assert "idx_protokeep_mockups_product_newest" in said.out
        assert printed_copy(said.out).startswith("UPDATE") == (generation not in ("newest", "half_applied"))
        assert printed["works"] is True
        assert all(step["waits"] for step in printed["steps"])
        assert (await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True)) == before

    async def test_what_a_check_announces_is_what_a_migration_does(self, empty_pg_url: str, tmp_path: Path) -> None:
        """
        After the migration the check has nothing left to announce.
        """
        await make_generation(empty_pg_url, "half_applied")
        values = {"PROTOKEEP_DATABASE_URL": empty_pg_url}

        migrated = await run(tmp_path, "migrate", **values)
        printed = json.loads((await run(tmp_path, "adopt", "--check", "--json", **values)).out)

        assert migrated.code == 0
        assert printed["steps"] == []
        assert "It has been migrated: there is nothing to do." in printed["facts"]

    async def test_an_owners_sqlite_table_is_described_too(self, empty_sqlite_url: str, tmp_path: Path) -> None:
        """
        On SQLite the check reads the file without writing to it, and says that writers wait.
        """
        await make_owner(empty_sqlite_url)
        before = _content(empty_sqlite_url)

        said = await run(tmp_path, "adopt", "--check", PROTOKEEP_DATABASE_URL=empty_sqlite_url)

        assert said.code == 0
        assert "design_mockups: 1 rows" in said.out
        assert "writers wait for the whole migration" in said.out
        assert _content(empty_sqlite_url) == before

    async def test_chats_in_the_metadata_are_counted_and_copied_by_the_printed_statement(
        self, empty_pg_url: str, tmp_path: Path
    ) -> None:
        """
        Before the tracking columns the old system named chats in the metadata only; protokeep says how they are copied.
        """
        await make_generation(empty_pg_url, "with_tenants")
        await fill(empty_pg_url, 8, chats=["chat-0", "chat-1", "chat-2"])
        values = {"PROTOKEEP_DATABASE_URL": empty_pg_url}
        before = await run(tmp_path, "adopt", "--check", **values)
        await run(tmp_path, "migrate", **values)

        await execute(empty_pg_url, printed_copy(before.out))

        after = await run(tmp_path, "adopt", "--check", **values)
        assert "2 rows name their chat in metadata only" in before.out
        assert "2 rows name a chat, 2 chats in all" in after.out
        assert printed_copy(after.out) == ""

    async def test_the_printed_statement_copies_chats_on_sqlite_too(
        self, empty_sqlite_url: str, tmp_path: Path
    ) -> None:
        """
        Metadata that is no JSON names no chat, and stops nobody.
        """
        await make_owner(empty_sqlite_url)
        columns = "(id, product_id, user_id, provider, metadata)"
        for number, metadata in enumerate(('{"chat_id": "chat-7"}', "no JSON", "[1]", '"text"')):
            values = f"('m-{number}', 'p', 'u', 'v0', '{metadata}')"
            await execute(empty_sqlite_url, f"INSERT INTO design_mockups {columns} VALUES {values}")
        address = {"PROTOKEEP_DATABASE_URL": empty_sqlite_url}
        before = await run(tmp_path, "adopt", "--check", **address)
        await run(tmp_path, "migrate", **address)

        await execute(empty_sqlite_url, printed_copy(before.out))

        assert "1 rows name their chat in metadata only" in before.out
        assert "1 rows name a chat" in (await run(tmp_path, "adopt", "--check", **address)).out

    async def test_a_role_that_cannot_work_is_told_what_it_lacks(self, empty_pg_url: str, tmp_path: Path) -> None:
        """
        Ownership, privileges and row-level security are named with the statement that helps; the exit code is 1.
        """
        await make_generation(empty_pg_url, "supabase")
        role = role_of(empty_pg_url)
        await execute(empty_pg_url, GUEST.format(role=role))
        values = {"PROTOKEEP_DATABASE_URL": as_role(empty_pg_url, role)}
        try:
            bare = await run(tmp_path, "adopt", "--check", **values)
            await execute(empty_pg_url, GRANTS.format(role=role))
            granted = await run(tmp_path, "adopt", "--check", **values, PROTOKEEP_MIGRATE="own")
            await execute(empty_pg_url, f"ALTER ROLE {role} BYPASSRLS")
            free = await run(tmp_path, "adopt", "--check", **values, PROTOKEEP_MIGRATE="own")
        finally:
            await execute(empty_pg_url, DROP_GUEST.format(role=role))

        assert (bare.code, granted.code, free.code) == (1, 1, 0)
        assert f"{role} does not own design_mockups" in bare.out
        assert f"REFERENCES ON design_mockups TO {role}" in bare.out
        assert f"row-level security hides rows from {role}" in granted.out
        assert "lacks" not in granted.out

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            (
                "CREATE TABLE design_mockups (id int PRIMARY KEY, product_id text, user_id text, provider text)",
                "is integer",
            ),
            ("CREATE TABLE design_mockups (id uuid, product_id text, user_id text, provider text)", "not unique"),
            ("CREATE VIEW design_mockups AS SELECT 'x' AS id", "is a view"),
            (
                "CREATE TABLE design_mockups (id uuid PRIMARY KEY, product_id text, user_id text, provider text,"
                " title text NOT NULL)",
                "title requires a value",
            ),
        ],
    )
    async def test_a_table_that_cannot_be_adopted_is_told(
        self, empty_pg_url: str, tmp_path: Path, script: str, words: str
    ) -> None:
        """
        What would fail later is said before, and the exit code is 1.
        """
        await execute(empty_pg_url, script)

        said = await run(tmp_path, "adopt", "--check", PROTOKEEP_DATABASE_URL=empty_pg_url)

        assert said.code == 1
        assert words in said.out
        assert "Traceback" not in said.err

    async def test_options_that_do_not_belong_together_are_refused(self, tmp_path: Path) -> None:
        """
        One of three, and --yes only with --leave.
        """
        for arguments in ((), ("--check", "--leave"), ("--check", "--yes"), ("--status", "--with-columns")):
            assert (await run(tmp_path, "adopt", *arguments)).code == 2


class TestInPassing:
    async def test_no_command_changes_an_owners_table_in_passing(self, empty_database_url: str, tmp_path: Path) -> None:
        """
        Commands beside `migrate` and `serve` leave a table that was not migrated as it is, and say what to run.
        """
        await make_owner(empty_database_url)
        before = await schema_of(empty_database_url)
        values = {"PROTOKEEP_DATABASE_URL": empty_database_url, **SECRET}

        said = [
            await run(tmp_path, *arguments, **values)
            for arguments in (("token", "create"), ("keys", "list"), ("audit",), ("adopt", "--status"))
        ]

        assert [one.code for one in said] == [1, 1, 1, 1]
        assert all("protokeep adopt --check" in one.err and "Traceback" not in one.err for one in said)
        assert await schema_of(empty_database_url) == before

    async def test_own_mode_leaves_the_table_alone_and_needs_no_ownership(
        self, empty_pg_url: str, tmp_path: Path
    ) -> None:
        """
        With PROTOKEEP_MIGRATE=own, a role with grants migrates, makes tokens and serves; every advice names the .sql.
        """
        await make_generation(empty_pg_url, "with_tenants")
        role = role_of(empty_pg_url)
        await execute(empty_pg_url, GUEST.format(role=role) + GRANTS.format(role=role))
        table = _owners(await schema_of(empty_pg_url))
        values = {"PROTOKEEP_DATABASE_URL": as_role(empty_pg_url, role), "PROTOKEEP_MIGRATE": "own", **SECRET}
        try:
            migrated = await run(tmp_path, "migrate", **values)
            token = await run(tmp_path, "token", "create", "--plain", "--user", PEOPLE[0], **values)
            doctor = await run(tmp_path, "doctor", **values)
            async with started(tmp_path, "serve", "--port", "0", **values, V0_API_KEY="k") as serve:
                url = (await serve.says(r"serving on (http://\S+)")).group(1)
                async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
                    ready = await http.get("/readyz")
                    create = await http.post(
                        "/api/design/create-project",
                        json={"product_id": PRODUCTS[0], "prompt": "A page"},
                        headers={"Authorization": f"Bearer {token.out.strip()}"},
                    )
                await serve.stop()
            after = _owners(await schema_of(empty_pg_url))
            await execute(empty_pg_url, plain_sql())
            healed = await run(tmp_path, "doctor", "--json", **values)
            checked = json.loads((await run(tmp_path, "adopt", "--check", "--json", **values)).out)
        finally:
            await execute(empty_pg_url, DROP_GUEST.format(role=role))

        assert (migrated.code, token.code) == (0, 0), migrated.err + token.err
        assert "design_mockups was left as it is" in migrated.err
        assert after == table
        assert (ready.status_code, create.status_code) == (503, 503)
        for words in (ready.json()["detail"], create.json()["detail"], doctor.out):
            assert "protokeep migrate --sql" in words
        assert "tracking columns" not in healed.out
        assert (checked["steps"], checked["works"]) == ([], True)

    async def test_own_mode_says_which_grants_are_missing(self, empty_pg_url: str, tmp_path: Path) -> None:
        """
        A role without the right to refer to the table is told the grants, not to migrate as the owner.
        """
        await make_generation(empty_pg_url, "with_tenants")
        role = role_of(empty_pg_url)
        await execute(empty_pg_url, GUEST.format(role=role) + f"GRANT CREATE ON SCHEMA public TO {role}")
        values = {"PROTOKEEP_DATABASE_URL": as_role(empty_pg_url, role), "PROTOKEEP_MIGRATE": "own"}
        try:
            said = await run(tmp_path, "migrate", **values)
        finally:
            await execute(empty_pg_url, DROP_GUEST.format(role=role))

        assert said.code == 1
        assert "REFERENCES ON design_mockups" in said.err


class TestLeave:
    async def test_leaving_is_shown_first_and_done_with_yes(self, empty_pg_url: str, tmp_path: Path) -> None:
        """
        Without --yes nothing is done; with it, schema and rows are as before.
        """
        await make_generation(empty_pg_url, "with_tenants")
        before = await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True)
        values = {"PROTOKEEP_DATABASE_URL": empty_pg_url, **SECRET}
        await run(tmp_path, "migrate", **values)
        await run(tmp_path, "token", "create", **values)
        migrated = await schema_of(empty_pg_url)

        shown = await run(tmp_path, "adopt", "--leave", "--with-columns", **values)
        unchanged = await schema_of(empty_pg_url)
        done = await run(tmp_path, "adopt", "--leave", "--with-columns", "--yes", **values)

        assert (shown.code, done.code) == (0, 0)
        assert "1 API tokens" in shown.out
        assert "nothing was done" in shown.err
        assert unchanged == migrated
        assert (await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True)) == before


def _owners(schema: list[str]) -> list[str]:
    """The lines about the owner's table, but for the triggers that every reference to a table brings with it."""
    return [line for line in schema if "design_mockups" in line and not ("protokeep" in line or "internal" in line)]


def _content(url: str) -> bytes:
    return Path(url.removeprefix("sqlite:///")).read_bytes()
