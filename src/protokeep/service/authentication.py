"""Who calls: an API token of ours, or a JWT of the company's sign-in service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protokeep.core.principals import Principal
from protokeep.identity.jwt_format import looks_like_jwt
from protokeep.service.tokens import TokenRefused, Tokens

if TYPE_CHECKING:
    from protokeep.identity.jwts import Jwts

#: Longer API tokens are nobody's.
TOKEN_MAX = 512


class Authenticator:
    """Tells whom a bearer token stands for."""

    def __init__(self, tokens: Tokens, jwts: Jwts | None = None) -> None:
        self._tokens = tokens
        self._jwts = jwts

    @property
    def takes_jwts(self) -> bool:
        """Whether anybody may come with a JWT."""
        return self._jwts is not None

    async def check(self, text: str) -> Principal:
        """Whom a bearer token stands for. Raises `NotAuthenticated`, and what `Jwts.check` raises."""
        if self._jwts is not None and looks_like_jwt(text):
            return await self._jwts.check(text)
        if len(text) > TOKEN_MAX:
            raise TokenRefused
        return await self._tokens.check(text)
