"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a principal may do; each role may do what the one before may."""

    VIEWER = "viewer"  #: sees
    MAKER = "maker"  #: creates, iterates, stops
    ADMIN = "admin"  #: deletes; keys, tokens and people

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who showed a token that counts. `address` is where the request came from, for the audit."""

    workspace_id: str
    user_id: str
    role: Role
    token_id: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as it is kept. `prefix` is what people recognise it by; the token itself was shown once."""

    id: str
    workspace_id: str
    user_id: str
    name: str
    role: Role
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Whether it lets anybody in at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def principal(self) -> Principal:
        """Whom it stands for."""
        return Principal(self.workspace_id, self.user_id, self.role, self.id)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of a workspace: how many tokens of theirs count, and how many prototypes they made."""

    user_id: str
    tokens: int
    prototypes: int
    last_used_at: datetime | None = None
