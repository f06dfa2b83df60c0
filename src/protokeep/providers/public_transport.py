"""Calls to addresses that somebody else has named: to the public network only, and to the very address looked up."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2

#: IPv4 addresses behind a translator (RFC 6052).
NAT64 = IPv6Network("64:ff9b::/96")
PROXY_NAMES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
#: Room for every create that `jobs` sends at once, and for looks beside them.
LIMITS = httpx2.Limits(max_connections=900, max_keepalive_connections=32, keepalive_expiry=30.0)
#: What was sent and not acknowledged is given up after this: a request that lay in a queue of the network for longer
#: than its call may take must not arrive later.
SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)] if hasattr(socket, "TCP_USER_TIMEOUT") else []
#: The host and port -> the addresses behind it.
Resolve = Callable[[str, int], Awaitable[list[str]]]


class PrivateAddress(httpx2.ConnectError):
    """The name leads into a private network, to this machine or to a neighbour on the wire."""


class PublicOnlyTransport(httpx2.AsyncBaseTransport):
    """Looks a name up once, refuses addresses that are not public, and connects to one that it has seen.

    So a name that answers with a public address when asked and with a private one when connected to (DNS rebinding)
    gains nothing. The certificate is still checked against the name. What the operator has set, the base URL's own
    host, may be anywhere.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, own_host: str, resolve: Resolve | None = None) -> None:
        self._inner = inner
        self._own_host = own_host
        self._resolve = resolve or _resolved

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        if host == self._own_host:
            return await self._inner.handle_async_request(request)
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # The latter: a name that no name server takes.
            raise httpx2.ConnectError(f"{host} has no address") from error
        if not addresses or not all(is_public(address) for address in addresses):
            raise PrivateAddress(f"{host} is not in the public network")
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=addresses[0]),
            headers=request.headers,  # `Host` stays the name.
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        await self._inner.aclose()


def is_public(text: str) -> bool:
    """Whether an address is one of the public network's; one that hides another is judged by that other."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if hidden is None and address in NAT64:
            hidden = IPv4Address(int(address) & 0xFFFFFFFF)
        address = hidden or address
    return address.is_global and not address.is_multicast


def guarded(
    own_host: str, *, trust_env: bool, verify: ssl.SSLContext | bool = True
) -> httpx2.AsyncBaseTransport | None:
    """A transport for a client; None where the environment names a proxy, which then looks names up and decides."""
    if trust_env and any(os.environ.get(name) for name in PROXY_NAMES):
        return None
    inner = httpx2.AsyncHTTPTransport(
        limits=LIMITS, trust_env=trust_env, verify=verify, socket_options=SOCKET_OPTIONS or None
    )
    return PublicOnlyTransport(inner, own_host)


async def _resolved(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in found]
