"""The settings of the database: where it is, and how many connections a process has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from protokeep.core.address_faults import database_fault
from protokeep.core.connection_limits import LEAST, ConnectionLimits
from protokeep.core.database_address import parameter_fault, plain_address

#: The embedded database's default file, relative to the folder in which `protokeep serve` is started.
DEFAULT_DATABASE_URL = "sqlite:///protokeep.db"
DEFAULTS = ConnectionLimits()


class DatabaseSettings(BaseSettings):
    """Part of `Settings`."""

    #: `sqlite:///file` (one process) or `postgresql://...` (any number of them), as providers and SQLAlchemy write it.
    database_url: str = Field(default=DEFAULT_DATABASE_URL, repr=False)
    #: Where `database_url` leads to a pooler in transaction mode: the address past it, for LISTEN and migrations.
    database_direct_url: str | None = Field(default=None, repr=False)
    #: Connections to PostgreSQL that one process has open at the most.
    database_connections: Annotated[int, Field(ge=LEAST, le=200)] = DEFAULTS.connections
    #: How long a connection may be idle before it is given back.
    database_idle_seconds: Annotated[float, Field(ge=1, le=3600)] = DEFAULTS.idle_seconds
    #: How long a statement may take; shorter than the 6 s for which a process holds a row.
    database_statement_seconds: Annotated[float, Field(ge=0.5, le=5.5)] = DEFAULTS.statement_seconds
    #: At start: `all` migrates everything, `own` only our tables (your tool applies the .sql), `off` nothing.
    migrate: Literal["all", "own", "off"] = "all"

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        value = plain_address(value)
        # The message leaves the value out, because it may hold a password.
        if fault := database_fault(value) or parameter_fault(value):
            raise ValueError(f"This {fault}. Use sqlite:///file or postgresql://user@host/name.")
        return value

    @model_validator(mode="after")
    def _direct_is_postgresql(self) -> Self:
        direct = self.database_direct_url
        if direct is not None and (self.is_embedded or direct.startswith("sqlite")):
            raise ValueError(
                "PROTOKEEP_DATABASE_DIRECT_URL is for PostgreSQL behind a pooler: set it beside a "
                "PROTOKEEP_DATABASE_URL that begins with postgresql://, and let it begin so too."
            )
        return self

    @property
    def direct_url(self) -> str:
        """The address for LISTEN, migrations and the job queue, which keep something in their session."""
        return self.database_url if self.is_embedded else self.database_direct_url or self.database_url

    @property
    def connection_limits(self) -> ConnectionLimits:
        """The limits of the connections to PostgreSQL."""
        return ConnectionLimits(
            self.database_connections,
            self.database_idle_seconds,
            self.database_statement_seconds,
            through_pooler=self.direct_url != self.database_url,
        )

    @property
    def is_embedded(self) -> bool:
        """Whether the database is SQLite, and one process does everything."""
        return self.database_url.startswith("sqlite")

    @property
    def database_file(self) -> Path | None:
        """The file of the embedded database; None with PostgreSQL."""
        if not self.is_embedded:
            return None
        return Path(self.database_url.partition("?")[0].split("///", 1)[1] or "protokeep.db")
