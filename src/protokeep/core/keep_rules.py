"""Which chats of an account a plan deletes, which it keeps, and by which rule: pure functions of what a census knows.

A chat is deleted only if something speaks for it (it is a duplicate, failed, empty, superseded, or nobody has claimed
it for long) and no rule keeps it. The same rules are asked again right before each deletion, with the chat as it is
then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from protokeep.core.census import USABLE, CensusChat, ChatContent, ChatKind, ChatRecord, Claim
from protokeep.core.clean_up import ItemState, PlanAction, PlanItem

#: Chats that nobody has claimed are deleted when they are older than this, unless the selection says another number.
OLD_DAYS = 90
#: Chats that were changed since then are kept.
RECENT = timedelta(days=30)
#: The word of the app builder for a chat that only its author sees. Every other word means that others see it.
PRIVATE = "private"


class KeepRule(StrEnum):
    """A rule that keeps a chat. `ABSOLUTE` ones cannot be switched off."""

    UNREADABLE = "unreadable"
    MISSING = "missing"
    OURS = "ours"
    PINNED = "pinned"
    KEEP_WORD = "keep_word"
    NO_RIGHT = "no_right"
    GENERATING = "generating"
    CURRENT = "current"
    LAST_OF_GROUP = "last_of_group"
    FAVORITE = "favorite"
    SHARED = "shared"
    VERCEL = "vercel"
    RECENT = "recent"
    SEEN_ONCE = "seen_once"
    NEWEST_OF_GROUP = "newest_of_group"
    NOT_SELECTED = "not_selected"  #: nothing speaks for its deletion, or the selection leaves it out


class DeleteRule(StrEnum):
    """Why a chat is deleted."""

    DUPLICATE = "duplicate"
    FAILED = "failed"
    EMPTY = "empty"
    SUPERSEDED = "superseded"
    NOT_CLAIMED = "not_claimed"
    SELECTED = "selected"  #: a person named the chat or its group
    CHOSEN = "chosen"  #: a person edited the list


#: Rules that an admin may switch off by name.
SWITCHABLE = frozenset(
    {
        KeepRule.FAVORITE,
        KeepRule.SHARED,
        KeepRule.VERCEL,
        KeepRule.RECENT,
        KeepRule.SEEN_ONCE,
        KeepRule.NEWEST_OF_GROUP,
    }
)
#: Rules that neither an admin nor an edited list overrides.
ABSOLUTE = frozenset(KeepRule) - SWITCHABLE - {KeepRule.NOT_SELECTED}
#: What a plan deletes unless its selection names less.
DELETABLE = frozenset(
    {DeleteRule.DUPLICATE, DeleteRule.FAILED, DeleteRule.EMPTY, DeleteRule.SUPERSEDED, DeleteRule.NOT_CLAIMED}
)
#: What the standing policy puts into a draft.
OF_POLICY = frozenset({DeleteRule.FAILED, DeleteRule.EMPTY, DeleteRule.SUPERSEDED})

REASONS: Mapping[str, str] = {
    KeepRule.UNREADABLE: "The app builder did not let protokeep read it.",
    KeepRule.MISSING: "The newest scan did not see it.",
    KeepRule.OURS: "It is the chat of a prototype. Delete the prototype instead.",
    KeepRule.PINNED: "It is pinned.",
    KeepRule.KEEP_WORD: "Its name or its metadata holds the word “keep”.",
    KeepRule.NO_RIGHT: "The v0 API key has no right to delete it.",
    KeepRule.GENERATING: "It is being generated.",
    KeepRule.CURRENT: "It is the best chat of its product.",
    KeepRule.LAST_OF_GROUP: "It would be the last of its group.",
    KeepRule.FAVORITE: "It is a favourite at the app builder.",
    KeepRule.SHARED: "It is shared with others.",
    KeepRule.VERCEL: "It is linked to a Vercel project.",
    KeepRule.RECENT: "It was changed in the last 30 days.",
    KeepRule.SEEN_ONCE: "Only the newest scan has seen it.",
    KeepRule.NEWEST_OF_GROUP: "It is the newest finished chat of its group.",
    KeepRule.NOT_SELECTED: "No rule says that it should go.",
    DeleteRule.DUPLICATE: "Another chat asked for the same, and that one stays.",
    DeleteRule.FAILED: "Its newest version failed.",
    DeleteRule.EMPTY: "Nothing was ever made in it.",
    DeleteRule.SUPERSEDED: "Another chat of its product is used instead.",
    DeleteRule.NOT_CLAIMED: "It is old, and no product uses it.",
    DeleteRule.SELECTED: "Its id or its group was chosen for the plan.",
    DeleteRule.CHOSEN: "A person chose it in the list.",
}
#: Reasons that plans write while they are carried out, beside those of the rules.
RUN_REASONS: Mapping[str, str] = {
    "changed": "It changed after the plan was made.",
    "gone": "It was gone already.",
    "undone": "A person took it back.",
    "cancelled": "The plan was cancelled.",
    "other_plan": "Another plan, approved earlier, deletes it.",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which chats an admin wants to see deleted. Empty sets select by nothing.

    Naming chats or groups selects these, whatever they are. `older_than_days` then holds for all, if it is given;
    otherwise it is the age of chats that nobody has claimed.
    """

    kinds: frozenset[DeleteRule] = DELETABLE
    group_ids: frozenset[str] = frozenset()
    chat_ids: frozenset[str] = frozenset()
    author_ids: frozenset[str] = frozenset()
    older_than_days: int | None = None

    @property
    def names_chats(self) -> bool:
        """Whether chats are selected by id or group."""
        return bool(self.group_ids or self.chat_ids)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What is known of an account. `prototype_chats`: chats that a row of any workspace names.

    `newest_census_at`: when the newest census began, if there was one before it; otherwise None.
    """

    records: Sequence[ChatRecord]
    now: datetime
    prototype_chats: Collection[str] = ()
    newest_census_at: datetime | None = None
    rules_off: frozenset[KeepRule] = frozenset()
    #: The newest finished chat of each group with several chats.
    newest_of_groups: frozenset[str] = field(default=frozenset())


def plan_items(facts: AccountFacts, selection: Selection) -> list[PlanItem]:
    """What a plan does with each chat of the workspace, in the order of their ids. Foreign chats are in no plan."""
    seen = [record for record in facts.records if record.claim is not Claim.FOREIGN]
    facts = replace(facts, newest_of_groups=_newest_of_groups(seen))
    items = [_item_of(record, facts, selection) for record in sorted(seen, key=lambda record: record.chat.chat_id)]
    return keep_last_of_groups(items, {record.chat.chat_id: record for record in seen})


def keep_last_of_groups(items: Sequence[PlanItem], records: Mapping[str, ChatRecord]) -> list[PlanItem]:
    """The items, changed so that of each group the best chat is kept that is still there (R4)."""
    saved = {_best(group, records) for group in groups_without_survivor(items, records)}
    return [kept(item, KeepRule.LAST_OF_GROUP) if item.chat_id in saved else item for item in items]


def groups_without_survivor(items: Sequence[PlanItem], records: Mapping[str, ChatRecord]) -> list[list[str]]:
    """The deleted chats of each group of which nothing usable would stay."""
    groups: dict[str, list[PlanItem]] = defaultdict(list)
    for item in items:
        if item.group_id is not None and not records[item.chat_id].is_missing:
            groups[item.group_id].append(item)
    found = []
    for members in groups.values():
        deleted = [item.chat_id for item in members if item.action is PlanAction.DELETE]
        staying = [item.chat_id for item in members if item.action is PlanAction.KEEP]
        has_usable = any(_is_usable(records[chat_id].chat) for chat_id in deleted)
        stays = any(_is_usable(records[chat_id].chat) or not has_usable for chat_id in staying)
        if deleted and not stays:
            found.append(deleted)
    return found


def reason_of(rule: str) -> str:
    """The reason that a rule of a plan's item gives, for people; of a rule that is not known here, its name."""
    return REASONS.get(rule) or RUN_REASONS.get(rule) or rule.replace("_", " ").capitalize() + "."


