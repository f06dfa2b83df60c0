"""What both versions of v0's API share: one authenticated, bounded, never-redirected request."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import re
import ssl
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderUnreachable
from protokeep.providers.base import MayBegin
from protokeep.providers.public_transport import LIMITS, guarded
from protokeep.providers.v0_refusals import error_of, words_of

#: A v1 chat detail carries every file of every version; what is larger than this is not read.
MAX_BODY = 8 * 1024 * 1024
#: The code of the error for such an answer: in a list, a single row may be to blame.
TOO_LARGE = "too_large"
#: What we can unpack piece by piece.
PACKINGS = "gzip, identity"
#: How long a preview may take to answer when it is checked whether it still opens.
PAGE_PATIENCE = 5.0
#: The request reached nobody: no connection to v0 (or through the proxy to it) was there yet.
NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
#: The request could not even be written: an address or a key that no request can carry.
NOT_WRITTEN = (
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.LocalProtocolError,
    UnicodeError,  # A host name that no name server takes.
)
#: What else may break while an answer is waited for, or read.
BROKEN = (httpx2.HTTPError, httpx2.StreamError, TimeoutError)
#: v0's public address; chats have no page address in API v2, so it is made from this.
PUBLIC_WEB = "https://v0.app"


@dataclass(frozen=True, slots=True)
class V0Config:
    """Where and as whom to talk to v0. `root_url` has no version at its end; `scope` None sends none."""

    api_key: str
    root_url: str = "https://api.v0.dev"
    web_url: str = PUBLIC_WEB
    scope: str | None = None
    timeout_seconds: float = 30.0

    @classmethod
    def of(
        cls, *, api_key: str, base_url: str, scope: str | None, web_url: str | None, timeout_seconds: float
    ) -> V0Config:
        """Accepts a base URL with or without `/v1` or `/v2`; chat pages of another host live on that host."""
        root = re.sub(r"/v[12]/?$", "", base_url.rstrip("/"))
        parts = urlsplit(root)
        public = f".{parts.hostname or ''}".endswith((".v0.dev", ".v0.app"))
        return cls(
            api_key=api_key,
            root_url=root,
            web_url=(web_url or (PUBLIC_WEB if public else f"{parts.scheme}://{parts.netloc}")).rstrip("/"),
            scope=scope or None,
            timeout_seconds=timeout_seconds,
        )


class V0Http:
    """Requests to one version of v0's API. Every answer becomes a JSON value or one of our errors."""

    def __init__(self, config: V0Config, version: int, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.config = config
        self.calls = 0
        host = urlsplit(config.root_url).hostname or ""
        self._trust_env = host not in ("127.0.0.1", "localhost", "::1")
        # What the caller brings decides for itself (tests); otherwise names of others lead to public addresses only.
        self._transport = transport or guarded(host, trust_env=self._trust_env, verify=_trusted(self._trust_env))
        self._keyless: httpx2.AsyncClient | None = None
        self._client = httpx2.AsyncClient(
            base_url=f"{config.root_url}/v{version}/",
            headers={
                "Authorization": f"Bearer {config.api_key}",
                "Accept": "application/json",
                "Accept-Encoding": PACKINGS,
            },
            timeout=httpx2.Timeout(config.timeout_seconds, connect=min(10.0, config.timeout_seconds)),
            limits=LIMITS,
            follow_redirects=False,
            trust_env=self._trust_env,
            verify=_trusted(self._trust_env),
            transport=self._transport,
        )

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._keyless is not None:
            await self._keyless.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        patience: float | None = None,
        nothing_made: Collection[int] = (),
        may_begin: MayBegin | None = None,
    ) -> Any:
        """One request, one answer as JSON. Raises a `ProviderError`; never retries and never follows a redirect.

        The whole answer has to be there after `patience` seconds, which are never more than the configured ones.
        `nothing_made`: statuses by which v0's documents say, of this call only, that it did nothing.
        `may_begin` is asked right before the first byte leaves, and again before the body: a process may have slept
        while it connected.
        """
        self.calls += 1
        patience = min(patience or self.config.timeout_seconds, self.config.timeout_seconds)
        query: dict[str, str | int] = dict(params or {})
        if self.config.scope:
            query["scope"] = self.config.scope
        try:
            async with asyncio.timeout(patience):
                asked = {"trace": _checked(may_begin)} if may_begin else {}
                async with self._client.stream(method, path, params=query, json=body, extensions=asked) as response:
                    content = await _bounded(response, MAX_BODY)
        except _TooLate as error:
            raise ProviderUnreachable("It was too late to send it, so nothing was sent.", code="too_late") from error
        except NOT_CONNECTED as error:
            raise ProviderUnreachable("v0 could not be reached, so nothing was sent.", code="unreachable") from error
        except NOT_WRITTEN as error:
            raise ProviderUnreachable(
                "No request to v0 could be written, so nothing was sent. Check V0_BASE_URL and the v0 key.",
                code="unreachable",
            ) from error
        except BROKEN as error:
            kind = "did not answer in time" if _is_timeout(error) else "broke the connection off"
            raise OutcomeUnknown(f"v0 {kind}.", code="no_answer") from error
        return _answer(method, response, content, nothing_made)

    async def fetch(self, address: str, longest: int) -> tuple[int, bytes]:
        """The status and body of a file at v0, asked for with the key. Raises `ProviderError`; follows no redirect.

        The caller has made sure that the address is v0's own.
        """
        self.calls += 1
        try:
            async with asyncio.timeout(self.config.timeout_seconds):
                headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
                async with self._client.stream("GET", address, headers=headers) as response:
                    return response.status_code, await _bounded(response, longest)
        except (*NOT_WRITTEN, *BROKEN) as error:
            raise OutcomeUnknown("v0's file could not be read.", code="no_answer") from error

    async def status_of(self, address: str) -> int | None:
        """The status that a page answers with to somebody without a key; None: no answer. Reads no body."""
        try:
            async with asyncio.timeout(PAGE_PATIENCE):
                async with self._without_key().stream("GET", address) as response:
                    return response.status_code
        except (*NOT_WRITTEN, *BROKEN):
            return None

    def is_our_host(self, address: str) -> bool:
        """Whether an address is at the host that we send the key to anyway."""
        ours, theirs = urlsplit(self.config.root_url), _split(address)
        return theirs is not None and (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    def _without_key(self) -> httpx2.AsyncClient:
        if self._keyless is None:
            self._keyless = httpx2.AsyncClient(
                timeout=PAGE_PATIENCE,
                follow_redirects=False,
                trust_env=self._trust_env,
                verify=_trusted(self._trust_env),
                transport=self._transport,
            )
        return self._keyless


class _TooLate(Exception):
    """A request was given up before anything of it left."""


def _checked(may_begin: MayBegin) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """A trace of httpcore's that gives a request up at the last moment; a body that did not leave makes none whole."""

    async def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith(("send_request_headers.started", "send_request_body.started")) and not may_begin():
            raise _TooLate

    return trace


@functools.cache
def _trusted(trust_env: bool) -> ssl.SSLContext:
    """The certificates that servers are checked against, read once: that takes longer than all else at start."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def is_v0_host(address: str, *names: str) -> bool:
    """Whether an https address is at one of v0's own hosts, such as `v0.dev` and what is below it."""
    parts = _split(address)
    host = (parts.hostname or "") if parts else ""
    return (
        parts is not None
        and parts.scheme == "https"
        and any(host == name or host.endswith("." + name) for name in names)
        and parts.port in (None, 443)
        and parts.username is None
    )


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        return parts if parts.port is None or parts.port >= 0 else None
    except ValueError:
        return None


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError | httpx2.TimeoutException)


