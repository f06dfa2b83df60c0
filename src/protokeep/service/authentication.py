"""Authentication of bearer tokens: our own API tokens, and JWTs of the company's sign-in service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protokeep.core.principals import Principal
from protokeep.identity.jwt_format import looks_like_jwt
from protokeep.service.tokens import TokenRefused, Tokens

if TYPE_CHECKING:
    from protokeep.identity.jwts import Jwts

#: Longest bearer token that is looked up as an API token.
TOKEN_MAX = 512


class Authenticator:
    """Checks bearer tokens of either kind."""

    def __init__(self, tokens: Tokens, jwts: Jwts | None = None) -> None:
        """`jwts` None: no sign-in service is set up, and JWTs are rejected."""
        self._tokens = tokens
        self._jwts = jwts

    @property
    def takes_jwts(self) -> bool:
        """Whether JWTs are accepted."""
        return self._jwts is not None

    async def check(self, text: str) -> Principal:
        """The principal of a bearer token. Raises `NotAuthenticated`, and for a JWT also what `Jwts.check` raises."""
        if self._jwts is not None and looks_like_jwt(text):
            return await self._jwts.check(text)
        if len(text) > TOKEN_MAX:
            raise TokenRefused
        return await self._tokens.check(text)
