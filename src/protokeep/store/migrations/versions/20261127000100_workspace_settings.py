"""Add settings of workspaces, and with which token tokens, invitations and approvals were made."""

from __future__ import annotations

from alembic import op

revision = "20261127000100"
down_revision = "20261127000000"
branch_labels = None
depends_on = None

SETTINGS = """
-- What admins have set for their workspace. NULL: the setting of the process counts.
CREATE TABLE protokeep_workspace_settings (
    workspace_id    text PRIMARY KEY NOT NULL,
    unclear_product text CHECK (unclear_product IN ('take', 'ask'))
)"""
COLUMNS = (
    "ALTER TABLE protokeep_api_tokens ADD COLUMN made_by text",  # who made it; NULL: the command line
    "ALTER TABLE protokeep_api_tokens ADD COLUMN made_with text",  # the token of who made it; NULL: a sign-in service
    "ALTER TABLE protokeep_invitations ADD COLUMN invited_with text",  # the token of who invited
    "ALTER TABLE protokeep_plan_approvals ADD COLUMN approved_with text",  # the token of who approved
)
#: What the audit knows of those that are there. What the command line makes has neither a token nor an address.
KNOWN = (
    "UPDATE protokeep_api_tokens SET made_by = a.actor, made_with = nullif(a.token_id, '') FROM protokeep_audit a"
    " WHERE a.action = 'token_created' AND a.subject = protokeep_api_tokens.id"
    " AND a.workspace_id = protokeep_api_tokens.workspace_id AND (a.token_id <> '' OR a.address <> '')",
    "UPDATE protokeep_plan_approvals SET approved_with = nullif(a.token_id, '') FROM protokeep_audit a"
    " WHERE a.action = 'plan_approved' AND a.subject = protokeep_plan_approvals.plan_id"
    " AND a.actor = protokeep_plan_approvals.approved_by",
)


def upgrade() -> None:
    """Create the table, add the columns, and fill them as far as the audit knows."""
    connection = op.get_bind()
    for statement in (SETTINGS, *COLUMNS, *KNOWN):
        connection.exec_driver_sql(statement)
