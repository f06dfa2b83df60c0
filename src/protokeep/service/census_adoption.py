"""Adoption of chats that a census found: the best becomes a product's prototype, the others its variants.

Each chat is read once at the app builder before it gets a row: what it shows now counts, and whose marks it carries.
Nothing is written there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protokeep.core import validation
from protokeep.core.census import ChatContent, ChatRecord, Claim
from protokeep.core.census_sightings import FOREIGN
from protokeep.core.chat_kinds import best_of
from protokeep.core.errors import InvalidInput, NotFound, NotNow, ProviderError
from protokeep.core.principals import Principal
from protokeep.providers.census_port import SupportsCensus, with_census
from protokeep.service.census_accounts import account_to_read
from protokeep.service.census_marks import mark_of
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.service.context import Context
from protokeep.service.provider_accounts import DEFAULT_PROVIDER
from protokeep.store.census_adoptions import AdoptedChat, CensusAdoption, CensusAdoptions
from protokeep.store.census_reads import CensusReads, ChatFilters
from protokeep.store.sql import LostRace

#: Chats that one request adopts: each is read at the app builder first, and somebody waits for the answer.
MOST_AT_ONCE = 20
#: Chats that are read at the same time, and how often a chat is tried whose rows others change meanwhile.
READ_TOGETHER = 4
MOST_LOSSES = 25
#: What a chat in a slot may hold, as far as its list tells.
OPENABLE = frozenset({ChatContent.FINISHED, ChatContent.GENERATING, ChatContent.UNTOLD})
#: Why one chat is not adopted, by the app builder's answer to its read. The others are.
_UNREAD = {
    403: "The v0 API key may not read it: it may be a person's private chat.",
    404: "The app builder no longer shows it. Scan the account to see what is there.",
}


@dataclass(frozen=True, slots=True)
class AdoptRequest:
    """Which chats an admin gives to which product: those of a group, or those named."""

    product_id: str
    chat_ids: Sequence[str] = ()
    group_id: str | None = None
    product_name: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A chat that was not adopted, and why, for people."""

    chat_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdoptResult:
    """What became of the chats. `left`: chats of the group that were not tried yet; asking again goes on with them."""

    product_id: str
    adopted: Sequence[AdoptedChat]
    refused: Sequence[Refusal]
    left: int


