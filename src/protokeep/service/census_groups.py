"""Groups of the chats of an account, made in a thread: comparing thousands of prompts takes a second or two."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from protokeep.core.census import Census, ChatGroup, ChatKind, ChatRecord, Claim, KnownProduct
from protokeep.core.chat_kinds import kinds_of
from protokeep.core.grouping import group_chats
from protokeep.core.prompt_choice import prompts_to_read
from protokeep.service.context import Context
from protokeep.store.census import CensusStore, GroupedChat
from protokeep.store.census_reads import CensusReads, FoundChat

#: Prompts that a whole census reads, and an incremental one: those of chats whose names leave open what they are.
MOST_PROMPTS, FEW_PROMPTS = 600, 100


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups, the chats whose group, kind or product is another one now, and the chats whose prompts may join more."""

    groups: Sequence[ChatGroup]
    changed: Sequence[GroupedChat]
    prompts: Sequence[str]


class CensusGrouping:
    """Groups what censuses found."""

    def __init__(self, context: Context) -> None:
        self._store = CensusStore(context.store)
        self._reads = CensusReads(context.store)

    async def group(self, census: Census, projects: Mapping[str, str], *, with_prompts: bool) -> Grouping:
        """The groups of the account. `with_prompts`: also the chats whose prompts are worth reading."""
        pages = self._reads.all_chats(census.workspace_id, census.account, prompts=True)
        found = [one async for page in pages for one in page]
        products = await self._reads.products(census.workspace_id)
        promptless = await self._store.promptless(census.workspace_id, census.account)
        most = (MOST_PROMPTS if census.is_whole else FEW_PROMPTS) if with_prompts else 0
        return await asyncio.to_thread(_grouped, found, products, projects, promptless, most)


def _grouped(
    found: Sequence[FoundChat],
    products: Sequence[KnownProduct],
    projects: Mapping[str, str],
    promptless: set[str],
    most: int,
) -> Grouping:
    present = [_by_rows_alone(one.record) for one in found if not one.record.is_missing]
    groups = group_chats(present, products, projects)
    kinds = kinds_of(present, groups, {one.record.chat.chat_id for one in found if one.is_current})
    group_of = {chat_id: group for group in groups for chat_id in group.chat_ids}
    changed = []
    for one in found:
        before, chat_id = one.record, one.record.chat.chat_id
        group, kind = group_of.get(chat_id), kinds.get(chat_id, ChatKind.SINGLE)
        now = (group.id, kind, group.product_id) if group else (None, kind, None)
        if now != (before.group_id, before.kind, before.product_id):
            changed.append(GroupedChat(chat_id, *now))
    wanted = prompts_to_read(present, groups, most + len(promptless)) if most else []
    return Grouping(groups, changed, [chat_id for chat_id in wanted if chat_id not in promptless][:most])


def _by_rows_alone(record: ChatRecord) -> ChatRecord:
    """The chat without the product that the census before has guessed: a guess is no evidence for the next one."""
    if record.claim in (Claim.OURS, Claim.SURPLUS):
        return record
    marked = (record.chat.metadata or {}).get("protokeep_product") if record.claim is Claim.LOST else None
    return replace(record, product_id=marked, group_id=None, kind=None)
