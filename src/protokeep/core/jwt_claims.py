"""The principal of a checked JWT: person, workspace and role, as its claims name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protokeep.core.errors import NotAllowed, NotAuthenticated
from protokeep.core.principals import DEFAULT_WORKSPACE, Principal, Role
from protokeep.core.validation import is_plain


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """Which claims count, and what their values mean.

    A claim is named as it is (`https://example.com/role`) or by its path (`app_metadata.role`). Without a
    `workspace_claim` everybody belongs to `default`. `roles` says which role a value gives; empty: values are roles.
    """

    user_claim: str = "sub"
    workspace_claim: str = ""
    role_claim: str = "role"
    roles: Mapping[str, Role] = field(default_factory=dict)
    default_role: Role | None = None

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        """The principal that the claims name. Raises `NotAuthenticated` or `NotAllowed` if a claim is missing."""
        user = _text(_claim(claims, self.user_claim))
        if user is None:
            raise NotAuthenticated(f"This token names nobody: it has no usable claim {self.user_claim}.")
        workspace: str | None = DEFAULT_WORKSPACE
        if self.workspace_claim:
            workspace = _text(_claim(claims, self.workspace_claim))
        if workspace is None:
            raise NotAllowed(
                f"Your sign-in names no workspace (claim {self.workspace_claim}). Ask the operator of protokeep."
            )
        role = self._role(_claim(claims, self.role_claim)) or self.default_role
        if role is None:
            raise NotAllowed(
                f"Your sign-in gives you no role here (claim {self.role_claim}). Ask the operator of protokeep."
            )
        return Principal(workspace, user, role, "")

    def _role(self, value: Any) -> Role | None:
        """The highest role that one of the values gives; None: no value gives a role."""
        meaning = self.roles or {role.value: role for role in Role}
        values = value if isinstance(value, list) else [value]
        found = {meaning[one] for one in values if isinstance(one, str) and one in meaning}
        return next((role for role in reversed(Role) if role in found), None)


def roles_of(text: str) -> dict[str, Role]:
    """`designers=maker, platform=admin` as a mapping. Raises `ValueError` saying what is wrong."""
    found: dict[str, Role] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        value, separator, role = (piece.strip() for piece in part.rpartition("="))
        if not separator or not value or role not in set(Role):
            raise ValueError(f"{part!r} is not of the form value=viewer, value=maker or value=admin")
        found[value] = Role(role)
    return found


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    if name in claims:
        return claims[name]
    value: Any = claims
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    """A claim that may stand in our rows as it is. Another spelling is refused: it could name somebody else's rows."""
    return str(value) if is_plain(value) else None
