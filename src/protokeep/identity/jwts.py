"""Checks JWTs: signature by a fixed list of algorithms, then issuer, audience and times, then what the claims mean."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from protokeep.core.errors import NotAuthenticated
from protokeep.core.jwt_claims import ClaimRules
from protokeep.core.principals import Principal
from protokeep.identity.issuer import Issuer
from protokeep.identity.jwt_format import LONGEST

#: What an issuer may sign with: asymmetric only, so that a public key is never taken for a secret.
ISSUER_ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
SECRET_ALGORITHMS = ("HS256",)
#: How far the clocks of two hosts may differ.
LEEWAY_SECONDS = 60
#: A token that was checked is not checked again for so long; then its key must still be the issuer's.
CACHED_SECONDS = 60.0
CACHED_MOST = 10_000

Seconds = Callable[[], float]


class Keys(Protocol):
    """Where the keys come from."""

    #: Changes when other keys count than before.
    generation: int

    async def keys_for(self, key_id: str | None) -> KeySet | OctKey:
        """The keys to check a signature with."""
        ...


class SharedSecret:
    """One secret for HS256, as Supabase has it."""

    generation = 0

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)

    async def keys_for(self, key_id: str | None) -> OctKey:
        return self._key


class Jwts:
    """Checks tokens of one issuer, or under one secret; never both, so that no token picks its own way."""

    def __init__(
        self,
        keys: Keys,
        rules: ClaimRules,
        *,
        issuer: str | None,
        audience: str,
        algorithms: tuple[str, ...],
        now: Seconds = time.time,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        self._algorithms = algorithms
        self._now = now
        options: dict[str, Any] = {"exp": {"essential": True}, "aud": {"essential": True, "value": audience}}
        if issuer:
            options["iss"] = {"essential": True, "value": issuer}
        self._claims = JWTClaimsRegistry(now=lambda: int(now()), leeway=LEEWAY_SECONDS, **options)
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._generation = keys.generation

    @classmethod
    def of_issuer(cls, issuer: Issuer, audience: str, rules: ClaimRules, *, now: Seconds = time.time) -> Jwts:
        """Tokens that an issuer signs."""
        return cls(issuer, rules, issuer=issuer.address, audience=audience, algorithms=ISSUER_ALGORITHMS, now=now)

    @classmethod
    def of_secret(
        cls, secret: str, audience: str, rules: ClaimRules, *, issuer: str | None = None, now: Seconds = time.time
    ) -> Jwts:
        """Tokens that were signed with a secret that we share."""
        keys = SharedSecret(secret)
        return cls(keys, rules, issuer=issuer, audience=audience, algorithms=SECRET_ALGORITHMS, now=now)

    async def check(self, text: str) -> Principal:
        """Whom a token stands for.

        Raises `NotAuthenticated` when it does not count, `NotAllowed` when its claims give no role or workspace, and
        `IssuerUnavailable` when the issuer's keys could not be read yet.
        """
        self._forget_old()
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        known = self._known.get(digest)
        if known is not None and self._now() < known[1]:
            return known[0]
        claims = await self.claims_of(text)
        principal = self._rules.principal_of(claims)
        self._forget_old()
        now = self._now()
        self._known[digest] = principal, min(now + CACHED_SECONDS, claims["exp"] + LEEWAY_SECONDS)
        self._known.move_to_end(digest)
        while len(self._known) > CACHED_MOST:
            self._known.popitem(last=False)
        return principal

    def _forget_old(self) -> None:
        """Other keys than before: nothing that was checked with those is known any more."""
        if self._generation != self._keys.generation:
            self._known.clear()
            self._generation = self._keys.generation

    async def claims_of(self, text: str) -> Mapping[str, Any]:
        """The claims of a token whose signature, issuer, audience and times are right. Raises as `check` does."""
        header = header_of(text)
        if header is None or header.get("alg") not in self._algorithms:
            # Said before any key is looked for: what nobody could have signed costs the issuer nothing.
            raise _refused()
        key_id = header.get("kid")
        keys = await self._keys.keys_for(key_id if isinstance(key_id, str) else None)
        try:
            token = jwt.decode(text, keys, registry=self._registry)
            self._claims.validate(token.claims)
        except ExpiredTokenError:
            raise NotAuthenticated("This token has expired. Sign in again, or get a new one.") from None
        except (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise _refused() from None
        return token.claims


def header_of(text: str) -> dict[str, Any] | None:
    """A JWT's header, not checked in any way; None: it has none."""
    if len(text) > LONGEST or not text.isascii():
        return None
    part = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _refused() -> NotAuthenticated:
    return NotAuthenticated("This token is not valid here. Get a new one from your sign-in service.")
