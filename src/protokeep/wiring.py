"""Builds the objects of one process from its settings, once."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from protokeep.bus import Bus
from protokeep.core.call_budget import Limits
from protokeep.core.errors import NotConfigured
from protokeep.core.secret_strength import COMMAND
from protokeep.core.shares import Shares
from protokeep.core.token_limits import TokenLimits
from protokeep.identity.jwt_format import REFETCH_AFTER
from protokeep.metrics import Metrics
from protokeep.providers.base import Provider
from protokeep.providers.of_fork import ForkableV0V1, ForkableV0V2
from protokeep.providers.v0_http import V0Config
from protokeep.service import Keeper
from protokeep.service.archives import ChatArchives
from protokeep.service.authentication import Authenticator
from protokeep.service.census import CensusService
from protokeep.service.census_pictures import CensusPictures
from protokeep.service.chat_metadata import Signer
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.service.context import Context, NoQueue, Queue
from protokeep.service.gallery import Gallery
from protokeep.service.gauges import Gauges
from protokeep.service.heartbeat import Clock, SteadyClock, utc_now
from protokeep.service.hooks import Hooks
from protokeep.service.installation import ForkGuard, require_secret
from protokeep.service.invitations import Invitations
from protokeep.service.plan_policies import PlanPolicies
from protokeep.service.plan_reports import PlanReports
from protokeep.service.plans import PlanService
from protokeep.service.provider_accounts import Providers, StoredKeys
from protokeep.service.provider_keys import ProviderKeys
from protokeep.service.restoring import ChatRestorer
from protokeep.service.sessions import Sessions
from protokeep.service.sign_in import SignInFlow
from protokeep.service.similar import SimilarProducts
from protokeep.service.tokens import Tokens
from protokeep.service.vault import Vault
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.installation import InstallationStore
from protokeep.store.invitations import InvitationStore
from protokeep.store.migrate import migrate, require_sessions
from protokeep.store.notifications import listening
from protokeep.store.private_files import create_file, create_folder, publish
from protokeep.store.provider_keys import KeyStore
from protokeep.store.sessions import SessionStore
from protokeep.store.store import Store
from protokeep.store.tokens import TokenStore

if TYPE_CHECKING:
    from protokeep.identity.issuer import Issuer
    from protokeep.identity.jwts import Jwts
    from protokeep.identity.oidc_flow import OidcClient

#: The account of the key in the environment.
ENVIRONMENT_ACCOUNT = "v0:environment"
#: Every provider, and the setting that makes it usable.
PROVIDERS = {"v0": "V0_API_KEY"}
SECRET_BYTES = 32


class Application:
    """The objects that the surfaces of one process work with."""

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
        self.settings = settings
        self.keeper = keeper
        self.tokens = tokens
        self.sessions = sessions
        self.invitations = Invitations(InvitationStore(keeper.context.store.database), tokens, sessions)
        self.hooks = hooks
        self.authenticator = Authenticator(tokens, identity.jwts)
        #: None: nobody signs in at a company's sign-in service.
        self.sign_in_flow = (
            SignInFlow(identity.oidc_client, sessions, str(settings.oidc_issuer), keeper.context.clock)
            if identity.oidc_client
            else None
        )
        self.gallery = Gallery(keeper.context)
        self.gauges = Gauges(keeper.context)
        self.archives = ChatArchives(keeper.context)
        self.restorer = ChatRestorer(keeper.context)
        self.similar = SimilarProducts(keeper.context.store)
        self.provider_keys = ProviderKeys(keeper.context)
        self.census = CensusService(
            keeper.context,
            CleanUpBudget(keeper.context, keeper.budget),
            CensusPictures(keeper.context, keeper.budget),
        )
        self.plans = PlanService(keeper.context)
        self.plan_reports = PlanReports(keeper.context, self.plans)
        self.plan_policies = PlanPolicies(keeper.context, self.plans)


@contextlib.asynccontextmanager
async def build_application(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    migrating: bool = True,
    adopting: bool = True,
    queue: Queue | None = None,
    any_secret: bool = False,
) -> AsyncIterator[Application]:
    """An application, open for as long as the context lasts.

    Migrates the database first, as far as `settings.migrate` says, unless `migrating` is False. Without `adopting`, it
    never migrates the `design_mockups` of somebody who has not done so before. `queue` decides when
    the keeper's jobs run; None: they are not run, and the caller takes the keeper's steps. With another `clock` than
    `utc_now` the process goes by that clock instead of the database's. Raises `OtherSecret` if the database was made
    with another secret, unless `any_secret` will do.
    """
    await _migrate(settings, migrating=migrating, adopting=adopting)
    database = Database(settings.database_url, settings.connection_limits)
    secret = secret_key(settings)
    clock = SteadyClock(utc_now()) if clock is utc_now else clock
    context = _context(settings, database, secret, clock, queue or NoQueue())
    try:
        async with contextlib.AsyncExitStack() as stack:
            await context.heartbeat.synchronise()
            if not any_secret:
                await require_secret(context.store.installation_values, context.signer)
            if not settings.is_embedded:
                await stack.enter_async_context(listening(context.bus, settings.direct_url))
            yield _application(settings, context, secret)
    finally:
        await context.audit.close()
        await context.providers.aclose()
        await context.store.close()


async def _migrate(settings: Settings, *, migrating: bool, adopting: bool) -> None:
    """Migrates, unless the settings or the caller say otherwise. Raises `MigrationError` also for a wrong pooler."""
    if migrating and settings.migrate != "off":
        await migrate(settings.direct_url, settings.migrate, adopting=adopting)
    elif not settings.is_embedded:
        await require_sessions(settings.direct_url)


def _application(settings: Settings, context: Context, secret: bytes) -> Application:
    database, clock = context.store.database, context.clock
    limits = TokenLimits(settings.tokens_per_workspace, settings.token_days_most)
    tokens = Tokens(TokenStore(database), secret, clock, limits, context.scans)
    sessions = Sessions(SessionStore(database), tokens, secret, clock, timedelta(hours=settings.sign_on_hours))
    keeper = Keeper(context, retention=settings.retention_periods)
    return Application(settings, keeper, tokens, sessions, Hooks(context, secret, settings.public_url))


def _context(settings: Settings, database: Database, secret: bytes, clock: Clock, queue: Queue) -> Context:
    bus, metrics = Bus(), Metrics()
    return Context(
        Store(database, bus, tenants_are_workspaces=settings.maps_tenants, tracking_fix=settings.tracking_fix),
        _providers(settings, database, secret, metrics),
        bus,
        clock,
        settings.timing,
        Limits(settings.v0_calls_per_minute, settings.v0_calls_per_day),
        settings.quotas,
        queue,
        Shares(settings.waits_per_person, settings.waits_per_process),
        bin_time=settings.bin_time,
        keys_per_workspace=settings.idempotency_keys_per_workspace,
        asks_unclear_product=settings.unclear_product == "ask",
        single_process=settings.is_embedded,
        wall=utc_now if settings.is_embedded else None,
        metrics=metrics,
        signer=Signer(secret),
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Checks people of the company's sign-in service; None where the settings do not ask for a check."""

    issuer: Issuer | None = None
    jwts: Jwts | None = None
    oidc_client: OidcClient | None = None


