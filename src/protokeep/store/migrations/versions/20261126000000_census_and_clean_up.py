"""Add the census of accounts, plans of their clean-up, archives of chats, and the bin of deleted prototypes."""

from __future__ import annotations

from alembic import op

revision = "20261126000000"
down_revision = "20251128000100"
branch_labels = None
depends_on = None

# {instant} and {bytes} differ between the databases.
TABLES = (
    """
-- Readings of an account. A census writes nothing at the app builder.
CREATE TABLE protokeep_censuses (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    account      text NOT NULL,
    state        text NOT NULL CHECK (state IN ('running', 'paused', 'done', 'failed', 'cancelled')),
    is_whole     boolean NOT NULL CHECK (is_whole IN (true, false)), -- it reads the lists to their ends
    requested_by text NOT NULL,
    started_at   {instant} NOT NULL,
    step_at      {instant},                   -- when its next step is due
    finished_at  {instant},
    phase        text NOT NULL DEFAULT '',    -- what is being read
    position     text NOT NULL DEFAULT '{{}}', -- JSON: where it goes on
    calls        int NOT NULL DEFAULT 0 CHECK (calls >= 0),
    chats        int NOT NULL DEFAULT 0 CHECK (chats >= 0), -- chats that it has seen so far
    expected     int,                         -- chats that the census before it saw
    problem      text,                        -- why it is paused or failed, for people
    version      int NOT NULL DEFAULT 0 CHECK (version >= 0) -- grows with each change; guards writes
)""",
    """
-- What censuses know of the chats of an account. A workspace sees what its own censuses found.
CREATE TABLE protokeep_census_chats (
    workspace_id text NOT NULL,
    account      text NOT NULL,
    chat_id      text NOT NULL,
    api_version  int NOT NULL CHECK (api_version >= 1), -- of the list that reads and deletes it
    content      text NOT NULL,               -- `core.census.ChatContent`
    claim        text NOT NULL,               -- `core.census.Claim` when it was seen last; rows decide when it is read
    mark         text CHECK (mark IN ('ours', 'foreign')), -- whose its metadata say it is; NULL: nobody's, or not told
    kind         text,                        -- `core.census.ChatKind`
    name         text NOT NULL,
    author_id    text,
    created_at   {instant},
    updated_at   {instant},
    privacy      text,
    is_favorite  boolean CHECK (is_favorite IN (true, false)),
    may_delete   boolean CHECK (may_delete IN (true, false)),
    project_id   text,
    vercel_project_id text,
    version_id   text,
    metadata     text,                        -- JSON; NULL: the list does not tell it
    web_url      text,
    demo_url     text,
    picture_url  text,
    fingerprint  text NOT NULL,               -- another one means that the chat changed
    prompt       text,                        -- its first message, cut; NULL: it was not read
    prompt_read_at {instant},                 -- when its prompt was asked for
    credits      double precision,            -- what it cost, as the app builder reports
    costs_read   double precision,            -- the same, as far as the census that reads it now got
    group_id     text,
    product_id   text,                        -- the product that it is for, as far as that is known
    mockup_id    text,                        -- the prototype whose chat it is
    first_census_id text NOT NULL,
    last_census_id  text NOT NULL,            -- the newest census that saw it
    walk         text NOT NULL,               -- the newest reading of a list that showed it: census:version:attempt
    first_seen_at   {instant} NOT NULL,
    last_seen_at    {instant} NOT NULL,
    -- Whether it is gone as far as is known: the newest whole census did not see it, or a plan deleted it.
    is_missing   boolean NOT NULL DEFAULT false CHECK (is_missing IN (true, false)),
    PRIMARY KEY (workspace_id, account, chat_id)
)""",
    """
-- Chats that are the same.
CREATE TABLE protokeep_census_groups (
    workspace_id text NOT NULL,
    account      text NOT NULL,
    group_id     text NOT NULL,
    confidence   double precision NOT NULL,
    reasons      text NOT NULL,               -- JSON: sentences
    product_id   text,
    product_confidence double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, account, group_id)
)""",
    """
-- Chats that somebody wants to keep. No plan deletes them.
CREATE TABLE protokeep_pins (
    workspace_id text NOT NULL,
    account      text NOT NULL,
    chat_id      text NOT NULL,
    pinned_by    text NOT NULL,
    pinned_at    {instant} NOT NULL,
    reason       text,
    PRIMARY KEY (workspace_id, account, chat_id)
)""",
    """
-- Lists of what is to be done with the chats of an account. The list never changes; its state does.
CREATE TABLE protokeep_plans (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    account      text NOT NULL,
    digest       text NOT NULL,               -- of its items; approvals and applications name it
    state        text NOT NULL
                 CHECK (state IN ('draft', 'approved', 'applying', 'paused', 'done', 'cancelled', 'expired')),
    requested_by text NOT NULL,
    created_at   {instant} NOT NULL,
    expires_at   {instant} NOT NULL,          -- a draft ends then
    grace_days   int NOT NULL CHECK (grace_days >= 0),
    per_day      int NOT NULL CHECK (per_day > 0),
    chats        int NOT NULL,                -- chats of the account when it was made
    deletions    int NOT NULL,                -- items that delete
    approvals_needed int NOT NULL CHECK (approvals_needed > 0),
    edited_from  text,                        -- the plan that it was imported over
    origin       text NOT NULL,               -- 'person', or 'policy'
    rules_off    text NOT NULL DEFAULT '[]',  -- JSON: the keep rules that were switched off
    slowed_at    {instant},                   -- when the app builder asked for fewer calls last
    slowdowns    int NOT NULL DEFAULT 0 CHECK (slowdowns >= 0), -- how often it did so in that UTC day
    failures     int NOT NULL DEFAULT 0 CHECK (failures >= 0),  -- calls in a row without a trustworthy answer
    step_at      {instant},                   -- when its next step is due
    problem_code text,
    problem      text,                        -- why it is paused, for people
    finished_at  {instant},
    version      int NOT NULL DEFAULT 0 CHECK (version >= 0) -- grows with each change; guards writes
)""",
    """
CREATE TABLE protokeep_plan_approvals (
    plan_id      text NOT NULL REFERENCES protokeep_plans (id) ON DELETE CASCADE,
    approved_by  text NOT NULL,
    approved_at  {instant} NOT NULL,
    PRIMARY KEY (plan_id, approved_by)
)""",
    """
-- What a plan does with each chat, and how far that is.
CREATE TABLE protokeep_plan_items (
    plan_id      text NOT NULL REFERENCES protokeep_plans (id) ON DELETE CASCADE,
    account      text NOT NULL,
    chat_id      text NOT NULL,
    api_version  int NOT NULL CHECK (api_version >= 1),
    action       text NOT NULL CHECK (action IN ('keep', 'delete')),
    rule         text NOT NULL,               -- the rule that decided, as a stable word
    reason       text NOT NULL,               -- the same for people
    fingerprint  text NOT NULL,               -- a chat with another one is never deleted
    name         text NOT NULL,
    author_id    text,
    group_id     text,
    credits      double precision,
    state        text NOT NULL CHECK (state IN ('planned', 'waiting', 'archived', 'deleting', 'deleted', 'skipped',
                                                'failed', 'protected', 'restoring', 'restored')),
    due_at       {instant},                   -- when it may go on
    sent_at      {instant},                   -- when its deletion was sent last
    undo_by      text,                        -- the person who wants it back
    restored_as  text,                        -- the chat that was made from its archive
    attempts     int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    archive_id   text,
    answer       text,                        -- what the app builder answered last
    decided_by   text,                        -- the person who decided it, if a rule did not
    changed_at   {instant} NOT NULL,
    version      int NOT NULL DEFAULT 0 CHECK (version >= 0), -- grows with each change; guards writes
    PRIMARY KEY (plan_id, chat_id)
)""",
    """
-- The process that works on the plans of an account. Rows are never deleted: writes that belong together lock them.
CREATE TABLE protokeep_clean_up_turns (
    account      text PRIMARY KEY NOT NULL,
    owner        text NOT NULL,               -- the process
    until        {instant} NOT NULL           -- until then no other process does
)""",
    """
-- Workspaces whose failed, empty and superseded chats go into a new draft of a plan by themselves.
CREATE TABLE protokeep_clean_up_policies (
    workspace_id text NOT NULL,
    account      text NOT NULL,
    older_than_days int NOT NULL CHECK (older_than_days > 0),
    set_by       text NOT NULL,
    set_at       {instant} NOT NULL,
    next_at      {instant} NOT NULL,          -- when the next draft is made
    PRIMARY KEY (workspace_id, account)
)""",
    """
-- Copies of chats, made before their deletion: a zip with messages, files and picture.
CREATE TABLE protokeep_archives (
    id           text PRIMARY KEY NOT NULL,
    workspace_id text NOT NULL,
    account      text NOT NULL,
    chat_id      text NOT NULL,
    api_version  int NOT NULL CHECK (api_version >= 1),
    name         text NOT NULL,
    sha256       text NOT NULL,               -- of the body
    bytes        bigint NOT NULL,             -- of the body
    body         {bytes} NOT NULL,
    created_at   {instant} NOT NULL,
    product_id   text,                        -- the product that it was for, as far as that is known
    mockup_id    text,                        -- the prototype whose chat it was
    restored_as  text,                        -- the chat that was made from it
    restored_at  {instant}
)""",
)
#: The bin: a deleted prototype waits there before its chat goes.
COLUMNS = (
    "ALTER TABLE protokeep_generations ADD COLUMN deletion_due_at {instant}",  # until then it can be taken back
    "ALTER TABLE protokeep_generations ADD COLUMN deletion_requested_by text",
    "ALTER TABLE protokeep_generations ADD COLUMN archive_id text",  # the copy of its chat
)
INDEXES = (
    "INDEX idx_protokeep_censuses_newest ON protokeep_censuses (workspace_id, account, started_at DESC)",
    "UNIQUE INDEX idx_protokeep_censuses_open ON protokeep_censuses (workspace_id, account)"
    " WHERE state IN ('running', 'paused')",
    "INDEX idx_protokeep_census_chats_group ON protokeep_census_chats (workspace_id, account, group_id)",
    "INDEX idx_protokeep_plans_newest ON protokeep_plans (workspace_id, created_at DESC)",
    "INDEX idx_protokeep_plan_items_due ON protokeep_plan_items (plan_id, state, due_at)",
    # At most one plan may delete a chat at a time.
    "UNIQUE INDEX idx_protokeep_plan_items_open ON protokeep_plan_items (account, chat_id)"
    " WHERE action = 'delete' AND state IN ('waiting', 'archived', 'deleting')",
    "INDEX idx_protokeep_plan_items_sent ON protokeep_plan_items (plan_id, sent_at) WHERE sent_at IS NOT NULL",
    "INDEX idx_protokeep_plans_due ON protokeep_plans (step_at) WHERE step_at IS NOT NULL",
    "INDEX idx_protokeep_audit_receipts ON protokeep_audit (workspace_id, subject) WHERE action = 'plan_item'",
    "INDEX idx_protokeep_generations_bin ON protokeep_generations (deletion_due_at) WHERE deletion_due_at IS NOT NULL",
    "INDEX idx_protokeep_archives_newest ON protokeep_archives (workspace_id, created_at, id)",
    "INDEX idx_protokeep_archives_chat ON protokeep_archives (workspace_id, account, chat_id)",
)


def upgrade() -> None:
    """Create the tables, and add the columns of the bin."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    types = {"instant": "timestamptz", "bytes": "bytea"} if is_postgresql else {"instant": "text", "bytes": "blob"}
    for statement in (*TABLES, *COLUMNS):
        connection.exec_driver_sql(statement.format_map(types))
    for index in INDEXES:
        connection.exec_driver_sql(f"CREATE {index}")
