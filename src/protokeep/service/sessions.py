"""Page sessions: the browser holds a secret of 256 random bits in a cookie, the database its HMAC and its expiry."""

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
LIFETIME = timedelta(days=14)
#: A session from the sign-in service ends after this, so that somebody who leaves the company loses access.
SIGN_ON_LIFETIME = timedelta(hours=12)
#: The expiry is written anew only when it would move by more than this: not with every request.
RENEW_AFTER = timedelta(minutes=30)
#: A sign-in code works once, and this long.
CODE_LIFETIME = timedelta(minutes=15)
SECRET_BYTES = 32
#: Longest session secret or code that is looked up.
SECRET_MAX = 100


@dataclass(frozen=True, slots=True)
class Session:
    """A valid session."""

    principal: Principal
    expires_at: datetime


class Sessions:
    """Opens, checks and closes page sessions, and signs forms.

    A session is opened by a token, a sign-in code or the sign-in service, and known by its secret.
    """

    def __init__(
        self,
        store: SessionStore,
        tokens: Tokens,
        secret: bytes,
        clock: Clock,
        sign_on_lifetime: timedelta = SIGN_ON_LIFETIME,
    ) -> None:
        """`secret` is the key of every signature; `sign_on_lifetime` bounds sessions from the sign-in service."""
        self._sign_on_lifetime = sign_on_lifetime
        self._store = store
        self._tokens = tokens
        self._secret = secret
        self._clock = clock

    def now(self) -> datetime:
        """The time by which sessions end."""
        return self._clock()

    async def sign_in(self, token: str) -> str:
        """Open a session for an API token. Returns the session's secret. Raises `TokenRefused`."""
        principal = await self._tokens.check(token)
        return await self._open(principal.token_id)

    async def open_for(self, principal: Principal) -> str:
        """Open a session for a principal that the sign-in service has named. Returns the session's secret."""
        return await self._open(None, principal)

    async def create_sign_in_code(self, token_id: str) -> str:
        """A code that signs in once, as the token's principal, within `CODE_LIFETIME`."""
        code = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        await self._store.open(Opening(self._digest(code), "code", now, now + CODE_LIFETIME, token_id))
        return code

    async def sign_in_by_code(self, code: str) -> str:
        """Open a session for an unused sign-in code. Returns the session's secret. Raises `NotAuthenticated`."""
        token_id = None
        if len(code) <= SECRET_MAX:
            token_id = await self._store.consume_sign_in_code(self._digest(code), self._clock())
        if token_id is None:
            raise NotAuthenticated("This sign-in link was used already, or is too old. Sign in with your token.")
        return await self._open(token_id)

    async def check(self, session_secret: str, *, renew: bool = True) -> Session:
        """The session with this secret; renews its expiry, unless it is used by a stream that a page left open.

        Raises `NotAuthenticated` if the session has expired or was closed, or if its token is not valid any more.
        """
        now = self._clock()
        digest = self._digest(session_secret)
        found = await self._store.find(digest, now) if len(session_secret) <= SECRET_MAX else None
        if found is None or (found.token is not None and not found.token.is_valid(now)):
            raise NotAuthenticated("You are not signed in, or your session has ended. Sign in again.")
        lifetime = LIFETIME if found.token is not None else self._sign_on_lifetime
        expires_at = min(now + IDLE, found.opened_at + lifetime)
        if expires_at <= now:
            raise NotAuthenticated("Your session has ended. Sign in again.")
        if not renew or expires_at - found.expires_at <= RENEW_AFTER:
            return Session(found.principal, found.expires_at)
        await self._store.renew(digest, expires_at)
        return Session(found.principal, expires_at)

    async def sign_out(self, principal: Principal, session_secret: str) -> None:
        """Close one session of `principal`."""
        entry = AuditEntry.of(principal, Action.SIGNED_OUT, self._clock())
        await self._store.close(self._digest(session_secret), entry)

    async def sign_out_everywhere(self, principal: Principal) -> int:
        """Close every session of `principal`; returns how many there were."""
        entry = AuditEntry.of(principal, Action.SIGNED_OUT, self._clock())
        return await self._store.close_all(principal.workspace_id, principal.user_id, entry)

    def new_form_cookie(self) -> str:
        """A cookie for the forms of somebody without a session. It is signed: a browser cannot be given another one."""
        text = secrets.token_urlsafe(16)
        return f"{text}.{self.sign('form cookie', text)}"

    def is_form_cookie(self, cookie: str) -> bool:
        """Whether this installation made the form cookie."""
        text, _, signature = cookie.partition(".")
        return hmac.compare_digest(self.sign("form cookie", text).encode(), signature.encode("utf-8", "replace"))

    def form_token(self, cookie: str) -> str:
        """The token that forms of a browser with this cookie carry, so that no other site can post them."""
        return self.sign("form", cookie)

    def is_form_token(self, cookie: str, token: str) -> bool:
        """Whether `token` is the form token of this cookie."""
        return hmac.compare_digest(self.form_token(cookie).encode(), token.encode("utf-8", "replace"))

    def sign(self, purpose: str, text: str) -> str:
        """The installation's signature of `text`; another one for every purpose."""
        message = f"{purpose}:{text}".encode("utf-8", "replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    async def _open(self, token_id: str | None, principal: Principal | None = None) -> str:
        session_secret = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        lifetime = IDLE if token_id is not None else min(IDLE, self._sign_on_lifetime)
        digest = self._digest(session_secret)
        await self._store.open(Opening(digest, "session", now, now + lifetime, token_id, principal))
        return session_secret

    def _digest(self, session_secret: str) -> str:
        return self.sign("session", session_secret)
