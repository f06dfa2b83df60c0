"""Create protokeep's own tables beside `design_mockups`, whose types of id and product_id they take over.

They refer to `design_mockups`, so that table has to exist; its tracking columns may be missing.
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

# {id} and {product} are the types of design_mockups.id and .product_id; {instant}, {bytes} and {serial} differ between
# the databases. SQLite stores instants as text (UTC, microseconds, fixed width), and allows NULL in a primary key.
TABLES = (
    """
-- Values of this installation by name. 'installation_id': its id, which its chats carry. 'installed_at': since when.
CREATE TABLE protokeep_meta (
    name  text PRIMARY KEY NOT NULL,
    value text NOT NULL
)""",
    """
-- Products that a prototype was ever asked for.
CREATE TABLE protokeep_products (
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    name         text,             -- the name for people; NULL: people see the id
    created_at   {instant} NOT NULL,
    PRIMARY KEY (workspace_id, product_id)
)""",
    """
-- The current prototype of a product at a provider. The primary key decides which request creates a prototype.
CREATE TABLE protokeep_slots (
    workspace_id text NOT NULL,
    product_id   {product} NOT NULL,
    provider     text NOT NULL,
    -- Checked at commit, because a claim takes the slot before it inserts the prototype.
    mockup_id    {id} NOT NULL REFERENCES design_mockups (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    updated_at   {instant} NOT NULL, -- when this prototype took the slot
    PRIMARY KEY (workspace_id, product_id, provider)
)""",
    """
-- What is needed to create the chat of a prototype once, and to follow it: one row per tracked row of design_mockups.
CREATE TABLE protokeep_generations (
    mockup_id      {id} PRIMARY KEY NOT NULL REFERENCES design_mockups (id) ON DELETE CASCADE,
    workspace_id   text NOT NULL,
    provider       text NOT NULL,
    account        text NOT NULL,             -- whose key is used at the provider; not the key itself
    api_version    int NOT NULL CHECK (api_version >= 1), -- the version of the provider's API that created the chat
    marker         text NOT NULL UNIQUE,      -- sent with the create, so that its chat can be found again
    created_by     text NOT NULL,             -- the person who asked for it, as their token names them
    -- Whether it was asked for as another one, beside a prototype that the product had.
    explicitly_new boolean NOT NULL DEFAULT false CHECK (explicitly_new IN (true, false)),
    created_at     {instant} NOT NULL,        -- when it was claimed, or adopted
    -- Sending it: creates, and after them follow-ups.
    recovery_point text NOT NULL CHECK (recovery_point IN ('claimed', 'sent', 'accepted', 'settled')),
    attempts       int NOT NULL DEFAULT 0 CHECK (attempts >= 0),     -- how often it was sent
    lookups        int NOT NULL DEFAULT 0 CHECK (lookups >= 0),      -- how often its chat was looked up
    -- Whether the answer to the last attempt is unknown.
    outcome_unknown boolean NOT NULL DEFAULT false CHECK (outcome_unknown IN (true, false)),
    sent_at        {instant},                 -- when the last attempt was sent
    lease_until    {instant},                 -- until then only the holder of the lease may send it
    next_try_at    {instant},                 -- when it is to be sent or looked up
    hold_code      text,                      -- why it waits, as a stable word
    hold_message   text,                      -- why it waits, for people
    fence          int NOT NULL DEFAULT 0 CHECK (fence >= 0),        -- grows with each lease
    version        int NOT NULL DEFAULT 0 CHECK (version >= 0),      -- grows with each change; guards writes
    -- Follow-ups.
    turn           int NOT NULL DEFAULT 1 CHECK (turn >= 1),         -- 1 for the create, one more per follow-up
    follow_up      text,                      -- the message of the newest follow-up
    follow_up_at   {instant},                 -- when the newest follow-up was asked for
    -- The message or version that the turn before ended with: it says nothing about this turn.
    previous_message_id text,
    -- The newest message of the chat before the follow-up was sent; NULL: this turn was not sent.
    baseline_message_id text,
    known_message_id text,                    -- the newest message of the chat when our last message arrived
    -- What the provider says.
    message_id     text,                      -- the provider's message or version that is being generated
    web_url        text,
    demo_url       text,
    chat_url       text,
    awaiting_input boolean NOT NULL DEFAULT false CHECK (awaiting_input IN (true, false)), -- it asked a person
    error_code     text,                      -- why it failed, as a stable word
    error_message  text,                      -- why it failed, for people
    settled_at     {instant},                 -- when it reached a final state
    -- Polling.
    next_poll_at   {instant},                 -- when the next poll is due; NULL: it is not polled any more
    watched_until  {instant},                 -- until then somebody has it open
    poll_count     int NOT NULL DEFAULT 0 CHECK (poll_count >= 0),   -- polls so far
    deadline_at    {instant},                 -- when it times out
    observed_at    {instant},                 -- when the provider last answered a poll of it
    last_shown_at  {instant},                 -- when a poll last showed its chat
    hook_received_at {instant},               -- when a hook last spoke of its chat
    missing_since  {instant},                 -- since when the provider does not show its chat
    missing_polls  int NOT NULL DEFAULT 0 CHECK (missing_polls >= 0), -- polls in a row that did not find it
    last_missing_at {instant},                -- when a poll last did not find it
    -- After its end.
    finalize_at    {instant},                 -- when its picture, cost and links are to be read
    credits        double precision,          -- what it cost, as the provider says
    image_source   text,                      -- the provider's address of its picture
    picture_etag   text,                      -- the digest of the picture that we store
    broken_url     text,                      -- a preview that was not found
    broken_since   {instant},                 -- since when that preview is not found
    broken_checks  int NOT NULL DEFAULT 0 CHECK (broken_checks >= 0), -- checks in a row that did not find it
    deletion_requested_at {instant},          -- when its deletion was requested
    -- `core.prototype.State`, so that lists can filter, count and sort by it. A test compares it with the core.
    state text GENERATED ALWAYS AS (
        CASE
            WHEN deletion_requested_at IS NOT NULL THEN 'deleting'
            WHEN missing_since IS NOT NULL AND recovery_point IN ('accepted', 'settled')
                AND (error_code IS NULL OR error_code = 'timeout') THEN 'not_visible'
            WHEN recovery_point = 'settled' AND error_code IS NULL THEN 'ready'
            WHEN recovery_point = 'settled' AND error_code = 'stopped' THEN 'stopped'
            WHEN recovery_point = 'settled' THEN 'failed'
            WHEN recovery_point = 'accepted' AND error_code = 'timeout' THEN 'timed_out'
            WHEN recovery_point = 'sent' AND outcome_unknown THEN 'undecided'
            WHEN awaiting_input AND recovery_point = 'accepted' THEN 'waiting'
            WHEN hold_code IS NOT NULL THEN 'parked'
            WHEN recovery_point = 'accepted' THEN 'making'
            ELSE 'queued'
        END
    ) STORED
)""",
    """
-- Accounts at providers: holds of their creates, pauses of their polls, and which process polls for them.
CREATE TABLE protokeep_accounts (
    account         text PRIMARY KEY NOT NULL,
    provider        text NOT NULL,
    hold_code       text,                     -- why creates wait, as a stable word
    hold_message    text,                     -- why creates wait, for people
    hold_until      {instant},                -- until then creates wait
    failures        int NOT NULL DEFAULT 0 CHECK (failures >= 0), -- failed creates in a row; sets the backoff
    polling_paused_until   {instant},         -- until then polls wait
    polling_paused_code    text,              -- why polls wait, as a stable word
    polling_paused_message text,              -- why polls wait, for people
    tracker_id      text,                     -- the process that polls for this account
    tracker_lease_until {instant}             -- until then no other process does
)""",
    """
-- Calls to a provider, counted against the minute and the UTC day that they were made in.
CREATE TABLE protokeep_budgets (
    account      text PRIMARY KEY NOT NULL,
    minute_at    {instant} NOT NULL,
    minute_calls int NOT NULL,
    day_at       {instant} NOT NULL,
    day_calls    int NOT NULL
)""",
    """
-- Second chats with the marker of a prototype that has a chat: people see them. They may outlive the prototype.
CREATE TABLE protokeep_surplus_chats (
    account   text NOT NULL,
    chat_id   text NOT NULL,
    mockup_id {id},
    marker    text NOT NULL,
    seen_at   {instant} NOT NULL,             -- when it was found
    PRIMARY KEY (account, chat_id)
)""",
    """
-- The history of prototypes. Rows are only added, and there is no foreign key, because history outlives prototypes.
CREATE TABLE protokeep_events (
    id           {serial},
    workspace_id text NOT NULL,
    product_id   text NOT NULL,
    mockup_id    {id},
    kind         text NOT NULL,               -- what happened
    source       text NOT NULL,               -- what caused it: a person, a poll, a hook, a sweep
    actor        text,                        -- the person, if a person caused it
    status       text,                        -- the status after it
    data         text,                        -- JSON: everything else
    at           {instant} NOT NULL
)""",
    """
-- Idempotency keys of creates and follow-ups, and the prototype that each was answered with.
CREATE TABLE protokeep_idempotency_keys (
    workspace_id text NOT NULL,
    actor        text NOT NULL,
    key          text NOT NULL,               -- as the caller sent it
    fingerprint  text NOT NULL,               -- of the request: another request with this key is a conflict
    mockup_id    {id} NOT NULL,
    created_at   {instant} NOT NULL,          -- a key expires some time after this
    PRIMARY KEY (workspace_id, actor, key)
)""",
    """
-- Creates of a day, counted against quotas.
CREATE TABLE protokeep_create_counts (
    workspace_id text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('person', 'product', 'workspace')),
    subject      text NOT NULL,               -- the person, product or workspace that is counted
    day_at       {instant} NOT NULL,          -- the beginning of the UTC day
    creates      int NOT NULL CHECK (creates > 0),
    PRIMARY KEY (workspace_id, kind, subject)
)""",
    """
