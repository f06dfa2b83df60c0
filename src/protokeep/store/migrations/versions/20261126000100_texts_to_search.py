"""Add the index of texts: what searches and "it exists already" look at."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, text

from protokeep.core.search_text import VERSION
from protokeep.store.texts import WHOLE, has_fts5

revision = "20261126000100"
down_revision = "20261126000000"
branch_labels = None
depends_on = None

# The table refers to nothing, so that a write of the owner's never waits for it or fails by it: readers join the rows
# that are still there. {id} and {product} are the types of the owner's columns.
TABLE = """
-- The text of each prototype, folded, for searches. Everything here can be made again from the other tables.
CREATE TABLE protokeep_texts (
    place        {place} PRIMARY KEY NOT NULL, -- newest last; see core.search_text.place_of
    mockup_id    {id} NOT NULL UNIQUE,
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    product_key  text NOT NULL,               -- the same for ids that are one id with other blanks, dashes or case
    text         text NOT NULL{numbers}
)"""
NUMBERS = """,
    numbers      int[] NOT NULL               -- its grams and bands; see core.search_text.numbers_of"""
INDEXES = ("INDEX idx_protokeep_texts_key ON protokeep_texts (workspace_id, product_key)",)
# The list of new entries is read whole by every search, so it is kept short.
POSTGRESQL_INDEXES = (
    "INDEX idx_protokeep_texts_newest ON protokeep_texts (workspace_id, place DESC)",
    "INDEX idx_protokeep_texts_numbers ON protokeep_texts USING gin (numbers) WITH (gin_pending_list_limit = 256)",
)
# Holds no text: only which number is in the text of which place.
SQLITE_NUMBERS = (
    "CREATE VIRTUAL TABLE protokeep_text_numbers USING"
    " fts5(numbers, content = '', detail = 'none', columnsize = 0, tokenize = 'ascii')"
)
POSTGRESQL_TYPES = (
    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = to_regclass('protokeep_slots') AND attname IN ('mockup_id', 'product_id')"
)


def upgrade() -> None:
    """Create the table and its index. Rows that are there are indexed later, by the server."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    connection.exec_driver_sql(TABLE.format_map(_types(connection, is_postgresql=is_postgresql)))
    for index in (*INDEXES, *(POSTGRESQL_INDEXES if is_postgresql else ())):
        connection.exec_driver_sql(f"CREATE {index}")
    if not is_postgresql and has_fts5():
        connection.exec_driver_sql(SQLITE_NUMBERS)
    if not connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM design_mockups)").scalar():
        whole = text("INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)")
        connection.execute(whole, {"name": WHOLE, "value": str(VERSION)})


def _types(connection: Connection, *, is_postgresql: bool) -> dict[str, str]:
    if not is_postgresql:
        return {"place": "INTEGER", "id": "text", "product": "text", "numbers": ""}
    found = {str(name): str(kind) for name, kind in connection.exec_driver_sql(POSTGRESQL_TYPES)}
    return {"place": "bigint", "id": found["mockup_id"], "product": found["product_id"], "numbers": NUMBERS}
