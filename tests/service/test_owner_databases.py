"""Owners' databases: their types, tenants and products, their older rows, and tables that nobody migrated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from owner_schemas import MOCKUP, OLDER_MOCKUP, PRODUCT, SQLITE, TENANT, USER, make_owner, run
from protokeep.core.errors import InvalidInput, NotMigrated, ProductUnknown
from protokeep.core.prototype import State, Status
from protokeep.core.reuse import Outcome
from protokeep.core.validation import user_id_for
from protokeep.service import NewPrototype
from protokeep.store.migrate import migrate
from protokeep.store.prototypes import Page
from tracked import generation_of
from world import ANN, GENERATION_SECONDS, PROMPT, World

NEW_PRODUCT = "7a0c8a54-0f5c-4a5e-9b7e-0d6f3f4f8a02"
MISSING_PRODUCT = "99999999-0000-4000-8000-000000000000"


@pytest.fixture(params=[False, True], ids=["plain", "tenant"])
async def owned(request: pytest.FixtureRequest, empty_pg_url: str) -> AsyncIterator[World]:
    """A world on an owner's PostgreSQL database, which was migrated; without and with tenants."""
    await make_owner(empty_pg_url, tenant=request.param)
    await migrate(empty_pg_url)
    async with World.open(empty_pg_url) as world:
        yield world


class TestOwnersTables:
    async def test_create_list_and_status_work_on_the_owners_table(self, owned: World) -> None:
        """
        Everything works on the owner's own table: uuid ids, a user that is no uuid, the tenant of the product.
        """
        done = await owned.complete(PRODUCT, create_new=True)

        (row,) = await owned.rows(f"SELECT * FROM design_mockups WHERE id = '{done.id}'")
        assert (row["id"], row["product_id"]) == (UUID(done.id), UUID(PRODUCT))
        assert row["user_id"] == UUID(user_id_for("ann", must_be_uuid=True))
        assert (row["project_status"], row["v0_chat_id"]) == ("completed", owned.chat.id)
        assert row.get("tenant_id") in (None, UUID(TENANT))
        assert ("tenant_id" in row) == (row.get("tenant_id") is not None)
        assert [one.id for one in await owned.listed(PRODUCT)] == [done.id, MOCKUP, OLDER_MOCKUP]
        assert (await owned.status(PRODUCT)).id == done.id

    async def test_a_product_without_rows(self, owned: World) -> None:
        """
        A product that has no row yet is claimed with uuids and the product's tenant, and told as it is written.
        """
        await run(
            owned.database_url,
            f"CREATE TEMP TABLE another AS SELECT * FROM products WHERE id = '{PRODUCT}';"
            f"UPDATE another SET id = '{NEW_PRODUCT}'; INSERT INTO products SELECT * FROM another",
        )

        done = await owned.complete(NEW_PRODUCT)

        assert await owned.get(done.id) == done
        assert owned.chats_created == 1

    async def test_twenty_clicks_on_an_owners_product_make_one(self, owned: World) -> None:
        """
        Twenty clicks on an owner's product make one.
        """
        nodes = [await owned.node(immediate=True) for _ in range(2)]
        new = NewPrototype(PRODUCT, PROMPT)

        ensured = await asyncio.gather(*(nodes[n % 2].keeper.ensure(ANN, new, wait=10) for n in range(20)))

        assert (len({one.prototype.id for one in ensured}), owned.chats_created) == (1, 1)

    async def test_a_product_uuid_in_capitals_is_the_same_product(self, owned: World) -> None:
        """
        A product's uuid in capitals is the same product.
        """
        first = await owned.ensure(PRODUCT)

        assert (await owned.ensure(PRODUCT.upper())).prototype.id == first.prototype.id

    async def test_ones_own_are_found_though_the_column_holds_a_uuid(self, owned: World) -> None:
        """
        One's own are found though the column holds a uuid made of the name.
        """
        made = await owned.make(PRODUCT)

        found, _ = await owned.keeper.list(ANN, PRODUCT, Page(), mine=True)

        assert [one.id for one in found] == [made.id]

    async def test_a_product_that_the_owner_does_not_have_is_refused(self, owned: World) -> None:
        """
        A product that the owner's `products` does not have is a clear problem, and nothing is written.
        """
        before = await owned.contents()

        with pytest.raises(ProductUnknown, match="Create the product first") as caught:
            await owned.ensure(MISSING_PRODUCT)

        assert caught.value.field == "product_id"
        assert (await owned.contents(), owned.calls()) == (before, 0)
        assert await owned.listed(MISSING_PRODUCT) == []
        for table in ("protokeep_slots", "protokeep_create_counts", "protokeep_generations", "protokeep_audit"):
            assert await owned.rows(f"SELECT * FROM {table}") == []

    @pytest.mark.parametrize("product_id", ["shop", "123", "6f0c8a54-0f5c-4a5e-9b7e"])
    async def test_a_product_id_that_is_no_uuid_is_refused_in_words(self, owned: World, product_id: str) -> None:
        """
        An id that is no uuid is refused in words, not by the database.
        """
        for asked in (owned.ensure(product_id), owned.listed(product_id), owned.status(product_id)):
            with pytest.raises(InvalidInput, match="UUID"):
                await asked