-- The newest picture of each finished prototype.
CREATE TABLE protokeep_pictures (
    mockup_id    {id} PRIMARY KEY NOT NULL REFERENCES design_mockups (id) ON DELETE CASCADE,
    content_type text NOT NULL CHECK (content_type IN ('image/png', 'image/jpeg', 'image/webp')),
    body         {bytes} NOT NULL,
    etag         text NOT NULL,               -- a digest of the body
    fetched_at   {instant} NOT NULL
)""",
    """
-- Hooks that we registered at providers.
CREATE TABLE protokeep_hooks (
    account      text NOT NULL,
    api_version  int NOT NULL,
    hook_id      text NOT NULL,               -- the provider's id of it; empty: it is being registered
    nonce        text NOT NULL,               -- makes its address, together with our secret key
    old_nonce    text,                        -- the address before a rotation, valid until the provider has moved
    installed_at {instant} NOT NULL,
    PRIMARY KEY (account, api_version)
)""",
    """
-- Tokens of the API. The tokens themselves are stored nowhere.
CREATE TABLE protokeep_api_tokens (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    user_id      text NOT NULL,
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('viewer', 'maker', 'admin')),
    prefix       text NOT NULL,               -- its first characters, by which people recognise it
    digest       text NOT NULL UNIQUE,        -- HMAC-SHA-256 of it
    created_at   {instant} NOT NULL,
    expires_at   {instant},
    revoked_at   {instant},
    last_used_at {instant}
)""",
    """
