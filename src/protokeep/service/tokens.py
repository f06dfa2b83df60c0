"""API tokens: 256 random bits that are shown once and stored as an HMAC."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from protokeep.core import validation
from protokeep.core.audit import ITSELF, Action, AuditEntry
from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated, NotFound
from protokeep.core.principals import DEFAULT_WORKSPACE, ApiToken, Person, Principal, Role
from protokeep.core.search_text import folded
from protokeep.core.token_limits import TokenLimits
from protokeep.core.ttl_cache import TtlCache
from protokeep.core.validation import NAME_MAX
from protokeep.service.heartbeat import Clock
from protokeep.service.scans import Scans
from protokeep.store.tokens import TokenStore

PREFIX = "pk_"
#: Length of the visible beginning that people recognise a token by: 6 of its 43 random characters.
PREFIX_LENGTH = len(PREFIX) + 6
#: Shortest token that somebody may choose.
CHOSEN_MIN = 16
#: `last_used_at` is this coarse, so that authentication writes at most once a minute per token.
USED_EVERY = timedelta(minutes=1)
#: The actor in the audit of commands that are run where the database is.
LOCAL = "command line"
#: How long a token is cached. A token that another process revokes stops working here after this.
CACHED_FOR = timedelta(seconds=1)
CACHE_SIZE = 10_000


def name_of_person(user_id: str) -> str:
    """`user_id` as a person's id. Raises `InvalidInput`, also for a name that protokeep has in the audit."""
    name = validation.person_of(user_id)
    if folded(name) in (ITSELF, LOCAL):
        raise InvalidInput("user_id is a name that protokeep itself has. Choose another one.", field="user_id")
    return name


class TokenRefused(NotAuthenticated):
    """A token that is unknown, expired or revoked. The message is the same for all three.

    `token` is the stored token, for the audit only; None: nobody has such a token.
    """

    def __init__(self, token: ApiToken | None = None) -> None:
        super().__init__("This token does not work: it is unknown, expired or revoked. Ask an admin for a new one.")
        self.token = token