class TestOlderRows:
    async def test_older_rows_are_listed_as_they_are(self, owned: World) -> None:
        """
        Old rows are listed, newest first, with their own times, nulls for the new fields, and status pending.
        """
        newest, oldest = await owned.listed(PRODUCT)

        assert (newest.id, oldest.id, oldest.provider) == (MOCKUP, OLDER_MOCKUP, "lovable")
        assert (newest.status, newest.state, newest.user_id) == (Status.PENDING, State.UNTRACKED, USER)
        assert newest.generation is None
        assert None is newest.chat_id is newest.project_id is newest.project_url
        assert newest.created_at.isoformat() == "2025-01-02T00:00:00+00:00"

    async def test_an_untracked_pending_row_does_not_block_its_product(self, owned: World) -> None:
        """
        A pending row without a chat does not keep its product from getting a prototype; it stays in the list.
        """
        ensured = await owned.ensure(PRODUCT)

        assert (ensured.decision.outcome, ensured.is_existing) == (Outcome.REPLACED, False)
        assert [one.id for one in await owned.listed(PRODUCT)] == [ensured.prototype.id, MOCKUP, OLDER_MOCKUP]
        again = await owned.ensure(PRODUCT)
        assert (again.prototype.id, again.decision.outcome) == (ensured.prototype.id, Outcome.REUSED)

    async def test_an_older_row_with_a_usable_url_is_the_prototype(self, owned: World) -> None:
        """
        One with a usable URL is the product's prototype.
        """
        await run(
            owned.database_url,
            f"UPDATE design_mockups SET project_url = 'https://example.com/' WHERE id = '{MOCKUP}'",
        )

        for _ in range(2):
            ensured = await owned.ensure(PRODUCT)
            assert (ensured.prototype.id, ensured.is_existing) == (MOCKUP, True)
        assert owned.calls() == 0
        current = await owned.store.get("default", MOCKUP)
        assert current is not None
        assert current.is_current

    async def test_twenty_clicks_on_an_older_row_make_nothing(self, owned: World) -> None:
        """
        Twenty clicks on it give it a slot once, and make nothing.
        """
        await run(
            owned.database_url,
            f"UPDATE design_mockups SET project_url = 'https://example.com/' WHERE id = '{MOCKUP}'",
        )

        ensured = await asyncio.gather(*(owned.ensure(PRODUCT) for _ in range(20)))

        assert {one.prototype.id for one in ensured} == {MOCKUP}
        assert len(await owned.rows("SELECT * FROM protokeep_slots")) == 1
        assert owned.calls() == 0

    async def test_an_older_row_with_a_chat_is_tracked_to_its_end(self, owned: World) -> None:
        """
        One that names a chat is tracked from now on, as a chat of v0's API v1, to its end.
        """
        owned.api_version = 1
        node = await owned.node()
        provider = node.context.providers.for_new()[0][1]
        chat = await provider.create("from before us", {})
        await run(owned.database_url, f"UPDATE design_mockups SET v0_chat_id = '{chat.chat_id}' WHERE id = '{MOCKUP}'")
        owned.clock.advance(GENERATION_SECONDS)

        await owned.adopt()
        await owned.live(6)

        done = await owned.get(MOCKUP)
        assert (done.status, generation_of(done).api_version) == (Status.COMPLETED, 1)
        assert done.project_url
        assert (await owned.ensure(PRODUCT)).prototype.id == MOCKUP
        assert owned.chats_created == 1

    async def test_an_older_row_that_failed_is_replaced(self, owned: World) -> None:
        """
        One that failed before us is replaced.
        """
        await run(
            owned.database_url,
            f"UPDATE design_mockups SET project_status = 'failed', project_url = 'https://x.example' "
            f"WHERE id = '{MOCKUP}'",
        )

        assert (await owned.ensure(PRODUCT)).decision.outcome is Outcome.REPLACED


