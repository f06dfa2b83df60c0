"""The arguments of httpx2 for both clients, and the meaning of its failures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from protokeep import __version__
from protokeep.client.errors import BadSetting
from protokeep.client.operations import Answer, Call, Unanswered
from protokeep.client.streams import SILENCE_SECONDS
from protokeep.core.address_faults import address_fault
from protokeep.http_environment import FAULTS as ENVIRONMENT_FAULTS
from protokeep.http_environment import fault_of
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


#: A token as a header can carry it: letters, digits and signs of ASCII.
_TOKEN = re.compile(r"[!-~]*")

HttpClient = TypeVar("HttpClient", httpx2.Client, httpx2.AsyncClient)


def open_http(make: Callable[..., HttpClient], url: str | None, token: str | None, transport: object) -> HttpClient:
    """An httpx2 client. None stands for PROTOKEEP_URL and PROTOKEEP_TOKEN (or its file).

    Raises `BadSetting` for an address, a token, a proxy or certificates that cannot be used.
    """
    options = client_options(url, token)
    try:
        return make(**options, transport=transport)
    except ENVIRONMENT_FAULTS as error:
        raise BadSetting(fault_of(error, os.environ)) from None


def client_options(url: str | None, token: str | None) -> Mapping[str, Any]:
    """Keyword arguments of an httpx2 client. Raises `BadSetting` for an address or a token that cannot be used."""
    address = (url or os.environ.get("PROTOKEEP_URL") or DEFAULT_URL).strip().rstrip("/")
    if fault := address_fault(address):
        raise BadSetting(f"PROTOKEEP_URL (or --url) {fault}. Set it to an address such as {DEFAULT_URL}.")
    try:
        secret = (token or secret_in_environment("PROTOKEEP_TOKEN")).strip()
    except ValueError as error:
        raise BadSetting(str(error)) from None
    if not _TOKEN.fullmatch(secret):
        raise BadSetting(
            "PROTOKEEP_TOKEN (or --token) holds a character that no token has, such as a blank, a line break or a "
            "typographic quotation mark. Copy it again."
        )
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
