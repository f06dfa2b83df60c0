"""API tokens: 256 random bits, shown once, kept as an HMAC."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from protokeep.core import inputs
from protokeep.core.audit import Action, Entry
from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated, NotFound
from protokeep.core.inputs import NAME_MAX
from protokeep.core.people import ApiToken, Person, Principal, Role
from protokeep.service.context import Clock
from protokeep.store.tokens import TokenStore

PREFIX = "pk_"
#: What people recognise a token by; 6 of its 43 random characters.
SHOWN = len(PREFIX) + 6
#: `last_used_at` is coarse, so that authentication writes at most this often per token.
USED_EVERY = timedelta(minutes=1)
#: The actor in the audit of what was done at the command line, by whoever may open the database.
LOCAL = "command line"


class Tokens:
    """Makes, checks, lists and revokes tokens."""

    def __init__(self, store: TokenStore, secret: bytes, clock: Clock) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock

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
        name = inputs.title_of(name) if name else ""
        if days is not None and not 1 <= days <= 3650:
            raise InvalidInput("A token expires after 1 to 3650 days, or never.", field="days")
        text = plain or PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        token = ApiToken(
            id=uuid4().hex,
            workspace_id=inputs.workspace_id_of(workspace_id),
            user_id=inputs.person_of(user_id) if user_id else name or f"{role.value}-{secrets.token_hex(3)}",
            name=name or role.value,
            role=role,
            prefix=text[:SHOWN],
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        entry = Entry(workspace_id, now, Action.TOKEN_CREATED, LOCAL, subject=token.id)
        if by is not None:
            entry = Entry.of(by, Action.TOKEN_CREATED, now, token.id)
        told = {"prefix": token.prefix, "role": role.value, "whose": token.user_id}
        await self._store.add(token, self._digest(text), replace(entry, data=told))
        return text, token

    async def check(self, text: str) -> Principal:
        """Whom a token stands for. Raises `NotAuthenticated` without saying what is wrong with it."""
        # The digest is looked up by equality in an index: a timing difference there tells nothing about the token.
        token = await self._store.find(self._digest(text))
        now = self._clock()
        if token is None or not token.counts(now):
            raise NotAuthenticated("This token is unknown, expired or revoked. Make one with `protokeep token create`.")
        if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
            await self._store.used(token.id, now, USED_EVERY)
        return token.principal

    async def list(self, workspace_id: str) -> Sequence[ApiToken]:
        """All tokens of a workspace, newest first."""
        return await self._store.list(workspace_id)

    async def revoke(self, workspace_id: str, token: str, *, by: Principal | None = None) -> int:
        """Revoke by id or prefix. Raises `NotFound`; how many were revoked."""
        now = self._clock()
        entry = Entry(workspace_id, now, Action.TOKEN_REVOKED, LOCAL)
        if by is not None:
            entry = Entry.of(by, Action.TOKEN_REVOKED, now)
        revoked = await self._store.revoke(workspace_id, token, now, entry)
        if revoked == 0:
            raise NotFound(f"No token {token[:NAME_MAX]} that still counts. `protokeep token list` shows them.")
        return revoked

    async def people(self, principal: Principal) -> Sequence[Person]:
        """Everybody who has, or had, a token in the workspace, or who made something in it."""
        return await self._store.people(principal.workspace_id, self._clock())

    async def revoke_access(self, by: Principal, user_id: str) -> tuple[int, int]:
        """Revoke all tokens of a person and end all sessions. (tokens, sessions); both 0: there was nothing."""
        now = self._clock()
        entry = Entry.of(by, Action.ACCESS_REVOKED, now, user_id)
        return await self._store.revoke_access(by.workspace_id, user_id, now, entry)

    def _digest(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