#: A table whose times are {kind} and may be missing.
LOOSE = """
CREATE TABLE design_mockups (
    id text PRIMARY KEY, product_id text, user_id text, provider text, prompt text, image_url text, thumbnail_url text,
    metadata text, created_at {kind}, updated_at {kind}, v0_chat_id text
)"""
EPOCH = "1970-01-01T00:00:00+00:00"
#: The database, the type of its times, what stands in one of them, and the time that is shown.
ODD_TIMES = [
    ("sqlite", "text", "NULL", EPOCH),
    ("sqlite", "text", "'yesterday'", EPOCH),
    ("sqlite", "integer", "1735689600", "2025-01-01T00:00:00+00:00"),
    ("sqlite", "integer", "1735689600000", "2025-01-01T00:00:00+00:00"),
    ("sqlite", "integer", "9223372036854775807", EPOCH),
    ("sqlite", "blob", "x'00ff'", EPOCH),
    ("pg", "timestamptz", "NULL", EPOCH),
    ("pg", "timestamp", "'infinity'", EPOCH),
    ("pg", "timestamp", "'0044-03-15 BC'", EPOCH),
]


@pytest.mark.parametrize(("database", "kind", "odd", "shown"), ODD_TIMES)
async def test_a_row_with_an_odd_time_disturbs_nobody(
    request: pytest.FixtureRequest, database: str, kind: str, odd: str, shown: str
) -> None:
    """
    A row of the owner's without a time that can be read is shown, and the others are listed, adopted and made.
    """
    url = request.getfixturevalue(f"empty_{database}_url")
    await run(url, LOOSE.format(kind=kind))
    columns = "id, product_id, user_id, provider, prompt, created_at, v0_chat_id"
    await run(
        url,
        f"""
        INSERT INTO design_mockups ({columns}) VALUES ('odd', 'p-1', 'u', 'v0', 'x', {odd}, 'chat-1');
        INSERT INTO design_mockups ({columns}) VALUES ('empty', NULL, NULL, NULL, NULL, {odd}, 'chat-2');
        INSERT INTO design_mockups ({columns}) VALUES ('plain', 'p-1', 'u', 'v0', 'x', '2025-06-01 00:00:00', 'chat-3');
        """,
    )
    await migrate(url)
    async with World.open(url) as world:
        listed = {one.id: one.created_at.isoformat() for one in await world.listed("p-1")}
        current = await world.status("p-1")
        await world.adopt()
        adopted = {row["mockup_id"] for row in await world.rows("SELECT mockup_id FROM protokeep_generations")}
        made = await world.ensure("p-1", create_new=True)

        assert listed == {"odd": shown, "plain": "2025-06-01T00:00:00+00:00"}
        assert current.id == "plain"
        assert adopted >= {"odd", "plain"}
        assert made.decision.outcome is Outcome.CREATED


