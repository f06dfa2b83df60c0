"""What the account shows beside the chat that a step is about: other chats that the census saw, and one that stays.

The database knows what protokeep and its censuses did. People delete at the app builder, too, so that it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from protokeep.core.census import USABLE
from protokeep.core.clean_up import ItemState, Plan, PlanItem
from protokeep.core.errors import ProviderError
from protokeep.core.keep_rules import REASONS, KeepRule
from protokeep.providers.census_port import SupportsCensus, with_census
from protokeep.service.context import Context
from protokeep.store.plans import Obstacles

#: A chat that stays counts for so many seconds after it was read, so that a group is not asked for at each deletion.
SHOWN_SECONDS = 60.0
#: Chats that may be refused one after the other before it is taken for a refusal of the whole account.
MOST_REFUSED = 10
#: The answer of an item that a 403 has stopped the run for.
REFUSED_ONCE = "403"


class AccountView:
    """Asks the app builder about other chats than the one that a step is about."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.plans
        #: When a chat was read last, by the process's own ruler, and whether it was usable.
        self._shown: dict[tuple[str, str], tuple[float, bool]] = {}

    def provider_of(self, plan: Plan, api_version: int) -> SupportsCensus | None:
        """What reads and deletes the chats of a plan; None: there is no key, or it does not serve the workspace."""
        providers = self._context.providers
        name = plan.account.partition(":")[0]
        if plan.account not in providers.accounts_of(name, plan.workspace_id):
            return None
        return with_census(providers.serving(plan.account, api_version))

    async def shows_others(self, plan: Plan, item: PlanItem, provider: SupportsCensus) -> bool:
        """Whether the account shows chats that the census saw, or the newest census missed this one, too."""
        return await self._store.is_missing(plan, item.chat_id) or await self._shows_known(plan, provider)

    async def refuses_one(self, plan: Plan, item: PlanItem, provider: SupportsCensus, error: ProviderError) -> bool:
        """Whether a 403 is about one chat: the same key is shown others, and was not refused many in a row.

        A first 403 always stops the run (R8). Whoever resumes it has seen that, so that a second one of the same chat,
        and later ones of others, stop nothing.
        """
        if error.status != 403 or plan.failures >= MOST_REFUSED:
            return False
        if item.answer != REFUSED_ONCE and not await self._has_set_aside(plan):
            return False
        try:
            return await self._shows_known(plan, provider)
        except ProviderError:
            return False

    async def shows_one(self, plan: Plan, chats: Sequence[tuple[str, int]], *, is_usable: bool) -> bool:
        """Whether one of these chats, as (id, API version), is there now; with `is_usable`, one that can be used (R4).

        Raises `ProviderError` where the app builder says neither.
        """
        now = self._context.elapsed()
        self._shown = {chat: shown for chat, shown in self._shown.items() if now - shown[0] <= SHOWN_SECONDS}
        if any(self._shown.get((plan.account, chat_id), (now, False))[1] for chat_id, _ in chats):
            return True
        refused: ProviderError | None = None
        for chat_id, api_version in chats:
            try:
                if await self._shows(plan, chat_id, api_version, is_usable=is_usable):
                    return True
            except ProviderError as error:
                if error.status not in (403, 404):
                    raise
                refused = error if error.status == 403 else refused
        if refused is not None:
            raise refused
        return False

    async def _shows(self, plan: Plan, chat_id: str, api_version: int, *, is_usable: bool) -> bool:
        provider = self.provider_of(plan, api_version)
        if provider is None:
            return False
        copy = await provider.read_chat(chat_id)
        can_be_used = copy.chat.content in USABLE
        self._shown[plan.account, chat_id] = self._context.elapsed(), can_be_used
        return can_be_used or not is_usable

    async def _has_set_aside(self, plan: Plan) -> bool:
        fates = await self._store.fates(plan.id)
        return any(fate.state is ItemState.FAILED and fate.rule == KeepRule.NO_RIGHT for fate in fates)

    async def _shows_known(self, plan: Plan, provider: SupportsCensus) -> bool:
        return bool(await self._store.known_chats(plan, list(await provider.recent_chats())))


def obstacle_of(obstacles: Obstacles) -> tuple[str, str] | None:
    """What keeps a chat at this moment, as (rule, sentence)."""
    checks: tuple[tuple[bool, KeepRule], ...] = (
        (obstacles.has_prototype, KeepRule.OURS),
        (obstacles.is_pinned, KeepRule.PINNED),
        (not obstacles.has_survivor, KeepRule.LAST_OF_GROUP),
    )
    return next(((rule.value, REASONS[rule]) for holds, rule in checks if holds), None)