-- Sessions of the page, and links that open one once. They belong to a token, or to a person whom the sign-in service
-- has named.
CREATE TABLE protokeep_sessions (
    digest       text PRIMARY KEY NOT NULL,   -- HMAC-SHA-256 of what the browser holds
    kind         text NOT NULL CHECK (kind IN ('session', 'code')),
    token_id     text REFERENCES protokeep_api_tokens (id) ON DELETE CASCADE,
    workspace_id text,                        -- of the person that was named, as the next two
    user_id      text,
    role         text CHECK (role IN ('viewer', 'maker', 'admin')),
    created_at   {instant} NOT NULL,
    expires_at   {instant} NOT NULL,          -- use extends it, up to a limit
    CONSTRAINT protokeep_sessions_owner CHECK (
        (token_id IS NULL) = (user_id IS NOT NULL AND workspace_id IS NOT NULL AND role IS NOT NULL)
    )
)""",
    """
-- Keys of workspaces and people at providers, sealed with a master key that is not in the database.
CREATE TABLE protokeep_provider_keys (
    workspace_id text NOT NULL,
    user_id      text NOT NULL,               -- whose key it is; empty: the workspace's
    provider     text NOT NULL,
    master_id    text NOT NULL,               -- which master key sealed it
    nonce        {bytes} NOT NULL,            -- AES-256-GCM: 12 bytes, new each time
    ciphertext   {bytes} NOT NULL,            -- valid only with the first three columns
    hint         text NOT NULL,               -- the last four characters of the key
    set_by       text NOT NULL,
    set_at       {instant} NOT NULL,
    PRIMARY KEY (workspace_id, user_id, provider)
)""",
    """
-- Who did what. Rows are only added; triggers refuse changes. Ids are random: numbers in a row would tell a workspace
-- how much the others do.
CREATE TABLE protokeep_audit (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    at           {instant} NOT NULL,
    action       text NOT NULL,
    actor        text NOT NULL,
    token_id     text NOT NULL,               -- the token that was used; empty: none
    address      text NOT NULL,               -- the network address; empty: not over the network
    subject      text,                        -- the prototype, token, person or provider that the action was about
    data         text                         -- JSON: everything else, but no prompt and no secret
)""",
    """
