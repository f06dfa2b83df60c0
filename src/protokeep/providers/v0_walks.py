"""Walks over v0's lists of chats. A walk knows whether it saw every row, and can be cut and resumed.

Lists mislead in many ways: favourites come first, rows shift while others create and delete chats, pages repeat, a
short page is not the last one, a filter is ignored. A walk that may have missed rows says so (`broken`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import dropwhile, takewhile
from typing import Any

from protokeep.providers.base import CLOCK_SLACK, Skipped
from protokeep.providers.v0_fields import id_of, instant, our_metadata, text

#: Rows of one page of v1's list.
PAGE = 60
#: Rows that two of its pages share, because every chat that is created meanwhile shifts all offsets.
OVERLAP = 10
#: Pages that one call of `resume` reads; the next call goes on behind them.
MAX_PAGES = 200
#: Pages in a row without a new row after which a list counts as going round in circles.
MAX_REPEATED = 5
#: How often a walk steps back because it may have missed rows between two pages.
MAX_STEPS_BACK = 3

#: Whether another call may be made.
MayCall = Callable[[], bool]


class Order:
    """The order of a list, as far as the times of its rows show it over a whole walk."""

    def __init__(self) -> None:
        self.newest_first = True
        self.oldest_first = True
        self.fresh_seen = False
        self._previous: datetime | None = None

    @property
    def is_known(self) -> bool:
        """Whether all rows so far came in the order of their times, either way."""
        return self.newest_first or self.oldest_first

    def add(self, created: datetime | None, since: datetime) -> bool:
        """Take the next row. Returns whether it may be as young as `since`."""
        if created is not None and self._previous is not None:
            self.newest_first = self.newest_first and created <= self._previous
            self.oldest_first = self.oldest_first and created >= self._previous
        self._previous = created or self._previous
        fresh = created is None or created >= since - CLOCK_SLACK
        self.fresh_seen = self.fresh_seen or fresh
        return fresh

    def has_passed(self, page_is_fresh: bool) -> bool:
        """Whether the list went on from young rows to older ones.

        Old rows alone prove nothing, because favourites come first.
        """
        return self.newest_first and self.fresh_seen and not page_is_fresh


class Rows:
    """The rows that a walk met, each once, in the order of the list."""

    def __init__(self) -> None:
        #: When each chat was created, and the part of its row that is needed: a row may have megabytes.
        self.by_id: dict[str, tuple[datetime | None, Mapping[str, Any]]] = {}
        #: The different rows that have no id.
        self.without_id: dict[Skipped, None] = {}
        self.order = Order()

    def add(self, page: Sequence[Any], since: datetime) -> tuple[bool, bool]:
        """Take a page. Returns whether any row is new, and whether any new row may be as young as `since`."""
        is_new = is_fresh = False
        for row in page:
            chat_id = id_of(row)
            created = instant(row.get("createdAt")) if isinstance(row, dict) else None
            if chat_id is None:
                skipped = Skipped("(a row without an id)", "Its row in the list could not be read.", created)
                self.without_id[skipped] = None
                is_fresh = is_fresh or skipped.may_be_newer_than(since)
            elif chat_id not in self.by_id:
                self.by_id[chat_id] = created, _kept(chat_id, row)
                is_new = True
                is_fresh = self.order.add(created, since) or is_fresh
        return is_new, is_fresh

    def created_since(self, since: datetime) -> dict[str, datetime | None]:
        """The chats that may have been created after `since`, with their times."""
        return {
            chat_id: created
            for chat_id, (created, _) in self.by_id.items()
            if created is None or created >= since - CLOCK_SLACK
        }


def _kept(chat_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The id of a row, its time, and our own entries of its metadata; None: the metadata cannot be read."""
    created_at = text(row.get("createdAt"))
    return {"id": chat_id, "createdAt": created_at, "metadata": our_metadata(row.get("metadata"))}


def ids_of(rows: Sequence[Any]) -> list[str]:
    """The ids of those rows that have one."""
    return [chat_id for row in rows if (chat_id := id_of(row))]


