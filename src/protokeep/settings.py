"""Every setting, read once from the environment (and `.env`). Passed down, never imported as a global."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from protokeep.core.address_faults import address_fault, issuer_fault, origin_fault
from protokeep.core.addresses import host_of, is_loopback
from protokeep.core.jwt_claims import ClaimRules, roles_of
from protokeep.core.principals import Role
from protokeep.core.quotas import Quotas
from protokeep.core.secret_strength import COMMAND, MIN_LENGTH
from protokeep.core.timing import Timing
from protokeep.secret_files import SecretFile
from protokeep.secret_source import SecretFiles
from protokeep.settings_catalogue import CatalogueSettings
from protokeep.settings_clean_up import CleanUpSettings
from protokeep.settings_database import DatabaseSettings
from protokeep.settings_retention import RetentionSettings
from protokeep.settings_serving import ServingSettings
from protokeep.settings_telemetry import TelemetrySettings

WORKSPACE_PEOPLE = 3  #: Without a setting, a workspace may send as many requests as so many people.
#: Settings that hold a secret, by field. Each may stand in a file instead, which the setting + `_FILE` names.
SECRETS = {
    "database_url": "PROTOKEEP_DATABASE_URL",
    "database_direct_url": "PROTOKEEP_DATABASE_DIRECT_URL",
    "secret_key": "PROTOKEEP_SECRET_KEY",
    "master_keys": "PROTOKEEP_MASTER_KEYS",
    "v0_api_key": "V0_API_KEY",
    "oidc_client_secret": "PROTOKEEP_OIDC_CLIENT_SECRET",
    "jwt_secret": "PROTOKEEP_JWT_SECRET",
    "metrics_token": "PROTOKEEP_METRICS_TOKEN",
}
#: Settings that are addresses, by field, with one that would do.
ADDRESSES = {
    "v0_base_url": "https://api.v0.dev",
    "v0_web_url": "https://v0.app",
    "public_url": "https://prototypes.example.com",
}


class Settings(
    DatabaseSettings, CatalogueSettings, CleanUpSettings, RetentionSettings, ServingSettings, TelemetrySettings
):
    """Each setting is read from `PROTOKEEP_` + its name in capitals; those of v0 have no prefix."""

    model_config = SettingsConfigDict(
        env_prefix="PROTOKEEP_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # An address may hold a password.
    )

    #: The secret under which API tokens are digested. Unset: made on the first start, in a file beside the embedded
    #: database.
    secret_key: SecretStr | None = None
    #: Master keys for the provider keys in the database, separated by commas: the first one seals, all of them open.
    #: Each has at least 32 random characters. Unset: a key derived from `secret_key`, which can always open.
    master_keys: SecretStr | None = None

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    #: Names, beside loopback, under which assistants reach /mcp, separated by commas; * allows any.
    mcp_allowed_hosts: str = ""
    #: Origins, separated by commas, whose pages may call the API with a token: https, or http on loopback.
    cors_origins: str = ""
    #: Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count, separated by commas.
    trusted_proxies: str = ""

    #: The key of the v0 account that pays for prototypes. Unset: reads work, a create answers 503.
    v0_api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("V0_API_KEY", "v0_api_key"))
    #: Workspaces, separated by commas, whose prototypes `v0_api_key` may pay for; *: all workspaces.
    environment_key_for: str = "default"
    v0_base_url: str = Field(default="https://api.v0.dev", validation_alias=AliasChoices("V0_BASE_URL", "v0_base_url"))
    #: The API version for new prototypes; older rows keep theirs.
    v0_api_version: int = Field(
        default=2, ge=1, le=2, validation_alias=AliasChoices("V0_API_VERSION", "v0_api_version")
    )
    #: Sent as the query parameter `scope` with every v0 request; empty: not sent.
    v0_scope: str = Field(default="mckinsey", validation_alias=AliasChoices("V0_SCOPE", "v0_scope"))
    #: The site on which people open chats. Unset: derived from the base URL.
    v0_web_url: str | None = Field(default=None, validation_alias=AliasChoices("V0_WEB_URL", "v0_web_url"))

    #: Calls to v0 per minute and per UTC day, over all processes; 0: no limit. Polls slow down before the calls run
    #: out, and creates go first. Third-party notes name 10,000 a day; v0 itself publishes no number.
    v0_calls_per_minute: Annotated[int, Field(ge=0)] = 1200
    v0_calls_per_day: Annotated[int, Field(ge=0)] = 10_000
    #: Prototypes created per UTC day; 0: no limit. The defaults are far above what people do, and stop a script's loop.
    creates_per_person: Annotated[int, Field(ge=0)] = 100
    creates_per_product: Annotated[int, Field(ge=0)] = 50
    creates_per_workspace: Annotated[int, Field(ge=0)] = 1000
    #: The address under which browsers and v0's hooks reach this server, such as https://prototypes.example.com.
    public_url: str | None = None

    #: The company's sign-in service (OpenID Connect). Its JWTs are accepted if their audience is `oidc_audience`.
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    #: Our client at the service, for signing in on the page. The secret is optional; PKCE is always used.
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_scope: str = "openid profile email"
    #: Instead of an issuer: accept JWTs signed with a shared HS256 secret, as Supabase does.
    jwt_secret: SecretStr | None = None
    jwt_audience: str = "authenticated"
    jwt_issuer: str | None = None
    #: The claims of user, workspace and role; a dot names a nested one. Without a workspace claim all are in `default`.
    claim_user: str = "sub"
    claim_workspace: str = ""
    claim_role: str = "role"
    #: Whether a tenant of the owner's tables (their column `tenant_id`) is the workspace of the same name. Unset: where
    #: a workspace claim is set.
    tenants_are_workspaces: bool | None = None
    #: The roles that values of the role claim stand for: `designers=maker, platform=admin`. Empty: the values are
    #: names of roles.
    claim_roles: str = ""
    #: The role of people whose role claim gives none. Unset: they are refused.
    default_role: Literal["viewer", "maker", "admin"] | None = None
    #: How long a sign-in at the service lasts.
    sign_on_hours: Annotated[float, Field(ge=0.1, le=336)] = 12.0

    #: Requests per minute of one person, whatever token they use; 0: no limit. Each process counts for itself, and
    #: allows half a minute's requests at once. A page counts as ten.
    requests_per_minute: Annotated[int, Field(ge=0)] = 6000
    #: Requests per minute of all people of one workspace; 0: no limit. Unset: three times those of a person.
    workspace_requests_per_minute: Annotated[int | None, Field(ge=0)] = None
    #: Sign-ins or wrong tokens per minute of one address; 0: no limit.
    sign_ins_per_minute: Annotated[int, Field(ge=0)] = 60
    #: The longest body, headers and query of a request. A prompt of 100,000 characters fits, in JSON escapes too.
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    max_header_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 32 * 1024
    max_query_bytes: Annotated[int, Field(ge=256, le=64 * 1024)] = 8 * 1024
    #: How long a client may take to send the headers of a request, and then its body.
    header_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 20.0
    body_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    #: Open live streams per person, and per process. A workspace may have a third of the process's.
    streams_per_person: Annotated[int, Field(ge=1)] = 50
    streams_per_process: Annotated[int, Field(ge=1)] = 5000
    #: Requests that wait at once (`Prefer: wait`, creates), per person and per process; a workspace may have a third of
    #: the process's. Further ones are answered without a wait.
    waits_per_person: Annotated[int, Field(ge=1)] = 100
    waits_per_process: Annotated[int, Field(ge=1)] = 900
    #: Valid tokens of a workspace, and the longest life in days that a new token may have (0: it may never expire).
    tokens_per_workspace: Annotated[int, Field(ge=1)] = 500
    token_days_most: Annotated[int, Field(ge=0, le=3650)] = 0
    #: Idempotency keys of a workspace that are remembered at once; 0: no limit.
    idempotency_keys_per_workspace: Annotated[int, Field(ge=0)] = 200_000

    #: The longest create call; after it the outcome is unknown. Creates are reported to take about 4 s.
    create_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0
    #: How long a chat may be missing from lists after an unknown outcome before the create is sent again: the longest
    #: create call, plus a minute for lists that lag. A shorter time risks a second chat.
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 90.0
    #: As the specification asks: a poll every 3 s, for 600 s (200 polls) by default and 900 s (300 polls) at most.
    poll_interval_seconds: Annotated[float, Field(ge=0.1, le=60)] = 3.0
    poll_timeout_seconds: Annotated[float, Field(ge=1, le=900)] = 600.0
    #: How long a create request waits for v0 to accept before it answers 202.
    accept_wait_seconds: Annotated[float, Field(ge=0, le=60)] = 10.0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read files of secrets after what a caller gives, and before the environment, which then has no value."""
        files = SecretFiles(settings_cls, SECRETS, dotenv_settings, env_settings)
        return init_settings, files, env_settings, dotenv_settings, file_secret_settings

    @field_validator("*", mode="before")
    @classmethod
    def _from_file_or_unset(cls, value: Any, info: ValidationInfo) -> Any:
        """Take the text of a file, and an empty text for no value where no value is the default."""
        if isinstance(value, SecretFile):
            value = value.read()
        is_empty = isinstance(value, str | SecretStr) and not value
        return None if is_empty and cls.model_fields[str(info.field_name)].default is None else value

    @model_validator(mode="after")
    def _settle_outlasts_create(self) -> Self:
        if self.settle_seconds < self.create_timeout_seconds:
            raise ValueError(
                "PROTOKEEP_SETTLE_SECONDS must not be shorter than PROTOKEEP_CREATE_TIMEOUT_SECONDS: a create that "
                "is still under way could be sent a second time."
            )
        return self

    @field_validator(*ADDRESSES)
    @classmethod
    def _is_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        unset = value is None or (value == "" and info.field_name == "v0_web_url")
        fault = None if unset else address_fault(value or "")
        if not fault and info.field_name == "public_url" and urlsplit(value or "").path not in ("", "/"):
            raise ValueError("This has a path: protokeep is served at the root of a host name of its own.")
        if fault:  # The message leaves the value out, because it may hold a password.
            raise ValueError(f"This {fault}. Give an address such as {ADDRESSES[str(info.field_name)]}.")
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
        keys = _comma_separated(value.get_secret_value()) if value is not None else []
        # The sealing keys are derived from master keys without stretching: shorter master keys could be guessed.
        if any(len(key) < MIN_LENGTH for key in keys):
            raise ValueError(f"Each key has at least {MIN_LENGTH} characters. Make one with: {COMMAND}")
        return value

    @property
    def masters(self) -> list[bytes]:
        """The master keys, beginning with the one that seals. Empty: a key derived from `secret_key` seals."""
        keys = self.master_keys.get_secret_value() if self.master_keys else ""
        return [key.encode() for key in _comma_separated(keys)]

    def environment_key_serves(self, workspace_id: str) -> bool:
        """Whether the v0 key in the environment may pay for a workspace's prototypes."""
        workspaces = _comma_separated(self.environment_key_for)
        return "*" in workspaces or workspace_id in workspaces

    @property
    def requests_of_workspace(self) -> int:
        """Requests per minute of all people of one workspace; 0: no limit."""
        given = self.workspace_requests_per_minute
        return given if given is not None else WORKSPACE_PEOPLE * self.requests_per_minute

    @property
    def quotas(self) -> Quotas:
        """The limits on prototypes created in a UTC day."""
        return Quotas(self.creates_per_person, self.creates_per_product, self.creates_per_workspace)

    @model_validator(mode="after")
    def _sign_in_is_clear(self) -> Self:
        if self.oidc_issuer and self.jwt_secret:
            raise ValueError("Set PROTOKEEP_OIDC_ISSUER or PROTOKEEP_JWT_SECRET, not both: a token must not choose.")
        if self.oidc_issuer:
            if fault := issuer_fault(self.oidc_issuer):
                raise ValueError(f"PROTOKEEP_OIDC_ISSUER {fault}.")
            if not (self.oidc_audience or self.oidc_client_id):
                raise ValueError("PROTOKEEP_OIDC_ISSUER needs PROTOKEEP_OIDC_AUDIENCE or PROTOKEEP_OIDC_CLIENT_ID.")
        if self.jwt_secret and len(self.jwt_secret.get_secret_value()) < MIN_LENGTH:
            raise ValueError(f"PROTOKEEP_JWT_SECRET needs at least {MIN_LENGTH} characters.")
        try:
            roles_of(self.claim_roles)
        except ValueError as error:
            raise ValueError(f"PROTOKEEP_CLAIM_ROLES: {error}.") from None
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_addresses(cls, value: str) -> str:
        for part in _comma_separated(value):
            try:
                ip_network(part, strict=False)
            except ValueError:
                raise ValueError(f"{part!r} is neither an address nor a network. '*' is not taken.") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_exact(cls, value: str) -> str:
        for part in _comma_separated(value):
            if fault := origin_fault(part):
                raise ValueError(f"One of them {fault}.")  # The value is left out: it may hold a password.
        return value

    @property
    def claim_rules(self) -> ClaimRules:
        """How principals are read from the claims of a JWT."""
        default = Role(self.default_role) if self.default_role else None
        return ClaimRules(self.claim_user, self.claim_workspace, self.claim_role, roles_of(self.claim_roles), default)

    @property
    def tracking_fix(self) -> str:
        """What supplies the tracking columns of `design_mockups`, as the beginning of a sentence."""
        if self.migrate == "own":
            return "Apply what `protokeep migrate --sql` prints with the tool that migrates your tables"
        return "Run `protokeep migrate`"

    @property
    def maps_tenants(self) -> bool:
        """Whether the owner's tenants are workspaces."""
        chosen = self.tenants_are_workspaces
        return bool(self.claim_workspace) if chosen is None else chosen

    @property
    def proxies(self) -> list[str]:
        """The addresses and networks of trusted proxies."""
        return _comma_separated(self.trusted_proxies)

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may call the API."""
        return _comma_separated(self.cors_origins)

    @property
    def is_https(self) -> bool:
        """Whether `public_url` says that people reach this server over https."""
        return (self.public_url or "").lower().startswith("https://")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def is_exposed(self) -> bool:
        """Whether other machines reach the server, by its own address or through a proxy in front of it."""
        public_host = urlsplit(self.public_url or "").hostname
        return not self.is_loopback or bool(self.proxies) or bool(public_host and not is_loopback(public_host))

    @property
    def mcp_hosts(self) -> tuple[str, ...]:
        """The names, beside loopback, under which /mcp is served: those of the setting, and the public one."""
        public = host_of(self.public_url or "")
        return (*_comma_separated(self.mcp_allowed_hosts), *([public] if public else []))

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
    def drain(self) -> float:
        """Seconds for which requests are still taken after SIGTERM."""
        return self.drain_seconds if self.drain_seconds is not None else 0.0 if self.is_embedded else 1.0

    @property
    def stored_secret(self) -> Path | None:
        """The file of the secret that counts while `secret_key` is unset; None with PostgreSQL."""
        database = self.database_file
        return None if database is None else database.with_name(database.name + ".secret")


def secret_files() -> list[SecretFile]:
    """The files that this process's environment and `.env` name for settings that hold a secret."""
    return list(SecretFiles(Settings, SECRETS, DotEnvSettingsSource(Settings), EnvSettingsSource(Settings))().values())


def _comma_separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
