"""Finds settings and states of an installation that are unsafe or broken, and says how to fix them. Changes nothing.

`serve` calls `reasons_not_to_serve` before it listens where other machines can reach it; `protokeep doctor` calls
`examine`, which runs every check.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import SecretStr

from protokeep.core.addresses import is_loopback
from protokeep.core.connection_limits import LEAST
from protokeep.core.errors import (
    DatabaseUnavailable,
    IssuerUnavailable,
    NotReady,
    ProtokeepError,
    ProviderBusy,
    ProviderRejected,
)
from protokeep.core.secret_strength import placeholder_in
from protokeep.doctor_secrets import Finding, broken, check_files, check_secret_files, check_secrets, fine, unsafe
from protokeep.service.heartbeat import utc_now
from protokeep.service.installation import OtherSecret, require_secret
from protokeep.settings import Settings
from protokeep.store.migrate import is_migrated
from protokeep.wiring import Application, build_application, identity_of, lacks_secret

#: How far the clocks of host and database may differ: leases and sign-ins follow the database's, JWTs the host's.
SKEW_UNSAFE = timedelta(seconds=5)
SKEW_BROKEN = timedelta(seconds=60)
#: Rows without texts that are counted.
MISSING_COUNTED = 1_000


async def reasons_not_to_serve(settings: Settings) -> list[str]:
    """Why `serve` must not start where other machines reach it, a line each; none where only this one does."""
    if not settings.is_exposed:
        return []
    findings = [finding for finding in check_secrets(settings) if finding.level != "fine"]
    if not settings.is_loopback and not findings and not (settings.oidc_issuer or settings.jwt_secret):
        async with build_application(settings) as application:
            if not await application.tokens.has_valid_token():
                findings.append(_nobody_can_sign_in())
    where = "behind a proxy" if settings.is_loopback else f"on {settings.host}"
    return [f"not {where}: {finding.text}; {finding.fix}" for finding in findings]


def warnings_at_start(settings: Settings) -> list[Finding]:
    """What `serve` logs when it starts: secrets that can be guessed, and files that others can open."""
    return [one for one in (*check_secrets(settings), *check_files(settings)) if one.level == "unsafe"]


def _nobody_can_sign_in() -> Finding:
    fix = "run `protokeep token create --role admin` first, or set PROTOKEEP_OIDC_ISSUER"
    return broken("people", "nobody can sign in", fix)


async def examine(settings: Settings) -> list[Finding]:
    """The results of all checks. Checks that need the database are left out if the database cannot be used."""
    findings = [*check_secrets(settings), *check_files(settings), *check_secret_files(settings)]
    findings += [*_check_addresses(settings), *_check_outgoing(settings), *_check_people(settings)]
    findings += await _check_sign_in(settings)
    findings.append(await _check_database(settings))
    if any(finding.name in ("secret", "database") and finding.level == "broken" for finding in findings):
        return findings
    if lacks_secret(settings):  # One of this moment; nothing is made beside a database whose secret has to be restored.
        settings = settings.model_copy(update={"secret_key": SecretStr(secrets.token_urlsafe())})
    async with build_application(settings, migrating=False, any_secret=True) as application:
        findings += await _check_secret_of_database(application)
        findings += await _check_writes(application)
        findings += await _check_owner_table(application)
        findings += await _check_texts(application)
        findings += await _check_tokens(application)
        findings += await _check_clock(application)
        findings += await _check_providers(application)
        findings += await _check_hooks(application)
        findings += await _check_unreadable_chats(application)
    return findings


def _check_addresses(settings: Settings) -> Iterator[Finding]:
    """Check the address that the server listens on, the public one, and the proxies between them."""
    public = settings.public_url
    if settings.is_loopback:
        yield fine("address", f"listens on {settings.host}, which only this machine reaches")
    elif settings.is_https:
        yield fine("address", f"listens on {settings.host}, behind {public}")
    else:
        yield unsafe(
            "address",
            f"listens on {settings.host} without https: tokens and cookies can be read on the way",
            "put a proxy with https in front and set PROTOKEEP_PUBLIC_URL=https://...",
        )
    if public is not None:
        if not settings.is_https and not is_loopback(urlsplit(public).hostname or ""):
            yield unsafe("public_url", "PROTOKEEP_PUBLIC_URL is not https", "serve https there and set it so")
        elif settings.is_https and not settings.proxies:
            yield unsafe(
                "proxies",
                "PROTOKEEP_TRUSTED_PROXIES is empty: everyone behind the proxy has one address to protokeep",
                "set it to the proxy's address, such as 127.0.0.1",
            )
    if any(network.endswith("/0") for network in settings.proxies):
        yield broken(
            "proxies", "PROTOKEEP_TRUSTED_PROXIES trusts every address", "list only the addresses of your proxies"
        )


def _check_outgoing(settings: Settings) -> Iterator[Finding]:
    address = urlsplit(settings.v0_base_url)
    if address.scheme != "https" and not is_loopback(address.hostname or ""):
        yield unsafe("V0_BASE_URL", "the v0 key is sent without https", "set V0_BASE_URL to an https address")


def _check_people(settings: Settings) -> Iterator[Finding]:
    """Check who gets a role, or somebody else's money, without being named, and how we sign in at the service."""
    if settings.default_role == "admin":
        text = "PROTOKEEP_DEFAULT_ROLE=admin makes an admin of everyone whose claims give no role"
        yield unsafe("default_role", text, "set it to viewer, and name admins in PROTOKEEP_CLAIM_ROLES")
    if settings.claim_workspace and settings.v0_api_key and settings.environment_key_serves("*"):
        text = "PROTOKEEP_ENVIRONMENT_KEY_FOR=* lets every workspace that a claim names spend V0_API_KEY"
        yield unsafe("environment_key_for", text, "name the workspaces, and `protokeep keys set` for the others")
    client_secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else ""
    if placeholder_in(client_secret):  # Its length is the sign-in service's business.
        text = "PROTOKEEP_OIDC_CLIENT_SECRET is a placeholder"
        yield unsafe("oidc_client_secret", text, "set it to what the sign-in service gave for this client")


