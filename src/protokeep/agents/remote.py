"""Prototypes of a running protokeep, through its client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from protokeep.agents.result import ProjectSource, V0Project, project_of_remote
from protokeep.agents.targets import TIMEOUT_SECONDS, ProjectRequest
from protokeep.client import AsyncProtokeep, ClientError, NoAnswer, NotFound, Protokeep, Prototype
from protokeep.client.operations import LONGEST_HOLD

#: `key_source` of prototypes that a running protokeep made: it uses a key of its own.
SERVER_KEY = "protokeep"
#: The pause between two polls of a prototype that is no longer its product's current one.
PAUSE_SECONDS = 3.0


class RemoteClient:
    """Calls the synchronous or the asynchronous client from coroutines."""

    def __init__(self, client: AsyncProtokeep | Protokeep) -> None:
        self._client = client

    async def call(self, method_name: str, *arguments: Any, **named: Any) -> Any:
        """The result of one method of the client; the synchronous client runs in a thread."""
        method = getattr(self._client, method_name)
        if isinstance(self._client, AsyncProtokeep):
            return await method(*arguments, **named)
        return await asyncio.to_thread(method, *arguments, **named)


@contextlib.asynccontextmanager
async def open_client(client: AsyncProtokeep | Protokeep, *, close: bool) -> AsyncIterator[RemoteClient]:
    """`client` for coroutines. With `close`, it is closed at the end."""
    try:
        yield RemoteClient(client)
    finally:
        if close and isinstance(client, AsyncProtokeep):
            await client.aclose()


async def create_project(client: RemoteClient, request: ProjectRequest) -> V0Project:
    """The product's prototype at a running protokeep, made if there is none, and followed."""
    prototype, is_existing = await ensure(client, request)
    source = ProjectSource("protokeep", SERVER_KEY, None, request.timeout_seconds)
    return project_of_remote(prototype, source, is_existing=is_existing)


async def check_project(client: RemoteClient, product_id: str) -> V0Project:
    """The product's prototype as it is now. Raises `NotFound`."""
    prototype: Prototype = await client.call("status", product_id)
    source = ProjectSource("protokeep", SERVER_KEY, None, TIMEOUT_SECONDS)
    return project_of_remote(prototype, source, is_existing=True)


async def ensure(client: RemoteClient, request: ProjectRequest) -> tuple[Prototype, bool]:
    """(the product's prototype, followed for up to `request.wait_seconds`; whether it existed before).

    A `ClientError` while it is followed carries the idempotency key of the create: a repeated call without that key
    could create another prototype.
    """
    ends = time.monotonic() + request.wait_seconds
    key = request.idempotency_key or uuid4().hex
    ensured = await client.call(
        "ensure", request.product_id, request.prompt, create_new=request.create_new, idempotency_key=key
    )
    prototype: Prototype = ensured
    try:
        while not prototype.finished and (left := ends - time.monotonic()) > 0:
            prototype = await _next_status(client, prototype, min(left, LONGEST_HOLD))
    except ClientError as error:
        raise _with_key(error, ensured, key) from error.__cause__
    return prototype, ensured.is_existing


def _with_key(error: ClientError, ensured: Prototype, key: str) -> ClientError:
    """The error, saying that the prototype was created and with which key to go on."""
    advice = f"Prototype {ensured.id} was asked for. Continue with idempotency_key={key!r}, or with its status."
    if isinstance(error, NoAnswer):
        error = NoAnswer(error.reason, advice)
    error.advice = advice
    error.idempotency_key, error.may_have_acted = key, True
    return error


async def _next_status(client: RemoteClient, known: Prototype, hold: float) -> Prototype:
    """The prototype when its state changes, or after `hold` seconds."""
    with contextlib.suppress(NotFound):
        current: Prototype = await client.call("status", known.product_id, provider=known.provider, hold=hold)
        if current.id == known.id:
            return current
    await asyncio.sleep(min(hold, PAUSE_SECONDS))
    prototype: Prototype = await client.call("get", known.id)
    return prototype
