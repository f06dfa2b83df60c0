"""Whether an account shows its chats at all: otherwise a missing chat proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from protokeep.core.absence import AccountVisibility
from protokeep.core.errors import ProviderError
from protokeep.core.prototype import TrackedPrototype
from protokeep.providers.base import Provider
from protokeep.service.context import Context

log = structlog.get_logger(__name__)


class Visibility:
    """Knows since when this process uses an account's key, and reads a list of its chats in the rare case of doubt."""

    def __init__(self, context: Context) -> None:
        self._context = context
        #: When this process first used an account.
        self._first_used: dict[str, datetime] = {}

    def key_since(self, account: str) -> datetime:
        """Since when the account's key is known to be in use.

        A process does not know how long before its start a key was changed, so its own first use counts.
        """
        first_used = self._first_used.setdefault(account, self._context.clock())
        set_at = self._context.providers.key_set_at(account)
        return first_used if set_at is None else max(first_used, set_at)

    async def assess(
        self, account: str, provider: Provider, missing: Sequence[TrackedPrototype], *, shown: int, in_doubt: bool
    ) -> AccountVisibility:
        """The visibility of an account after a round of polls: `shown` chats were shown, these prototypes are missing.

        Reads one list of the account when everything else speaks for a chat that is gone (`in_doubt`).
        """
        known = AccountVisibility(self.key_since(account), shown, len(missing))
        if not in_doubt or (shown and not known.many_missing):
            return known
        return replace(known, shows_ours=await self._shows_ours(account, provider, missing))

    async def _shows_ours(self, account: str, provider: Provider, missing: Sequence[TrackedPrototype]) -> bool:
        """Whether a list names other chats of ours; for an account without other chats, whether it names any."""
        try:
            listed = await provider.recent_chats()
        except ProviderError as error:
            log.warning("account_not_listed", account=account, code=error.code, reason=str(error))
            return False
        store = self._context.store
        if await store.known_chats(account, listed) - {prototype.chat_id for prototype in missing}:
            return True
        return bool(listed) and len(missing) == 1 and not await store.has_other_chats(account, missing[0].id)