-- Processes and their heartbeats, a few seconds apart. A process that does not find its last heartbeat knows that the
-- database is an older copy.
CREATE TABLE protokeep_processes (
    process_id  text PRIMARY KEY NOT NULL,
    beat        bigint NOT NULL CHECK (beat > 0), -- grows with each heartbeat
    beat_at     {instant} NOT NULL,           -- the database's clock at the last heartbeat
    server      text NOT NULL,                -- the server, and the copy of the database, that it was written to
    -- Chats that were created after this may be in no row of this copy; NULL: all chats have been compared.
    known_until {instant},
    -- How far the database's clock was ahead before it was set back; NULL: it has reached that time again.
    ahead_until {instant},
    went_back   boolean NOT NULL DEFAULT false CHECK (went_back IN (true, false)) -- it is certain that it is older
)""",
)
INDEXES = (
    "idx_protokeep_slots_mockup ON protokeep_slots (mockup_id)",
    "idx_protokeep_generations_due ON protokeep_generations (account, next_poll_at) WHERE next_poll_at IS NOT NULL",
    "idx_protokeep_generations_unsent ON protokeep_generations (next_try_at)"
    " WHERE recovery_point IN ('claimed', 'sent')",
    "idx_protokeep_generations_finalize ON protokeep_generations (finalize_at) WHERE finalize_at IS NOT NULL",
    "idx_protokeep_generations_deletion ON protokeep_generations (deletion_requested_at)"
    " WHERE deletion_requested_at IS NOT NULL",
    "idx_protokeep_generations_newest ON protokeep_generations (workspace_id, created_at DESC, mockup_id DESC)",
    "idx_protokeep_generations_state ON protokeep_generations (workspace_id, state, created_at DESC, mockup_id DESC)",
    "idx_protokeep_generations_creator ON protokeep_generations"
    " (workspace_id, created_by, state, created_at DESC, mockup_id DESC)",
    "idx_protokeep_events_mockup ON protokeep_events (mockup_id, id)",
    "idx_protokeep_events_workspace ON protokeep_events (workspace_id, id)",
    "idx_protokeep_idempotency_keys_age ON protokeep_idempotency_keys (created_at)",
    "idx_protokeep_sessions_token ON protokeep_sessions (token_id)",
    "idx_protokeep_sessions_person ON protokeep_sessions (workspace_id, user_id)",
    "idx_protokeep_sessions_age ON protokeep_sessions (expires_at)",
    "idx_protokeep_audit_newest ON protokeep_audit (workspace_id, at DESC, id DESC)",
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
    """Create the tables, and give this installation its id."""
    connection = op.get_bind()
    is_postgresql, columns = connection.dialect.name == "postgresql", _columns(connection)
    types = {"id": _key_type(connection, columns, "id"), "product": _key_type(connection, columns, "product_id")}
    if is_postgresql:
        types |= {"instant": "timestamptz", "bytes": "bytea"}
        types["serial"] = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    else:
        types |= {"instant": "text", "bytes": "blob", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT"}
    _require_unique_id(connection)
    # References come last: from the first of them until the commit, nobody can write to the owner's table.
    for table in sorted(TABLES, key=lambda table: "REFERENCES design_mockups" in table):
        connection.exec_driver_sql(table.format_map(types))
    for index in INDEXES:
        connection.exec_driver_sql(f"CREATE INDEX {index}")
    for statement in POSTGRESQL_APPEND_ONLY if is_postgresql else SQLITE_APPEND_ONLY:
        connection.exec_driver_sql(statement)
    insert = text("INSERT INTO protokeep_meta (name, value) VALUES ('installation_id', :id), ('installed_at', :now)")
    connection.execute(insert, {"id": uuid4().hex, "now": datetime.now(UTC).isoformat()})


def _columns(connection: Connection) -> dict[str, str]:
    is_postgresql = connection.dialect.name == "postgresql"
    rows = connection.exec_driver_sql(POSTGRESQL_COLUMNS if is_postgresql else SQLITE_COLUMNS)
    columns = {str(name): str(kind) for name, kind in rows}
    if not columns:
        raise MigrationError(
            "There is no table design_mockups. Apply 20251128000000_add_v0_project_tracking.sql first "
            "(`protokeep migrate --sql` prints it); or set PROTOKEEP_MIGRATE=all: `protokeep migrate` then does both."
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
