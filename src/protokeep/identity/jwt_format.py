"""What signing in looks like from outside: light to import, for those who run without an issuer."""

from __future__ import annotations

from dataclasses import dataclass

#: Nothing that a caller sends makes us ask the issuer more often than this; in seconds.
REFETCH_AFTER = 30.0
#: Longer tokens are not looked at.
LONGEST = 8 * 1024


@dataclass(frozen=True, slots=True)
class Secrets:
    """What binds an answer of the issuer's to the browser that asked: nobody else can know any of it."""

    state: str
    nonce: str
    verifier: str


def looks_like_jwt(text: str) -> bool:
    """Whether a bearer token may be a JWT rather than one of our API tokens."""
    return text.startswith("eyJ") and text.count(".") == 2 and len(text) <= LONGEST
