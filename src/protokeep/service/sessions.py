"""Page sessions: a browser holds 256 random bits in a cookie; the database keeps their HMAC and when they run out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import NotAuthenticated
from protokeep.core.principals import Principal
from protokeep.service.heartbeat import Clock
from protokeep.service.tokens import Tokens
from protokeep.store.sessions import Opening, SessionStore

#: A session ends after a working day without use, and two weeks after sign-in at the latest.
IDLE = timedelta(hours=12)
LONGEST = timedelta(days=14)
#: Whoever came from the sign-in service shows themselves there again after this, so that leaving a company counts.
SIGN_ON_LASTS = timedelta(hours=12)
#: Renewing writes; it is done only once so much of the idle time is used up.
RENEW_AFTER = timedelta(minutes=30)
#: A sign-in link works once, and only so long.
CODE_LASTS = timedelta(minutes=15)
SECRET_BYTES = 32
#: Longer ones are nobody's: not worth a digest.
LONGEST_TEXT = 100


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in. `renewed`: the cookie should be sent again."""

    principal: Principal
    expires_at: datetime
    renewed: bool = False


class Sessions:
    """Opens, checks and closes page sessions, and signs what forms carry."""

    def __init__(
        self,
        store: SessionStore,
        tokens: Tokens,
        secret: bytes,
        clock: Clock,
        sign_on_lasts: timedelta = SIGN_ON_LASTS,
    ) -> None:
        self._sign_on_lasts = sign_on_lasts
        self._store = store
        self._tokens = tokens
        self._secret = secret
        self._clock = clock

    async def sign_in(self, token: str) -> str:
        """What the browser shall hold, for a token that counts. Raises `TokenRefused`."""
        principal = await self._tokens.check(token)
        return await self._opened(principal.token_id)

    async def open_for(self, principal: Principal) -> str:
        """What the browser shall hold, for somebody whom the sign-in service has named."""
        return await self._opened(None, principal)

    async def code_for(self, token_id: str) -> str:
        """A code that signs in once, as whom the token stands for, within the next minutes."""
        text = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        await self._store.open(Opening(self._digest(text), "code", now, now + CODE_LASTS, token_id))
        return text

    async def sign_in_by_code(self, code: str) -> str:
        """What the browser shall hold, for a code that was not used yet. Raises `NotAuthenticated`."""
        now = self._clock()
        token_id = (
            await self._store.consume_sign_in_code(self._digest(code), now) if len(code) <= LONGEST_TEXT else None
        )
        if token_id is None:
            raise NotAuthenticated("This sign-in link was used already, or is too old. Sign in with your token.")
        return await self._opened(token_id)

    async def check(self, text: str) -> Session:
        """Who holds this. Raises `NotAuthenticated` when it ran out, was closed, or its token stopped counting."""
        now = self._clock()
        digest = self._digest(text)
        found = await self._store.find(digest, now) if len(text) <= LONGEST_TEXT else None
        if found is None or (found.token is not None and not found.token.counts(now)):
            raise NotAuthenticated("You are not signed in, or your session has ended. Sign in again.")
        longest = LONGEST if found.token is not None else self._sign_on_lasts
        expires_at = min(now + IDLE, found.opened_at + longest)
        if expires_at <= now:
            raise NotAuthenticated("Your session has ended. Sign in again.")
        renewed = expires_at - found.expires_at > RENEW_AFTER
        if renewed:
            await self._store.renew(digest, expires_at)
        return Session(found.principal, expires_at if renewed else found.expires_at, renewed)

    async def sign_out(self, principal: Principal, text: str) -> None:
        """End this session of `principal`'s."""
        entry = AuditEntry.of(principal, Action.SIGNED_OUT, self._clock())
        await self._store.close(self._digest(text), entry)

    async def sign_out_everywhere(self, principal: Principal) -> int:
        """End every session of a person; how many there were."""
        entry = AuditEntry.of(principal, Action.SIGNED_OUT, self._clock())
        return await self._store.close_all(principal.workspace_id, principal.user_id, entry)

    def form_token(self, held: str) -> str:
        """What every form of a browser that holds `held` carries, so that no other site can make it post."""
        return self._signature("form", held)

    def form_token_fits(self, held: str, given: str) -> bool:
        """Whether a form was ours, and this browser's."""
        return hmac.compare_digest(self.form_token(held).encode(), given.encode("utf-8", "replace"))

    def signed(self, purpose: str, text: str) -> str:
        """What only this installation can make of `text`; another for every purpose."""
        return self._signature(purpose, text)

    async def _opened(self, token_id: str | None, principal: Principal | None = None) -> str:
        text = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        lasts = IDLE if token_id is not None else min(IDLE, self._sign_on_lasts)
        await self._store.open(Opening(self._digest(text), "session", now, now + lasts, token_id, principal))
        return text

    def _digest(self, text: str) -> str:
        return self._signature("session", text)

    def _signature(self, purpose: str, text: str) -> str:
        message = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
