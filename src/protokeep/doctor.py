"""What is unsafe or broken in an installation, and how to mend it. Looks only; changes nothing.

`refusals` is what `serve` asks before it listens where others can reach it; `examine` is all of it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from protokeep.core.errors import IssuerUnavailable, NotReady, ProtokeepError, ProviderBusy, ProviderRejected
from protokeep.service.heartbeat import utc_now
from protokeep.settings import Settings, is_loopback
from protokeep.store.migrate import is_migrated
from protokeep.wiring import Application, build_application, identity_of

Level = Literal["fine", "unsafe", "broken"]

SECRET_LENGTH = 32
#: A secret of fewer different characters was typed, not drawn.
SECRET_VARIETY = 10
NEW_SECRET = "PROTOKEEP_SECRET_KEY to what this prints: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"  # noqa: S105 - a command
#: Between hosts; leases and sign-ins are kept by the database's clock, JWTs by ours.
SKEW_UNSAFE = timedelta(seconds=5)
SKEW_BROKEN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` is what to do, unless it is fine."""

    level: Level
    name: str
    what: str
    mend: str = ""


def fine(name: str, what: str) -> Finding:
    return Finding("fine", name, what)


def unsafe(name: str, what: str, mend: str) -> Finding:
    return Finding("unsafe", name, what, mend)


def broken(name: str, what: str, mend: str) -> Finding:
    return Finding("broken", name, what, mend)


def secrets_of(settings: Settings) -> Finding:
    """The key under which tokens and cookies are signed."""
    given = settings.secret_key.get_secret_value().strip() if settings.secret_key else ""
    if given:
        if len(given) < SECRET_LENGTH or len(set(given)) < SECRET_VARIETY:
            return unsafe("secret", "PROTOKEEP_SECRET_KEY can be guessed", f"set {NEW_SECRET}")
        return fine("secret", "PROTOKEEP_SECRET_KEY is long enough")
    database = settings.database_file
    if database is None:
        return broken("secret", "PROTOKEEP_SECRET_KEY is not set, which PostgreSQL needs", f"set {NEW_SECRET}")
    return _file("secret", database.with_name(database.name + ".secret"), others_may_read=False)


def _file(name: str, path: Path, *, others_may_read: bool) -> Finding:
    try:
        mode = path.stat().st_mode
    except OSError:
        return fine(name, f"{path} is made at the first start")
    forbidden = stat.S_IWGRP | stat.S_IWOTH | (0 if others_may_read else stat.S_IRGRP | stat.S_IROTH)
    if mode & forbidden:
        return unsafe(name, f"{path} is open to other users of this machine", f"chmod 600 {path}")
    return fine(
        name, f"{path} is for its owner only" if not others_may_read else f"{path} is written by its owner only"
    )


async def refusals(settings: Settings) -> list[str]:
    """Why `serve` does not listen at an address that others reach, a line each; none on loopback."""
    if settings.is_loopback:
        return []
    found = [finding for finding in (secrets_of(settings),) if finding.level != "fine"]
    if not found and not (settings.oidc_issuer or settings.jwt_secret):
        async with build_application(settings) as parts:
            if not await parts.tokens.anybody():
                found.append(_nobody())
    return [f"not on {settings.host}: {finding.what}; {finding.mend}" for finding in found]


def _nobody() -> Finding:
    mend = "run `protokeep token create --role admin` first, or set PROTOKEEP_OIDC_ISSUER"
    return broken("people", "nobody can sign in", mend)


async def examine(settings: Settings) -> list[Finding]:
    """Everything that can be looked at from here."""
    found = [secrets_of(settings), *_addresses(settings), *_outgoing(settings)]
    if settings.database_file is not None:
        found.append(_file("database file", settings.database_file, others_may_read=True))
    found += await _sign_in(settings)
    database = await _database(settings)
    found.append(database)
    if database.level == "broken" or any(one.name == "secret" and one.level == "broken" for one in found):
        return found
    async with build_application(settings, migrating=False) as parts:
        found += await _people(parts)
        found += await _clock(parts)
        found += await _provider(parts)
        found += await _hooks(parts)
        found += await _unreadable(parts)
    return found


def _addresses(settings: Settings) -> Iterator[Finding]:
    """Where we are reached, and how."""
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
        host = urlsplit(public).hostname
        if not host or not public.startswith(("https://", "http://")):
            yield broken("public_url", f"PROTOKEEP_PUBLIC_URL {public!r} is no address", "set it to https://host")
        elif not settings.is_https and not is_loopback(host):
            yield unsafe("public_url", "PROTOKEEP_PUBLIC_URL is not https", "serve https there and set it so")
        elif settings.is_https and not settings.proxies:
            yield unsafe(
                "proxies",
                "PROTOKEEP_TRUSTED_PROXIES is empty: everybody behind the proxy counts as one address",
                "set it to the proxy's address, such as 127.0.0.1",
            )
    if any(network.endswith("/0") for network in settings.proxies):
        yield broken("proxies", "PROTOKEEP_TRUSTED_PROXIES believes everybody", "name the proxies' own addresses")


