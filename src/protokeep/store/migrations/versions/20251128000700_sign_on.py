"""Page sessions of people whom the company's sign-in service has named: they have no token."""

from __future__ import annotations

from alembic import op

revision = "20251128000700"
down_revision = "20251128000600"
branch_labels = None
depends_on = None

NAMED = "CHECK ((token_id IS NULL) = (user_id IS NOT NULL AND workspace_id IS NOT NULL AND role IS NOT NULL))"
ROLE = "CHECK (role IN ('viewer', 'maker', 'admin'))"

#: SQLite cannot let a column be null later on, so its table is made anew.
SQLITE = (
    f"""
CREATE TABLE protokeep_sessions_new (
    digest       text PRIMARY KEY NOT NULL, -- HMAC-SHA-256 of what the browser holds; that itself is nowhere
    kind         text NOT NULL CHECK (kind IN ('session', 'code')), -- signed in, or a link that signs in once
    token_id     text REFERENCES protokeep_api_tokens (id) ON DELETE CASCADE, -- what it was opened with, or
    workspace_id text,                      -- .. whom the sign-in service named: these three
    user_id      text,
    role         text {ROLE},
    created_at   text NOT NULL,
    expires_at   text NOT NULL,             -- moves on with use, but not for ever
    CONSTRAINT protokeep_sessions_of_somebody {NAMED}
)""",
    "INSERT INTO protokeep_sessions_new (digest, kind, token_id, created_at, expires_at)"
    " SELECT digest, kind, token_id, created_at, expires_at FROM protokeep_sessions",
    "DROP TABLE protokeep_sessions",
    "ALTER TABLE protokeep_sessions_new RENAME TO protokeep_sessions",
    "CREATE INDEX idx_protokeep_sessions_token ON protokeep_sessions (token_id)",
    "CREATE INDEX idx_protokeep_sessions_age ON protokeep_sessions (expires_at)",
)
POSTGRESQL = (
    "ALTER TABLE protokeep_sessions ALTER COLUMN token_id DROP NOT NULL",
    "ALTER TABLE protokeep_sessions ADD COLUMN workspace_id text",
    "ALTER TABLE protokeep_sessions ADD COLUMN user_id text",
    f"ALTER TABLE protokeep_sessions ADD COLUMN role text {ROLE}",
    f"ALTER TABLE protokeep_sessions ADD CONSTRAINT protokeep_sessions_of_somebody {NAMED}",
)
PERSON = "CREATE INDEX idx_protokeep_sessions_person ON protokeep_sessions (workspace_id, user_id)"


def upgrade() -> None:
    """Let a session belong to a token or to a named person."""
    connection = op.get_bind()
    for statement in (*(POSTGRESQL if connection.dialect.name == "postgresql" else SQLITE), PERSON):
        connection.exec_driver_sql(statement)
