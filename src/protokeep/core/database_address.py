"""The address of a database as its owner's other programs write it, and as our drivers read it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

#: The dialects of SQLAlchemy that we have a driver for, and what the drivers call them.
_DIALECTS = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}
#: Parameters that SQLAlchemy's drivers take for themselves: the server would refuse the connection because of them.
_OTHERS = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback")


def plain_address(address: str) -> str:
    """The address without what only SQLAlchemy understands: a driver (`postgresql+asyncpg:`), `ssl` for `sslmode`.

    An address of another kind of database comes back as it is.
    """
    scheme, separator, rest = address.strip().partition(":")
    dialect, _, driver = scheme.lower().partition("+")
    if not separator or dialect not in _DIALECTS:
        return address
    if dialect != "sqlite" and driver:
        place, mark, query = rest.partition("?")
        pairs = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _OTHERS]
        query = urlencode([("sslmode" if name == "ssl" else name, _mode(name, value)) for name, value in pairs])
        rest = place + (mark + query if query else "")
    return f"{_DIALECTS[dialect]}:{rest}"


def _mode(name: str, value: str) -> str:
    return "require" if name == "ssl" and value.lower() in ("true", "1", "on") else value
