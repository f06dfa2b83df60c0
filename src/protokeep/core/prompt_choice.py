"""Which prompts are worth a call: those that can change what is decided about chats that names leave open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from protokeep.core.census import ChatContent, ChatGroup, ChatRecord, Claim, KnownProduct
from protokeep.core.chat_links import AUTOMATIC, CLICK, loose_name

#: What chats of other contents are does not hang on their prompts.
_READABLE = frozenset({ChatContent.FINISHED, ChatContent.UNTOLD})
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether chats are the same. `unread`: one chat of each part whose prompt is not known."""

    rank: int
    chats: int
    unread: tuple[str, ...]


def prompts_to_read(
    records: Sequence[ChatRecord], groups: Sequence[ChatGroup], most: int, products: Sequence[KnownProduct] = ()
) -> list[str]:
    """The ids of at most `most` chats whose prompts are worth reading, the worthiest first.

    First the groups that are only offered, then chats of one name that no group holds, then chats that one person made
    within two minutes under different names; within each, those where one call decides about the most chats. Of chats
    that surely are one request one prompt is enough. A question about chats is asked whole: all its chats in a row.
    With the prompts of `products` a prompt can also tell for which product a chat was made.
    """
    chosen: dict[str, None] = {}
    comparable = {product.product_id for product in products if product.prompts}
    order = sorted(_questions(records, groups, comparable), key=lambda q: (q.rank, -q.chats / len(q.unread), q.unread))
    for question in order:
        chosen.update(dict.fromkeys(question.unread))
    return list(chosen)[: max(most, 0)]


def _questions(
    records: Sequence[ChatRecord], groups: Sequence[ChatGroup], comparable: Collection[str]
) -> Iterable[_Question]:
    open_to_us = sorted(
        (record for record in records if record.claim in (Claim.NOBODY, Claim.LOST, Claim.SURPLUS)),
        key=lambda record: (record.chat.created_at or _LAST, record.chat.chat_id),
    )
    parts = _Parts(open_to_us, groups)
    by_id = {record.chat.chat_id: record for record in open_to_us}
    for group in groups:
        of_product = group.product_id in comparable and group.product_confidence < AUTOMATIC
        if group.confidence < AUTOMATIC or of_product:
            chats = [by_id[chat_id] for chat_id in group.chat_ids if chat_id in by_id]
            yield from parts.ask(1, chats, against_product=of_product)
    named: dict[Hashable, list[ChatRecord]] = defaultdict(list)
    for record in open_to_us:
        if name := loose_name(record.chat.name):
            named[name].append(record)
    for chats in named.values():
        yield from parts.ask(2, chats)
    for chats in _made_together(open_to_us):
        yield from parts.ask(3, chats)


def _made_together(records: Sequence[ChatRecord]) -> Iterable[list[ChatRecord]]:
    """Chats that one person made within two minutes of the first of them."""
    windows: dict[str, list[ChatRecord]] = {}
    for record in records:
        author, made = record.chat.author_id, record.chat.created_at
        if author is None or made is None:
            continue
        window = windows.get(author)
        began = window[0].chat.created_at if window else None
        if window and began and made - began <= CLICK:
            window.append(record)
        else:
            if window:
                yield window
            windows[author] = [record]
    yield from windows.values()


class _Parts:
    """Chats that surely are one request count once: one prompt tells about all of them."""

    def __init__(self, records: Sequence[ChatRecord], groups: Sequence[ChatGroup]) -> None:
        self._part = {chat_id: copies[0] for group in groups for copies in group.copies for chat_id in copies}
        self._read = {self._of(record) for record in records if record.prompt is not None}

    def _of(self, record: ChatRecord) -> str:
        return self._part.get(record.chat.chat_id, record.chat.chat_id)

    def ask(self, rank: int, chats: Sequence[ChatRecord], *, against_product: bool = False) -> Iterable[_Question]:
        """The question whether chats are the same, if a prompt can answer it: there is something to compare with."""
        parts = {self._of(record) for record in chats}
        unread: dict[str, str] = {}
        for record in chats:
            part = self._of(record)
            if part not in self._read and record.chat.content in _READABLE:
                unread.setdefault(part, record.chat.chat_id)
        if unread and (against_product or len(parts) > 1):
            yield _Question(rank, len(chats), tuple(unread.values()))