class CensusAdopter:
    """Gives chats to products."""

    def __init__(self, context: Context, budget: CleanUpBudget) -> None:
        self._context = context
        self._budget = budget
        self._reads = CensusReads(context.store)
        self._store = CensusAdoptions(context.store, context.bus)

    async def adopt(self, principal: Principal, request: AdoptRequest) -> AdoptResult:
        """Adopt chats, the best first. Safe to repeat: a chat that is the product's already is answered as known.

        Raises `InvalidInput`, `NotFound`, `NotNow`, `NotConfigured`, `ProviderError`.
        """
        context = self._context
        await context.providers.refresh()
        account = account_to_read(context.providers, principal.workspace_id, request.account)
        table = await context.store.owner_table()
        product_id = validation.product_id_of(request.product_id, must_be_uuid=table.product_is_uuid)
        name = validation.name_of(request.product_name)
        records = await self._chosen(principal, account, request)
        ours = [record for record in records if record.claim is Claim.OURS]
        others = [record for record in records if record.claim is not Claim.OURS]
        tried = _best_first(others)[:MOST_AT_ONCE]
        read = await self._read_all(principal, account, tried)
        refused = [one for one in read if isinstance(one, Refusal)]
        adopted = [_known(record, product_id) for record in ours]
        for one in read:
            if not isinstance(one, Refusal):
                context.checkpoint("before_adoption")
                adopted.append(await self._adopt(self._adoption(principal, account, product_id, name, one)))
        if any(one.outcome == "adopted" for one in adopted):
            await context.queue.track(account)
        return AdoptResult(product_id, adopted, refused, len(others) - len(tried))

    def _adoption(
        self, principal: Principal, account: str, product_id: str, name: str | None, record: ChatRecord
    ) -> CensusAdoption:
        """A chat that has nothing to open takes no slot: the product's next create would replace it."""
        return CensusAdoption(
            principal,
            record.chat,
            account,
            DEFAULT_PROVIDER,
            product_id,
            name,
            record.prompt or "",
            record.chat.content in OPENABLE,
            self._context.clock(),
        )

    async def _adopt(self, adoption: CensusAdoption) -> AdoptedChat:
        timeout = self._context.timing.poll_timeout
        for _ in range(MOST_LOSSES):
            with contextlib.suppress(LostRace):
                return await self._store.adopt(adoption, timeout)
        raise NotNow("Too many people are changing this product at once. Try again in a moment.")

    async def _chosen(self, principal: Principal, account: str, request: AdoptRequest) -> list[ChatRecord]:
        """The chats that are asked for. Raises `InvalidInput` and `NotFound`."""
        if (request.group_id is None) == (not request.chat_ids):
            raise InvalidInput("Name chats or a group, and not both.", field="chat_ids")
        if len(request.chat_ids) > MOST_AT_ONCE:
            raise InvalidInput(f"At most {MOST_AT_ONCE} chats are adopted at once. Name fewer.", field="chat_ids")
        filters = ChatFilters(
            group_id=request.group_id,
            chat_ids=tuple(dict.fromkeys(request.chat_ids)) if request.chat_ids else None,
        )
        records = [
            found.record
            async for page in self._reads.all_chats(principal.workspace_id, account, filters, prompts=True)
            for found in page
        ]
        unknown = set(request.chat_ids) - {record.chat.chat_id for record in records}
        if unknown or not records:
            what = f"no chat {sorted(unknown)[0]}" if unknown else "no such group"
            raise NotFound(
                f"The scans of this account have seen {what}. GET /api/design/census/chats lists chats, and "
                "GET /api/design/census/groups lists groups."
            )
        return records

    async def _read_all(
        self, principal: Principal, account: str, records: Sequence[ChatRecord]
    ) -> list[ChatRecord | Refusal]:
        """Each chat as it is now. Raises `ProviderError` when the app builder answers for none."""
        few = asyncio.Semaphore(READ_TOGETHER)

        async def read(record: ChatRecord) -> ChatRecord | Refusal:
            async with few:
                return await self._read(principal, account, record)

        return list(await asyncio.gather(*(read(record) for record in records)))

    async def _read(self, principal: Principal, account: str, record: ChatRecord) -> ChatRecord | Refusal:
        chat_id = record.chat.chat_id
        provider = with_census(self._context.providers.serving(account, record.chat.api_version))
        if provider is None:
            return Refusal(chat_id, "No key of this account is here that could follow it.")
        try:
            copy = await provider.read_chat(chat_id)
            prompt = record.prompt if record.prompt is not None else await self._prompt_of(account, provider, chat_id)
        except ProviderError as error:
            if error.status not in _UNREAD:
                raise
            return Refusal(chat_id, _UNREAD[error.status])
        finally:
            await self._budget.spent(account)
        if mark_of(copy.metadata, self._context.signer, principal.workspace_id) == FOREIGN:
            return Refusal(chat_id, "It carries the mark of another workspace or installation.")
        # The list knows some of what a single read may leave out.
        chat = replace(copy.chat, created_at=copy.chat.created_at or record.chat.created_at)
        return replace(record, chat=chat, prompt=prompt)

    async def _prompt_of(self, account: str, provider: SupportsCensus, chat_id: str) -> str | None:
        await self._budget.spent(account)
        return await provider.first_prompt(chat_id)


def _known(record: ChatRecord, product_id: str) -> AdoptedChat:
    if record.product_id == product_id:
        return AdoptedChat(record.chat.chat_id, "known", record.mockup_id)
    return AdoptedChat(record.chat.chat_id, "taken")


def _best_first(records: Sequence[ChatRecord]) -> list[ChatRecord]:
    """The best chat, then the others, the newest first."""
    if not records:
        return []
    best = best_of(records)
    others = [record for record in records if record is not best]
    made_at = {record.chat.chat_id: record.chat.created_at for record in others}
    others.sort(
        key=lambda record: (made_at[record.chat.chat_id] is not None, made_at[record.chat.chat_id] or 0), reverse=True
    )
    return [best, *others]
