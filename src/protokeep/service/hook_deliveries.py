"""Receives hook deliveries and turns them into earlier polls. A delivery is a hint: its body is never trusted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

import structlog

from protokeep.core.webhook_payload import chats_named
from protokeep.service.context import Context

log = structlog.get_logger(__name__)

#: Chats of one account that wait for their poll request to be written. More of them are dropped, and polling finds
#: their end. Each account has as many: whoever floods one address takes no place of another one.
MAX_PENDING = 500
#: Deliveries that arrive within this time are written together.
COALESCE_SECONDS = 0.1
#: A delivery may arrive before the answer to the create was written. An unknown chat is tried once more after this.
RETRY_SECONDS = 1.0

#: Of each chat that was named, whether all its deliveries say that a generation only began.
_Chats = dict[str, bool]


class HookDeliveries:
    """Collects the chats that deliveries name, and requests earlier polls of them in the background."""

    def __init__(self, context: Context, account_of: Callable[[str], Awaitable[str | None]]) -> None:
        """`account_of` names the account of a secret address; None if there is no such address."""
        self._context = context
        self._account_of = account_of
        #: By account, the chats to write, and those that no row has yet.
        self._pending: dict[str, _Chats] = {}
        self._unknown: dict[str, _Chats] = {}
        self._writer: asyncio.Task[None] | None = None

    async def receive(self, secret: str, body: bytes) -> bool:
        """Accept a delivery without waiting for any write. False: there is no such address."""
        account = await self._account_of(secret)
        if account is None:
            return False
        chats, has_begun = chats_named(body)
        _collect(self._pending, account, dict.fromkeys(chats, has_begun))
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
            pending, self._pending = self._pending, {}
            for account, chats in (await self._request_polls(pending)).items():
                _collect(self._unknown, account, chats)
            if self._unknown and retry_at is None:
                retry_at = loop.time() + RETRY_SECONDS
            if retry_at is not None and loop.time() >= retry_at:
                unknown, self._unknown, retry_at = self._unknown, {}, None
                await self._request_polls(unknown)

    async def _request_polls(self, pending: Mapping[str, _Chats]) -> dict[str, _Chats]:
        """Request polls, account by account; an error of one delays no other one. Returns the unknown chats."""
        unknown: dict[str, _Chats] = {}
        for account, chats in pending.items():
            try:
                unknown[account] = await self._request_polls_of(account, chats)
            except Exception as error:  # noqa: BLE001 - polling finds out what these deliveries would have told
                log.warning(
                    "hook_poll_requests_not_saved",
                    account=account,
                    error=type(error).__name__,
                    reason=str(error)[:200],
                )
        return unknown

    async def _request_polls_of(self, account: str, chats: _Chats) -> _Chats:
        """Request a poll of these chats: now, or later if a generation only began. Returns the unknown chats."""
        context = self._context
        groups: defaultdict[bool, list[str]] = defaultdict(list)
        for chat_id, has_begun in chats.items():
            groups[has_begun].append(chat_id)
        unknown: _Chats = {}
        for has_begun, named in sorted(groups.items()):  # Those that have ended first.
            now = context.clock()
            later = now + context.timing.hooked_poll_interval
            touched = await context.store.poll_soon(account, named, now, begun=has_begun, later=later)
            if touched < len(named):
                known = await context.store.known_chats(account, named)
                unknown |= {chat_id: has_begun for chat_id in named if chat_id not in known}
        return unknown


def _collect(collected: dict[str, _Chats], account: str, chats: _Chats) -> None:
    """Add chats of an account, as many as its share allows."""
    share = collected.get(account, {})
    for chat_id, has_begun in chats.items():
        if chat_id in share or len(share) < MAX_PENDING:
            share[chat_id] = share.get(chat_id, True) and has_begun
    if share:
        collected[account] = share