async def _bounded(response: httpx2.Response, longest: int) -> bytes:
    """The body, unpacked by ourselves: a packed answer of a few kB may be gigabytes, and is never unpacked whole."""
    packing = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if response.is_stream_consumed:
        packing = "identity"  # A transport of the tests' has read it, and unpacked it.
    if packing not in ("identity", "gzip"):
        raise OutcomeUnknown(
            f"v0's answer was packed in a way that was not asked for: {packing[:20]!r}.", code="bad_answer"
        )
    unpacking = zlib.decompressobj(wbits=31) if packing == "gzip" else None
    body = bytearray()
    async for chunk in response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw():
        try:
            body += unpacking.decompress(chunk, longest + 1 - len(body)) if unpacking else chunk
        except zlib.error as error:
            raise OutcomeUnknown("v0's answer could not be unpacked.", code="bad_answer") from error
        if len(body) > longest or (unpacking is not None and unpacking.unconsumed_tail):
            raise OutcomeUnknown(f"v0's answer was larger than {longest // 1024 // 1024} MiB.", code=TOO_LARGE)
    return bytes(body)


def _answer(method: str, response: httpx2.Response, content: bytes, nothing_made: Collection[int]) -> Any:
    status = response.status_code
    try:
        value = json.loads(content) if content else None
        readable = True
    except (ValueError, RecursionError):  # The latter: nested deeper than the parser goes.
        value, readable = None, False
    if 200 <= status < 300:
        if not readable or (value is None and status != 204 and not content):
            raise OutcomeUnknown("v0 answered with something that is no JSON.", code="bad_answer", status=status)
        if isinstance(value, dict) and set(value) == {"error"}:
            raise OutcomeUnknown(
                f"v0 answered {status} with an error inside: {words_of(value)}", code="bad_answer", status=status
            )
        return value
    raise error_of(method, status, response.headers, words_of(value), nothing_made)


def instant(value: Any) -> datetime | None:
    """A v0 date-time (`...Z`) as an aware instant, or None when it is not one."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def text(value: Any, longest: int = 2000) -> str | None:
    """`value` if it is a non-empty string of a sane length that every database can keep."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return None
    return None if any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in value) else value


def segment(value: str) -> str:
    """An id as one segment of a path, whatever it holds: ids of older rows were not made by v0's API."""
    return quote(value, safe="")


def link(value: Any) -> str | None:
    """`value` if it is an http(s) address that may be shown as a link."""
    address = text(value)
    return address if address and address.startswith(("https://", "http://")) else None


def amount(value: Any) -> float | None:
    """A number of credits, written as a number (v2) or as a text (v1); None: it is none that makes sense."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e9 else None


def no_id(what: str) -> OutcomeUnknown:
    """The error for a success without the id it must hold."""
    return OutcomeUnknown(f"v0 accepted {what} and named no id.", code="bad_answer")