async def _check_sign_in(settings: Settings) -> list[Finding]:
    identity = identity_of(settings)
    if identity.issuer is None:
        return []
    try:
        await identity.issuer.keys_for(None)
    except IssuerUnavailable:
        text = f"{settings.oidc_issuer} does not answer as an OpenID issuer should"
        return [
            broken(
                "sign-in", text, "set PROTOKEEP_OIDC_ISSUER to the `issuer` in its /.well-known/openid-configuration"
            )
        ]
    if settings.oidc_client_id and not settings.public_url:
        fix = "set PROTOKEEP_PUBLIC_URL, and register <that URL>/sign-in/finish at the sign-in service"
        return [unsafe("sign-in", "the return address of a sign-in is taken from the browser's Host header", fix)]
    return [fine("sign-in", f"{settings.oidc_issuer} answers")]


async def _check_database(settings: Settings) -> Finding:
    try:
        migrated = await is_migrated(settings.direct_url, "own" if settings.migrate == "own" else "all")
    except NotReady as error:
        return broken("database", str(error).rstrip("."), "check PROTOKEEP_DATABASE_URL")
    if not migrated:
        return broken("database", "the database is not migrated", "run `protokeep migrate`")
    return fine("database", "answers, and is migrated")


async def _check_secret_of_database(application: Application) -> list[Finding]:
    context = application.keeper.context
    try:
        await require_secret(context.store.installation_values, context.signer, leaves_mark=False)
    except OtherSecret as error:
        what, _, fix = str(error).partition(". ")
        return [broken("secret", what, fix[0].lower() + fix[1:].rstrip("."))]
    return []


async def _check_writes(application: Application) -> list[Finding]:
    """Check that the database takes writes from our role, and that it has connections for all processes."""
    readiness, settings = application.keeper.context.readiness, application.settings
    try:
        await readiness.require()
    except DatabaseUnavailable as error:
        what, _, fix = str(error).partition(". ")
        return [broken("database", what, fix.rstrip("."))]
    found = await readiness.connections()
    if found is None:
        return []
    limits = settings.connection_limits
    each = limits.direct if limits.through_pooler else limits.connections
    processes, left = max(found.processes, 1), found.left
    text = (
        f"{processes} process(es) of {each} connections each may open {processes * each}; the server has {left} "
        f"for them, beside {found.others} of other programs"
    )
    if processes * each <= left:
        return [fine("connections", text)]
    fix = f"set PROTOKEEP_DATABASE_CONNECTIONS to {max(left // processes, LEAST)}, or raise max_connections"
    return [unsafe("connections", text, fix)]


