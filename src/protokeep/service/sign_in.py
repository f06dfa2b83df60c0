"""From the sign-in service to a page session. Between the two steps nothing is kept here: the browser holds it."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from protokeep.core.errors import NotAuthenticated
from protokeep.identity.jwt_format import Secrets
from protokeep.service.heartbeat import Clock
from protokeep.service.sessions import Sessions

if TYPE_CHECKING:
    from protokeep.identity.oidc_flow import SignOn

#: How long somebody may take at the sign-in service.
PATIENCE = timedelta(minutes=10)
SECRET_BYTES = 32
LONGEST_TEXT = 100

BEGIN_AGAIN = "This sign-in took too long, or was begun in another browser. Try again."


class SignInFlow:
    """Begins and finishes a sign-in. State, nonce and verifier are signatures of what the browser holds."""

    def __init__(self, sign_on: SignOn, sessions: Sessions, issuer: str, clock: Clock) -> None:
        self._sign_on = sign_on
        self._sessions = sessions
        self._issuer = issuer
        self._clock = clock

    async def begin(self, redirect_uri: str) -> tuple[str, str]:
        """What the browser shall hold, and where it goes. Raises `IssuerUnavailable`."""
        held = f"{int(self._clock().timestamp())}.{secrets.token_urlsafe(SECRET_BYTES)}"
        return held, await self._sign_on.address(redirect_uri, self._secrets(held))

    async def finish(self, redirect_uri: str, held: str, state: str, code: str, issuer: str | None) -> str:
        """What the browser shall hold from now on: a session. Raises `NotAuthenticated` and `NotAllowed`.

        `issuer` is what the answer says of itself (RFC 9207), where it does.
        """
        if not self._is_recent(held) or (issuer is not None and issuer != self._issuer):
            raise NotAuthenticated(BEGIN_AGAIN)
        known = self._secrets(held)
        if not hmac.compare_digest(known.state.encode(), state.encode("utf-8", "replace")):
            raise NotAuthenticated(BEGIN_AGAIN)
        return await self._sessions.open_for(await self._sign_on.principal(redirect_uri, known, code))

    def _is_recent(self, held: str) -> bool:
        began = held.partition(".")[0]
        if len(held) > LONGEST_TEXT or not (began.isascii() and began.isdigit()):
            return False
        return 0 <= self._clock().timestamp() - int(began) + 1 <= PATIENCE.total_seconds()

    def _secrets(self, held: str) -> Secrets:
        state, nonce, verifier = (self._sessions.signed(f"sign-in {part}", held) for part in Secrets.__slots__)
        return Secrets(state, nonce, verifier)
