"""The arguments of httpx2 for both clients, and the meaning of its failures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from protokeep import __version__
from protokeep.client.errors import ClientError, NotProtokeep
from protokeep.client.operations import Answer, Call, Unanswered
from protokeep.client.streams import SILENCE_SECONDS
from protokeep.secret_files import secret_in_environment

DEFAULT_URL = "http://127.0.0.1:8400"
#: Longer than the longest hold the server grants.
TIMEOUT_SECONDS = 40.0
#: The pause between two polls of a server that has no stream of events.
POLL_SECONDS = 3.0
STREAM_TIMEOUT = httpx2.Timeout(TIMEOUT_SECONDS, read=SILENCE_SECONDS)

#: Failures before the request was sent: there was no connection, or the request could not be written.
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
#: Everything that httpx2 raises for a request.
FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError)


def client_options(url: str | None, token: str | None) -> Mapping[str, Any]:
    """Keyword arguments of an httpx2 client. None stands for PROTOKEEP_URL and PROTOKEEP_TOKEN (or its file).

    Raises `NotProtokeep` if `url` is no http or https address, and `ClientError` if the token's file cannot be used.
    """
    address = (url or os.environ.get("PROTOKEEP_URL") or DEFAULT_URL).rstrip("/")
    if not _is_address(address):
        raise NotProtokeep(
            "PROTOKEEP_URL is no http:// or https:// address, or holds a name and password. Set it to one such as "
            + DEFAULT_URL
        )
    try:
        secret = token or secret_in_environment("PROTOKEEP_TOKEN")
    except ValueError as error:
        raise ClientError(str(error)) from None
    headers = {"User-Agent": f"protokeep/{__version__}", "Accept": "application/json"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return {
        "base_url": address,
        "headers": headers,
        "timeout": TIMEOUT_SECONDS,
        # A proxy of the environment cannot reach this machine's own addresses.
        "trust_env": (urlsplit(address).hostname or "") not in ("127.0.0.1", "localhost", "::1"),
    }


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and parts.username is None  # It would take the place of the token.
        )
    except ValueError:
        return False


def request_of(call: Call) -> Mapping[str, Any]:
    """Keyword arguments of one httpx2 request."""
    return {"params": dict(call.params), "headers": dict(call.headers), "json": call.body}


def answer_of(response: httpx2.Response) -> Answer:
    """The `Answer` of a response that was read completely."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)


def no_answer_of(error: Exception, url: str) -> Unanswered:
    """The `Unanswered` of an httpx2 failure."""
    return Unanswered(f"{type(error).__name__}, {url}", sent=not isinstance(error, _NOT_SENT))
