"""What the promises need in a hostile world: beats that show when the database went back, absence that is counted.

A generated column cannot be changed: `state` is made anew, in one transaction, with the indexes that it is in.
"""

from __future__ import annotations

from alembic import op

revision = "20251128000800"
down_revision = "20251128000700"
branch_labels = None
depends_on = None

#: {instant} varies by database.
BEATS = (
    # A row per process, written every few seconds. A process that does not find what it wrote last knows that the
    # database is an older copy of itself.
    """
CREATE TABLE protokeep_processes (
    process_id text PRIMARY KEY NOT NULL,
    beat       bigint NOT NULL CHECK (beat > 0), -- grows with each beat
    beat_at    {instant} NOT NULL,               -- the database's clock at the last beat
    server     text NOT NULL,                    -- which server, and which copy of the database, it was written to
    -- Chats made after this may be in no row of this copy of the database; NULL: all of them were taken back.
    known_until {instant},
    -- How far the database's clock had run ahead before it was set back, as long as that time has not come again.
    ahead_until {instant},
    went_back  boolean NOT NULL DEFAULT false CHECK (went_back IN (true, false)) -- that it is older is certain
)""",
    # Whether anybody is at work is said by the processes themselves.
    "ALTER TABLE protokeep_accounts DROP COLUMN alive_at",
)
FOLLOW_UPS = (
    # The newest message of the chat that was known when the last message of ours arrived.
    "ALTER TABLE protokeep_generations ADD COLUMN known_message_id text",
)
ABSENCE = (
    # When the builder last showed the chat to a read (a create's own answer is none).
    "ALTER TABLE protokeep_generations ADD COLUMN last_shown_at {instant}",
    # Looks in a row that the builder answered with "not found".
    "ALTER TABLE protokeep_generations ADD COLUMN missing_polls int NOT NULL DEFAULT 0 CHECK (missing_polls >= 0)",
    # When the builder last answered a look with "not found".
    "ALTER TABLE protokeep_generations ADD COLUMN last_missing_at {instant}",
    # Looks in a row at a preview that was answered with 404.
    "ALTER TABLE protokeep_generations ADD COLUMN broken_checks int NOT NULL DEFAULT 0 CHECK (broken_checks >= 0)",
    # What a look has seen completed was shown by a read.
    "UPDATE protokeep_generations SET last_shown_at = observed_at"
    " WHERE recovery_point = 'settled' AND error_code IS NULL AND poll_count > 0",
)

STATE = """
CASE
    WHEN deletion_requested_at IS NOT NULL THEN 'deleting'
    WHEN missing_since IS NOT NULL AND recovery_point IN ('accepted', 'settled')
        AND (error_code IS NULL OR error_code = 'timeout') THEN 'not_visible'
    WHEN recovery_point = 'settled' AND error_code IS NULL THEN 'ready'
    WHEN recovery_point = 'settled' THEN 'failed'
    WHEN recovery_point = 'accepted' AND error_code = 'timeout' THEN 'timed_out'
    WHEN recovery_point = 'sent' AND outcome_unknown THEN 'undecided'
    WHEN awaiting_input AND recovery_point = 'accepted' THEN 'waiting'
    WHEN hold_code IS NOT NULL THEN 'parked'
    WHEN recovery_point = 'accepted' THEN 'making'
    ELSE 'queued'
END
"""
INDEXES = {
    "idx_protokeep_generations_state": "workspace_id, state, created_at DESC, mockup_id DESC",
    "idx_protokeep_generations_mine": "workspace_id, created_by, state, created_at DESC, mockup_id DESC",
}


def upgrade() -> None:
    """Add the table and the columns, and work `state` out anew."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    instant = "timestamptz" if is_postgresql else "text"
    for statement in (*BEATS, *FOLLOW_UPS, *ABSENCE):
        connection.exec_driver_sql(statement.format(instant=instant))
    for name in INDEXES:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    connection.exec_driver_sql("ALTER TABLE protokeep_generations DROP COLUMN state")
    kept = "STORED" if is_postgresql else "VIRTUAL"
    connection.exec_driver_sql(
        f"ALTER TABLE protokeep_generations ADD COLUMN state text GENERATED ALWAYS AS ({STATE}) {kept}"
    )
    for name, columns in INDEXES.items():
        connection.exec_driver_sql(f"CREATE INDEX {name} ON protokeep_generations ({columns})")
