"""A keeper in the agent's own process: the same service that a server runs, on the same rows.

The agent takes the steps of its prototypes itself. If a server works on the same database, a lease decides which of
the two takes a step.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from protokeep.agents.result import ProjectSource, V0Project, project_of_row
from protokeep.agents.targets import TIMEOUT_SECONDS, ProjectRequest
from protokeep.core.errors import OutcomeUnknown, ProtokeepError, ProviderUnreachable
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Prototype, Status, TrackedPrototype
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2
from protokeep.service import Keeper, NewPrototype
from protokeep.settings import Settings
from protokeep.wiring import build_application, v0_config

PROVIDER = "v0"
WORKSPACE = "default"
FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.TIMEOUT})
#: Pause between two reads of a row whose create was lost. The look-ups at v0 have intervals of their own.
LOOKUP_SECONDS = 1.0


def settings_of(database_url: str | None, timeout_seconds: float) -> Settings:
    """The settings of the environment, with this call's poll budget."""
    overrides: dict[str, Any] = {} if database_url is None else {"database_url": database_url}
    return Settings(**overrides, poll_timeout_seconds=max(timeout_seconds, 1))


def key_of(settings: Settings, argument: str | None) -> tuple[str, str]:
    """(the v0 key to use, its source: "argument" or "environment"). The key is empty if there is none."""
    environment = settings.v0_api_key.get_secret_value().strip() if settings.v0_api_key else ""
    return (argument, "argument") if argument and argument != environment else (environment, "environment")


@contextlib.asynccontextmanager
async def embedded_keeper(settings: Settings, v0_api_key: str | None) -> AsyncIterator[Keeper]:
    """A keeper. With a key other than the environment's, new prototypes belong to an account of that key."""
    has_secret = settings.secret_key is not None or settings.is_embedded
    if not has_secret:
        # An agent makes and checks no tokens, so any secret will do. It cannot open stored v0 keys, unlike the real
        # one, and the database must not take it for its own.
        settings = settings.model_copy(update={"secret_key": SecretStr(secrets.token_urlsafe(32))})
    async with build_application(settings, any_secret=not has_secret) as application:
        providers = application.keeper.context.providers
        key, source = key_of(settings, v0_api_key)
        if source == "argument":
            account = f"v0:key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
            config = v0_config(settings, key)
            for provider in (V0V1(config), V0V2(config)):
                providers.add(account, provider, for_new=provider.api_version == settings.v0_api_version, first=True)
        yield application.keeper


def principal_of(user_id: str | None) -> Principal:
    """The person for whom the agent acts."""
    return Principal(WORKSPACE, user_id or "agent", Role.MAKER, token_id="")


async def create_project(
    settings: Settings, request: ProjectRequest, *, v0_api_key: str | None, user_id: str | None
) -> V0Project:
    """The product's prototype in the database, made if there is none, and followed."""
    new = NewPrototype(
        request.product_id, request.prompt, create_new=request.create_new, idempotency_key=request.idempotency_key
    )
    async with embedded_keeper(settings, v0_api_key) as keeper:
        principal = principal_of(user_id)
        prototype, is_existing = await ensure(keeper, principal, new, wait_seconds=request.wait_seconds)
    source = ProjectSource("ensure", key_of(settings, v0_api_key)[1], None, request.timeout_seconds)
    return project_of_row(prototype, source, is_existing=is_existing)


async def check_project(
    settings: Settings, product_id: str, *, v0_api_key: str | None, user_id: str | None
) -> V0Project:
    """The product's prototype as it is now. Raises `NotFound`."""
    principal = principal_of(user_id)
    async with embedded_keeper(settings, v0_api_key) as keeper:
        prototype = await keeper.status(principal, product_id, PROVIDER)
        # If no server runs and the agent that made the prototype is gone, nobody else takes its next step.
        prototype = await follow(keeper, principal, prototype, wait_seconds=0)
    source = ProjectSource("ensure", key_of(settings, v0_api_key)[1], None, TIMEOUT_SECONDS)
    return project_of_row(prototype, source, is_existing=True)