def _outgoing(settings: Settings) -> Iterator[Finding]:
    parts = urlsplit(settings.v0_base_url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        yield unsafe("V0_BASE_URL", "the v0 key is sent without https", "set V0_BASE_URL to an https address")


async def _sign_in(settings: Settings) -> list[Finding]:
    identity = identity_of(settings)
    if identity.issuer is None:
        return []
    try:
        await identity.issuer.keys_for(None)
    except IssuerUnavailable:
        what = f"{settings.oidc_issuer} does not answer as an OpenID issuer should"
        return [broken("sign-in", what, "check PROTOKEEP_OIDC_ISSUER: exactly what its description calls itself")]
    if settings.oidc_client_id and not settings.public_url:
        mend = "set PROTOKEEP_PUBLIC_URL; <it>/sign-in/finish has to be registered at the sign-in service"
        return [unsafe("sign-in", "where people come back to is taken from what browsers send", mend)]
    return [fine("sign-in", f"{settings.oidc_issuer} answers")]


async def _database(settings: Settings) -> Finding:
    try:
        done = await is_migrated(settings.database_url, "own" if settings.migrate == "own" else "all")
    except NotReady as error:
        return broken("database", str(error).rstrip("."), "check PROTOKEEP_DATABASE_URL")
    if not done:
        return broken("database", "the database is not migrated", "run `protokeep migrate`")
    return fine("database", "answers, and is migrated")


async def _people(parts: Application) -> list[Finding]:
    found = []
    if not (parts.callers.takes_jwts or parts.signing_in or await parts.tokens.anybody()):
        found.append(_nobody())
    for token in await parts.tokens.permanent_admins():
        what = f"the admin token {token.prefix}… of {token.user_id} never expires"
        mend = f"`protokeep token create --role admin --days 90`, then `protokeep token revoke {token.id}`"
        found.append(unsafe("tokens", what, mend))
    return found or [fine("tokens", "somebody can sign in, and no admin token lasts for ever")]


async def _clock(parts: Application) -> list[Finding]:
    # The clock of a process was read from the database a moment ago.
    skew = abs(parts.keeper.context.clock() - utc_now())
    what = f"this host's clock and the database's differ by {skew.total_seconds():.0f} s"
    mend = "let both follow the same time server"
    if skew > SKEW_BROKEN:
        return [broken("clock", what, mend)]
    return [unsafe("clock", what, mend)] if skew > SKEW_UNSAFE else [fine("clock", "agrees with the database's")]


async def _provider(parts: Application) -> list[Finding]:
    accounts = parts.keeper.context.providers.for_new()
    if not accounts:
        return [unsafe("v0", "no v0 key is set: reads work, a create answers 503", "set V0_API_KEY")]
    found = []
    for account, provider in accounts:
        try:
            await provider.recent_chats()
            found.append(fine("v0", f"{account}: v0 takes the key"))
        except ProviderRejected as error:
            found.append(broken("v0", f"{account}: {str(error).rstrip('.')}", "set the right V0_API_KEY"))
        except ProviderBusy as error:
            found.append(unsafe("v0", f"{account}: {str(error).rstrip('.')}", "top up, or wait"))
        except ProtokeepError as error:
            found.append(unsafe("v0", f"{account}: {str(error).rstrip('.')}", "check the network and V0_BASE_URL"))
    return found


async def _hooks(parts: Application) -> list[Finding]:
    found = []
    for account, version in await parts.hooks.lacking():
        what = f"{account} has no hook, API v{version}: more looks are needed there"
        found.append(unsafe("hooks", what, "run `protokeep hooks install`"))
    for hook, there in await parts.hooks.list():
        if there is False and hook.hook:
            what = f"v0 has lost the hook of {hook.account}, API v{hook.api_version}"
            found.append(unsafe("hooks", what, "run `protokeep hooks install`"))
    return found


async def _unreadable(parts: Application) -> list[Finding]:
    """Chats that searches pass over."""
    context = parts.keeper.context
    mend = "open it at v0: share it with the account of the key, or delete it; lost creates of its time wait for that"
    return [
        unsafe("chats", f"{one.account}: chat {one.chat_id} cannot be read: {one.reason.rstrip('.')}", mend)
        for one in await context.store.searches.unreadable(context.clock())
    ]
