"""Every setting, read once from the environment (and `.env`). Passed down, never imported as a global."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from protokeep.core.caps import Caps
from protokeep.core.pacing import Pace

#: Where the embedded database lies unless told otherwise, relative to where `protokeep serve` is started.
DEFAULT_DATABASE_URL = "sqlite:///protokeep.db"
#: Keys are derived from them without stretching, which is right for random characters and wrong for words.
MASTER_KEY_SHORTEST = 32


class Settings(BaseSettings):
    """Names in the environment are `PROTOKEEP_` + the field's name, but for the v0 ones, which have none."""

    model_config = SettingsConfigDict(
        env_prefix="PROTOKEEP_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    #: `sqlite:///file` (one process) or `postgresql://...` (any number of them).
    database_url: str = DEFAULT_DATABASE_URL
    #: At start: `all` migrates everything, `own` only our tables (your tool applies the .sql), `off` nothing.
    migrate: Literal["all", "own", "off"] = "all"
    #: Keys the digests of API tokens. Unset: made on first start, kept in a file beside the embedded database.
    secret_key: SecretStr | None = None
    #: Seal the v0 keys that are kept in the database, separated by commas: the first seals, all of them open. Each
    #: of at least 32 random characters. Unset: a key derived from the secret key, which always opens.
    master_keys: SecretStr | None = None

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    #: On SIGTERM: how long `serve` goes on taking requests while /readyz says 503, so that a load balancer notices.
    #: Unset: 1 s with PostgreSQL, where others go on serving, none with SQLite.
    drain_seconds: Annotated[float | None, Field(ge=0, le=60)] = None
    #: Names, beside loopback, under which assistants reach /mcp, separated by commas; * allows any.
    mcp_allowed_hosts: str = ""
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    #: The v0 account that pays. Unset: reads work, a create answers 503.
    v0_api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("V0_API_KEY", "v0_api_key"))
    #: Workspaces, separated by commas, whose prototypes the key in the environment may pay for; * all of them.
    environment_key_for: str = "default"
    v0_base_url: str = Field(default="https://api.v0.dev", validation_alias=AliasChoices("V0_BASE_URL", "v0_base_url"))
    #: For new prototypes; each row remembers its own.
    v0_api_version: int = Field(
        default=2, ge=1, le=2, validation_alias=AliasChoices("V0_API_VERSION", "v0_api_version")
    )
    #: Sent as a query parameter on every v0 request; empty: not sent.
    v0_scope: str = Field(default="mckinsey", validation_alias=AliasChoices("V0_SCOPE", "v0_scope"))
    #: Where chats are opened by people; derived from the base URL when unset.
    v0_web_url: str | None = Field(default=None, validation_alias=AliasChoices("V0_WEB_URL", "v0_web_url"))

    #: Calls to v0 in a minute and in a UTC day, all processes together; 0: no limit. Looks slow down before they are
    #: spent, creates never wait for looks. Third-party notes give 10,000 a day; v0 itself publishes no number.
    v0_calls_per_minute: Annotated[int, Field(ge=0)] = 1200
    v0_calls_per_day: Annotated[int, Field(ge=0)] = 10_000
    #: Prototypes made in a UTC day by one person, for one product, in one workspace; 0: any number. Reuse is free and
    #: not counted. Far above what people do, and below what a loop in a script would cost.
    creates_per_person: Annotated[int, Field(ge=0)] = 100
    creates_per_product: Annotated[int, Field(ge=0)] = 50
    creates_per_workspace: Annotated[int, Field(ge=0)] = 1000
    #: Where others, v0's hooks among them, reach this server, such as https://prototypes.example.com.
    public_url: str | None = None

    #: One create call; what takes longer counts as unknown. Creates are reported to answer in about 4 s.
    create_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0
    #: After an unknown outcome: how long a chat may be missing from lists before a create is sent again.
    #: The create's own limit plus a minute for lists that lag. Shorter risks a second chat.
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 90.0
    #: The spec's clock: every 3 s, 200 polls (600 s) by default, up to 300 (900 s).
    poll_interval_seconds: Annotated[float, Field(ge=0.1, le=60)] = 3.0
    poll_timeout_seconds: Annotated[float, Field(ge=1, le=900)] = 600.0
    #: How long a create request waits for the builder to accept before it answers 202.
    accept_wait_seconds: Annotated[float, Field(ge=0, le=60)] = 10.0
    #: How long an idempotency key is remembered.
    idempotency_key_days: Annotated[int, Field(ge=1, le=365)] = 7

    @model_validator(mode="after")
    def _settle_outlasts_create(self) -> Self:
        if self.settle_seconds < self.create_timeout_seconds:
            raise ValueError(
                "PROTOKEEP_SETTLE_SECONDS must not be shorter than PROTOKEEP_CREATE_TIMEOUT_SECONDS: a create that "
                "is still under way could be sent a second time."
            )
        return self

    @field_validator("master_keys")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and any(len(part) < MASTER_KEY_SHORTEST for part in parts_of(value)):
            raise ValueError(
                f"Each key has at least {MASTER_KEY_SHORTEST} characters. Make one with: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return value

    @property
    def masters(self) -> list[bytes]:
        """The master keys, the one that seals first; empty: one is derived from the secret key."""
        return [part.encode() for part in parts_of(self.master_keys)] if self.master_keys else []

    def environment_key_serves(self, workspace_id: str) -> bool:
        """Whether the v0 key in the environment may pay for a workspace's prototypes."""
        named = {name.strip() for name in self.environment_key_for.split(",")}
        return "*" in named or workspace_id in named

    @property
    def caps(self) -> Caps:
        """How many prototypes may be made in a day."""
        return Caps(self.creates_per_person, self.creates_per_product, self.creates_per_workspace)

    @property
    def is_embedded(self) -> bool:
        """Whether everything lives in one process on SQLite."""
        return self.database_url.startswith("sqlite")

    @property
    def mcp_hosts(self) -> tuple[str, ...]:
        """The names under which /mcp is reached."""
        return tuple(host.strip() for host in self.mcp_allowed_hosts.split(",") if host.strip())

    @property
    def pace(self) -> Pace:
        """The durations that the core decides by."""
        return Pace(
            create_timeout=timedelta(seconds=self.create_timeout_seconds),
            settle=timedelta(seconds=self.settle_seconds),
            poll_interval=timedelta(seconds=self.poll_interval_seconds),
            poll_timeout=timedelta(seconds=self.poll_timeout_seconds),
        )

    @property
    def idempotency_key_retention(self) -> timedelta:
        """How long a key is remembered."""
        return timedelta(days=self.idempotency_key_days)

    @property
    def drain(self) -> float:
        """Seconds between SIGTERM and the moment nothing new is taken."""
        return self.drain_seconds if self.drain_seconds is not None else 0.0 if self.is_embedded else 1.0

    @property
    def database_file(self) -> Path | None:
        """The embedded database's file."""
        if not self.is_embedded:
            return None
        return Path(self.database_url.split("///", 1)[1] or "protokeep.db")


def parts_of(value: SecretStr) -> list[str]:
    """What is separated by commas."""
    return [part.strip() for part in value.get_secret_value().split(",") if part.strip()]