def kept(item: PlanItem, rule: KeepRule, decided_by: str | None = None) -> PlanItem:
    """The item, kept by a rule."""
    return replace(
        item,
        action=PlanAction.KEEP,
        rule=rule.value,
        reason=REASONS[rule],
        state=ItemState.PROTECTED,
        decided_by=decided_by,
    )


def _item_of(record: ChatRecord, facts: AccountFacts, selection: Selection) -> PlanItem:
    chat = record.chat
    reason = deletion_rule(record, selection, facts.now)
    keep = keep_rule(record, facts)
    if keep is None and reason is None:
        keep = KeepRule.NOT_SELECTED
    item = PlanItem(
        chat_id=chat.chat_id,
        api_version=chat.api_version,
        action=PlanAction.DELETE,
        rule=(reason or DeleteRule.SELECTED).value,
        reason=REASONS[reason or DeleteRule.SELECTED],
        fingerprint=chat.fingerprint,
        name=chat.name,
        author_id=chat.author_id,
        group_id=record.group_id,
        credits=record.credits,
    )
    return item if keep is None else kept(item, keep)


def deletion_rule(record: ChatRecord, selection: Selection, now: datetime) -> DeleteRule | None:
    """What speaks for the deletion of a chat, as far as it is selected; None: nothing."""
    chat = record.chat
    if selection.author_ids and chat.author_id not in selection.author_ids:
        return None
    if selection.older_than_days is not None and not _is_older(chat, selection.older_than_days, now):
        return None
    rule = _kind_rule(record, selection, now)
    if selection.names_chats:
        is_named = chat.chat_id in selection.chat_ids or record.group_id in selection.group_ids
        return (rule or DeleteRule.SELECTED) if is_named else None
    return rule if rule in selection.kinds else None


