"""Pictures of chats that a census found. Each is read at the app builder once, and remembered for a while.

Somebody looks at them, so they do not wait for the pace of clean-ups; they come after the polls that share the
account's calls.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from protokeep.core.call_budget import Priority
from protokeep.core.census import CensusChat
from protokeep.core.errors import NotFound, ProviderError
from protokeep.core.ttl_cache import TtlCache
from protokeep.providers.base import Image, with_media
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context

#: Pictures that a process remembers, and the largest of them: 32 MB in all.
REMEMBERED, LARGEST = 128, 256 * 1024
REMEMBERED_FOR = timedelta(hours=24)
#: Pictures that a process reads at once.
AT_ONCE = 4


class CensusPictures:
    """Reads pictures with the account's key."""

    def __init__(self, context: Context, budget: CallBudget) -> None:
        self._context = context
        self._budget = budget
        self._remembered: TtlCache[tuple[str, str], Image] = TtlCache(context.clock, REMEMBERED_FOR, REMEMBERED)
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def picture(self, account: str, chat: CensusChat) -> Image:
        """The picture of a chat. Raises `NotFound` if there is none, or none can be read now."""
        if chat.picture_url is None:
            raise NotFound("This chat has no picture.")
        key = (account, chat.picture_url)
        async with self._reading:
            image = self._remembered.get(key) or await self._read(account, chat.api_version, chat.picture_url)
        if len(image.body) <= LARGEST:
            self._remembered.put(key, image)
        return image

    async def _read(self, account: str, api_version: int, address: str) -> Image:
        context = self._context
        provider = with_media(context.providers.serving(account, api_version))
        is_paused = (await context.store.accounts.get(account)).is_polling_paused(context.clock())
        calls = (await self._budget.allowance(account)).left(Priority.OLD)
        if provider is None or is_paused or calls == 0:
            raise NotFound("This picture cannot be read at the moment. Try again in a minute.")
        try:
            image = await provider.picture(address)
        except ProviderError as error:
            raise NotFound("This picture could not be read at the app builder. Try again in a minute.") from error
        if image is None:
            raise NotFound("This chat has no picture that may be shown.")
        return image
