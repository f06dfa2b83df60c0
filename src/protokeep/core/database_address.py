"""The address of a database as providers and other programs print it, and as our drivers read it.

Whoever takes an address calls `plain_address` first, so that an address means the same everywhere. Parameters are those
of libpq (PostgreSQL 18, 32.1.2), SQLAlchemy, Prisma, node-postgres and JDBC.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

#: The dialects of SQLAlchemy that we have a driver for, and what the drivers call them.
_DIALECTS = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}
#: Parameters of other programs' drivers. The server would refuse the connection because of them, and protokeep has
#: limits of its own for what they say.
_OTHERS = frozenset(
    {
        *("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback", "statement_cache_size"),
        *("pgbouncer", "connection_limit", "pool_timeout", "pool_size", "max_overflow", "pool_recycle"),
        *("pool_pre_ping", "socket_timeout", "supa", "uselibpqcompat", "workaround"),
        *("connect_timeout", "connection_timeout", "keepalives", "keepalives_idle", "keepalives_interval"),
        *("keepalives_count", "tcp_user_timeout", "load_balance_hosts", "fallback_application_name"),
        *("channel_binding", "gssencmode", "gssdelegation", "sslcompression", "sslsni", "client_encoding"),
    }
)
#: Other names of parameters that our driver takes.
_NAMES = {
    "ssl": "sslmode",
    "schema": "search_path",
    "currentSchema": "search_path",
    "ApplicationName": "application_name",
}
_SSL_WORDS = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "no-verify": "require",
}
#: Parameters whose values are words, with the words that our driver takes.
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "sslnegotiation": ("postgres", "direct"),
}
#: Parameters that ask for something that cannot be done, and why.
_REFUSED = {
    "replication": "protokeep needs an ordinary connection",
    "require_auth": "the driver cannot promise it",
    "hostaddr": "name the host itself",
}


def plain_address(address: str) -> str:
    """The address without what only other programs understand: a driver (`postgresql+asyncpg:`), a pool's size.

    An address of another kind of database comes back as it is.
    """
    scheme, separator, rest = address.strip().partition(":")
    dialect, _, _driver = scheme.lower().partition("+")
    if not separator or dialect not in _DIALECTS:
        return address
    place, mark, query = rest.partition("?")
    if dialect == "sqlite" or not mark:
        return f"{_DIALECTS[dialect]}:{rest}"
    pairs = [_plain_pair(*pair) for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in _OTHERS]
    query = urlencode(pairs)
    return f"{_DIALECTS[dialect]}:{place}" + (mark + query if query else "")


def parameter_fault(address: str) -> str | None:
    """Which parameter of a plain address cannot be used, as the end of a sentence; None: all can."""
    scheme, _, rest = address.partition(":")
    if scheme != "postgresql":
        return None
    for name, value in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if name in _REFUSED:
            return f"has the parameter {name}: {_REFUSED[name]}"
        if name in _CHOICES and value not in _CHOICES[name]:
            return f"has a parameter {name} that is none of {', '.join(_CHOICES[name])}"
        if name == "port" and not all(port.isdigit() for port in value.split(",")):
            return "has a parameter port that is no number"
    return None


def _plain_pair(name: str, value: str) -> tuple[str, str]:
    if name == "ssl":
        value = _SSL_WORDS.get(value.lower(), value)
    return _NAMES.get(name, name), value