async def _check_owner_table(application: Application) -> list[Finding]:
    """Check that our role sees and may change the owner's rows, that tenants are apart, and what is not followed."""
    store = application.keeper.context.store
    table = await store.owner_table()
    if table.fault is not None:
        what, _, fix = table.fault.partition(". ") if table.lacks else table.fault.rpartition(". ")
        return [broken("design_mockups", what, fix.rstrip("."))]
    if not table.tracked:
        fix = application.settings.tracking_fix
        return [
            broken("design_mockups", "has no tracking columns: no prototype can be created", fix[0].lower() + fix[1:])
        ]
    findings = []
    if not table.tenants_are_workspaces and await store.has_several_tenants():
        text = "design_mockups holds rows of several tenants, and all of them are in the workspace `default`"
        fix = "set PROTOKEEP_CLAIM_WORKSPACE to the tenant's claim, or PROTOKEEP_TENANTS_ARE_WORKSPACES=true"
        findings.append(unsafe("tenants", text, fix))
    progress = await application.keeper.adoption_progress()
    if progress.not_in_any_account:
        text = f"{progress.not_in_any_account} older rows: no v0 account whose key is set here shows their chats"
        findings.append(unsafe("older rows", text, "add the keys of their accounts with `protokeep keys set`"))
    return findings


async def _check_texts(application: Application) -> list[Finding]:
    """Check that the index of texts has every row: searches do not find what it lacks, or read all rows."""
    store = application.keeper.context.store
    table = await store.owner_table()
    if table.fault is not None:
        return []
    missing = await store.texts.count_missing(table, MISSING_COUNTED)
    if missing:
        number = f"{missing:,}" if missing < MISSING_COUNTED else f"at least {missing:,}"
        text = f"rows without texts in the index, which searches may not find: {number}"
        return [unsafe("texts", text, "`protokeep serve` adds them within a minute; or run `protokeep reindex`")]
    if not await store.texts.is_whole():
        text = "the index of texts is not known to be whole: searches read the rows themselves, which is slower"
        return [unsafe("texts", text, "`protokeep serve` completes it within minutes; or run `protokeep reindex`")]
    return [fine("texts", "every row is in the index of searches")]


async def _check_tokens(application: Application) -> list[Finding]:
    findings = []
    if not (
        application.authenticator.takes_jwts or application.sign_in_flow or await application.tokens.has_valid_token()
    ):
        findings.append(_nobody_can_sign_in())
    for token in await application.tokens.permanent_admins():
        text = f"the admin token {token.prefix}… of {token.user_id} never expires"
        fix = f"`protokeep token create --role admin --days 90`, then `protokeep token revoke {token.id}`"
        findings.append(unsafe("tokens", text, fix))
    return findings or [fine("tokens", "people can sign in, and every admin token expires")]


async def _check_clock(application: Application) -> list[Finding]:
    # The application's clock follows the database's, which was read a moment ago.
    skew = abs(application.keeper.context.clock() - utc_now())
    text = f"this host's clock and the database's differ by {skew.total_seconds():.0f} s"
    fix = "let both follow the same time server"
    if skew > SKEW_BROKEN:
        return [broken("clock", text, fix)]
    return [unsafe("clock", text, fix)] if skew > SKEW_UNSAFE else [fine("clock", "agrees with the database's")]


async def _check_providers(application: Application) -> list[Finding]:
    accounts = application.keeper.context.providers.for_new()
    if not accounts:
        return [broken("v0", "no v0 API key is set: prototypes can be shown, but not created", "set V0_API_KEY")]
    findings = []
    for account, provider in accounts:
        try:
            await provider.recent_chats()
            findings.append(fine("v0", f"{account}: v0 accepts the key"))
        except ProviderRejected as error:
            findings.append(broken("v0", f"{account}: {str(error).rstrip('.')}", "set the right V0_API_KEY"))
        except ProviderBusy as error:
            findings.append(unsafe("v0", f"{account}: {str(error).rstrip('.')}", "top up, or wait"))
        except ProtokeepError as error:
            findings.append(unsafe("v0", f"{account}: {str(error).rstrip('.')}", "check the network and V0_BASE_URL"))
    return findings


async def _check_hooks(application: Application) -> list[Finding]:
    findings = []
    for account, version in await application.hooks.lacking():
        text = f"{account} has no hook, API v{version}: protokeep asks v0 about its chats more often"
        findings.append(unsafe("hooks", text, "run `protokeep hooks install`"))
    for hook, is_registered in await application.hooks.list():
        if is_registered is False and hook.hook:
            text = f"v0 has lost the hook of {hook.account}, API v{hook.api_version}"
            findings.append(unsafe("hooks", text, "run `protokeep hooks install`"))
    return findings


async def _check_unreadable_chats(application: Application) -> list[Finding]:
    """Report chats that searches at the provider leave out, because their content cannot be read."""
    context = application.keeper.context
    fix = "open it at v0: share it with the account of the key, or delete it; lost creates of its time wait for that"
    return [
        unsafe("chats", f"{chat.account}: chat {chat.chat_id} cannot be read: {chat.reason.rstrip('.')}", fix)
        for chat in await context.store.searches.unreadable(context.clock())
    ]
