"""Whether an account shows its chats at all: without that, a chat that is missing proves nothing."""

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
    """Remembers since when this process works with an account, and asks a list in the rare case of doubt."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._begun: dict[str, datetime] = {}

    def key_since(self, account: str) -> datetime:
        """Since when the account's key is known to be in use.

        A process does not know how long before its start a key was changed, so the first use here counts.
        """
        begun = self._begun.setdefault(account, self._context.clock())
        set_at = self._context.providers.key_set_at(account)
        return begun if set_at is None else max(begun, set_at)

    async def around(
        self, account: str, provider: Provider, missing: Sequence[TrackedPrototype], *, seen: int, in_doubt: bool
    ) -> AccountVisibility:
        """What a round with these missing ones tells; asks one list when only the account is `in_doubt`."""
        known = AccountVisibility(self.key_since(account), seen, len(missing))
        if not in_doubt or (seen and not known.many_missing):
            return known
        return replace(known, shows_ours=await self._shows_ours(account, provider, missing))

    async def _shows_ours(self, account: str, provider: Provider, missing: Sequence[TrackedPrototype]) -> bool:
        """Whether a list names other chats of ours; of an account without any, whether it names chats at all."""
        try:
            listed = await provider.recent_chats()
        except ProviderError as error:
            log.warning("account_not_listed", account=account, code=error.code, reason=str(error))
            return False
        store = self._context.store
        if await store.known_chats(account, listed) - {one.chat_id for one in missing}:
            return True
        return bool(listed) and len(missing) == 1 and not await store.has_other_chats(account, missing[0].id)
