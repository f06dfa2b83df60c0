"""Make protokeep's own tables beside `design_mockups`, whose types of id and product_id they take over.

They reference `design_mockups`, so it has to exist; whether its tracking columns do makes no difference here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from alembic import op
from sqlalchemy import Connection, text

from protokeep.store.migrate import MigrationError

revision = "20251128000100"
down_revision = None
branch_labels = ("protokeep",)
depends_on = None

# {id} and {product} are the types of design_mockups.id and .product_id; {instant}, {bytes}, {serial} vary by
# database. SQLite keeps instants as text (UTC, microseconds, fixed width) and booleans as 0 and 1, and lets
# a primary key be NULL unless told not to.
TABLES = (
    """
CREATE TABLE protokeep_meta (
    -- 'keeper_id': this installation's id, in the marks of every chat; 'keeper_made_at': since when it is in use
    name  text PRIMARY KEY NOT NULL,
    value text NOT NULL
)""",
    """
CREATE TABLE protokeep_products (
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    name         text,             -- for people; the id when NULL
    created_at   {instant} NOT NULL,
    PRIMARY KEY (workspace_id, product_id)
)""",
    # The one place that decides who creates.
    """
CREATE TABLE protokeep_slots (
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    provider     text NOT NULL,
    -- The current prototype. Checked at commit: a claim takes its slot before it inserts what it claims.
    mockup_id    {id} NOT NULL REFERENCES design_mockups (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    updated_at   {instant} NOT NULL, -- when the slot was taken or last changed hands
    PRIMARY KEY (workspace_id, product_id, provider)
)""",
    """
CREATE TABLE protokeep_generations (
    mockup_id      {id} PRIMARY KEY NOT NULL REFERENCES design_mockups (id) ON DELETE CASCADE,
    workspace_id   text NOT NULL,
    provider       text NOT NULL,
    account        text NOT NULL,             -- whose key at the builder; names no key
    api_version    int NOT NULL CHECK (api_version IN (1, 2)),
    marker         text NOT NULL UNIQUE,      -- what the create carries, to be found again by
    created_by     text NOT NULL,             -- who asked, as the caller's token says
    recovery_point text NOT NULL CHECK (recovery_point IN ('claimed', 'sent', 'accepted', 'settled')),
    attempts       int NOT NULL DEFAULT 0 CHECK (attempts >= 0),     -- creates sent
    lookups        int NOT NULL DEFAULT 0 CHECK (lookups >= 0),      -- searches for the marker
    -- sent, no answer yet
    outcome_unknown boolean NOT NULL DEFAULT false CHECK (outcome_unknown IN (true, false)),
    sent_at        {instant},                 -- when the create in question left
    lease_until    {instant},                 -- nobody else submits before this
    next_try_at    {instant},                 -- when submitting or looking up is due
    hold_code      text,                      -- why it waits, as a stable word
    hold_message   text,                      -- why it waits, for people
    fence          int NOT NULL DEFAULT 0 CHECK (fence >= 0),        -- grows with each taker; older ones lose
    version        int NOT NULL DEFAULT 0 CHECK (version >= 0),      -- grows with each change of status
    message_id     text,                      -- v0's message that is being generated
    web_url        text,
    demo_url       text,
    chat_url       text,
    awaiting_input       boolean NOT NULL DEFAULT false CHECK (awaiting_input IN (true, false)), -- the builder asks us
    next_poll_at   {instant},                 -- when the next look is due; NULL: no more looks by themselves
    watched_until  {instant},                 -- somebody has it open until then
    poll_count     int NOT NULL DEFAULT 0 CHECK (poll_count >= 0),   -- looks counted against the poll budget
    deadline_at    {instant},                 -- when it becomes 'timeout'
    missing_since  {instant},                 -- since when the builder does not know it
    observed_at    {instant},                 -- when the builder last said something about it
    settled_at     {instant},                 -- when it reached a terminal state
    error_code     text,                      -- why it failed, as a stable word
    error_message  text,                      -- why it failed, for people
    created_at     {instant} NOT NULL
)""",
    """
CREATE TABLE protokeep_accounts (
    account         text PRIMARY KEY NOT NULL,
    provider        text NOT NULL,
    hold_code       text,                     -- why creates wait, as a stable word
    hold_message    text,                     -- why creates wait, for people
    hold_until      {instant},                -- creates wait until then
    failures        int NOT NULL DEFAULT 0 CHECK (failures >= 0),    -- in a row; sets the backoff
    polling_paused_until {instant},                -- looks wait until then
    tracker_id     text,                     -- the process that looks for this account
    tracker_lease_until     {instant},                -- how long its lease on that holds
    alive_at        {instant}                 -- when the builder last answered for it
)""",
    # A second chat with the marker of one that we have: shown, not hidden. It may outlive its row.
    """
CREATE TABLE protokeep_surplus_chats (
    account   text NOT NULL,
    chat_id   text NOT NULL,
    mockup_id {id},
    marker    text NOT NULL,
    seen_at   {instant} NOT NULL,
    PRIMARY KEY (account, chat_id)
)""",
    # Append-only, and without a foreign key: history outlives rows.
    """
CREATE TABLE protokeep_events (
    id           {serial},
    workspace_id text NOT NULL,
    product_id   text NOT NULL,
    mockup_id    {id},
    kind         text NOT NULL,               -- what happened
    source       text NOT NULL,               -- what made it happen: person, poll, hook, sweep
    actor        text,                        -- who, where it was a person
    status       text,                        -- the status after it
    data         text,                        -- JSON: the rest
    at           {instant} NOT NULL
)""",
    """
CREATE TABLE protokeep_idempotency_keys (
    workspace_id text NOT NULL,
    actor        text NOT NULL,
    key          text NOT NULL,               -- as the caller sent it
    fingerprint  text NOT NULL,               -- of the request it named: another one is a conflict
    mockup_id    {id} NOT NULL,               -- what it was answered with
    created_at   {instant} NOT NULL,          -- keys are forgotten by age
    PRIMARY KEY (workspace_id, actor, key)
)""",
    """
CREATE TABLE protokeep_api_tokens (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    user_id      text NOT NULL,
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('viewer', 'maker', 'admin')),
    prefix       text NOT NULL,               -- the token's first characters, to recognise it by
    digest       text NOT NULL UNIQUE,        -- HMAC-SHA-256 of the token; the token itself is nowhere
    created_at   {instant} NOT NULL,
    expires_at   {instant},
    revoked_at   {instant},
    last_used_at {instant}
)""",
    """
