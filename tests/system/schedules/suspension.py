"""Processes that fall asleep in the middle of something, and wake as if no time had passed."""

from __future__ import annotations

import asyncio
from typing import Any

from protokeep.wiring import ENVIRONMENT_ACCOUNT
from world import Node


class Nap:
    """Lets a process fall asleep at a place, in the middle of whatever it does, until it is woken."""

    def __init__(self, node: Node) -> None:
        self.place: str | None = None
        self.asleep = asyncio.Event()
        self._woken = asyncio.Event()
        self._wrap_saves(node)
        self._wrap_calls(node)

    def wake(self) -> None:
        """Let it go on."""
        self._woken.set()

    async def _sleep_at(self, place: str) -> None:
        if self.place == place:
            self.place = None
            self.asleep.set()
            await self._woken.wait()

    def _wrap_saves(self, node: Node) -> None:
        save = node.store.save

        async def saved(*values: Any, **more: Any) -> Any:
            outcome = await save(*values, **more)
            await self._sleep_at("commit")
            return outcome

        node.store.save = saved  # type: ignore[method-assign]

    def _wrap_calls(self, node: Node) -> None:
        for provider in node.context.providers.of_account(ENVIRONMENT_ACCOUNT):
            transport = provider._http._client._transport  # type: ignore[attr-defined]
            self._wrap_transport(transport)

    def _wrap_transport(self, transport: Any) -> None:
        handle = transport.handle_async_request

        async def handled(request: Any) -> Any:
            if request.method == "POST":
                await self._sleep_at("call")
            return await handle(request)

        transport.handle_async_request = handled
