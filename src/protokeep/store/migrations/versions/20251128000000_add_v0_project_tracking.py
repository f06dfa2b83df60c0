"""Add v0 project tracking to the owner's `design_mockups`; make that table in an empty database.

PostgreSQL runs the plain .sql of the same name, so that this and applying it by hand are one thing.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection

from protokeep.store.migrate import plain_sql
from protokeep.store.owner_changes import NEWEST_INDEX, SPEC_INDEXES

revision = "20251128000000"
down_revision = None
branch_labels = ("tracking",)
depends_on = None

# SQLite: ids are text, and so are times: UTC, microseconds, fixed width, so that they sort as text. strftime
# knows milliseconds only, hence the zeros.
CREATE_TABLE = """
CREATE TABLE design_mockups (
    id            text PRIMARY KEY NOT NULL,
    product_id    text NOT NULL, -- the caller's own id of the product
    user_id       text NOT NULL, -- who asked for it
    provider      text NOT NULL, -- the builder: 'v0'
    prompt        text,          -- what was asked for, in the user's words
    image_url     text,          -- a picture of it, large
    thumbnail_url text,          -- a picture of it, small
    metadata      text,          -- JSON: whatever else the owner keeps
    created_at    text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    updated_at    text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
)
"""

# A CHECK can join a SQLite table only together with its column.
COLUMNS = {
    "v0_chat_id": "text",
    "v0_project_id": "text",
    "project_status": "text DEFAULT 'pending' CONSTRAINT design_mockups_project_status_check"
    " CHECK (project_status IN ('pending', 'in_progress', 'completed', 'failed', 'timeout'))",
    "project_url": "text",
}


def upgrade() -> None:
    """Bring `design_mockups` up to the tracking columns, whatever of them is already there."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(plain_sql())
    else:
        _upgrade_sqlite(connection)


def _upgrade_sqlite(connection: Connection) -> None:
    if not _sqlite_columns(connection):
        connection.exec_driver_sql(CREATE_TABLE)
    present = _sqlite_columns(connection)
    for name, declaration in COLUMNS.items():
        if name not in present:
            connection.exec_driver_sql(f"ALTER TABLE design_mockups ADD COLUMN {name} {declaration}")
    # A project_status from an earlier, half-applied attempt keeps its NULLs: they read as pending.
    indexes = SPEC_INDEXES | (NEWEST_INDEX if "created_at" in present else {})
    for name, columns in indexes.items():
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON design_mockups ({columns})")


def _sqlite_columns(connection: Connection) -> set[str]:
    rows = connection.exec_driver_sql("SELECT lower(name) FROM pragma_table_info('design_mockups')")
    return set(rows.scalars())
