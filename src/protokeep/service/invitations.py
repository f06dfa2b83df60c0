"""Invitations: links that let somebody into a workspace once, with the role that an admin has chosen.

Whoever accepts one says who they are. A name that somebody has already is refused: it would open what is theirs. Only
an admin, by naming the person in the invitation, lets somebody in again under a name that is there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, LimitReached, NotAllowed, NotAuthenticated, NotFound, ProtokeepError
from protokeep.core.principals import Principal, Role
from protokeep.service.sessions import SECRET_BYTES, SECRET_MAX, Sessions
from protokeep.service.tokens import Tokens, name_of_person
from protokeep.store.invitations import Invitation, InvitationStore

#: The most days that an invitation is open.
DAYS_MAX = 30
#: Invitations of a workspace that may be open at once.
MOST_OPEN = 100
TOO_LATE = (
    "This invitation was used already, was taken back, or is too old. Ask the person who invited you for a new one."
)


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody who has accepted an invitation: their session's secret, and a token that signs them in again."""

    user_id: str
    session_secret: str
    token: str


class Invitations:
    """Makes, lists, takes back and accepts invitations."""

    def __init__(self, store: InvitationStore, tokens: Tokens, sessions: Sessions) -> None:
        self._store = store
        self._tokens = tokens
        self._sessions = sessions
        self._letting_in = asyncio.Lock()

    async def invite(self, by: Principal, role: Role, days: int, user_id: str = "") -> tuple[str, Invitation]:
        """Make an invitation, for `user_id` or (empty) whoever has the link. Returns what the link carries, too.

        That is shown this once. Raises `NotAllowed` for a role above that of `by`, `InvalidInput`, and `LimitReached`
        where `MOST_OPEN` are open.
        """
        if not by.role.covers(Role.ADMIN) or not by.role.covers(role):
            raise NotAllowed("Only an admin invites people.")
        if not 1 <= days <= DAYS_MAX:
            raise InvalidInput(f"days must be between 1 and {DAYS_MAX}.", field="days")
        code = secrets.token_urlsafe(SECRET_BYTES)
        now = self._sessions.now()
        expires_at = now + timedelta(days=days)
        whose = name_of_person(user_id) if user_id.strip() else None
        with_token, digest = by.token_id or None, self._digest(code)
        invitation = Invitation(digest, by.workspace_id, role, whose, by.user_id, now, expires_at, with_token)
        entry = AuditEntry.of(by, Action.INVITED, now, whose, role=role.value, days=days)
        if not await self._store.add(invitation, entry, most=MOST_OPEN):
            raise LimitReached(f"{MOST_OPEN} invitations are open, the most there may be. Take some back.")
        return code, invitation

    async def find(self, code: str) -> Invitation:
        """The invitation of a link, which stays open. Raises `NotAuthenticated` if it is not open any more."""
        found = None
        if code and len(code) <= SECRET_MAX:
            found = await self._store.find(self._digest(code), self._sessions.now())
        if found is None:
            raise NotAuthenticated(TOO_LATE)
        return found

    async def accept(self, code: str, user_id: str, address: str = "") -> Joined:
        """Let somebody in, once. Raises `NotAuthenticated`, and `InvalidInput` for a name that cannot be theirs.

        The invitation stays open when nobody was let in.
        """
        async with self._letting_in:  # Of two people who choose one name at this moment, the second is told.
            return await self._accept(code, user_id, address)

    async def _accept(self, code: str, user_id: str, address: str) -> Joined:
        invitation = await self.find(code)
        name = invitation.user_id or name_of_person(user_id)
        if invitation.user_id is None and await self._store.has_person(invitation.workspace_id, name):
            raise InvalidInput(
                "user_id: another person here has this name already. Choose another one.", field="user_id"
            )
        if not await self._store.consume(invitation.digest, self._sessions.now()):
            raise NotAuthenticated(TOO_LATE)
        token_id = invitation.invited_with or ""
        inviter = Principal(invitation.workspace_id, invitation.invited_by, Role.ADMIN, token_id, address)
        try:
            token, _ = await self._tokens.create(invitation.role, name="invitation", user_id=name, by=inviter)
        except ProtokeepError:
            await self._store.add(invitation)
            raise
        return Joined(name, await self._sessions.sign_in(token), token)

    async def list(self, principal: Principal) -> Sequence[Invitation]:
        """The open invitations of the principal's workspace, newest first."""
        return await self._store.list(principal.workspace_id, self._sessions.now())

    async def take_back(self, by: Principal, digest: str) -> None:
        """Close an open invitation. Raises `NotFound`."""
        entry = AuditEntry.of(by, Action.INVITATION_TAKEN_BACK, self._sessions.now())
        if not await self._store.take_back(by.workspace_id, digest, entry):
            raise NotFound("This invitation is no longer open.")

    def _digest(self, code: str) -> str:
        return self._sessions.sign("invitation", code)
