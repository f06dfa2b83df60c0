"""Who may call the emulator: programs that know it by an allowed name, and no page of another site.

It asks for no key of its own, so a web page must not reach it: neither under a name that the page's owner has pointed
at this machine, nor with a request that a browser sends without asking first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

#: The names under which only this machine is reached.
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
#: Allows every name.
ANY = "*"

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@]+)(:[0-9]{1,5})?")
#: What browsers say of a request of our own pages, and of an address that a person has typed.
_OWN_SITE = (b"same-origin", b"none")


def misdirected(headers: Mapping[bytes, bytes], allowed: Collection[str]) -> str | None:
    """Why a request's Host is refused; None for a name of this machine and for an allowed one."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    named = _HOST.fullmatch(host)
    if ANY in allowed or (named is not None and named[1] in (*LOOPBACK, *allowed)):
        return None
    return "The sandbox is not served under this name. Allow it with --allow-host."


def foreign(headers: Mapping[bytes, bytes]) -> str | None:
    """Why a request to `/_sandbox` is refused as one of another site's page; None for a program's and our own."""
    origin = headers.get(b"origin")
    from_elsewhere = headers.get(b"sec-fetch-site", b"none") not in _OWN_SITE
    if from_elsewhere or (origin is not None and origin != b"http://" + headers.get(b"host", b"")):
        return "The controls take no requests of other sites' pages."
    return None
