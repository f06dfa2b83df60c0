"""Prototypes of a running protokeep, through its client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from protokeep.client import AsyncProtokeep, ClientError, NoAnswer, NotFound, Protokeep, Prototype
from protokeep.client.operations import LONGEST_HOLD

#: Between two looks at a prototype that is not its product's current one any more.
PAUSE_SECONDS = 3.0


class RemoteClient:
    """Either client, as coroutines."""

    def __init__(self, client: AsyncProtokeep | Protokeep) -> None:
        self._client = client

    async def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """One method of the client's."""
        method = getattr(self._client, name)
        if isinstance(self._client, AsyncProtokeep):
            return await method(*arguments, **named)
        return await asyncio.to_thread(method, *arguments, **named)


@contextlib.asynccontextmanager
async def open_client(client: AsyncProtokeep | Protokeep, *, ours: bool) -> AsyncIterator[RemoteClient]:
    """The client; closed at the end if it is ours."""
    try:
        yield RemoteClient(client)
    finally:
        if ours and isinstance(client, AsyncProtokeep):
            await client.aclose()


async def ensure(
    served: RemoteClient,
    product_id: str,
    prompt: str,
    *,
    create_new: bool,
    idempotency_key: str | None,
    wait_seconds: float,
) -> tuple[Prototype, bool]:
    """The product's prototype, followed for up to `wait_seconds`; whether it was there before.

    A `ClientError` that comes while it is followed carries the key it was asked for with: another call without that
    key would ask for another one.
    """
    ends = time.monotonic() + wait_seconds
    key = idempotency_key or uuid4().hex
    ensured = await served.call("ensure", product_id, prompt, create_new=create_new, idempotency_key=key)
    found: Prototype = ensured
    try:
        while not found.finished and (left := ends - time.monotonic()) > 0:
            found = await _look(served, found, min(left, LONGEST_HOLD))
    except ClientError as error:
        raise _while_followed(error, ensured, key) from error.__cause__
    return found, ensured.is_existing


def _while_followed(error: ClientError, ensured: Prototype, key: str) -> ClientError:
    """The error, with what was asked for before it: that much was done."""
    advice = f"Prototype {ensured.id} was asked for. Go on with idempotency_key={key!r}, or with its status."
    if isinstance(error, NoAnswer):
        error = NoAnswer(error.reason, advice)
    error.advice = advice
    error.idempotency_key, error.may_have_acted = key, True
    return error


async def _look(served: RemoteClient, known: Prototype, hold: float) -> Prototype:
    with contextlib.suppress(NotFound):
        current: Prototype = await served.call("status", known.product_id, provider=known.provider, hold=hold)
        if current.id == known.id:
            return current
    await asyncio.sleep(min(hold, PAUSE_SECONDS))
    found: Prototype = await served.call("get", known.id)
    return found
