"""Audit lines: an action of a person, with its time, its subject and its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from protokeep.core.principals import Principal

#: The actor of what protokeep does by itself.
ITSELF = "protokeep"


class Action(StrEnum):
    """An action that the audit records."""

    CREATED = "created"
    REUSED = "reused"
    ASKED = "asked"  #: sent a follow-up
    STOPPED = "stopped"
    DELETED = "deleted"  #: put a prototype into the bin, or deleted it at once
    TAKEN_BACK = "taken_back"  #: took a prototype out of the bin
    MADE_CURRENT = "made_current"  #: made a variant the current one of its product
    TAGGED = "tagged"  #: gave tags to a product, or took some away
    ARCHIVED = "archived"  #: put a product out of sight
    UNARCHIVED = "unarchived"  #: brought an archived product back, with its own command or by asking for it
    RESTORED = "restored"  #: made a chat again from its archive
    ARCHIVES_REMOVED = "archives_removed"
    AUDIT_REMOVED = "audit_removed"  #: an operator took old lines of the audit out of the database, into a file
    ADOPTED = (
        "adopted"  #: a chat that no row had became a prototype's: one of ours by nobody's request, others by an admin's
    )
    CENSUS_STARTED = "census_started"
    CENSUS_CANCELLED = "census_cancelled"
    PINNED = "pinned"  #: a chat that a census found is to be kept
    UNPINNED = "unpinned"
    TOKEN_CREATED = "token_created"  # noqa: S105 - a word, not a secret
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    ACCESS_REVOKED = "access_revoked"  #: all tokens and sessions of a person
    PLAN_MADE = "plan_made"  #: a list of what is to be done with the chats of an account
    PLAN_APPROVED = "plan_approved"
    PLAN_APPLIED = "plan_applied"  #: its deletions begin when its grace period is over
    PLAN_PAUSED = "plan_paused"
    PLAN_RESUMED = "plan_resumed"
    PLAN_CANCELLED = "plan_cancelled"
    PLAN_UNDONE = "plan_undone"  #: the whole plan, or some of its chats
    PLAN_ITEM = "plan_item"  #: the receipt of one chat of a plan: what became of it
    POLICY_SET = "policy_set"  #: the standing policy of clean-ups
    POLICY_REMOVED = "policy_removed"
    INVITED = "invited"
    INVITATION_TAKEN_BACK = "invitation_taken_back"
    SETTING_CHANGED = "setting_changed"  #: a setting of the workspace
    KEY_SET = "key_set"
    KEY_REMOVED = "key_removed"
    KEY_SEALED_ANEW = "key_sealed_anew"  #: under another master key
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGNED_OUT = "signed_out"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit. `data` holds no prompt and no secret; `address` is empty for a local action.

    `actor` is empty for a failed sign-in, whose person is unknown.
    """

    workspace_id: str
    at: datetime
    action: Action
    actor: str
    token_id: str = ""
    address: str = ""
    subject: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, principal: Principal, action: Action, at: datetime, subject: str | None = None, **data: Any
    ) -> AuditEntry:
        """An action of `principal` in its own workspace. Values that are None are left out."""
        details = {name: value for name, value in data.items() if value is not None}
        return cls(
            principal.workspace_id,
            at,
            action,
            principal.user_id,
            principal.token_id,
            principal.address,
            subject,
            details,
        )
