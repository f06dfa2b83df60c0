"""API tokens: 256 random bits, shown once, kept as an HMAC."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from protokeep.core import validation
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated, NotFound
from protokeep.core.principals import ApiToken, Person, Principal, Role
from protokeep.core.validation import NAME_MAX
from protokeep.service.heartbeat import Clock
from protokeep.store.tokens import TokenStore

PREFIX = "pk_"
#: What people recognise a token by; 6 of its 43 random characters.
SHOWN = len(PREFIX) + 6
#: `last_used_at` is coarse, so that authentication writes at most this often per token.
USED_EVERY = timedelta(minutes=1)
#: The actor in the audit of what was done at the command line, by whoever may open the database.
LOCAL = "command line"
#: How long what was read of a token counts: a revocation elsewhere is heeded after this at the latest.
KNOWN_FOR = timedelta(seconds=1)
NO_TIME = timedelta(0)
#: Tokens that are remembered at once.
KNOWN_MAX = 10_000


class TokenRefused(NotAuthenticated):
    """A token that does not count. What it says is the same whatever is wrong; `token` is for the audit alone."""

    def __init__(self, token: ApiToken | None = None) -> None:
        super().__init__("This token is unknown, expired or revoked. Make one with `protokeep token create`.")
        self.token = token  #: what is kept of it; None: it is nobody's


class Tokens:
    """Makes, checks, lists and revokes tokens."""

    def __init__(self, store: TokenStore, secret: bytes, clock: Clock) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock
        self._known: dict[str, tuple[datetime, ApiToken]] = {}

    async def create(
        self,
        role: Role,
        *,
        name: str = "",
        user_id: str = "",
        workspace_id: str = "default",
        days: int | None = None,
        plain: str | None = None,
        by: Principal | None = None,
    ) -> tuple[str, ApiToken]:
        """A new token and what is kept of it. `plain` keeps a given one (the demo's). The first one makes a workspace.

        `by` is who asks: it makes tokens of its own workspace only, and of no role above its own. Raises
        `InvalidInput`, `NotAllowed`.
        """
        if by is not None:
            workspace_id = by.workspace_id
            if not by.role.covers(role):
                raise NotAllowed(f"Your role is {by.role.value}: you cannot make a token of role {role.value}.")
        if plain is not None and len(plain) < 16:
            raise InvalidInput("A token needs at least 16 characters.", field="token")
        name = validation.title_of(name) if name else ""
        if days is not None and not 1 <= days <= 3650:
            raise InvalidInput("A token expires after 1 to 3650 days, or never.", field="days")
        text = plain or PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        token = ApiToken(
            id=uuid4().hex,
            workspace_id=validation.workspace_id_of(workspace_id),
            user_id=validation.person_of(user_id) if user_id else name or f"{role.value}-{secrets.token_hex(3)}",
            name=name or role.value,
            role=role,
            prefix=text[:SHOWN],
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        entry = AuditEntry(workspace_id, now, Action.TOKEN_CREATED, LOCAL, subject=token.id)
        if by is not None:
            entry = AuditEntry.of(by, Action.TOKEN_CREATED, now, token.id)
        told = {"prefix": token.prefix, "role": role.value, "whose": token.user_id}
        await self._store.add(token, self._digest(text), replace(entry, data=told))
        return text, token

    async def check(self, text: str) -> Principal:
        """Whom a token stands for. Raises `TokenRefused`, which does not say what is wrong with it."""
        # The digest is looked up by equality: a timing difference there tells nothing about the token.
        digest = self._digest(text)
        now = self._clock()
        known = self._known.get(digest)
        if known is not None and NO_TIME <= now - known[0] < KNOWN_FOR:  # A clock that was set back ends it too.
            token: ApiToken | None = known[1]
        else:
            token = await self._read(digest, now)
        if token is None or not token.counts(now):
            raise TokenRefused(token)
        return token.principal

    async def _read(self, digest: str, now: datetime) -> ApiToken | None:
        """The token as it is written, remembered for a moment if it counts."""
        self._known.pop(digest, None)
        token = await self._store.find(digest)
        if token is None or not token.counts(now):
            return token
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[digest] = now, token
        if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
            await self._store.used(token.id, now, USED_EVERY)
        return token

    async def list(self, workspace_id: str) -> Sequence[ApiToken]:
        """All tokens of a workspace, newest first."""
        return await self._store.list(workspace_id)

    async def anybody(self) -> bool:
        """Whether any token lets somebody in."""
        return await self._store.count(self._clock()) > 0

    async def permanent_admins(self) -> Sequence[ApiToken]:
        """Admin tokens that never expire, in all workspaces."""
        return await self._store.permanent_admins(self._clock())

    async def revoke(self, workspace_id: str, token: str, *, by: Principal | None = None) -> int:
        """Revoke by id or prefix. Raises `NotFound`; how many were revoked."""
        now = self._clock()
        entry = AuditEntry(workspace_id, now, Action.TOKEN_REVOKED, LOCAL)
        if by is not None:
            entry = AuditEntry.of(by, Action.TOKEN_REVOKED, now)
        revoked = await self._store.revoke(workspace_id, token, now, entry)
        self._known.clear()
        if revoked == 0:
            raise NotFound(f"No token {token[:NAME_MAX]} that still counts. `protokeep token list` shows them.")
        return revoked

    async def people(self, principal: Principal) -> Sequence[Person]:
        """Everybody who has, or had, a token in the workspace, or who made something in it."""
        return await self._store.people(principal.workspace_id, self._clock())

    async def revoke_access(self, by: Principal, user_id: str) -> tuple[int, int]:
        """Revoke all tokens of a person and end all sessions. (tokens, sessions); both 0: there was nothing."""
        now = self._clock()
        entry = AuditEntry.of(by, Action.ACCESS_REVOKED, now, user_id)
        revoked = await self._store.revoke_access(by.workspace_id, user_id, now, entry)
        self._known.clear()
        return revoked

    def _digest(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(), "sha256").hex()