class Tokens:
    """Creates, checks, lists and revokes API tokens."""

    def __init__(
        self,
        store: TokenStore,
        secret: bytes,
        clock: Clock,
        limits: TokenLimits | None = None,
        scans: Scans | None = None,
    ) -> None:
        """`secret` is the key of the HMAC under which tokens are stored; `scans` gives turns to long reads."""
        self._store = store
        self._limits = limits or TokenLimits()
        self._scans = scans or Scans()
        self._secret = secret
        self._clock = clock
        self._cache: TtlCache[str, ApiToken] = TtlCache(clock, CACHED_FOR, CACHE_SIZE)

    async def create(
        self,
        role: Role,
        *,
        name: str = "",
        user_id: str = "",
        workspace_id: str = DEFAULT_WORKSPACE,
        days: int | None = None,
        plain: str | None = None,
        by: Principal | None = None,
    ) -> tuple[str, ApiToken]:
        """Create a token, and its workspace with the first one. Returns its text and what is stored of it.

        `days` None: it lasts as long as it may. `plain` is a text that somebody chose (the demo does). `by` may create
        tokens of its own workspace only, and of no role above its own; None: the command line. Raises `InvalidInput`,
        `NotAllowed`, and `LimitReached` where the workspace has as many valid tokens as it may have.
        """
        if by is not None:
            workspace_id = by.workspace_id
            _require_covered(role, by)
        days = self._limits.life_of(days)
        name = validation.title_of(name) if name else ""
        text = _text_of(plain)
        now = self._clock()
        token = ApiToken(
            id=uuid4().hex,
            workspace_id=validation.workspace_id_of(workspace_id),
            user_id=name_of_person(user_id) if user_id else name or f"{role.value}-{secrets.token_hex(3)}",
            name=name or role.value,
            role=role,
            prefix=text[:PREFIX_LENGTH],
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
            made_by=by.user_id if by is not None else None,
            made_with=by.token_id or None if by is not None else None,
        )
        entry = replace(_entry_by(by, Action.TOKEN_CREATED, workspace_id, now, token.id), data=_audit_data(token))
        if not await self._store.add(token, self._digest(text), entry, self._limits.per_workspace):
            raise self._limits.refusal()
        return text, token

    async def check(self, text: str) -> Principal:
        """The principal of a token. Raises `TokenRefused`, which does not say what is wrong with the token."""
        # The digest is looked up by equality: a timing difference there tells nothing about the token.
        digest = self._digest(text)
        token = self._cache.get(digest) or await self._read(digest)
        if token is None or not token.is_valid(self._clock()):
            raise TokenRefused(token)
        return token.principal

    async def _read(self, digest: str) -> ApiToken | None:
        """The stored token. A valid one is cached and marked as used."""
        now = self._clock()
        token = await self._store.find(digest)
        if token is None or not token.is_valid(now):
            return token
        self._cache.put(digest, token)
        if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
            await self._store.record_use(token.id, now, USED_EVERY)
        return token

    async def list(
        self, workspace_id: str, limit: int, after: tuple[datetime, str] | None = None
    ) -> tuple[Sequence[ApiToken], tuple[datetime, str] | None]:
        """A page of a workspace's tokens, newest first, and where the next page begins (None: there is none)."""
        found = await self._store.list(workspace_id, limit + 1, after)
        page = found[:limit]
        return page, (page[-1].created_at, page[-1].id) if len(found) > limit else None

    async def has_valid_token(self) -> bool:
        """Whether some token, in any workspace, is valid now."""
        return await self._store.count(self._clock()) > 0

    async def permanent_admins(self) -> Sequence[ApiToken]:
        """Admin tokens that never expire, in all workspaces."""
        return await self._store.permanent_admins(self._clock())

    async def revoke(self, workspace_id: str, token: str, *, by: Principal | None = None) -> int:
        """Revoke the valid tokens with this id or prefix; returns how many there were. Raises `NotFound` for none."""
        now = self._clock()
        revoked = await self._store.revoke(
            workspace_id, token, now, _entry_by(by, Action.TOKEN_REVOKED, workspace_id, now)
        )
        self._cache.clear()
        if revoked == 0:
            raise NotFound(f'There is no active token "{token[:NAME_MAX]}". `protokeep token list` shows them.')
        return revoked

    async def people(
        self, principal: Principal, limit: int, after: str | None = None
    ) -> tuple[Sequence[Person], str | None]:
        """People who have or had a token in the principal's workspace, or who created a prototype in it, by name.

        With the name after which the next page begins (None: there is none). Raises `TooMany` and `TooSlow`.
        """
        async with self._scans.turn(principal):
            found = await self._store.people(principal.workspace_id, self._clock(), limit + 1, after or "")
        page = found[:limit]
        return page, page[-1].user_id if len(found) > limit else None

    async def revoke_access(self, by: Principal, user_id: str) -> tuple[int, int]:
        """Revoke all tokens of a person and end all their sessions. Returns how many of each; (0, 0) for none."""
        now = self._clock()
        entry = AuditEntry.of(by, Action.ACCESS_REVOKED, now, user_id)
        revoked = await self._store.revoke_access(by.workspace_id, user_id, now, entry)
        self._cache.clear()
        return revoked

    def _digest(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode("utf-8", "replace"), "sha256").hex()


def _audit_data(token: ApiToken) -> dict[str, str]:
    return {"role": token.role.value, "prefix": token.prefix, "whose": token.user_id}


def _text_of(plain: str | None) -> str:
    """The text of a new token: the chosen one, or 256 random bits."""
    if plain is None:
        return PREFIX + secrets.token_urlsafe(32)
    if len(plain) < CHOSEN_MIN:
        raise InvalidInput(f"A token needs at least {CHOSEN_MIN} characters.", field="token")
    return plain


def _require_covered(role: Role, by: Principal) -> None:
    if not by.role.covers(role):
        raise NotAllowed(f"Your role is {by.role.value}: you cannot make a token of role {role.value}.")


def _entry_by(
    by: Principal | None, action: Action, workspace_id: str, now: datetime, subject: str | None = None
) -> AuditEntry:
    """The audit entry of what `by`, or (None) the command line, does."""
    if by is None:
        return AuditEntry(workspace_id, now, action, LOCAL, subject=subject)
    return AuditEntry.of(by, action, now, subject)
