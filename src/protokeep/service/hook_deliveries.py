"""Receives hook deliveries and turns them into earlier polls. A delivery is a hint: its body is never trusted."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping

import structlog

from protokeep.core.webhook_payload import chats_named
from protokeep.service.context import Context

log = structlog.get_logger(__name__)

#: Chats of one account that wait for their poll request to be written. More of them are dropped, and polling finds
#: their end. Each account has a number of its own, so that a flood at one address drops nothing of another account.
MAX_PENDING = 2000
CHATS_PER_WRITE = 500
#: Deliveries that arrive within this time are written together.
COALESCE_SECONDS = 0.1
#: A delivery may arrive before the answer to the create was written. An unknown chat is tried once more after this.
RETRY_SECONDS = 1.0

#: An account and a chat.
_Chat = tuple[str, str]


class HookDeliveries:
    """Collects the chats that deliveries name, and requests earlier polls of them in the background."""

    def __init__(self, context: Context, account_of: Callable[[str], Awaitable[str | None]]) -> None:
        """`account_of` names the account of a secret address; None if there is no such address."""
        self._context = context
        self._account_of = account_of
        #: The chats to write, and of each whether all its deliveries say that a generation only began.
        self._pending: dict[_Chat, bool] = {}
        self._pending_of_account: Counter[str] = Counter()
        self._unknown: dict[_Chat, bool] = {}
        self._writer: asyncio.Task[None] | None = None

    async def receive(self, secret: str, body: bytes) -> bool:
        """Accept a delivery without waiting for any write. False: there is no such address."""
        account = await self._account_of(secret)
        if account is None:
            return False
        chats, has_begun = chats_named(body)
        for chat_id in chats:
            chat = (account, chat_id)
            if chat not in self._pending:
                if self._pending_of_account[account] >= MAX_PENDING:
                    continue
                self._pending_of_account[account] += 1
            self._pending[chat] = self._pending.get(chat, True) and has_begun
        if self._pending and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write_pending())
        return True

    async def settled(self) -> None:
        """Wait until every delivery so far is written."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    async def _write_pending(self) -> None:
        """Write until nothing is pending; unknown chats once more after a moment."""
        retry_at: float | None = None
        loop = asyncio.get_running_loop()
        while self._pending or self._unknown:
            await asyncio.sleep(COALESCE_SECONDS)
            chats, self._pending = self._pending, {}
            self._pending_of_account.clear()
            try:
                self._unknown |= await self._request_polls(chats)
                if self._unknown and retry_at is None:
                    retry_at = loop.time() + RETRY_SECONDS
                if retry_at is not None and loop.time() >= retry_at:
                    chats, self._unknown, retry_at = self._unknown, {}, None
                    await self._request_polls(chats)
            except Exception as error:  # noqa: BLE001 - polling finds out what these deliveries would have told
                log.warning("hook_poll_requests_not_saved", error=type(error).__name__, reason=str(error)[:200])

    async def _request_polls(self, chats: Mapping[_Chat, bool]) -> dict[_Chat, bool]:
        """Request a poll of these chats: now, or later if a generation only began. Returns the unknown chats."""
        context = self._context
        groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
        for (account, chat_id), has_begun in sorted(chats.items(), key=lambda item: not item[1]):
            groups[account, has_begun].append(chat_id)
        unknown: dict[_Chat, bool] = {}
        for (account, has_begun), chat_ids in groups.items():
            for start in range(0, len(chat_ids), CHATS_PER_WRITE):
                part = chat_ids[start : start + CHATS_PER_WRITE]
                now = context.clock()
                later = now + context.timing.hooked_poll_interval
                touched = await context.store.poll_soon(account, part, now, begun=has_begun, later=later)
                if touched < len(part):
                    known = await context.store.known_chats(account, part)
                    unknown |= {(account, chat_id): has_begun for chat_id in part if chat_id not in known}
        return unknown
