"""API tokens: 256 random bits, shown once, kept as an HMAC."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
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
#: How long what was read of a token counts: a revocation elsewhere is heeded after this at the latest.
KNOWN_FOR = timedelta(seconds=1)
NO_TIME = timedelta(0)
#: Tokens that are remembered at once.
KNOWN_MAX = 10_000


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
        # The digest is looked up by equality: a timing difference there tells nothing about the token.
        digest = self._digest(text)
        now = self._clock()
        known = self._known.get(digest)
        if known is not None and NO_TIME <= now - known[0] < KNOWN_FOR:  # A clock that was set back ends it too.
            token: ApiToken | None = known[1]
        else:
            token = await self._read(digest, now)
        if token is None or not token.counts(now):
            raise NotAuthenticated("This token is unknown, expired or revoked. Make one with `protokeep token create`.")
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

    async def list(self, workspace_id: str) -> list[ApiToken]:
        """All tokens of a workspace, newest first."""
        return await self._store.list(workspace_id)

    async def revoke(self, workspace_id: str, token: str) -> int:
        """Revoke by id or prefix. Raises `NotFound`; how many were revoked."""
        revoked = await self._store.revoke(workspace_id, token, self._clock())
        self._known.clear()
        if revoked == 0:
            raise NotFound(f"No token {token} that still counts. `protokeep token list` shows them.")
        return revoked

    def _digest(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(), "sha256").hex()
