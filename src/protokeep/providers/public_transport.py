"""An HTTP transport for addresses that others chose: it reaches public addresses only (no SSRF, no DNS rebinding)."""

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
#: Enough connections for every create that `jobs` sends at once, and for polls beside them.
LIMITS = httpx2.Limits(max_connections=900, max_keepalive_connections=32, keepalive_expiry=30.0)
#: The kernel gives up sent bytes that were not acknowledged after this (milliseconds), so that a request that was
#: queued in the network for longer than its call may take never arrives later.
SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)] if hasattr(socket, "TCP_USER_TIMEOUT") else []
#: Looks up the addresses of a host and port.
Resolve = Callable[[str, int], Awaitable[list[str]]]


class PrivateAddress(httpx2.ConnectError):
    """A host name leads to a private network, to this machine or to a link-local neighbour."""


class PublicOnlyTransport(httpx2.AsyncBaseTransport):
    """Refuses hosts with an address that is not public, and connects to the very address that was checked.

    A name that changes from a public to a private address after the check (DNS rebinding) has no effect. The
    certificate is still checked against the name. The host that the operator has configured may have any address.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, own_host: str, resolve: Resolve | None = None) -> None:
        self._inner = inner
        self._own_host = own_host
        self._resolve = resolve or _lookup

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        if host == self._own_host:
            return await self._inner.handle_async_request(request)
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no name server takes.
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
    """Whether an address is public. An IPv6 address that contains an IPv4 address is judged by the latter."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if embedded is None and address in NAT64:
            embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        address = embedded or address
    return address.is_global and not address.is_multicast


def public_only_transport(
    own_host: str, *, trust_env: bool, verify: ssl.SSLContext | bool = True
) -> httpx2.AsyncBaseTransport | None:
    """A transport for a client; None if the environment names a proxy, because the proxy looks names up then."""
    if trust_env and any(os.environ.get(name) for name in PROXY_NAMES):
        return None
    inner = httpx2.AsyncHTTPTransport(
        limits=LIMITS, trust_env=trust_env, verify=verify, socket_options=SOCKET_OPTIONS or None
    )
    return PublicOnlyTransport(inner, own_host)


async def _lookup(host: str, port: int) -> list[str]:
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in rows]
