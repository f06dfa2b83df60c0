"""An OpenID Connect issuer: its description and its keys, read rarely and kept."""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from protokeep.core.errors import IssuerUnavailable
from protokeep.identity.jwt_format import REFETCH_AFTER

log = structlog.get_logger(__name__)

#: Keys are read anew after this, so that one that was withdrawn stops counting.
KEYS_LAST = 600.0
#: While the issuer is away, the keys that are known go on counting so long.
KEYS_SURVIVE = 24 * 3600.0
PATIENCE = 5.0
MAX_BODY = 512 * 1024
MAX_KEYS = 100
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Seconds = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Description:
    """What `/.well-known/openid-configuration` says."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None
    token_endpoint: str | None


class Issuer:
    """One issuer. Asks it at most every `refetch_after` seconds, whatever is sent to us, and once at a time."""

    def __init__(
        self,
        address: str,
        *,
        refetch_after: float = REFETCH_AFTER,
        seconds: Seconds = time.monotonic,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.address = address
        self.fetches = 0
        #: Counts up whenever other keys than before are read; what was checked with the old ones is checked again.
        self.generation = 0
        self._refetch_after = refetch_after
        self._seconds = seconds
        self._transport = transport
        self._description: Description | None = None
        self._keys: KeySet | None = None
        self._key_ids: frozenset[str] = frozenset()
        self._read_at = self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def description(self) -> Description:
        """Where the issuer is talked to. Raises `IssuerUnavailable`."""
        if self._description is None:
            await self._renew(lambda: self._description is not None)
        if self._description is None:
            raise _unavailable()
        return self._description

    async def keys_for(self, key_id: str | None) -> KeySet:
        """The issuer's keys, with the named one if it has it. Raises `IssuerUnavailable` when none are known.

        Keys that are old are read again, and so is a name that is not among them; either way no more often than
        `refetch_after` allows.
        """
        wanted_since = self._seconds() - KEYS_LAST

        def current() -> bool:
            return self._read_at > wanted_since and (key_id is None or key_id in self._key_ids)

        if not current():
            await self._renew(current)
        if self._keys is None or self._seconds() - self._read_at > KEYS_SURVIVE:
            raise _unavailable()
        return self._keys

    async def _renew(self, is_done: Callable[[], bool]) -> None:
        async with self._lock:
            now = self._seconds()
            if is_done() or now - self._tried_at < self._refetch_after:
                return
            self._tried_at = now
            try:
                await self._read()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, JoseError) as error:
                log.warning("issuer_unavailable", issuer=self.address, reason=type(error).__name__)
                return
            self._read_at = self._seconds()

    async def _read(self) -> None:
        self.fetches += 1
        trust_env = (urlsplit(self.address).hostname or "") not in LOOPBACK
        async with (
            httpx2.AsyncClient(
                timeout=PATIENCE,
                follow_redirects=False,
                trust_env=trust_env,
                verify=trusted(trust_env),
                transport=self._transport,
            ) as client,
            asyncio.timeout(2 * PATIENCE),
        ):
            description = self._described(
                await _json(client, self.address.rstrip("/") + "/.well-known/openid-configuration")
            )
            found = await _json(client, description.jwks_uri)
        keys = _usable(found)
        key_ids = frozenset(key.kid for key in keys.keys if key.kid)
        prints = [key.thumbprint() for key in keys.keys]
        if self._keys is None or prints != [key.thumbprint() for key in self._keys.keys]:
            self.generation += 1
            log.info("issuer_keys", issuer=self.address, keys=len(prints))
        self._description, self._keys, self._key_ids = description, keys, key_ids

    def _described(self, found: Any) -> Description:
        """The description, if it is this issuer's (OpenID Connect Discovery 1.0, section 4.3)."""
        if not isinstance(found, dict) or found.get("issuer") != self.address:
            raise ValueError("the description names another issuer")
        return Description(
            self.address,
            self._own(found.get("jwks_uri")) or "",
            self._own(found.get("authorization_endpoint")),
            self._own(found.get("token_endpoint")),
        )

    def _own(self, address: object) -> str | None:
        """An address that the issuer names: https, or of the very host of an issuer that is plain http itself."""
        if address is None:
            return None
        ours, theirs = urlsplit(self.address), urlsplit(str(address))
        if theirs.scheme == "https" or (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc):
            return str(address)
        raise ValueError("the description names an address that is not https")


@functools.cache
def trusted(trust_env: bool) -> ssl.SSLContext:
    """The certificates that the issuer is checked against, read once: that takes longer than asking it."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def _usable(found: Any) -> KeySet:
    """The public keys that may sign: RSA, EC and Ed25519. A secret among them would let anybody sign: left out."""
    rows = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise ValueError("no list of keys")
    kinds: dict[Any, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    keys: list[Any] = []
    for row in rows[:MAX_KEYS]:
        kind = kinds.get(row.get("kty")) if isinstance(row, dict) else None
        if kind is None or row.get("use", "sig") != "sig":
            continue
        try:
            keys.append(kind.import_key(row))
        except (JoseError, ValueError, TypeError, KeyError):
            log.warning("issuer_key_unreadable", kty=row.get("kty"))
    if not keys:
        raise ValueError("no usable key")
    return KeySet(keys)


async def _json(client: httpx2.AsyncClient, address: str) -> Any:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", address, headers=headers) as response:
        response.raise_for_status()
        if response.headers.get("content-encoding"):
            raise ValueError("the answer is packed, which was not asked for")
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                raise ValueError("the answer is too large")
    return json.loads(body)


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable("The sign-in service does not answer, so nobody can be checked. Try again in a moment.")
