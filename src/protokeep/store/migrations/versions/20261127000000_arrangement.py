"""Add how people arrange products: tags, the archive, favourites and saved views."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection

revision = "20261127000000"
down_revision = "20261126000200"
branch_labels = None
depends_on = None

# {product} is the type of the owner's product_id. Lists look a product up by its key in each table, or begin there.
TABLES = (
    """
-- The tags of products.
CREATE TABLE protokeep_product_tags (
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    tag          text NOT NULL,               -- in lower case, without commas
    PRIMARY KEY (workspace_id, product_id, tag)
)""",
    """
-- Products that are out of sight. Their prototypes stay theirs.
CREATE TABLE protokeep_archived_products (
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    archived_at  {instant} NOT NULL,
    PRIMARY KEY (workspace_id, product_id)
)""",
    """
-- The favourite products of each person.
CREATE TABLE protokeep_favourites (
    workspace_id text NOT NULL,
    user_id      text NOT NULL,
    product_id   {product} NOT NULL,
    PRIMARY KEY (workspace_id, user_id, product_id)
)""",
    """
-- Filters of the gallery that a person gave a name.
CREATE TABLE protokeep_saved_views (
    workspace_id text NOT NULL,
    user_id      text NOT NULL,
    name         text NOT NULL,
    query        text NOT NULL,               -- of the home page's address
    PRIMARY KEY (workspace_id, user_id, name)
)""",
)
INDEXES = ("INDEX idx_protokeep_product_tags_tag ON protokeep_product_tags (workspace_id, tag, product_id)",)
POSTGRESQL_PRODUCT = (
    "SELECT format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = to_regclass('protokeep_slots') AND attname = 'product_id'"
)


def upgrade() -> None:
    """Create the tables."""
    connection = op.get_bind()
    for table in TABLES:
        connection.exec_driver_sql(table.format_map(_types(connection)))
    for index in INDEXES:
        connection.exec_driver_sql(f"CREATE {index}")


def _types(connection: Connection) -> dict[str, str]:
    if connection.dialect.name != "postgresql":
        return {"product": "text", "instant": "text"}
    return {"product": str(connection.exec_driver_sql(POSTGRESQL_PRODUCT).scalar()), "instant": "timestamptz"}
