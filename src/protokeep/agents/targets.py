"""Where the prototypes of an agent are: at a running protokeep, or in a database that the agent opens itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protokeep.core.errors import InvalidInput

#: The specification's clock: 200 polls of 3 seconds by default, 300 polls at most.
TIMEOUT_SECONDS, LONGEST_TIMEOUT = 600, 900


@dataclass(frozen=True, slots=True)
class ProjectRequest:
    """A request for a product's prototype. Raises `InvalidInput` for a poll budget that is not allowed."""

    product_id: str
    prompt: str
    create_new: bool
    idempotency_key: str | None
    timeout_seconds: float
    #: Whether to follow the prototype until it is finished, or only until the builder has accepted it.
    wait: bool

    def __post_init__(self) -> None:
        check_timeout(self.timeout_seconds)

    @property
    def wait_seconds(self) -> float:
        """How long the prototype is followed."""
        return self.timeout_seconds if self.wait else 0.0


def check_timeout(seconds: float) -> None:
    """Raises `InvalidInput` unless `seconds` is a poll budget that is allowed."""
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise InvalidInput(f"timeout_seconds takes more than 0 and at most {LONGEST_TIMEOUT}.", field="timeout_seconds")


def client_of(target: object, token: str | None) -> Any | None:
    """A client of a running protokeep: `target` itself, or a new one for its http address. None for a database."""
    from protokeep.client import AsyncProtokeep, Protokeep

    if isinstance(target, AsyncProtokeep | Protokeep):
        return target
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        return AsyncProtokeep(target, token)
    return None


def database_url_of(target: object) -> str | None:
    """The URL of a database, from a URL, an SQLAlchemy engine or a session. None for None: the settings name it.

    Raises `InvalidInput` for a database that cannot be opened a second time.
    """
    if target is None:
        return None
    text = target if isinstance(target, str) else _engine_url(target)
    scheme, separator, rest = text.partition("://")
    dialect = scheme.partition("+")[0]
    if dialect == "postgres":
        dialect = "postgresql"
    if not separator or dialect not in ("sqlite", "postgresql"):
        raise InvalidInput(
            "db takes a database URL (sqlite:///file or postgresql://...), an SQLAlchemy engine, a Protokeep client, "
            "or the http address of a running protokeep.",
            field="db",
        )
    if dialect == "sqlite" and (rest in ("", "/") or ":memory:" in rest):
        raise InvalidInput("A database in memory cannot be shared. Use sqlite:///file.", field="db")
    return f"{dialect}://{rest}"


def _engine_url(target: object) -> str:
    """The URL of an SQLAlchemy engine or session, with its password; empty for any other object."""
    engine = target.get_bind() if hasattr(target, "get_bind") else target
    url: Any = getattr(engine, "url", None)
    return str(url.render_as_string(hide_password=False)) if hasattr(url, "render_as_string") else ""