CREATE TABLE protokeep_provider_keys (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    owner        text NOT NULL,               -- the associated data it is sealed with
    provider     text NOT NULL,
    key_id       text NOT NULL,               -- which secret sealed it
    nonce        {bytes} NOT NULL,            -- AES-256-GCM: 12 bytes, fresh each time
    ciphertext   {bytes} NOT NULL,
    created_at   {instant} NOT NULL,
    revoked_at   {instant}
)""",
    "CREATE INDEX idx_protokeep_slots_mockup ON protokeep_slots (mockup_id)",
    # What an account's next sweep looks at; what submitting or looking up is due for; one workspace's newest.
    "CREATE INDEX idx_protokeep_generations_due ON protokeep_generations (account, next_poll_at)"
    " WHERE next_poll_at IS NOT NULL",
    "CREATE INDEX idx_protokeep_generations_unsent ON protokeep_generations (next_try_at)"
    " WHERE recovery_point IN ('claimed', 'sent')",
    "CREATE INDEX idx_protokeep_generations_newest ON protokeep_generations"
    " (workspace_id, created_at DESC, mockup_id DESC)",
    "CREATE INDEX idx_protokeep_events_mockup ON protokeep_events (mockup_id, id)",
    "CREATE INDEX idx_protokeep_events_workspace ON protokeep_events (workspace_id, id)",
    "CREATE INDEX idx_protokeep_idempotency_keys_age ON protokeep_idempotency_keys (created_at)",
)

# On the owner's table, and ours all the same: only our pages of a product's prototypes need it.
NEWEST_INDEX = (
    "CREATE INDEX IF NOT EXISTS idx_protokeep_mockups_product_newest"
    " ON design_mockups (product_id, created_at DESC, id DESC)"
)

POSTGRESQL_COLUMNS = """
SELECT attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL)
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass('design_mockups') AND a.attnum > 0 AND NOT a.attisdropped
"""
POSTGRESQL_TYPES = {"uuid": "uuid", "text": "text", "character varying": "text"}
SQLITE_COLUMNS = "SELECT lower(name), lower(type) FROM pragma_table_info('design_mockups')"
SQLITE_ID_IS_UNIQUE = """
SELECT (SELECT group_concat(lower(name)) FROM pragma_table_info('design_mockups') WHERE pk > 0) = 'id'
    OR EXISTS (SELECT 1 FROM pragma_index_list('design_mockups') AS i
                WHERE i."unique" AND NOT i.partial
                  AND (SELECT group_concat(lower(name)) FROM pragma_index_info(i.name)) = 'id')
"""


def upgrade() -> None:
    """Make the tables, and give this installation its id."""
    connection = op.get_bind()
    columns = _columns(connection)
    if connection.dialect.name == "postgresql":
        words = {"instant": "timestamptz", "bytes": "bytea"}
        words["serial"] = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    else:
        words = {"instant": "text", "bytes": "blob", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT"}
    words["id"] = _key_type(connection, columns, "id")
    words["product"] = _key_type(connection, columns, "product_id")
    _require_unique_id(connection)
    for table in TABLES:
        connection.exec_driver_sql(table.format_map(words))
    if "created_at" in columns:
        connection.exec_driver_sql(NEWEST_INDEX)
    note = text("INSERT INTO protokeep_meta (name, value) VALUES (:name, :value)")
    connection.execute(note, {"name": "keeper_id", "value": uuid4().hex})
    connection.execute(note, {"name": "keeper_made_at", "value": datetime.now(UTC).isoformat()})


def _columns(connection: Connection) -> dict[str, str]:
    is_postgresql = connection.dialect.name == "postgresql"
    rows = connection.exec_driver_sql(POSTGRESQL_COLUMNS if is_postgresql else SQLITE_COLUMNS)
    columns = {str(name): str(kind) for name, kind in rows}
    if not columns:
        raise MigrationError(
            "There is no table design_mockups. Apply 20251128000000_add_v0_project_tracking.sql first "
            "(`protokeep migrate --sql` prints it), or run `protokeep migrate`, which does both."
        )
    return columns


def _key_type(connection: Connection, columns: dict[str, str], name: str) -> str:
    found = columns.get(name, "missing")
    if connection.dialect.name == "postgresql":
        kind = POSTGRESQL_TYPES.get(found)
    else:
        kind = "text" if "char" in found or found in ("", "text", "uuid") else None
    if kind is None:
        raise MigrationError(
            f"design_mockups.{name} is {found}, and protokeep can keep only uuid or text ids. "
            "Nothing was changed. Use another database, or rename that table."
        )
    return kind


def _require_unique_id(connection: Connection) -> None:
    # PostgreSQL says so itself; SQLite would only once a row is written.
    if connection.dialect.name == "sqlite" and not connection.exec_driver_sql(SQLITE_ID_IS_UNIQUE).scalar():
        raise MigrationError("design_mockups.id has neither a primary key nor a unique index. Add one, try again.")
