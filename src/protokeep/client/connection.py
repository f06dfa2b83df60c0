"""What both clients hand to httpx2, and how its failures are told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from protokeep import __version__
from protokeep.client.errors import NotProtokeep
from protokeep.client.operations import Answer, Call, Silence
from protokeep.client.streams import SILENCE_SECONDS

DEFAULT_URL = "http://127.0.0.1:8400"
#: Longer than the longest hold the server grants.
TIMEOUT_SECONDS = 40.0
#: Between two looks at a server that has no stream of events.
POLL_SECONDS = 3.0
STREAM_TIMEOUT = httpx2.Timeout(TIMEOUT_SECONDS, read=SILENCE_SECONDS)

#: The request certainly reached nobody: there was no connection, or it could not even be written.
_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.InvalidURL,
    UnicodeError,
)
#: All that httpx2 raises for a request.
FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError)


def options(url: str | None, token: str | None) -> Mapping[str, Any]:
    """Keyword arguments of an httpx2 client; what is not given is read from PROTOKEEP_URL and PROTOKEEP_TOKEN.

    Raises `NotProtokeep` for an address that no request can be sent to.
    """
    address = (url or os.environ.get("PROTOKEEP_URL") or DEFAULT_URL).rstrip("/")
    if not _is_address(address):
        raise NotProtokeep("PROTOKEEP_URL is no http:// or https:// address. Set it to one such as " + DEFAULT_URL)
    secret = token or os.environ.get("PROTOKEEP_TOKEN") or ""
    headers = {"User-Agent": f"protokeep/{__version__}", "Accept": "application/json"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return {
        "base_url": address,
        "headers": headers,
        "timeout": TIMEOUT_SECONDS,
        # A proxy for the internet is none for this machine.
        "trust_env": (urlsplit(address).hostname or "") not in ("127.0.0.1", "localhost", "::1"),
    }


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def request_of(call: Call) -> Mapping[str, Any]:
    """Keyword arguments of one httpx2 request."""
    return {"params": dict(call.params), "headers": dict(call.headers), "json": call.body}


def answer_of(response: httpx2.Response) -> Answer:
    """An answer that was read whole."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)


def silence_of(error: Exception, url: str) -> Silence:
    """What an httpx2 failure means."""
    return Silence(f"{type(error).__name__}, {url}", sent=not isinstance(error, _NOT_SENT))
