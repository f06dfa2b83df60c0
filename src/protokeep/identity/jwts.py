"""JWT checks: the signature by a fixed list of algorithms, then issuer, audience and times, then the role claims."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from protokeep.core.errors import NotAuthenticated
from protokeep.core.jwt_claims import ClaimRules
from protokeep.core.principals import Principal
from protokeep.core.ttl_cache import TtlCache
from protokeep.identity.issuer import Issuer
from protokeep.identity.jwt_format import TOKEN_MAX

#: An issuer signs with asymmetric algorithms only: otherwise its public key could be taken for a shared secret.
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
#: How far the clocks of the issuer and of this host may differ.
LEEWAY_SECONDS = 60
#: A checked token is accepted this long without another check of its signature.
CACHED_FOR = timedelta(seconds=60)
CACHE_SIZE = 10_000

Seconds = Callable[[], float]


class Keys(Protocol):
    """A source of keys."""

    #: Changes with the set of keys.
    generation: int

    async def keys_for(self, key_id: str | None) -> KeySet | OctKey:
        """The keys that a signature may have been made with; `key_id` is the `kid` of the token's header."""
        ...


class SharedSecret:
    """One secret for HS256, as Supabase signs its JWTs."""

    generation = 0

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)

    async def keys_for(self, key_id: str | None) -> OctKey:
        return self._key


class Jwts:
    """Checks tokens of one issuer, or under one shared secret. Never both: a token cannot choose how it is checked."""

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
        """`issuer` None: any issuer is accepted. `now` gives the wall clock's time as seconds since 1970."""
        self._keys = keys
        self._rules = rules
        self._registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        self._algorithms = algorithms
        self._now = now
        options: dict[str, Any] = {"exp": {"essential": True}, "aud": {"essential": True, "value": audience}}
        if issuer:
            options["iss"] = {"essential": True, "value": issuer}
        self._claims = JWTClaimsRegistry(now=lambda: int(now()), leeway=LEEWAY_SECONDS, **options)
        #: By digest of the token: its principal, and when the token expires.
        self._cache: TtlCache[bytes, tuple[Principal, float]] = TtlCache(
            lambda: datetime.fromtimestamp(now(), UTC), CACHED_FOR, CACHE_SIZE
        )
        self._generation = keys.generation

    @classmethod
    def of_issuer(cls, issuer: Issuer, audience: str, rules: ClaimRules, *, now: Seconds = time.time) -> Jwts:
        """Checks tokens that `issuer` signs."""
        return cls(issuer, rules, issuer=issuer.url, audience=audience, algorithms=ISSUER_ALGORITHMS, now=now)

    @classmethod
    def of_secret(
        cls, secret: str, audience: str, rules: ClaimRules, *, issuer: str | None = None, now: Seconds = time.time
    ) -> Jwts:
        """Checks tokens that are signed with a shared secret."""
        keys = SharedSecret(secret)
        return cls(keys, rules, issuer=issuer, audience=audience, algorithms=SECRET_ALGORITHMS, now=now)

    async def check(self, text: str) -> Principal:
        """The principal of a token.

        Raises `NotAuthenticated` for an invalid token, `NotAllowed` if its claims give no role or workspace, and
        `IssuerUnavailable` while the issuer's keys could not be fetched.
        """
        self._drop_stale_principals()
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        cached = self._cache.get(digest)
        if cached is not None and self._now() < cached[1]:
            return cached[0]
        claims = await self.claims_of(text)
        principal = self._rules.principal_of(claims)
        self._drop_stale_principals()
        self._cache.put(digest, (principal, claims["exp"] + LEEWAY_SECONDS))
        return principal

    def _drop_stale_principals(self) -> None:
        """Forget every checked token once the set of keys has changed."""
        if self._generation != self._keys.generation:
            self._cache.clear()
            self._generation = self._keys.generation

    async def claims_of(self, text: str) -> Mapping[str, Any]:
        """The claims of a token with a valid signature, issuer, audience and times. Raises as `check` does."""
        header = header_of(text)
        if header is None or header.get("alg") not in self._algorithms:
            # Before any key is fetched, so that a token that cannot be valid never makes us ask the issuer.
            raise _rejected()
        key_id = header.get("kid")
        keys = await self._keys.keys_for(key_id if isinstance(key_id, str) else None)
        try:
            token = jwt.decode(text, keys, registry=self._registry)
            self._claims.validate(token.claims)
        except ExpiredTokenError:
            raise NotAuthenticated("This token has expired. Sign in again, or get a new one.") from None
        except (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise _rejected() from None
        return token.claims


def header_of(text: str) -> dict[str, Any] | None:
    """The header of a JWT, unverified; None: the text has no readable header."""
    if len(text) > TOKEN_MAX or not text.isascii():
        return None
    part = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _rejected() -> NotAuthenticated:
    return NotAuthenticated("This token is not valid here. Get a new one from your sign-in service.")
