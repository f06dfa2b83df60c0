"""What a JWT looks like from outside. Light to import, for installations without a sign-in service."""

from __future__ import annotations

from dataclasses import dataclass

#: The issuer is asked at most every so many seconds, whatever callers send.
REFETCH_AFTER = 30.0
#: Longest token that is parsed.
TOKEN_MAX = 8 * 1024


@dataclass(frozen=True, slots=True)
class FlowSecrets:
    """What binds the issuer's answer to the browser that asked: OAuth's state, OpenID's nonce, PKCE's verifier."""

    state: str
    nonce: str
    verifier: str


def looks_like_jwt(text: str) -> bool:
    """Whether a bearer token may be a JWT: three parts, of which the first is a JSON object in base64."""
    return text.startswith("eyJ") and text.count(".") == 2 and len(text) <= TOKEN_MAX
