"""Delivers events to registered hooks: one try each, in the background, because v0 promises no more.

v0 does not document the payload. Ours is `{id, event, chatId, messageId, createdAt}`; `messageId` is null for events of
a chat. The end of a generation is announced once the sandbox's clock has passed it, which is checked every 50 ms while
an account has hooks.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2

from .http import stamp
from .knobs import Knobs
from .state import Account, Chat, Message

_CHECK_EVERY_SECONDS = 0.05
_TIMEOUT_SECONDS = 5.0


class Hooks:
    """Calls the hooks of an account when something happens. Without a running event loop it does nothing."""

    def __init__(self, clock: Callable[[], datetime], knobs: Callable[[], Knobs]) -> None:
        self._clock = clock
        self._knobs = knobs
        self._due: list[tuple[datetime, int, Account, Chat, Message]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._client: httpx2.AsyncClient | None = None
        self._sent = 0
        self.delivered = 0  #: deliveries that got an answer of any kind

    def publish(self, account: Account, event: str, chat: Chat, message: Message | None) -> None:
        """Deliver an event of a chat. `message.started` is not delivered; its end is announced later."""
        if not account.hooks[chat.api]:
            return
        if event != "message.started":
            self._call_hooks(account, event, chat, message)
        elif message is not None and message.generation is not None:
            heapq.heappush(self._due, (message.generation.finish_at, message.sequence, account, chat, message))
            self._watch()

    def forget(self) -> None:
        """Drop all announcements to come, and give up deliveries that are under way."""
        self._due.clear()
        self.delivered = 0
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Give up everything and close the connections. A later event starts again."""
        self.forget()
        tasks = [*self._tasks, *([self._watcher] if self._watcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watcher = None
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _watch(self) -> None:
        if self._watcher is None or self._watcher.done():
            try:
                self._watcher = asyncio.get_running_loop().create_task(self._announce())
            except RuntimeError:
                self._watcher = None

    async def _announce(self) -> None:
        while self._due:
            now = self._clock()
            while self._due and self._due[0][0] <= now:
                _, sequence, account, chat, message = heapq.heappop(self._due)
                generation = message.generation
                if generation is None or generation.announced or chat.deleted:
                    continue
                if generation.finish_at > now:
                    heapq.heappush(self._due, (generation.finish_at, sequence, account, chat, message))
                    continue
                generation.announced = True
                self._call_hooks(account, "message.finished", chat, message)
            await asyncio.sleep(_CHECK_EVERY_SECONDS)

    def _call_hooks(self, account: Account, event: str, chat: Chat, message: Message | None) -> None:
        knobs = self._knobs()
        if not knobs.hooks_enabled:
            return
        for hook in account.hooks[chat.api].values():
            if not hook.hears(event, chat.id):
                continue
            if knobs.drop_hooks > 0:
                knobs.drop_hooks -= 1
                continue
            self._sent += 1
            payload = {
                "id": f"evt_{self._sent}",
                "event": event,
                "chatId": chat.id,
                "messageId": None if message is None else message.id,
                "createdAt": stamp(self._clock()),
            }
            for _ in range(2 if knobs.duplicate_hooks else 1):
                self._start(hook.url, payload)

    def _start(self, url: str, payload: dict[str, Any]) -> None:
        try:
            task = asyncio.get_running_loop().create_task(self._deliver(url, payload))
        except RuntimeError:
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, url: str, payload: dict[str, Any]) -> None:
        if self._client is None:
            limits = httpx2.Limits(max_connections=50)
            timeout = httpx2.Timeout(_TIMEOUT_SECONDS, pool=None)
            self._client = httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=False)
        try:
            await self._client.post(url, json=payload)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return
        self.delivered += 1
