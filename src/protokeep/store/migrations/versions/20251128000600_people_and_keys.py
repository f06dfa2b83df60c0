"""Keys of workspaces and persons, how much each made today, and who did what.

`protokeep_provider_keys` is made anew: no code before this revision reads or writes it.
"""

from __future__ import annotations

from alembic import op

revision = "20251128000600"
down_revision = "20251128000500"
branch_labels = None
depends_on = None

TABLES = (
    "DROP TABLE protokeep_provider_keys",
    """
CREATE TABLE protokeep_provider_keys (
    workspace_id text NOT NULL,
    user_id      text NOT NULL,               -- whose own key; '': the workspace's
    provider     text NOT NULL,
    master_id    text NOT NULL,               -- which master key sealed it
    nonce        {bytes} NOT NULL,            -- AES-256-GCM: 12 bytes, fresh each time
    ciphertext   {bytes} NOT NULL,            -- bound to the three columns at the top
    hint         text NOT NULL,               -- the key's last four characters
    set_by       text NOT NULL,
    set_at       {instant} NOT NULL,
    PRIMARY KEY (workspace_id, user_id, provider)
)""",
    """
CREATE TABLE protokeep_create_counts (
    workspace_id text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('person', 'product', 'workspace')),
    subject      text NOT NULL,               -- whose count it is: a user, a product, or the workspace
    day_at       {instant} NOT NULL,          -- the UTC day that the count is of
    creates      int NOT NULL CHECK (creates > 0),
    PRIMARY KEY (workspace_id, kind, subject)
)""",
    # Ids are random: ones that count would tell a workspace how much the others do.
    """
CREATE TABLE protokeep_audit (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    at           {instant} NOT NULL,
    action       text NOT NULL,               -- what was done
    actor        text NOT NULL,               -- by whom
    token_id     text NOT NULL,               -- with which token; '': with none
    address      text NOT NULL,               -- from where; '': not over the network
    subject      text,                        -- to what: the id of a prototype, of a token, a person, a provider
    data         text                         -- JSON: the rest; no prompt and no secret
)""",
    "CREATE INDEX idx_protokeep_audit_newest ON protokeep_audit (workspace_id, at DESC, id DESC)",
)

POSTGRESQL_APPEND_ONLY = (
    """
CREATE FUNCTION protokeep_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'protokeep_audit is append-only'; END $$""",
    "CREATE TRIGGER protokeep_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON protokeep_audit"
    " FOR EACH STATEMENT EXECUTE FUNCTION protokeep_refuse_change()",
)
SQLITE_APPEND_ONLY = tuple(
    f"CREATE TRIGGER protokeep_audit_no_{change.lower()} BEFORE {change} ON protokeep_audit"
    " BEGIN SELECT RAISE(ABORT, 'protokeep_audit is append-only'); END"
    for change in ("UPDATE", "DELETE")
)


def upgrade() -> None:
    """Make the tables, and let the database itself refuse a change of what was written down."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    words = {"instant": "timestamptz", "bytes": "bytea"} if is_postgresql else {"instant": "text", "bytes": "blob"}
    for table in TABLES:
        connection.exec_driver_sql(table.format_map(words))
    for statement in POSTGRESQL_APPEND_ONLY if is_postgresql else SQLITE_APPEND_ONLY:
        connection.exec_driver_sql(statement)
