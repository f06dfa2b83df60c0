"""Prototypes of a running protokeep, through its client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from protokeep.client import AsyncProtokeep, NotFound, Protokeep, Prototype
from protokeep.client.operations import LONGEST_HOLD

#: Between two looks at a prototype that is not its product's current one any more.
PAUSE_SECONDS = 3.0


class Served:
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
async def serving(client: AsyncProtokeep | Protokeep, *, ours: bool) -> AsyncIterator[Served]:
    """The client; closed at the end if it is ours."""
    try:
        yield Served(client)
    finally:
        if ours and isinstance(client, AsyncProtokeep):
            await client.aclose()


async def made(
    served: Served,
    product_id: str,
    prompt: str,
    *,
    create_new: bool,
    idempotency_key: str | None,
    wait_seconds: float,
) -> tuple[Prototype, bool]:
    """The product's prototype, followed for up to `wait_seconds`; whether it was there before."""
    ends = time.monotonic() + wait_seconds
    ensured = await served.call("ensure", product_id, prompt, create_new=create_new, idempotency_key=idempotency_key)
    found: Prototype = ensured
    while not found.finished and (left := ends - time.monotonic()) > 0:
        found = await _look(served, found, min(left, LONGEST_HOLD))
    return found, ensured.is_existing


async def _look(served: Served, known: Prototype, hold: float) -> Prototype:
    with contextlib.suppress(NotFound):
        current: Prototype = await served.call("status", known.product_id, provider=known.provider, hold=hold)
        if current.id == known.id:
            return current
    await asyncio.sleep(min(hold, PAUSE_SECONDS))
    found: Prototype = await served.call("get", known.id)
    return found
