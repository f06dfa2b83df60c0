"""An OpenID Connect issuer: its discovery document and its signing keys, fetched rarely and cached."""

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

from protokeep.core.addresses import is_loopback
from protokeep.core.errors import IssuerUnavailable
from protokeep.identity.jwt_format import REFETCH_AFTER

log = structlog.get_logger(__name__)

#: Cached keys are fetched again after this, so that a withdrawn key stops being accepted.
KEYS_FRESH = 600.0
#: Cached keys are accepted this long while the issuer does not answer.
KEYS_USABLE = 24 * 3600.0
TIMEOUT_SECONDS = 5.0
BODY_MAX = 512 * 1024
KEYS_MAX = 100

Seconds = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Description:
    """The issuer's discovery document (OpenID Connect Discovery 1.0, section 3), as far as it is used here."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None
    token_endpoint: str | None


class Issuer:
    """One issuer. Fetches at most every `refetch_after` seconds, whatever callers send, and one at a time."""

    def __init__(
        self,
        address: str,
        *,
        refetch_after: float = REFETCH_AFTER,
        seconds: Seconds = time.monotonic,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = address
        self.fetches = 0
        #: Grows whenever the set of keys has changed; tokens that were checked with the old keys are checked again.
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
        """The discovery document. Raises `IssuerUnavailable` while none has been fetched."""
        if self._description is None:
            await self._refresh(lambda: self._description is not None)
        if self._description is None:
            raise _unavailable()
        return self._description

    async def keys_for(self, key_id: str | None) -> KeySet:
        """The issuer's keys, with the one named `key_id` if the issuer has it. Raises `IssuerUnavailable` without any.

        Old keys are fetched again, and so are keys among which `key_id` is missing; both no more often than
        `refetch_after` allows.
        """
        fresh_since = self._seconds() - KEYS_FRESH

        def is_fresh() -> bool:
            return self._read_at > fresh_since and (key_id is None or key_id in self._key_ids)

        if not is_fresh():
            await self._refresh(is_fresh)
        if self._keys is None or self._seconds() - self._read_at > KEYS_USABLE:
            raise _unavailable()
        return self._keys

    async def _refresh(self, is_done: Callable[[], bool]) -> None:
        """Fetch, unless another caller has (`is_done`) or the last attempt is too recent. A failure is logged only."""
        async with self._lock:
            now = self._seconds()
            if is_done() or now - self._tried_at < self._refetch_after:
                return
            self._tried_at = now
            try:
                await self._read()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, RecursionError, JoseError) as error:
                log.warning("issuer_unavailable", issuer=self.url, reason=type(error).__name__)
                return
            self._read_at = self._seconds()

    async def _read(self) -> None:
        self.fetches += 1
        trust_env = not is_loopback(urlsplit(self.url).hostname or "")
        async with (
            httpx2.AsyncClient(
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
                trust_env=trust_env,
                verify=tls_context(trust_env),
                transport=self._transport,
            ) as client,
            asyncio.timeout(2 * TIMEOUT_SECONDS),
        ):
            description = self._description_of(
                await _fetch_json(client, self.url.rstrip("/") + "/.well-known/openid-configuration")
            )
            document = await _fetch_json(client, description.jwks_uri)
        keys = _signing_keys(document)
        key_ids = frozenset(key.kid for key in keys.keys if key.kid)
        thumbprints = [key.thumbprint() for key in keys.keys]
        if self._keys is None or thumbprints != [key.thumbprint() for key in self._keys.keys]:
            self.generation += 1
            log.info("issuer_keys", issuer=self.url, keys=len(thumbprints))
        self._description, self._keys, self._key_ids = description, keys, key_ids

    def _description_of(self, document: Any) -> Description:
        """A discovery document of this issuer (OpenID Connect Discovery 1.0, section 4.3). Raises `ValueError`."""
        if not isinstance(document, dict) or document.get("issuer") != self.url:
            raise ValueError("the description names another issuer")
        return Description(
            self.url,
            self._trusted_url(document.get("jwks_uri")) or "",
            self._trusted_url(document.get("authorization_endpoint")),
            self._trusted_url(document.get("token_endpoint")),
        )

    def _trusted_url(self, url: object) -> str | None:
        """A URL of the discovery document: https, or on the host of an issuer that is plain http. Else `ValueError`."""
        if url is None:
            return None
        issuer, endpoint = urlsplit(self.url), urlsplit(str(url))
        if endpoint.scheme == "https" or (issuer.scheme, issuer.netloc) == (endpoint.scheme, endpoint.netloc):
            return str(url)
        raise ValueError("the description names an address that is not https")


@functools.cache
def tls_context(trust_env: bool) -> ssl.SSLContext:
    """The certificates that the issuer is checked against. Cached: reading them takes longer than a request."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def _signing_keys(document: Any) -> KeySet:
    """The public signature keys (RSA, EC, Ed25519) of a JWK set. Raises `ValueError` for none.

    Symmetric keys are left out: whoever reads the set could sign with them.
    """
    rows = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise ValueError("no list of keys")
    kinds: dict[Any, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    keys: list[Any] = []
    for row in rows[:KEYS_MAX]:
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


async def _fetch_json(client: httpx2.AsyncClient, url: str) -> Any:
    """The JSON at `url`, of at most `BODY_MAX` bytes."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        if response.headers.get("content-encoding"):
            raise ValueError("the answer is packed, which was not asked for")
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > BODY_MAX:
                raise ValueError("the answer is too large")
    return json.loads(body)


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable(
        "The sign-in service does not answer, so protokeep cannot check who you are. Try again in a moment."
    )