class OffsetWalk:
    """A walk over v1's list. `rows` are the rows that it met; `ended` says whether the list has no others."""

    def __init__(self, page: Callable[[int], Awaitable[list[Any]]]) -> None:
        """`page` returns the rows from an offset on, at most `PAGE` of them."""
        self._page = page
        self._offset = 0
        self._sequence: list[str] = []
        self._top: str | None = None
        self._repeated = 0
        self._steps_back = 0
        self.rows = Rows()
        self.ended = False
        self.passed = False
        self.broken = False  #: rows may have been missed, so the walk never ends

    async def resume(self, since: datetime, may_call: MayCall, *, thorough: bool) -> None:
        """Read on to the end of the list, or until no call may be made.

        A walk that is not thorough stops where all rows are older than `since`, and is `passed` then.
        """
        self.passed = False
        for _ in range(MAX_PAGES):
            if self.ended or self.broken or not may_call():
                return
            page = await self._page(self._offset)
            ids = self._without_newer(ids_of(page))
            repeated = list(takewhile(self.rows.by_id.__contains__, ids))
            if self._sequence and not self._joins(ids, repeated):
                self._step_back()
                continue
            self._sequence = (self._sequence + ids[len(repeated) :])[-2 * PAGE :]
            is_new, is_fresh = self.rows.add(page, since)
            self._repeated = 0 if is_new else self._repeated + 1
            if len(page) < PAGE and not is_new:
                await self._read_front(since)
            elif self._repeated >= MAX_REPEATED:
                self.broken = True
            else:
                self._offset = max(self._offset + len(page) - OVERLAP, 0)
                self.passed = is_new and not thorough and self.rows.order.has_passed(is_fresh)
                if self.passed:
                    return

    def _without_newer(self, ids: list[str]) -> list[str]:
        """The ids without those above every row met before: their chats were created during the walk."""
        self._top = self._top or (ids[0] if ids else None)
        known = list(dropwhile(lambda chat_id: chat_id not in self.rows.by_id, ids))
        return known if known and (self._offset == 0 or known[0] == self._top) else ids

    def _joins(self, ids: list[str], repeated: list[str]) -> bool:
        """Whether a page that begins with the `repeated` rows continues the page before, so that no row was missed."""
        return bool(repeated) and (len(repeated) == len(ids) or self._sequence[-len(repeated) :] == repeated)

    def _step_back(self) -> None:
        """Read a page further up again: rows went away, or the order is not stable. Gives up after some steps."""
        self._steps_back += 1
        self.broken = self._steps_back > MAX_STEPS_BACK or self._offset == 0
        self._offset = max(self._offset - self._steps_back * (PAGE - OVERLAP), 0)

    async def _read_front(self, since: datetime) -> None:
        """End the walk. A long list's first page is read again, for rows that moved there during the walk."""
        if len(self.rows.by_id) > PAGE:
            page = await self._page(0)
            self.broken = not any(chat_id in self.rows.by_id for chat_id in ids_of(page))
            self.rows.add(page, since)
        self.ended = not self.broken


#: Reads a page of v2's list: the metadata to filter by, and the cursor (None: the first page).
ReadPage = Callable[[Mapping[str, str], str | None], Awaitable[dict[str, Any]]]


class CursorWalk:
    """A walk over v2's list, filtered by `metadata`, or over the whole list if `metadata` is empty."""

    def __init__(self, metadata: Mapping[str, str], page: ReadPage) -> None:
        self.metadata = metadata
        self._page = page
        self._cursor: str | None = None
        self._cursors: set[str] = set()
        self._repeated = 0
        self._sequence: list[str] = []
        self._first_sequence: list[str] | None = None  #: of the first reading, while a second one checks it
        self.rows = Rows()
        self.ended = False
        self.passed = False
        self.broken = False
        self.filter_ignored = False

    async def resume(self, since: datetime, may_call: MayCall, *, thorough: bool) -> None:
        """As `OffsetWalk.resume`."""
        self.passed = False
        for _ in range(MAX_PAGES):
            if self.ended or self.broken or not may_call():
                return
            page = await self._page(self.metadata, self._cursor)
            rows = page["chats"]
            self.filter_ignored = self.filter_ignored or any(is_foreign(row, self.metadata) for row in rows)
            self._sequence += ids_of(rows)
            is_new, is_fresh = self.rows.add(rows, since)
            is_second = self._first_sequence is not None
            self._repeated = 0 if is_new or is_second else self._repeated + 1
            if self._advance(page) and not thorough:
                is_second = self._first_sequence is not None
                self.passed = is_second or (is_new and self.rows.order.has_passed(is_fresh))
                if self.passed:
                    return

    def _advance(self, page: dict[str, Any]) -> bool:
        """Go on to the next page. Returns whether there is one."""
        cursor = text(page.get("cursor"))
        if "cursor" in page and page["cursor"] is None:
            self._finish()
        elif cursor is None or cursor in self._cursors or self._repeated >= MAX_REPEATED or self._is_longer_now():
            self.broken = True
        else:
            self._cursors.add(cursor)
            self._cursor = cursor
        return not (self.ended or self.broken)

    def _is_longer_now(self) -> bool:
        return self._first_sequence is not None and len(self._sequence) > 2 * len(self._first_sequence)

    def _finish(self) -> None:
        """End the walk, or begin a second reading if several pages came in no visible order.

        Both readings must show the rows in the same order.
        """
        if self._first_sequence is not None:
            common = set(self._first_sequence) & set(self._sequence)
            self.ended = _only(self._first_sequence, common) == _only(self._sequence, common)
            self.broken = not self.ended
        elif self._cursor is None or self.rows.order.is_known:
            self.ended = True
        else:
            self._first_sequence, self._sequence = self._sequence, []
            self._cursor, self._cursors = None, set()


