"""Sign-in at the company's sign-in service, up to the page session. The browser carries all state in between."""

from __future__ import annotations

import hmac
import secrets
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from protokeep.core.errors import NotAuthenticated
from protokeep.core.validation import whole_number_of
from protokeep.identity.jwt_format import FlowSecrets
from protokeep.service.heartbeat import Clock
from protokeep.service.sessions import Sessions

if TYPE_CHECKING:
    from protokeep.identity.oidc_flow import OidcClient

#: How long a person may take at the sign-in service.
FLOW_LIFETIME = timedelta(minutes=10)
SECRET_BYTES = 32
COOKIE_MAX = 100

BEGIN_AGAIN = "This sign-in took too long, or was started in another browser. Try again."


class SignInFlow:
    """Begins and finishes a sign-in. State, nonce and PKCE verifier are signatures of the browser's flow cookie."""

    def __init__(self, oidc_client: OidcClient, sessions: Sessions, issuer: str, clock: Clock) -> None:
        self._oidc_client = oidc_client
        self._sessions = sessions
        self._issuer = issuer
        self._clock = clock

    async def begin(self, redirect_uri: str) -> tuple[str, str]:
        """The flow cookie, and the address of the sign-in service. Raises `IssuerUnavailable`."""
        cookie = f"{int(self._clock().timestamp())}.{secrets.token_urlsafe(SECRET_BYTES)}"
        return cookie, await self._oidc_client.authorization_url(redirect_uri, self._secrets_of(cookie))

    async def finish(self, redirect_uri: str, cookie: str, state: str, code: str, issuer: str | None) -> str:
        """Open a session for the answer of the sign-in service. Returns the session's secret.

        `issuer` is the `iss` parameter of the answer (RFC 9207); None: it has none. Raises `NotAuthenticated`,
        `NotAllowed` and `IssuerUnavailable`.
        """
        if not self._has_begun_recently(cookie) or (issuer is not None and issuer != self._issuer):
            raise NotAuthenticated(BEGIN_AGAIN)
        flow = self._secrets_of(cookie)
        if not hmac.compare_digest(flow.state.encode(), state.encode("utf-8", "replace")):
            raise NotAuthenticated(BEGIN_AGAIN)
        return await self._sessions.open_for(await self._oidc_client.principal(redirect_uri, flow, code))

    def _has_begun_recently(self, cookie: str) -> bool:
        began = whole_number_of(cookie.partition(".")[0], sys.maxsize)
        if began is None or len(cookie) > COOKIE_MAX:
            return False
        # The cookie holds whole seconds: a sign-in may seem to begin a second after it ends.
        return 0 <= self._clock().timestamp() - began + 1 <= FLOW_LIFETIME.total_seconds()

    def _secrets_of(self, cookie: str) -> FlowSecrets:
        state, nonce, verifier = (
            self._sessions.sign(f"sign-in {name}", cookie) for name in ("state", "nonce", "verifier")
        )
        return FlowSecrets(state, nonce, verifier)
