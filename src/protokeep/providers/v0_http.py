"""HTTP for both versions of v0's API: one authenticated request of bounded size and time, which follows no redirect."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import ssl
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderUnreachable
from protokeep.metrics import Metrics
from protokeep.providers.base import MayBegin
from protokeep.providers.public_transport import LIMITS, public_only_transport
from protokeep.providers.v0_calls import MeasuredCall, measured_call, operation_of
from protokeep.providers.v0_refusals import error_message_of, error_of

#: Larger answers are not read. A v1 chat detail carries every file of every version.
MAX_BODY = 8 * 1024 * 1024
#: The code of the error for a larger answer. If it is a list, a single row may be to blame.
TOO_LARGE = "too_large"
#: The encodings that `_bounded` can unpack piece by piece.
ENCODINGS = "gzip, identity"
#: How long a preview may take to answer when its link is checked.
PREVIEW_TIMEOUT_SECONDS = 5.0
#: Errors before a connection to v0, or through the proxy to it, was open: nothing was sent.
NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
#: Errors before the request was written, because of an address or a key that no request can carry.
NOT_WRITTEN = (
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.LocalProtocolError,
    UnicodeError,  # A host name that no name server takes.
)
#: Errors after the request may have been sent, and while the answer is read.
BROKEN = (httpx2.HTTPError, httpx2.StreamError, TimeoutError)
#: v0's public site. API v2 names no page of a chat, so its address is made from this.
PUBLIC_WEB = "https://v0.app"


@dataclass(frozen=True, slots=True)
class V0Config:
    """The address of v0 and the key. `root_url` has no version at its end. `scope` None sends no scope."""

    api_key: str
    root_url: str = "https://api.v0.dev"
    web_url: str = PUBLIC_WEB
    scope: str | None = None
    timeout_seconds: float = 30.0
    #: Counts the calls.
    metrics: Metrics = field(default_factory=Metrics, repr=False, compare=False)

    @property
    def plain_hosts(self) -> frozenset[str]:
        """The configured hosts that are reached over http, as an emulator on this machine is."""
        addresses = [urlsplit(address) for address in (self.root_url, self.web_url)]
        return frozenset(parts.hostname for parts in addresses if parts.scheme == "http" and parts.hostname)

    @classmethod
    def of(
        cls, *, api_key: str, base_url: str, scope: str | None, web_url: str | None, timeout_seconds: float
    ) -> V0Config:
        """A configuration from settings. `base_url` may end in `/v1` or `/v2`.

        Without `web_url`, chat pages are on v0's public site, or for another host than v0's on that host.
        """
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
    """Sends requests to one version of v0's API. Every answer becomes a JSON value or a `ProviderError`."""

    def __init__(self, config: V0Config, version: int, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.config = config
        self.calls = 0
        host = urlsplit(config.root_url).hostname or ""
        self._trust_env = host not in ("127.0.0.1", "localhost", "::1")
        # Hosts other than the configured one must have public addresses; the transport of a test decides by itself.
        self._transport = transport or public_only_transport(
            host, trust_env=self._trust_env, verify=_trusted(self._trust_env)
        )
        self._keyless: httpx2.AsyncClient | None = None
        self._client = httpx2.AsyncClient(
            base_url=f"{config.root_url}/v{version}/",
            headers={
                "Authorization": f"Bearer {config.api_key}",
                "Accept": "application/json",
                "Accept-Encoding": ENCODINGS,
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
        time_limit: float | None = None,
        nothing_made: Collection[int] = (),
        may_begin: MayBegin | None = None,
    ) -> Any:
        """Send one request and return its answer as JSON. Raises a `ProviderError`; never retries.

        The whole answer must arrive within `time_limit` seconds, which cannot exceed the configured time limit.
        `nothing_made` are statuses by which v0's documents say, of this call only, that it did nothing.
        `may_begin` is asked right before the first byte leaves, and again before the body, because a process may have
        slept while it connected.
        """
        self.calls += 1
        time_limit = min(time_limit or self.config.timeout_seconds, self.config.timeout_seconds)
        query: dict[str, str | int] = dict(params or {})
        if self.config.scope:
            query["scope"] = self.config.scope
        extensions = {"trace": _trace_asking(may_begin)} if may_begin else {}
        with _as_provider_errors(), self._measured(operation_of(method, path)) as call:
            async with asyncio.timeout(time_limit):
                async with self._client.stream(
                    method, path, params=query, json=body, headers=call.headers, extensions=extensions
                ) as response:
                    call.answered(response.status_code)
                    content = await _bounded(response, MAX_BODY)
        return _answer(method, response, content, nothing_made)

    async def download(self, path: str, longest: int, params: Mapping[str, str] | None = None) -> bytes:
        """The bytes of a file that an operation answers with. Raises a `ProviderError` for every other answer."""
        self.calls += 1
        query = dict(params or {}) | ({"scope": self.config.scope} if self.config.scope else {})
        with _as_provider_errors(), self._measured(operation_of("GET", path)) as call:
            async with asyncio.timeout(self.config.timeout_seconds):
                headers = {"Accept": "*/*", **call.headers}
                async with self._client.stream("GET", path, params=query, headers=headers) as response:
                    call.answered(response.status_code)
                    content = await _bounded(response, longest)
        if response.status_code != 200:
            _answer("GET", response, content, ())
            raise OutcomeUnknown("v0 answered without the file.", code="bad_answer", status=response.status_code)
        return content

    async def fetch(self, address: str, longest: int) -> tuple[int, bytes]:
        """The status and body of a file at v0. Raises `ProviderError`; follows no redirect.

        The key is sent along, so the caller must have checked that the address is v0's own.
        """
        self.calls += 1
        try:
            with self._measured("GET file") as call:
                async with asyncio.timeout(self.config.timeout_seconds):
                    headers = {"Accept": "image/*", "Accept-Encoding": "identity", **call.headers}
                    async with self._client.stream("GET", address, headers=headers) as response:
                        call.answered(response.status_code)
                        return response.status_code, await _bounded(response, longest)
        except (*NOT_WRITTEN, *BROKEN) as error:
            raise OutcomeUnknown("v0's file could not be read.", code="no_answer") from error

    async def status_of(self, address: str) -> int | None:
        """The status that a page answers to a request without the key; None if there was no answer. Reads no body."""
        try:
            async with asyncio.timeout(PREVIEW_TIMEOUT_SECONDS):
                async with self._without_key().stream("GET", address) as response:
                    return response.status_code
        except (*NOT_WRITTEN, *BROKEN):
            return None

    def is_configured_host(self, address: str) -> bool:
        """Whether an address is at the configured host, which receives the key with every request."""
        configured, given = urlsplit(self.config.root_url), _split(address)
        return given is not None and (configured.scheme, configured.netloc) == (given.scheme, given.netloc)

    def _measured(self, operation: str) -> AbstractContextManager[MeasuredCall]:
        return measured_call(self.config.metrics, "v0", operation)

    def _without_key(self) -> httpx2.AsyncClient:
        if self._keyless is None:
            self._keyless = httpx2.AsyncClient(
                timeout=PREVIEW_TIMEOUT_SECONDS,
                follow_redirects=False,
                trust_env=self._trust_env,
                verify=_trusted(self._trust_env),
                transport=self._transport,
            )
        return self._keyless


class _TooLate(Exception):
    """A request was given up before anything of it left."""


@contextlib.contextmanager
def _as_provider_errors() -> Iterator[None]:
    """Turns the errors of a request into `ProviderUnreachable` if nothing was sent, and else `OutcomeUnknown`."""
    try:
        yield
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
        failure = "did not answer in time" if _is_timeout(error) else "broke the connection off"
        raise OutcomeUnknown(f"v0 {failure}.", code="no_answer") from error


def _trace_asking(may_begin: MayBegin) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """An httpcore trace that gives a request up before its headers or its body, if `may_begin` says no.

    A request whose body was not sent is incomplete, so v0 does not act on it.
    """

    async def trace(event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith(("send_request_headers.started", "send_request_body.started")) and not may_begin():
            raise _TooLate

    return trace


@functools.cache
def _trusted(trust_env: bool) -> ssl.SSLContext:
    """The trusted certificates. They are read once, because reading them takes most of the start of a process."""
    return httpx2.create_ssl_context(trust_env=trust_env)


def is_v0_host(address: str, *names: str) -> bool:
    """Whether an https address is at one of the hosts `names`, or at a host below one of them."""
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
    """The body of an answer, unpacked piece by piece: a packed answer of a few kB may unpack to gigabytes.

    Raises `OutcomeUnknown` for a body of more than `longest` bytes, and for one that cannot be unpacked.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if response.is_stream_consumed:
        encoding = "identity"  # A test's transport has read and unpacked the body.
    if encoding not in ("identity", "gzip"):
        raise OutcomeUnknown(
            f"v0's answer was packed in a way that was not asked for: {encoding[:20]!r}.", code="bad_answer"
        )
    decompressor = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw():
        try:
            body += decompressor.decompress(chunk, longest + 1 - len(body)) if decompressor else chunk
        except zlib.error as error:
            raise OutcomeUnknown("v0's answer could not be unpacked.", code="bad_answer") from error
        if len(body) > longest or (decompressor is not None and decompressor.unconsumed_tail):
            raise OutcomeUnknown(f"v0's answer was larger than {longest // 1024 // 1024} MiB.", code=TOO_LARGE)
    return bytes(body)


def _answer(method: str, response: httpx2.Response, content: bytes, nothing_made: Collection[int]) -> Any:
    """The JSON value of a success. Raises a `ProviderError` for every other answer."""
    status = response.status_code
    try:
        value = json.loads(content) if content else None
        readable = True
    except (ValueError, RecursionError):  # RecursionError: nested deeper than the parser goes.
        value, readable = None, False
    if not 200 <= status < 300:
        raise error_of(method, status, response.headers, error_message_of(value), nothing_made)
    if not readable or (value is None and status != 204 and not content):
        raise OutcomeUnknown("v0 answered with something that is not JSON.", code="bad_answer", status=status)
    if isinstance(value, dict) and set(value) == {"error"}:
        raise OutcomeUnknown(
            f"v0 answered {status} with an error inside: {error_message_of(value)}", code="bad_answer", status=status
        )
    return value
