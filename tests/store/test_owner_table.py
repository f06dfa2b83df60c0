"""What is found out about the owner's table."""

from __future__ import annotations

import pytest

from owner_schemas import make_owner, run
from protokeep.store.database import Database
from protokeep.store.migrate import migrate, plain_sql
from protokeep.store.owner_table import COLUMNS, OwnerTable, read_owner_table


async def shape_of(url: str) -> OwnerTable:
    """The shape of the database at `url`."""
    database = Database(url)
    try:
        async with database.reading() as connection:
            return await read_owner_table(connection)
    finally:
        await database.close()


async def test_an_empty_database_has_no_owner_table(empty_database_url: str) -> None:
    """
    An empty database has no shape to speak of.
    """
    shape = await shape_of(empty_database_url)

    assert (shape.exists, shape.tracked, shape.own) == (False, False, False)
    assert shape.columns == frozenset()


async def test_a_migrated_empty_database_lacks_nothing(database_url: str) -> None:
    """
    A migrated empty database lacks nothing and wants nothing that we have not.
    """
    shape = await shape_of(database_url)

    assert (shape.exists, shape.tracked, shape.own) == (True, True, True)
    assert (shape.columns, shape.required_unknown) == (frozenset(COLUMNS), ())
    assert (shape.product_is_uuid, shape.user_is_uuid) == (False, False)
    assert (shape.products_table, shape.products_column, shape.has_tenant) == (None, None, False)


@pytest.mark.parametrize("tenant", [False, True], ids=["plain", "tenant"])
async def test_an_adopted_table_tells_ids_products_and_tenant(empty_pg_url: str, tenant: bool) -> None:
    """
    An owner's table: uuid ids, where products are, and whether a tenant has to be named.
    """
    await make_owner(empty_pg_url, tenant=tenant)
    before = await shape_of(empty_pg_url)
    await migrate(empty_pg_url)
    after = await shape_of(empty_pg_url)

    assert (before.exists, before.tracked, before.own) == (True, False, False)
    assert (after.exists, after.tracked, after.own) == (True, True, True)
    assert (after.product_is_uuid, after.user_is_uuid) == (True, True)
    assert (after.products_table, after.products_column) == ("products", "id")
    assert (tenant, tenant) == (after.has_tenant, after.products_has_tenant)
    assert frozenset(COLUMNS) <= after.columns
    assert after.required_unknown == ()


async def test_an_adopted_sqlite_table_names_what_it_lacks(empty_sqlite_url: str) -> None:
    """
    A smaller table: what it lacks is named.
    """
    await make_owner(empty_sqlite_url)
    await migrate(empty_sqlite_url)

    shape = await shape_of(empty_sqlite_url)

    assert frozenset(COLUMNS) - shape.columns == {"image_url", "thumbnail_url", "updated_at"}
    assert (shape.tracked, shape.product_is_uuid) == (True, False)


async def test_the_plain_sql_alone_tracks_without_our_tables(empty_pg_url: str) -> None:
    """
    The plain .sql alone tracks; our tables are still to come.
    """
    await run(empty_pg_url, plain_sql())

    shape = await shape_of(empty_pg_url)

    assert (shape.tracked, shape.own) == (True, False)


async def test_a_required_column_that_we_cannot_fill_is_named(empty_database_url: str) -> None:
    """
    A column that needs a value, and that we know nothing of, is named; one that fills itself is not.
    """
    identity = "" if empty_database_url.startswith("sqlite") else "number int GENERATED ALWAYS AS IDENTITY,"
    await run(
        empty_database_url,
        f"""CREATE TABLE design_mockups (
            id text PRIMARY KEY, product_id text NOT NULL, user_id text, provider text, {identity}
            colour text NOT NULL, shade text NOT NULL DEFAULT 'dark', size text,
            twice text NOT NULL GENERATED ALWAYS AS (product_id || product_id) STORED
        )""",
    )

    assert (await shape_of(empty_database_url)).required_unknown == ("colour",)


async def test_products_are_found_by_a_key_of_several_columns(empty_database_url: str) -> None:
    """
    A foreign key of several columns still says where products are, quoted for SQL.
    """
    await run(
        empty_database_url,
        """
        CREATE TABLE "Product" (tenant_id text, "Id" text, UNIQUE (tenant_id, "Id"));
        CREATE TABLE design_mockups (
            id text PRIMARY KEY, product_id text, user_id text, tenant_id text,
            FOREIGN KEY (tenant_id, product_id) REFERENCES "Product" (tenant_id, "Id")
        )
        """,
    )

    shape = await shape_of(empty_database_url)

    assert (shape.products_table, shape.products_column, shape.products_has_tenant) == (
        '"Product"',
        '"Id"',
        True,
    )
    assert shape.has_tenant


async def test_products_are_found_by_an_implied_primary_key(empty_sqlite_url: str) -> None:
    """
    SQLite lets a foreign key leave out the column: it is the primary key.
    """
    await run(
        empty_sqlite_url,
        "CREATE TABLE products (name text, key text PRIMARY KEY);"
        "CREATE TABLE design_mockups (id text PRIMARY KEY, product_id text REFERENCES products)",
    )

    shape = await shape_of(empty_sqlite_url)

    assert (shape.products_table, shape.products_column) == ('"products"', '"key"')


async def test_a_products_table_of_another_schema_has_its_schema(empty_pg_url: str) -> None:
    """
    A table outside the search path is named with its schema.
    """
    await run(
        empty_pg_url,
        "CREATE SCHEMA shop; CREATE TABLE shop.products (id text PRIMARY KEY);"
        "CREATE TABLE design_mockups (id text PRIMARY KEY, product_id text REFERENCES shop.products (id))",
    )

    assert (await shape_of(empty_pg_url)).products_table == "shop.products"
