"""Let the page list, count and filter a workspace's prototypes by where they stand, and keep who is signed in.

`state` is the chip's word (`core.prototype.State`), worked out by the database from the columns beside it, so that
nobody can forget to write it. A test holds it to the core.
"""

from __future__ import annotations

from alembic import op

revision = "20251128000400"
down_revision = "20251128000200"
branch_labels = None
depends_on = None

STATE = """
CASE
    WHEN recovery_point = 'settled' AND error_code IS NULL THEN 'ready'
    WHEN recovery_point = 'settled' THEN 'failed'
    WHEN recovery_point = 'accepted' AND error_code = 'timeout' THEN 'timed_out'
    WHEN recovery_point = 'sent' AND outcome_unknown THEN 'undecided'
    WHEN awaiting_input THEN 'waiting'
    WHEN hold_code IS NOT NULL THEN 'parked'
    WHEN recovery_point = 'accepted' THEN 'making'
    ELSE 'queued'
END
"""

SESSIONS = """
CREATE TABLE protokeep_sessions (
    digest     text PRIMARY KEY NOT NULL, -- HMAC-SHA-256 of what the browser holds; that itself is nowhere
    kind       text NOT NULL CHECK (kind IN ('session', 'code')), -- signed in, or a link that signs in once
    token_id   text NOT NULL REFERENCES protokeep_api_tokens (id) ON DELETE CASCADE, -- what it was opened with
    created_at {instant} NOT NULL,
    expires_at {instant} NOT NULL  -- moves on with use, but not for ever
)"""

INDEXES = (
    "CREATE INDEX idx_protokeep_generations_state ON protokeep_generations"
    " (workspace_id, state, created_at DESC, mockup_id DESC)",
    "CREATE INDEX idx_protokeep_generations_mine ON protokeep_generations"
    " (workspace_id, created_by, state, created_at DESC, mockup_id DESC)",
    "CREATE INDEX idx_protokeep_sessions_token ON protokeep_sessions (token_id)",
    "CREATE INDEX idx_protokeep_sessions_age ON protokeep_sessions (expires_at)",
)


def upgrade() -> None:
    """Add the column, the table and what they are found by."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    # SQLite adds only columns that it works out on reading; an index keeps them all the same.
    kept = "STORED" if is_postgresql else "VIRTUAL"
    connection.exec_driver_sql(
        f"ALTER TABLE protokeep_generations ADD COLUMN state text GENERATED ALWAYS AS ({STATE}) {kept}"
    )
    connection.exec_driver_sql(SESSIONS.format(instant="timestamptz" if is_postgresql else "text"))
    for index in INDEXES:
        connection.exec_driver_sql(index)
