"""Addresses of hosts. An IPv4 address that a dual-stack socket writes as IPv6 (`::ffff:192.0.2.1`) is IPv4 here."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

#: IPv6 addresses of one network count as one: somebody who has the network has all of them.
IPV6_PREFIX = 64
#: Where IPv4 addresses stand among IPv6 addresses (RFC 4291, 2.5.5.2).
MAPPED = IPv6Network("::ffff:0:0/96")
#: Longest name of a peer that is no address, such as what a proxy writes for a client that it cannot name.
NAME_MAX = 64


def plain_address(text: str) -> str:
    """An address in its usual spelling, IPv4 wherever it is; a text that is no address is cut to printable ASCII."""
    parsed = _parsed(text)
    if parsed is not None:
        return str(parsed)
    return "".join(character for character in text[:NAME_MAX] if " " < character <= "~")


def network_of(text: str) -> str:
    """The network that an address is counted under: an IPv4 address itself, or the /64 of an IPv6 address."""
    parsed = _parsed(text)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
    return plain_address(text)


def host_of(url: str) -> str:
    """The host of a URL as a `Host` header names it, without its port; empty for a text that names none."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. Of names, only `localhost` counts as loopback."""
    parsed = _parsed(host)
    return host == "localhost" if parsed is None else parsed.is_loopback


def both_spellings(networks: Iterable[str]) -> list[str]:
    """Addresses and networks as networks; those of IPv4 also as a dual-stack socket spells them.

    Raises `ValueError` for a text that is neither an address nor a network.
    """
    found: dict[str, None] = {}
    for text in networks:
        network = ip_network(text, strict=False)
        if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
            network = IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
        found[str(network)] = None
        if isinstance(network, IPv4Network):
            mapped = int(MAPPED.network_address) | int(network.network_address)
            found[str(IPv6Network((mapped, network.prefixlen + 96)))] = None
    return list(found)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
