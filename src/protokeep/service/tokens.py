"""API tokens: 256 random bits, shown once, kept as an HMAC."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from protokeep.core.errors import InvalidInput, NotAuthenticated, NotFound
from protokeep.core.inputs import NAME_MAX
from protokeep.core.people import ApiToken, Principal, Role
from protokeep.service.context import Clock
from protokeep.store.tokens import TokenStore

PREFIX = "pk_"
#: What people recognise a token by; 6 of its 43 random characters.
SHOWN = len(PREFIX) + 6
#: `last_used_at` is coarse, so that authentication writes at most this often per token.
USED_EVERY = timedelta(minutes=1)


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
    ) -> tuple[str, ApiToken]:
        """A new token and what is kept of it. `plain` keeps a given one (the demo's)."""
        if plain is not None and len(plain) < 16:
            raise InvalidInput("A token needs at least 16 characters.", field="token")
        if len(name) > NAME_MAX or len(user_id) > NAME_MAX:
            raise InvalidInput(f"Names have at most {NAME_MAX} characters.", field="name")
        if days is not None and not 1 <= days <= 3650:
            raise InvalidInput("A token expires after 1 to 3650 days, or never.", field="days")
        text = plain or PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        token = ApiToken(
            id=uuid4().hex,
            workspace_id=workspace_id,
            user_id=user_id or name or f"{role.value}-{secrets.token_hex(3)}",
            name=name or role.value,
            role=role,
            prefix=text[:SHOWN],
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        await self._store.add(token, self._digest(text))
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

    async def list(self, workspace_id: str) -> list[ApiToken]:
        """All tokens of a workspace, newest first."""
        return await self._store.list(workspace_id)

    async def anybody(self) -> bool:
        """Whether any token lets somebody in."""
        return await self._store.count(self._clock()) > 0

    async def admins_for_ever(self) -> Sequence[ApiToken]:
        """Admin tokens that never expire, in all workspaces."""
        return await self._store.admins_for_ever(self._clock())

    async def revoke(self, workspace_id: str, token: str) -> int:
        """Revoke by id or prefix. Raises `NotFound`; how many were revoked."""
        revoked = await self._store.revoke(workspace_id, token, self._clock())
        if revoked == 0:
            raise NotFound(f"No token {token} that still counts. `protokeep token list` shows them.")
        return revoked

    def _digest(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
