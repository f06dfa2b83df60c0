"""Where an agent keeps prototypes: a running protokeep, or a database that it opens itself."""

from __future__ import annotations

from typing import Any

from protokeep.core.errors import InvalidInput


def client_of(place: object, token: str | None) -> Any | None:
    """A client for a running protokeep (one that is given, or one for an http address); None: it is a database."""
    from protokeep.client import AsyncProtokeep, Protokeep

    if isinstance(place, AsyncProtokeep | Protokeep):
        return place
    if isinstance(place, str) and place.startswith(("http://", "https://")):
        return AsyncProtokeep(place, token)
    return None


def database_url_of(place: object) -> str | None:
    """The database's address, from an address, an SQLAlchemy engine or session; None for None: the setting counts.

    Raises `InvalidInput` for a database that cannot be opened a second time.
    """
    if place is None:
        return None
    text = place if isinstance(place, str) else _address(place)
    scheme, separator, rest = text.partition("://")
    kind = scheme.partition("+")[0]
    if kind == "postgres":
        kind = "postgresql"
    if not separator or kind not in ("sqlite", "postgresql"):
        raise InvalidInput(
            "db takes a database URL (sqlite:///file or postgresql://...), an SQLAlchemy engine, a Protokeep client, "
            "or the http address of a running protokeep.",
            field="db",
        )
    if kind == "sqlite" and (rest in ("", "/") or ":memory:" in rest):
        raise InvalidInput("A database in memory cannot be shared. Use sqlite:///file.", field="db")
    return f"{kind}://{rest}"


def _address(place: object) -> str:
    if hasattr(place, "get_bind"):
        place = place.get_bind()
    url: Any = getattr(place, "url", None)
    return str(url.render_as_string(hide_password=False)) if hasattr(url, "render_as_string") else ""
