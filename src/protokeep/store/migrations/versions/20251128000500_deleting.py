"""Let the worked-out `state` know prototypes that are being deleted, and follow-ups to a question.

A generated column cannot be changed: it is made anew, in one transaction, with the indexes that it is in.
"""

from __future__ import annotations

from alembic import op

revision = "20251128000500"
down_revision = "20251128000400"
branch_labels = None
depends_on = None

STATE = """
CASE
    WHEN deletion_requested_at IS NOT NULL THEN 'deleting'
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
    """Drop the column and its indexes, and make them again."""
    connection = op.get_bind()
    for name in INDEXES:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    connection.exec_driver_sql("ALTER TABLE protokeep_generations DROP COLUMN state")
    kept = "STORED" if connection.dialect.name == "postgresql" else "VIRTUAL"
    connection.exec_driver_sql(
        f"ALTER TABLE protokeep_generations ADD COLUMN state text GENERATED ALWAYS AS ({STATE}) {kept}"
    )
    for name, columns in INDEXES.items():
        connection.exec_driver_sql(f"CREATE INDEX {name} ON protokeep_generations ({columns})")