class FilteredWalks:
    """One walk per filter over v2's list, and a walk over the whole list if the filter cannot be trusted."""

    def __init__(self, filters: Sequence[Mapping[str, str]], page: ReadPage) -> None:
        self._filtered = [CursorWalk(metadata, page) for metadata in filters]
        self._everything = CursorWalk({}, page)
        #: Whether v0's filter works; None: it found no chat, which proves nothing.
        self.filter_works: bool | None = None

    async def resume(
        self, since: datetime, may_call: MayCall, *, thorough: bool, filter_works: bool | None = None
    ) -> None:
        """As `OffsetWalk.resume`. `filter_works` is the finding of earlier walks."""
        for walk in self._filtered:
            await walk.resume(since, may_call, thorough=thorough)
            if walk.filter_ignored:
                self._filtered = [walk]  # This walk reads the whole list, so it serves every filter.
                break
        ignored = self._filtered[0].filter_ignored
        if ignored or any(walk.rows.by_id for walk in self._filtered):
            self.filter_works = not ignored
        else:
            self.filter_works = filter_works if thorough or self._asks_for_one_chat() else None
        if thorough and not ignored and self.filter_works is None:
            await self._everything.resume(since, may_call, thorough=True)

    def _asks_for_one_chat(self) -> bool:
        """Whether a filter names the marker of a single chat, so that an empty answer is no surprise."""
        return any("protokeep_marker" in walk.metadata for walk in self._filtered)

    @property
    def _walks(self) -> Sequence[CursorWalk]:
        return (*self._filtered, self._everything)

    @property
    def rows(self) -> dict[str, Mapping[str, Any]]:
        """Every row that any of the walks met, by the chat's id."""
        return {chat_id: row for walk in self._walks for chat_id, (_, row) in walk.rows.by_id.items()}

    @property
    def ended(self) -> bool:
        """Whether every matching row was met, through a filter that works or without a filter."""
        proven = self.filter_works is not None or self._everything.ended
        return proven and all(walk.ended for walk in self._filtered)

    @property
    def passed(self) -> bool:
        """Whether nothing cut the walks."""
        return all(walk.ended or walk.passed for walk in self._filtered)

    @property
    def broken(self) -> bool:
        """Whether rows may have been missed."""
        return any(walk.broken for walk in self._walks)

    def unreadable(self) -> list[Skipped]:
        """Rows without an id, or with metadata that cannot be read."""
        unreadable = [skipped for walk in self._walks for skipped in walk.rows.without_id]
        for chat_id, row in self.rows.items():
            if row["metadata"] is None:
                unreadable.append(Skipped(chat_id, "Its metadata could not be read.", instant(row["createdAt"])))
        return unreadable


def is_foreign(row: Any, metadata: Mapping[str, str]) -> bool:
    """Whether a row carries other metadata than the filter asked for."""
    carried = row.get("metadata") if isinstance(row, dict) else None
    return isinstance(carried, dict) and not matches(carried, metadata)


def matches(carried: Mapping[str, Any], metadata: Mapping[str, str]) -> bool:
    """Whether the metadata that a chat carries holds all of `metadata`."""
    return all(carried.get(key) == value for key, value in metadata.items())


def _only(ids: Sequence[str], common: set[str]) -> list[str]:
    """Those of `ids` that are `common`, each once."""
    return list(dict.fromkeys(chat_id for chat_id in ids if chat_id in common))
