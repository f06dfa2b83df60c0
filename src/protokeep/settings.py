"""Every setting, read once from the environment (and `.env`). Passed down, never imported as a global."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from protokeep.core.jwt_claims import ClaimRules, roles_of
from protokeep.core.principals import Role
from protokeep.core.quotas import Quotas
from protokeep.core.timing import Timing

#: Where the embedded database lies unless told otherwise, relative to where `protokeep serve` is started.
DEFAULT_DATABASE_URL = "sqlite:///protokeep.db"
#: Keys are derived from them without stretching, which is right for random characters and wrong for words.
MASTER_KEY_SHORTEST = 32
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Settings(BaseSettings):
    """Names in the environment are `PROTOKEEP_` + the field's name, but for the v0 ones, which have none."""

    model_config = SettingsConfigDict(
        env_prefix="PROTOKEEP_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # An address may hold a password.
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
    #: Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed, separated by commas.
    trusted_proxies: str = ""
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

    #: The company's sign-in service (OpenID Connect); its JWTs count if they are for `oidc_audience`.
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    #: Our client there, for signing in on the page. A secret only where the service gave one; PKCE is always used.
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_scope: str = "openid profile email"
    #: The other way: JWTs under a shared HS256 secret, as Supabase has them.
    jwt_secret: SecretStr | None = None
    jwt_audience: str = "authenticated"
    jwt_issuer: str | None = None
    #: Which claims say who, where and what; `app_metadata.role` is a path. No workspace claim: all in `default`.
    claim_user: str = "sub"
    claim_workspace: str = ""
    claim_role: str = "role"
    #: What values of the role claim mean: `designers=maker, platform=admin`. Empty: they are the roles' names.
    claim_roles: str = ""
    #: For whom the claim gives no role. Unset: refused.
    default_role: Literal["viewer", "maker", "admin"] | None = None
    #: After so long whoever signed in at the service does so again.
    sign_on_hours: Annotated[float, Field(ge=0.1, le=336)] = 12.0

    #: Requests of one token or person in a minute, and sign-ins or wrong tokens of one address; 0: no limit.
    #: In each process; half a minute's worth may come at once.
    requests_per_minute: Annotated[int, Field(ge=0)] = 6000
    sign_ins_per_minute: Annotated[int, Field(ge=0)] = 60
    #: Bytes of a request that are read: a prompt of 100,000 characters in JSON escapes fits into the first.
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    max_header_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 32 * 1024
    max_query_bytes: Annotated[int, Field(ge=256, le=64 * 1024)] = 8 * 1024
    #: How long the head of a request may take to come, and then its body.
    header_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 20.0
    body_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    #: Open live streams of one person, and of everybody in one process.
    streams_per_person: Annotated[int, Field(ge=1)] = 50
    streams_per_process: Annotated[int, Field(ge=1)] = 5000

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

    @field_validator("v0_base_url", "v0_web_url")
    @classmethod
    def _is_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        example = "https://api.v0.dev" if info.field_name == "v0_base_url" else "https://v0.app"
        unset = value is None or (value == "" and info.field_name == "v0_web_url")
        fault = None if unset else address_fault(value or "")
        if fault:  # The value is not repeated: it may hold a password.
            raise ValueError(f"This {fault}. Give an address such as {example}.")
        return value

    @field_validator("v0_api_key")
    @classmethod
    def _fits_in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]*", value.get_secret_value().strip()):
            raise ValueError("A key holds letters, digits and signs only: no blanks, line breaks or accents.")
        return value

    @field_validator("master_keys")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and any(len(part) < MASTER_KEY_SHORTEST for part in comma_separated(value)):
            raise ValueError(
                f"Each key has at least {MASTER_KEY_SHORTEST} characters. Make one with: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return value

    @property
    def masters(self) -> list[bytes]:
        """The master keys, the one that seals first; empty: one is derived from the secret key."""
        return [part.encode() for part in comma_separated(self.master_keys)] if self.master_keys else []

    def environment_key_serves(self, workspace_id: str) -> bool:
        """Whether the v0 key in the environment may pay for a workspace's prototypes."""
        named = {name.strip() for name in self.environment_key_for.split(",")}
        return "*" in named or workspace_id in named

    @property
    def quotas(self) -> Quotas:
        """How many prototypes may be made in a day."""
        return Quotas(self.creates_per_person, self.creates_per_product, self.creates_per_workspace)

    @model_validator(mode="after")
    def _sign_in_is_clear(self) -> Self:
        if self.oidc_issuer and self.jwt_secret:
            raise ValueError("Set PROTOKEEP_OIDC_ISSUER or PROTOKEEP_JWT_SECRET, not both: a token must not choose.")
        if self.oidc_issuer:
            parts = urlsplit(self.oidc_issuer)
            if not parts.hostname or (parts.scheme != "https" and parts.hostname not in LOOPBACK):
                raise ValueError("PROTOKEEP_OIDC_ISSUER must be an https address.")
            if not (self.oidc_audience or self.oidc_client_id):
                raise ValueError(
                    "PROTOKEEP_OIDC_ISSUER needs PROTOKEEP_OIDC_AUDIENCE, PROTOKEEP_OIDC_CLIENT_ID or both."
                )
        if self.jwt_secret and len(self.jwt_secret.get_secret_value()) < 32:
            raise ValueError("PROTOKEEP_JWT_SECRET needs at least 32 characters.")
        try:
            roles_of(self.claim_roles)
        except ValueError as error:
            raise ValueError(f"PROTOKEEP_CLAIM_ROLES: {error}.") from None
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_addresses(cls, value: str) -> str:
        for part in _listed(value):
            try:
                ip_network(part, strict=False)
            except ValueError:
                raise ValueError(f"{part!r} is neither an address nor a network. '*' is not taken.") from None
        return value

    @property
    def claim_rules(self) -> ClaimRules:
        """What the claims of a JWT mean."""
        default = Role(self.default_role) if self.default_role else None
        return ClaimRules(self.claim_user, self.claim_workspace, self.claim_role, roles_of(self.claim_roles), default)

    @property
    def proxies(self) -> list[str]:
        """The proxies that are believed."""
        return _listed(self.trusted_proxies)

    @property
    def is_https(self) -> bool:
        """Whether people reach us over https, as far as the settings say."""
        return (self.public_url or "").lower().startswith("https://")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach us."""
        return is_loopback(self.host)

    @property
    def is_embedded(self) -> bool:
        """Whether everything lives in one process on SQLite."""
        return self.database_url.startswith("sqlite")

    @property
    def mcp_hosts(self) -> tuple[str, ...]:
        """The names under which /mcp is reached."""
        return tuple(_listed(self.mcp_allowed_hosts))

    @property
    def timing(self) -> Timing:
        """The durations that the core decides by."""
        return Timing(
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


def comma_separated(value: SecretStr) -> list[str]:
    """What is separated by commas."""
    return [part.strip() for part in value.get_secret_value().split(",") if part.strip()]


def address_fault(value: str) -> str | None:
    """Why an address cannot be the beginning of http(s) addresses, as the end of a sentence; None: it can."""
    if not value.isprintable() or any(character.isspace() for character in value):
        return "holds blanks or characters that cannot be seen"
    try:
        parts = urlsplit(value)
        port, host = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        return "is no address: its host or its port cannot be used"
    if parts.scheme not in ("http", "https"):
        return "does not begin with https:// or http://"
    if not host or port == 0:
        return "names no host, or no port, that can be called"
    if parts.username is not None or "?" in value or "#" in value:
        return "holds a name and password, a ? or a #, which have no place in it"
    return None


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only; a name other than localhost is taken not to be."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