async def create_without_product(
    settings: Settings, v0_api_key: str | None, principal: Principal, prompt: str, *, wait_seconds: float
) -> Prototype:
    """A new chat that no database keeps, followed for up to `wait_seconds` once v0 has accepted it.

    It takes the same path as every create, in a database that is deleted at the end. A create whose answer was lost is
    searched for and never sent again, because no row would remember a second sending.

    Raises `ProviderUnreachable` when nothing was made, and `OutcomeUnknown` when a chat may have been made that cannot
    be found.
    """
    with tempfile.TemporaryDirectory(prefix="protokeep-", ignore_cleanup_errors=True) as folder:
        address = f"sqlite:///{folder}/protokeep.db"
        thrown_away = settings.model_copy(update={"database_url": address, "migrate": "all", "secret_key": None})
        async with embedded_keeper(thrown_away, v0_api_key) as keeper:
            keeper.context.timing = replace(keeper.context.timing, required_lookups=sys.maxsize)
            new = NewPrototype(product_id=f"agent-{uuid4()}", prompt=prompt)
            ensured = await keeper.ensure(principal, new, wait=0)
            accepted = await _follow_until_accepted(keeper, ensured.prototype)
            return await follow(keeper, principal, accepted, wait_seconds=wait_seconds) if wait_seconds else accepted


async def _follow_until_accepted(keeper: Keeper, claimed: Prototype) -> Prototype:
    """Send a claim, and search for its chat for twice as long as a chat may take to show in lists."""
    context = keeper.context
    ends = time.monotonic() + 2 * context.timing.settle.total_seconds()
    while True:
        await keeper.submit(claimed.id)
        prototype = await context.store.get_unscoped(claimed.id)
        if prototype is None:
            raise RuntimeError(f"row {claimed.id} vanished from a database that nobody else uses")
        generation = prototype.generation
        if not generation.submission.is_open:
            return prototype
        if not generation.submission.was_sent:
            raise ProviderUnreachable(generation.hold.message or "Nothing was sent.", code=generation.hold.code or "")
        if time.monotonic() >= ends:
            raise OutcomeUnknown(
                f"{generation.error.message} It was not found afterwards either, and was not sent again. Check in v0 "
                "before you ask again.",
                code=generation.error.code or "",
            )
        await asyncio.sleep(LOOKUP_SECONDS)


async def ensure(
    keeper: Keeper, principal: Principal, new: NewPrototype, *, wait_seconds: float
) -> tuple[Prototype, bool]:
    """(the product's prototype, sent to v0 and followed for up to `wait_seconds`; whether it existed before)."""
    ensured = await keeper.ensure(principal, new, wait=0)
    prototype = await follow(keeper, principal, ensured.prototype, wait_seconds=wait_seconds)
    return prototype, ensured.is_existing


async def follow(keeper: Keeper, principal: Principal, prototype: Prototype, *, wait_seconds: float) -> Prototype:
    """Take a prototype's next steps until it is finished or the time is over, but at least one step."""
    ends = time.monotonic() + wait_seconds
    pause = keeper.context.timing.poll_interval.total_seconds()
    accounts: set[str] = set()
    try:
        while isinstance(prototype, TrackedPrototype):
            generation = prototype.generation
            accounts.add(generation.account)
            if prototype.status in FINISHED:
                break
            prototype = await _step(keeper, principal, prototype)
            left = ends - time.monotonic()
            if prototype.status in FINISHED or left <= 0:
                break
            await asyncio.sleep(min(pause, left))
    finally:
        for account in accounts:
            await keeper.release(account)
    return prototype


async def _step(keeper: Keeper, principal: Principal, prototype: TrackedPrototype) -> Prototype:
    store = keeper.context.store
    generation = prototype.generation
    if generation.submission.is_open:
        await keeper.submit(prototype.id)
    else:
        # A status request polls as often as the poll interval says; a tracking pass polls old prototypes less often.
        with contextlib.suppress(ProtokeepError):
            current = await keeper.status(principal, prototype.product_id, prototype.provider)
            if current.id == prototype.id:
                return current
        await keeper.track(generation.account)
    return await store.get_unscoped(prototype.id) or prototype