def _kind_rule(record: ChatRecord, selection: Selection, now: datetime) -> DeleteRule | None:
    by_kind = {
        ChatKind.DUPLICATE: DeleteRule.DUPLICATE,
        ChatKind.FAILED: DeleteRule.FAILED,
        ChatKind.EMPTY: DeleteRule.EMPTY,
    }
    by_content = {ChatContent.FAILED: DeleteRule.FAILED, ChatContent.EMPTY: DeleteRule.EMPTY}
    rule = by_content.get(record.chat.content) or (by_kind.get(record.kind) if record.kind else None)
    if rule is not None:
        return rule
    # A group without a product is only offered: that its chats are the same is not sure enough to delete any for it.
    if record.kind is ChatKind.VARIANT and (record.product_id is not None or record.claim is Claim.SURPLUS):
        return DeleteRule.SUPERSEDED
    is_old = _is_older(record.chat, selection.older_than_days or OLD_DAYS, now)
    return DeleteRule.NOT_CLAIMED if record.claim is Claim.NOBODY and is_old else None


def keep_rule(record: ChatRecord, facts: AccountFacts) -> KeepRule | None:
    """The rule that keeps a chat, the absolute ones first; None: no rule does."""
    return _absolute_rule(record, facts) or _switchable_rule(record, facts)


def _absolute_rule(record: ChatRecord, facts: AccountFacts) -> KeepRule | None:
    chat = record.chat
    checks = (
        (KeepRule.UNREADABLE, chat.content is ChatContent.UNREADABLE),
        (KeepRule.MISSING, record.is_missing),
        (KeepRule.OURS, record.claim is Claim.OURS or chat.chat_id in facts.prototype_chats),
        (KeepRule.PINNED, record.pinned_by is not None),
        (KeepRule.KEEP_WORD, chat.asks_to_be_kept),
        (KeepRule.NO_RIGHT, chat.may_delete is False),
        (KeepRule.GENERATING, chat.content is ChatContent.GENERATING),
        (KeepRule.CURRENT, record.kind is ChatKind.CURRENT),
    )
    return next((rule for rule, holds in checks if holds), None)


def _switchable_rule(record: ChatRecord, facts: AccountFacts) -> KeepRule | None:
    chat = record.chat
    seen_once = facts.newest_census_at is not None and (
        record.first_seen_at is None or record.first_seen_at >= facts.newest_census_at
    )
    changed_at = chat.updated_at or chat.created_at
    checks = (
        (KeepRule.FAVORITE, chat.is_favorite is True),
        (KeepRule.SHARED, chat.privacy not in (None, PRIVATE)),
        (KeepRule.VERCEL, chat.vercel_project_id is not None),
        (KeepRule.RECENT, changed_at is None or facts.now - changed_at < RECENT),
        (KeepRule.SEEN_ONCE, seen_once),
        (KeepRule.NEWEST_OF_GROUP, chat.chat_id in facts.newest_of_groups),
    )
    return next((rule for rule, holds in checks if holds and rule not in facts.rules_off), None)


def changed_rule(item: PlanItem, chat: CensusChat, metadata: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a chat may not be deleted any more that was read again: (rule, sentence). None: it is as it was planned (R3).

    `metadata` is all of the chat's, which v1's list does not show.
    """
    if replace(chat, metadata=metadata).asks_to_be_kept:
        return KeepRule.KEEP_WORD.value, REASONS[KeepRule.KEEP_WORD]
    if chat.may_delete is False:
        return KeepRule.NO_RIGHT.value, REASONS[KeepRule.NO_RIGHT]
    if chat.content is ChatContent.GENERATING:
        return KeepRule.GENERATING.value, REASONS[KeepRule.GENERATING]
    if chat.content is ChatContent.UNREADABLE:
        return KeepRule.UNREADABLE.value, REASONS[KeepRule.UNREADABLE]
    if chat.chat_id != item.chat_id or chat.fingerprint != item.fingerprint:
        return "changed", "It changed after the plan was made."
    return None


def _newest_of_groups(records: Sequence[ChatRecord]) -> frozenset[str]:
    groups: dict[str, list[ChatRecord]] = defaultdict(list)
    for record in records:
        if record.group_id is not None and not record.is_missing:
            groups[record.group_id].append(record)
    newest = set()
    for members in groups.values():
        usable = [record for record in members if _is_usable(record.chat)]
        if len(members) > 1 and usable:
            newest.add(max(usable, key=_age_order).chat.chat_id)
    return frozenset(newest)


def _best(chat_ids: Sequence[str], records: Mapping[str, ChatRecord]) -> str:
    return max(chat_ids, key=lambda chat_id: (_is_usable(records[chat_id].chat), _age_order(records[chat_id])))


def _is_usable(chat: CensusChat) -> bool:
    return chat.content in USABLE


def _age_order(record: ChatRecord) -> tuple[str, str]:
    moment = record.chat.updated_at or record.chat.created_at
    return (moment.isoformat() if moment else "", record.chat.chat_id)


def _is_older(chat: CensusChat, days: int, now: datetime) -> bool:
    moment = chat.updated_at or chat.created_at
    return moment is not None and now - moment >= timedelta(days=days)
