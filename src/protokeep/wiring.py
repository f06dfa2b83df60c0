"""Builds the objects of one process, once, from its settings."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from protokeep.bus import Bus, listening
from protokeep.core.call_budget import Limits
from protokeep.core.errors import NotConfigured
from protokeep.identity.jwt_format import REFETCH_AFTER
from protokeep.providers.base import Provider
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2
from protokeep.service import Keeper
from protokeep.service.authentication import Authenticator
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.service.gallery import Gallery
from protokeep.service.heartbeat import Clock, SteadyClock, utc_now
from protokeep.service.hooks import Hooks
from protokeep.service.provider_accounts import Providers, StoredKeys
from protokeep.service.provider_keys import ProviderKeys
from protokeep.service.sessions import Sessions
from protokeep.service.sign_in import SignInFlow
from protokeep.service.tokens import Tokens
from protokeep.service.vault import Vault
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.migrate import migrate
from protokeep.store.prototypes import Store
from protokeep.store.provider_keys import KeyStore
from protokeep.store.sessions import SessionStore
from protokeep.store.tokens import TokenStore

if TYPE_CHECKING:
    from protokeep.identity.issuer import Issuer
    from protokeep.identity.jwts import Jwts
    from protokeep.identity.oidc_flow import SignOn

#: The account whose key stands in the environment.
ENVIRONMENT_ACCOUNT = "v0:environment"
#: Every provider there is, and the setting that makes it usable.
PROVIDERS = {"v0": "V0_API_KEY"}
SECRET_BYTES = 32


class Application:
    """What a process works with."""

    def __init__(
        self,
        settings: Settings,
        keeper: Keeper,
        tokens: Tokens,
        sessions: Sessions,
        hooks: Hooks,
        identity: Identity | None = None,
    ) -> None:
        identity = identity or identity_of(settings)
        self.hooks = hooks
        self.callers = Authenticator(tokens, identity.jwts)
        self.signing_in = (
            SignInFlow(identity.sign_on, sessions, str(settings.oidc_issuer), keeper.context.clock)
            if identity.sign_on
            else None
        )
        self.settings = settings
        self.keeper = keeper
        self.tokens = tokens
        self.sessions = sessions
        self.gallery = Gallery(keeper.context)
        self.keys = ProviderKeys(keeper.context)


@contextlib.asynccontextmanager
async def build_application(
    settings: Settings, *, clock: Clock = utc_now, migrating: bool = True
) -> AsyncIterator[Application]:
    """The parts, connected; migrates first as the settings say. Closes everything at the end."""
    if migrating and settings.migrate != "off":
        await migrate(settings.database_url, settings.migrate)
    bus = Bus()
    database = Database(settings.database_url)
    store = Store(database, bus)
    secret = secret_key(settings)
    providers = _providers(
        settings,
        StoredKeys(KeyStore(database), vault_of(settings, secret), _builds(settings), {"v0": settings.v0_api_version}),
    )
    if clock is utc_now:
        clock = SteadyClock(utc_now())
    limits = Limits(settings.v0_calls_per_minute, settings.v0_calls_per_day)
    context = Context(
        store,
        providers,
        bus,
        clock,
        settings.timing,
        limits,
        settings.quotas,
        single_process=settings.is_embedded,
        wall=utc_now if settings.is_embedded else None,
        signer=Signer(secret),
    )
    keeper = Keeper(context, key_retention=settings.idempotency_key_retention)
    tokens = Tokens(TokenStore(database), secret, clock)
    sign_on_lasts = timedelta(hours=settings.sign_on_hours)
    sessions = Sessions(SessionStore(database), tokens, secret, clock, sign_on_lasts)
    hooks = Hooks(context, secret, settings.public_url)
    try:
        async with contextlib.AsyncExitStack() as stack:
            await context.heartbeat.synchronise()
            if not settings.is_embedded:
                await stack.enter_async_context(listening(bus, settings.database_url))
            yield Application(settings, keeper, tokens, sessions, hooks)
    finally:
        await context.audit.close()
        await providers.aclose()
        await store.close()


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells who people from the company's sign-in service are, as far as it is set."""

    issuer: Issuer | None = None
    jwts: Jwts | None = None
    sign_on: SignOn | None = None


def identity_of(settings: Settings, *, refetch_after: float = REFETCH_AFTER) -> Identity:
    """The checks that the settings ask for. Nothing is fetched before somebody comes."""
    if settings.jwt_secret is None and settings.oidc_issuer is None:
        return Identity()
    # Not at the top: it would be a tenth of the time until a server is ready, and most have no use for it.
    from protokeep.identity.issuer import Issuer
    from protokeep.identity.jwts import Jwts
    from protokeep.identity.oidc_flow import SignOn

    rules = settings.claim_rules
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
        return Identity(jwts=Jwts.of_secret(secret, settings.jwt_audience, rules, issuer=settings.jwt_issuer))
    if settings.oidc_issuer is None:
        return Identity()
    issuer = Issuer(settings.oidc_issuer, refetch_after=refetch_after)
    jwts = Jwts.of_issuer(issuer, settings.oidc_audience, rules) if settings.oidc_audience else None
    sign_on = None
    if settings.oidc_client_id:
        client_secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
        sign_on = SignOn(issuer, settings.oidc_client_id, client_secret, settings.oidc_scope, rules)
    return Identity(issuer, jwts, sign_on)


def _providers(settings: Settings, kept: StoredKeys) -> Providers:
    providers = Providers(PROVIDERS, kept, settings.environment_key_serves)
    key = settings.v0_api_key.get_secret_value().strip() if settings.v0_api_key else ""
    if key:
        for provider in kept.build("v0", key):
            providers.add(ENVIRONMENT_ACCOUNT, provider, for_new=provider.api_version == settings.v0_api_version)
    return providers


def _builds(settings: Settings) -> Callable[[str, str], Sequence[Provider]]:
    def build(_name: str, key: str) -> Sequence[Provider]:
        config = V0Config.of(
            api_key=key,
            base_url=settings.v0_base_url,
            scope=settings.v0_scope,
            web_url=settings.v0_web_url,
            timeout_seconds=settings.create_timeout_seconds,
        )
        return V0V1(config), V0V2(config)

    return build


def vault_of(settings: Settings, secret: bytes) -> Vault:
    """What seals kept keys: the master keys of the settings, then (last, so that it opens) the derived one."""
    return Vault([*settings.masters, b"master:" + secret])


def secret_key(settings: Settings) -> bytes:
    """The key under which API tokens are digested.

    From `PROTOKEEP_SECRET_KEY`; with the embedded database, when unset, made once and kept in a file beside it that
    only its owner may read. Raises `NotConfigured` with PostgreSQL, where every process needs the same one.
    """
    if settings.secret_key is not None and settings.secret_key.get_secret_value().strip():
        return hashlib.sha256(settings.secret_key.get_secret_value().strip().encode()).digest()
    database = settings.database_file
    if database is None:
        raise NotConfigured(
            "PROTOKEEP_SECRET_KEY is not set. With PostgreSQL every process needs the same one; make it with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return hashlib.sha256(_kept_secret(database.with_name(database.name + ".secret"))).digest()


def _kept_secret(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        # Written whole under another name first: whoever finds the file finds all of it.
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES))
        try:
            os.link(draft, path)
        finally:
            draft.unlink()
    return path.read_bytes().strip()