def identity_of(settings: Settings, *, refetch_after: float = REFETCH_AFTER) -> Identity:
    """The checks that the settings ask for. The issuer's keys are fetched when the first person signs in."""
    if settings.jwt_secret is None and settings.oidc_issuer is None:
        return Identity()
    # Imported here, because the import takes a tenth of the time until a server is ready, and few servers need it.
    from protokeep.identity.issuer import Issuer
    from protokeep.identity.jwts import Jwts
    from protokeep.identity.oidc_flow import OidcClient

    rules = settings.claim_rules
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
        return Identity(jwts=Jwts.of_secret(secret, settings.jwt_audience, rules, issuer=settings.jwt_issuer))
    if settings.oidc_issuer is None:
        return Identity()
    issuer = Issuer(settings.oidc_issuer, refetch_after=refetch_after)
    jwts = Jwts.of_issuer(issuer, settings.oidc_audience, rules) if settings.oidc_audience else None
    oidc_client = None
    if settings.oidc_client_id:
        client_secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
        oidc_client = OidcClient(issuer, settings.oidc_client_id, client_secret, settings.oidc_scope, rules)
    return Identity(issuer, jwts, oidc_client)


def _providers(settings: Settings, database: Database, secret: bytes, metrics: Metrics) -> Providers:
    """The provider of the key in the environment, and those of the keys in the database."""
    versions = {"v0": settings.v0_api_version}
    factory = _provider_factory(settings, metrics, ForkGuard(InstallationStore(database), Signer(secret)))
    stored_keys = StoredKeys(KeyStore(database), vault_of(settings, secret), factory, versions)
    providers = Providers(PROVIDERS, stored_keys, settings.environment_key_serves)
    key = settings.v0_api_key.get_secret_value().strip() if settings.v0_api_key else ""
    if key:
        mark = hmac.digest(secret, b"key-mark:" + key.encode(), hashlib.sha256).hex()[:16]
        for provider in stored_keys.build("v0", key):
            for_new = provider.api_version == settings.v0_api_version
            providers.add(ENVIRONMENT_ACCOUNT, provider, for_new=for_new, key_mark=mark)
    return providers


