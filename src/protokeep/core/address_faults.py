"""Says what is wrong with addresses of databases, of http servers and of their pages."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from protokeep.core.addresses import is_loopback

#: A host of a database, with or without a port. An IPv6 address stands in brackets; a folder of sockets is no host.
HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(:(?P<port>\d{1,5}))?")
MAX_PORT = 65_535


def database_fault(value: str) -> str | None:
    """Why `value` is no address of a database, as the end of a sentence; None if it is one."""
    scheme, separator, rest = value.partition("://")
    kind = scheme.partition("+")[0]  # An address for SQLAlchemy names a driver too.
    if not separator or kind not in ("sqlite", "postgresql", "postgres"):
        return "begins with none of the two databases' names"
    if kind == "sqlite":
        return None if rest.startswith("/") else "names no file: there are three slashes after sqlite:"
    account, _, hosts = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
    found = [HOST.fullmatch(host) for host in hosts.split(",")]
    if "@" in account or not all(one and int(one["port"] or 0) <= MAX_PORT for one in found):
        return (
            "cannot be taken apart: in a name or password write %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #"
        )
    return None


def address_fault(value: str) -> str | None:
    """Why `value` cannot be the base of http(s) addresses, as the end of a sentence; None if it can."""
    if not value.isprintable() or any(character.isspace() for character in value):
        return "holds blanks or characters that cannot be seen"
    try:
        address = urlsplit(value)
        port, host = address.port, (address.hostname or "").encode("idna")
    except ValueError:
        return "is not an address: its host or its port cannot be used"
    if address.scheme not in ("http", "https"):
        return "does not begin with https:// or http://"
    if not host or port == 0:
        return "names no host, or no port, that can be called"
    if address.username is not None or "?" in value or "#" in value:
        return "holds a name and password, a ? or a #, which have no place in it"
    return None


def origin_fault(value: str) -> str | None:
    """Why `value` cannot be an origin whose pages call the API, as the end of a sentence; None if it can."""
    if "*" in value:
        return "stands for more than one origin: name each one"
    if fault := address_fault(value):
        return fault
    address = urlsplit(value)
    host = (address.hostname or "").encode("idna").decode()
    if address.scheme == "http" and not is_loopback(host):
        return "is neither https nor on this machine"
    default_port = {"http": 80, "https": 443}[address.scheme]
    port = f":{address.port}" if address.port not in (None, default_port) else ""
    exact = f"{address.scheme}://{f'[{host}]' if ':' in host else host}{port}"
    return None if value == exact else f"is not what a browser sends. Write it as {exact}"


def issuer_fault(value: str) -> str | None:
    """Why `value` cannot be the address of a sign-in service, as the end of a sentence; None if it can."""
    issuer = urlsplit(value)
    if not issuer.hostname or (issuer.scheme != "https" and not is_loopback(issuer.hostname)):
        return "must be an https address"
    return "holds a name and password, which have no place in it" if issuer.username is not None else None
