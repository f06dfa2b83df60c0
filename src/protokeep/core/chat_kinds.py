"""What each chat is within its group, and which chat of a group is worth the most."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from protokeep.core.census import ChatContent, ChatGroup, ChatKind, ChatRecord, Claim

#: A chat whose lists do not tell (v2) may well be complete.
_WORTH = {
    ChatContent.FINISHED: 5,
    ChatContent.UNTOLD: 4,
    ChatContent.GENERATING: 3,
    ChatContent.FAILED: 2,
    ChatContent.EMPTY: 1,
    ChatContent.UNREADABLE: 0,
}
_FIRST = datetime.min.replace(tzinfo=UTC)


def best_of(records: Sequence[ChatRecord], in_slots: Collection[str] = ()) -> ChatRecord:
    """The chat of a group to keep: in a slot, a prototype's, complete, with a page and a picture, favourite, newest.

    `in_slots`: ids of the chats that are in a product's slot. ValueError: there are no records.
    """

    def worth(record: ChatRecord) -> tuple[object, ...]:
        chat = record.chat
        changed = chat.updated_at or chat.created_at or _FIRST
        return (
            chat.chat_id in in_slots,
            record.claim is Claim.OURS,
            record.pinned_by is not None,
            _WORTH[chat.content],
            (chat.demo_url is not None) + (chat.picture_url is not None),
            chat.is_favorite is True,
            changed,
            chat.chat_id,
        )

    return max(records, key=worth)


def kinds_of(
    records: Sequence[ChatRecord], groups: Sequence[ChatGroup], in_slots: Collection[str] = ()
) -> dict[str, ChatKind]:
    """The kind of every chat, by its id.

    A duplicate is one of several that surely are one request (`ChatGroup.copies`), and not the best of them; a chat
    that is a prototype's is none. A group that is only offered makes no chat a duplicate. In a group, the others are
    variants.
    """
    by_id = {record.chat.chat_id: record for record in records}
    grouped = {chat_id for group in groups for chat_id in group.chat_ids if len(group.chat_ids) > 1 or group.product_id}
    surplus: set[str] = set()
    for group in groups:
        for copies in group.copies:
            there = [by_id[chat_id] for chat_id in copies if chat_id in by_id]
            if there:
                best = best_of(there, in_slots).chat.chat_id
                surplus.update(record.chat.chat_id for record in there if record.chat.chat_id != best)
    return {chat_id: _kind(record, in_slots, surplus, grouped) for chat_id, record in by_id.items()}


#: What a chat is whatever its group is, unless it is in a slot.
_KINDS: Mapping[ChatContent, ChatKind] = {
    ChatContent.FAILED: ChatKind.FAILED,
    ChatContent.EMPTY: ChatKind.EMPTY,
    ChatContent.GENERATING: ChatKind.UNDECIDED,
    ChatContent.UNREADABLE: ChatKind.UNDECIDED,
}


def _kind(
    record: ChatRecord, in_slots: Collection[str], surplus: Collection[str], grouped: Collection[str]
) -> ChatKind:
    chat_id = record.chat.chat_id
    if record.claim is Claim.FOREIGN:
        return ChatKind.FOREIGN
    if chat_id in in_slots:
        return ChatKind.CURRENT
    if record.chat.content in _KINDS:
        return _KINDS[record.chat.content]
    if chat_id in surplus and record.claim is not Claim.OURS:
        return ChatKind.DUPLICATE
    return ChatKind.VARIANT if chat_id in grouped else ChatKind.SINGLE