class TestSqliteOwner:
    async def test_a_create_works_beside_older_rows_in_the_owners_sqlite_file(self, empty_sqlite_url: str) -> None:
        """
        The same in an owner's SQLite file, whose table lacks columns that we would use.
        """
        await make_owner(empty_sqlite_url)
        await run(empty_sqlite_url, "UPDATE design_mockups SET created_at = '2025-01-01 10:00:00'")
        await migrate(empty_sqlite_url)
        async with World.open(empty_sqlite_url) as world:
            done = await world.complete("p-1")

            assert (done.status, done.chat_id) == (Status.COMPLETED, world.chat.id)
            assert [one.id for one in await world.listed("p-1")] == [done.id, MOCKUP]


@pytest.fixture(params=["sqlite", "postgresql"])
async def unmigrated(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """An owner's table without the tracking columns, beside our own tables; one old row of product p-1."""
    url = str(request.getfixturevalue(f"empty_{'sqlite' if request.param == 'sqlite' else 'pg'}_url"))
    if request.param == "sqlite":
        await make_owner(url)
    else:
        text = SQLITE.replace("TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP", "timestamptz NOT NULL DEFAULT now()")
        await run(url, text)
        await run(
            url,
            "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt) "
            f"VALUES ('{MOCKUP}', 'p-1', 'u-1', 'v0', 'a shop')",
        )
    await migrate(url, "own")
    async with World.open(url) as world:
        yield world


class TestNotMigrated:
    async def test_reads_work_before_the_migration(self, unmigrated: World) -> None:
        """
        Before the columns are there, reads answer with nulls.
        """
        (row,) = await unmigrated.listed("p-1")

        assert (row.id, row.status, row.state) == (MOCKUP, Status.PENDING, State.UNTRACKED)
        assert None is row.chat_id is row.project_id is row.project_url
        assert (await unmigrated.status("p-1")).id == MOCKUP
        assert (await unmigrated.keeper.get(ANN, MOCKUP)).id == MOCKUP
        assert await unmigrated.listed("p-2") == []
        assert await unmigrated.listed("p-1", status=Status.COMPLETED) == []
        assert len(await unmigrated.listed("p-1", status=Status.PENDING)) == 1

    async def test_creates_name_the_command_before_the_migration(self, unmigrated: World) -> None:
        """
        A create is refused with the command that migrates; nothing is written and v0 is not called.
        """
        before = await unmigrated.rows("SELECT * FROM design_mockups")

        for create_new in (False, True):
            with pytest.raises(NotMigrated, match="protokeep migrate"):
                await unmigrated.ensure("p-1", create_new=create_new)

        assert await unmigrated.rows("SELECT * FROM design_mockups") == before
        assert unmigrated.calls() == 0

    async def test_sweeps_find_nothing_before_the_migration(self, unmigrated: World) -> None:
        """
        Sweeps find nothing to do, and do not stumble.
        """
        assert await unmigrated.sweep() == 0

    async def test_creates_work_as_soon_as_it_is_migrated(self, unmigrated: World) -> None:
        """
        As soon as the columns are there, the same process creates.
        """
        await migrate(unmigrated.database_url)

        done = await unmigrated.complete("p-1")

        assert (done.status, unmigrated.chats_created) == (Status.COMPLETED, 1)

    async def test_a_database_without_any_tables_says_what_to_do(self, empty_database_url: str) -> None:
        """
        A database without anything says what to do.
        """
        async with World.open(empty_database_url) as world:
            for asked in (world.ensure(), world.listed(), world.status(), world.keeper.get(ANN, str(uuid4()))):
                with pytest.raises(NotMigrated, match="protokeep migrate"):
                    await asked