def _provider_factory(
    settings: Settings, metrics: Metrics, guard: ForkGuard
) -> Callable[[str, str], Sequence[Provider]]:
    def build(_name: str, key: str) -> Sequence[Provider]:
        config = replace(v0_config(settings, key), metrics=metrics)
        built = ForkableV0V1(config), ForkableV0V2(config)
        for provider in built:
            provider.guard = guard
        return built

    return build


def v0_config(settings: Settings, key: str) -> V0Config:
    """How v0 is called with this key. The scope of the settings goes along with every request."""
    return V0Config.of(
        api_key=key,
        base_url=settings.v0_base_url,
        scope=settings.v0_scope,
        web_url=settings.v0_web_url,
        timeout_seconds=settings.create_timeout_seconds,
    )


def vault_of(settings: Settings, secret: bytes) -> Vault:
    """Seals stored keys with the first master key of the settings, and opens them with any.

    The key derived from the installation's secret comes last: it seals only when the settings name no master key.
    """
    return Vault([*settings.masters, b"master:" + secret])


def secret_key(settings: Settings) -> bytes:
    """The key under which API tokens are digested, derived from `PROTOKEEP_SECRET_KEY`.

    If the setting is unset, the embedded database has a secret of its own, in a file beside it that only its owner
    may read; it is made when it is missing. Raises `NotConfigured` with PostgreSQL, where every process needs the
    same secret.
    """
    if settings.secret_key is not None and settings.secret_key.get_secret_value().strip():
        return hashlib.sha256(settings.secret_key.get_secret_value().strip().encode()).digest()
    path = settings.stored_secret
    if path is None:
        raise NotConfigured(
            f"PROTOKEEP_SECRET_KEY is not set. With PostgreSQL every process needs the same one: {COMMAND}"
        )
    return hashlib.sha256(_stored_secret(path)).digest()


def lacks_secret(settings: Settings) -> bool:
    """Whether `secret_key` would make a secret: none is set, and no file is beside the embedded database."""
    path, secret = settings.stored_secret, settings.secret_key
    return path is not None and not path.exists() and not (secret and secret.get_secret_value().strip())


def _stored_secret(path: Path) -> bytes:
    try:
        if not path.exists():
            create_folder(path.parent)
            _create_secret(path)
    except OSError as error:
        raise NotConfigured(
            f"{path} cannot be made ({error.strerror}). Set PROTOKEEP_SECRET_KEY, or let the user that runs protokeep "
            "write there."
        ) from error
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise NotConfigured(
            f"{path} cannot be read ({error.strerror}). Let the user that runs protokeep read it, or set "
            "PROTOKEEP_SECRET_KEY."
        ) from error
    if not secret:
        raise NotConfigured(
            f"{path} is empty, so that anyone could sign tokens. Restore it from your copy; without one remove it, "
            "and create new tokens."
        )
    return secret


def _create_secret(path: Path) -> None:
    """Writes a new secret, unless another process was quicker."""
    # It is written under another name first, so that no process ever reads half of it.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(create_file(draft), "w") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)
