"""What the audit says of a sign-in that failed."""

from __future__ import annotations

from datetime import datetime

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import NotAllowed, NotAuthenticated
from protokeep.service.provider_accounts import DEFAULT_WORKSPACE
from protokeep.service.tokens import TokenRefused


def refusal(
    error: NotAuthenticated | NotAllowed, address: str, at: datetime, *, at_service: bool = False
) -> AuditEntry:
    """The line for somebody who was not let in at the page; `at_service`: coming back from the sign-in service.

    A token that counted once belongs to its workspace, whose admins know whose it was. What nobody knows belongs to
    the default workspace, whose admins run this as a rule. Nothing of what was shown is in the line.
    """
    if isinstance(error, TokenRefused) and error.token is not None:
        token = error.token
        reason = "token_revoked" if token.revoked_at is not None else "token_expired"
        told = {"reason": reason, "whose": token.user_id}
        return AuditEntry(token.workspace_id, at, Action.SIGN_IN_FAILED, "", token.id, address, token.id, told)
    if isinstance(error, TokenRefused):
        reason = "token_unknown"
    elif not at_service:
        reason = "link_unknown"
    else:
        reason = "no_role" if isinstance(error, NotAllowed) else "not_taken"
    return AuditEntry(DEFAULT_WORKSPACE, at, Action.SIGN_IN_FAILED, "", address=address, data={"reason": reason})
