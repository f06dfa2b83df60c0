"""What both clients hand to httpx2, and how its failures are told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from protokeep import __version__
from protokeep.client.operations import Answer, Call, Silence
from protokeep.client.streams import SILENCE_SECONDS

DEFAULT_URL = "http://127.0.0.1:8400"
#: Longer than the longest hold the server grants.
TIMEOUT_SECONDS = 40.0
#: Between two looks at a server that has no stream of events.
POLL_SECONDS = 3.0
STREAM_TIMEOUT = httpx2.Timeout(TIMEOUT_SECONDS, read=SILENCE_SECONDS)

#: The request certainly reached nobody.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def options(url: str | None, token: str | None) -> Mapping[str, Any]:
    """Keyword arguments of an httpx2 client; what is not given is read from PROTOKEEP_URL and PROTOKEEP_TOKEN."""
    address = (url or os.environ.get("PROTOKEEP_URL") or DEFAULT_URL).rstrip("/")
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
