"""Give the prototypes of a product their numbers and names, and add invitations."""

from __future__ import annotations

from alembic import op
from sqlalchemy import inspect

revision = "20261126000200"
down_revision = "20261126000100"
branch_labels = None
depends_on = None

COLUMNS = (
    "ALTER TABLE protokeep_generations ADD COLUMN variant int",  # its number within the product; never given twice
    "ALTER TABLE protokeep_generations ADD COLUMN variant_name text",  # the short name that people gave it
    "ALTER TABLE protokeep_products ADD COLUMN newest_variant int NOT NULL DEFAULT 0",  # the last number that was given
)
#: Links that let somebody in once. {instant} differs between the databases.
INVITATIONS = """
-- Invitations that nobody has accepted yet.
CREATE TABLE protokeep_invitations (
    digest       text PRIMARY KEY NOT NULL,   -- HMAC-SHA-256 of what the link carries
    workspace_id text NOT NULL,
    role         text NOT NULL CHECK (role IN ('viewer', 'maker', 'admin')),
    user_id      text,                        -- whom it is for; NULL: whoever accepts it says who they are
    invited_by   text NOT NULL,
    created_at   {instant} NOT NULL,
    expires_at   {instant} NOT NULL
)"""
#: In the order in which they were made, as far as the owner's table tells the time.
NUMBERS = """
UPDATE protokeep_generations SET variant = numbered.number FROM (
  SELECT g.mockup_id, row_number() OVER (PARTITION BY g.workspace_id, m.product_id ORDER BY {made_at}, m.id) AS number
  FROM protokeep_generations g JOIN design_mockups m ON m.id = g.mockup_id
) AS numbered WHERE protokeep_generations.mockup_id = numbered.mockup_id"""
NEWEST = """
UPDATE protokeep_products SET newest_variant = newest.number FROM (
  SELECT g.workspace_id, m.product_id, max(g.variant) AS number
  FROM protokeep_generations g JOIN design_mockups m ON m.id = g.mockup_id GROUP BY g.workspace_id, m.product_id
) AS newest
WHERE protokeep_products.workspace_id = newest.workspace_id AND protokeep_products.product_id = newest.product_id"""


def upgrade() -> None:
    """Add the columns and the table, and number what there is."""
    connection = op.get_bind()
    columns = {column["name"] for column in inspect(connection).get_columns("design_mockups")}
    made_at = "m.created_at, g.created_at" if "created_at" in columns else "g.created_at"
    instant = "timestamptz" if connection.dialect.name == "postgresql" else "text"
    for statement in (*COLUMNS, INVITATIONS.format(instant=instant), NUMBERS.format(made_at=made_at), NEWEST):
        connection.exec_driver_sql(statement)
