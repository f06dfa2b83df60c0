"""Principals: the person behind a request, and the role that says what the person may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: The workspace of everybody and everything for which none is named, such as rows that were there before protokeep.
DEFAULT_WORKSPACE = "default"


class Role(StrEnum):
    """The permissions of a principal; each role includes the roles before it."""

    VIEWER = "viewer"  #: sees
    MAKER = "maker"  #: creates, iterates, stops
    ADMIN = "admin"  #: deletes; keys, tokens and people

    def covers(self, needed: Role) -> bool:
        """Whether this role includes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """A person with a valid token. `address` is where the request came from, for the audit."""

    workspace_id: str
    user_id: str
    role: Role
    token_id: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A stored token. People recognise it by its `prefix`; the token itself was shown once."""

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
    made_by: str | None = None  #: who made it; None: the command line
    made_with: str | None = None  #: the id of the token that made it; None: none did

    def is_valid(self, now: datetime) -> bool:
        """Whether the token is valid at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def principal(self) -> Principal:
        """The person that the token stands for."""
        return Principal(self.workspace_id, self.user_id, self.role, self.id)


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a workspace, with the numbers of their valid tokens and of their prototypes.

    `role`: the highest one of their valid tokens; None: they have none.
    """

    user_id: str
    tokens: int
    prototypes: int
    last_used_at: datetime | None = None
    role: Role | None = None
