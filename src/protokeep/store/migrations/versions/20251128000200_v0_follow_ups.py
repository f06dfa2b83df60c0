"""Follow-ups, pictures, cost, hooks, deletion, and one budget of calls per account.

Only adds columns and tables: code of the revision before runs on beside it.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection

revision = "20251128000200"
down_revision = "20251128000100"
branch_labels = None
depends_on = None

# One column per line: what follows `--` says what it holds.
GENERATION_COLUMNS = (
    "turn int NOT NULL DEFAULT 1 CHECK (turn >= 1)",  # the create, and each follow-up that was asked for
    "follow_up text",  # the message of the newest round; NULL: the create's
    "follow_up_at {instant}",  # when the newest round was asked for
    "previous_message_id text",  # the message or version that earlier turn ended with: it says nothing about this one
    "baseline_message_id text",  # the chat's newest message before the follow-up was sent; NULL: not sent in this round
    "hook_received_at {instant}",  # when a hook last spoke of this chat
    "finalize_at {instant}",  # when picture, cost and links are to be read
    "credits double precision",  # what the builder says it cost
    "image_source text",  # the builder's own address of the picture
    "picture_etag text",  # of the picture that we keep
    "broken_url text",  # a preview that answered 404
    "broken_since {instant}",
    "deletion_requested_at {instant}",  # when its deletion was asked for
)
ACCOUNT_COLUMNS = (
    "polling_paused_code text",  # why looks wait, as a stable word
    "polling_paused_message text",  # why looks wait, for people
)
TABLES = (
    """
CREATE TABLE protokeep_pictures (
    mockup_id    {id} PRIMARY KEY NOT NULL REFERENCES design_mockups (id) ON DELETE CASCADE,
    content_type text NOT NULL CHECK (content_type IN ('image/png', 'image/jpeg', 'image/webp')),
    body         {bytes} NOT NULL,
    etag         text NOT NULL,               -- digest of the body
    fetched_at   {instant} NOT NULL
)""",
    """
CREATE TABLE protokeep_hooks (
    account      text NOT NULL,
    api_version  int NOT NULL,
    hook_id      text NOT NULL,               -- the builder's id of it
    nonce        text NOT NULL,               -- with our secret key it makes the address; alone it is worth nothing
    old_nonce    text,                        -- the address before a rotation; still good until the builder has moved
    installed_at {instant} NOT NULL,
    PRIMARY KEY (account, api_version)
)""",
    """
CREATE TABLE protokeep_budgets (
    account      text PRIMARY KEY NOT NULL,
    minute_at    {instant} NOT NULL,          -- the minute, and the UTC day, that the counts are of
    minute_calls int NOT NULL,
    day_at       {instant} NOT NULL,
    day_calls    int NOT NULL
)""",
    "CREATE INDEX idx_protokeep_generations_finalize ON protokeep_generations (finalize_at)"
    " WHERE finalize_at IS NOT NULL",
    "CREATE INDEX idx_protokeep_generations_removing ON protokeep_generations (deletion_requested_at)"
    " WHERE deletion_requested_at IS NOT NULL",
)


def upgrade() -> None:
    """Add the columns and make the tables."""
    connection = op.get_bind()
    words = {"id": _id_type(connection)}
    if connection.dialect.name == "postgresql":
        words |= {"instant": "timestamptz", "bytes": "bytea"}
    else:
        words |= {"instant": "text", "bytes": "blob"}
    for column in GENERATION_COLUMNS:
        connection.exec_driver_sql(f"ALTER TABLE protokeep_generations ADD COLUMN {column.format_map(words)}")
    for column in ACCOUNT_COLUMNS:
        connection.exec_driver_sql(f"ALTER TABLE protokeep_accounts ADD COLUMN {column.format_map(words)}")
    for table in TABLES:
        connection.exec_driver_sql(table.format_map(words))


def _id_type(connection: Connection) -> str:
    """The type that our tables took over from design_mockups.id."""
    if connection.dialect.name != "postgresql":
        return "text"
    found = connection.exec_driver_sql(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = 'protokeep_generations'::regclass AND attname = 'mockup_id'"
    )
    return str(found.scalar_one())
