"""Proxies and certificates that the environment names for HTTP clients: says which of the variables cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import httpx2

#: What httpx2 raises while it makes a client of an environment that it cannot use.
FAULTS = (ImportError, OSError, ValueError, httpx2.InvalidURL)

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def environment_fault(environment: Mapping[str, str]) -> str | None:
    """Which variable keeps an HTTP client from being made, in a sentence; None if a client can be made."""
    try:
        httpx2.Client().close()
    except FAULTS as error:
        return fault_of(error, environment)
    return None


def fault_of(error: Exception, environment: Mapping[str, str]) -> str:
    """Which variable of the environment httpx2 refused with this error, in a sentence that leaves its value out."""
    named = {name: value for name, value in environment.items() if value}
    if isinstance(error, OSError):
        names = [name for name in _CERTIFICATES if name in named]
        return f"{_either(names or _CERTIFICATES)} names no certificates that can be read. Correct it, or take it out."
    proxies = {name: value for name, value in named.items() if name.upper() in _PROXIES}
    if isinstance(error, ImportError):
        names = [name for name, value in proxies.items() if value.lower().startswith("socks")]
        return (
            f"{_either(names or _PROXIES)} names a SOCKS proxy, which cannot be used here. Name an HTTP proxy instead."
        )
    names = [name for name, value in proxies.items() if not _is_proxy(value)]
    names = names or [name for name in named if name.upper() == "NO_PROXY"]
    return (
        f"{_either(names or _PROXIES)} holds no address that can be used. Correct it, such as "
        "http://proxy.example:3128, or take it out."
    )


def _is_proxy(value: str) -> bool:
    try:
        httpx2.Proxy(value if "://" in value else f"http://{value}")
    except (ValueError, httpx2.InvalidURL):
        return False
    return True


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
