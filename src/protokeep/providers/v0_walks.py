"""Walks over v0's lists of chats that know whether they saw everything.

A list may lie in many ways: favourites come first, rows shift while others create and delete, pages repeat, a page is
short and not the last one, a filter is ignored. A walk that cannot be sure says so; it can be cut and gone on with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import dropwhile, takewhile
from typing import Any

from protokeep.providers.base import CLOCK_SLACK, Skipped
from protokeep.providers.v0_http import instant, text

#: Rows of one page of v1's list.
PAGE = 60
#: Rows that two of its pages share: others create while we walk, which shifts every offset.
OVERLAP = 10
#: Pages of one part of a walk; the next part goes on behind them.
MAX_PAGES = 200
#: Pages in a row that hold no new row, after which a list counts as going round in circles.
MAX_REPEATED = 5
#: How often a walk steps back because rows between two pages may have been missed.
MAX_STEPS_BACK = 3

#: Whether another call may be made.
MayCall = Callable[[], bool]


class Order:
    """What the times of a list's rows say about its order, over a whole walk."""

    def __init__(self) -> None:
        self.newest_first = True
        self.oldest_first = True
        self.fresh_seen = False
        self._previous: datetime | None = None

    @property
    def is_known(self) -> bool:
        """Whether all rows so far came in the order of their times."""
        return self.newest_first or self.oldest_first

    def add(self, created: datetime | None, since: datetime) -> bool:
        """Take the next row; whether it may be as young as `since`."""
        if created is not None and self._previous is not None:
            self.newest_first = self.newest_first and created <= self._previous
            self.oldest_first = self.oldest_first and created >= self._previous
        self._previous = created or self._previous
        fresh = created is None or created >= since - CLOCK_SLACK
        self.fresh_seen = self.fresh_seen or fresh
        return fresh

    def has_passed(self, page_is_fresh: bool) -> bool:
        """Whether the list went from young rows to older ones. Old rows alone prove nothing: favourites come first."""
        return self.newest_first and self.fresh_seen and not page_is_fresh


class Rows:
    """The rows that a walk met, each once, in the order of the list."""

    def __init__(self) -> None:
        self.met: dict[str, tuple[datetime | None, Mapping[str, Any]]] = {}
        self.nameless: list[Skipped] = []
        self.order = Order()

    def add(self, rows: Sequence[Any], since: datetime) -> tuple[bool, bool]:
        """Take a page; whether any row is new, and whether any new one may be as young as `since`."""
        news = fresh = False
        for row in rows:
            chat_id = text(row.get("id"), 200) if isinstance(row, dict) else None
            created = instant(row.get("createdAt")) if isinstance(row, dict) else None
            if chat_id is None:
                skipped = Skipped("(a row without an id)", "Its row in the list could not be read.", created)
                self.nameless = [*self.nameless, skipped] if skipped not in self.nameless else self.nameless
                fresh = fresh or skipped.may_be_of(since)
            elif chat_id not in self.met:
                self.met[chat_id] = created, row
                news = True
                fresh = self.order.add(created, since) or fresh
        return news, fresh

    def made_since(self, since: datetime) -> dict[str, datetime | None]:
        """The chats that may have been made after `since`, and when they were."""
        return {
            chat_id: created
            for chat_id, (created, _) in self.met.items()
            if created is None or created >= since - CLOCK_SLACK
        }


def ids_of(rows: Sequence[Any]) -> list[str]:
    """The ids of those rows that have one."""
    return [chat_id for row in rows if isinstance(row, dict) and (chat_id := text(row.get("id"), 200))]


class OffsetWalk:
    """A walk over v1's list. Its rows are in `rows`; `ended` says whether they are all."""

    def __init__(self, page: Callable[[int], Awaitable[list[Any]]]) -> None:
        """`page` reads the rows from an offset on, at most `PAGE` of them."""
        self._page = page
        self._offset = 0
        self._sequence: list[str] = []
        self._top: str | None = None
        self._repeated = 0
        self._steps_back = 0
        self.rows = Rows()
        self.ended = False
        self.passed = False
        self.broken = False  #: rows may have been missed, so that it never ends in good order

    async def go_on(self, since: datetime, may_call: MayCall, *, thorough: bool) -> None:
        """Read on to the end, or until no call may be made. One that is not thorough stops at rows that are too old."""
        self.passed = False
        for _ in range(MAX_PAGES):
            if self.ended or self.broken or not may_call():
                return
            rows = await self._page(self._offset)
            ids = self._without_newer(ids_of(rows))
            lead = list(takewhile(self.rows.met.__contains__, ids))
            if self._sequence and not self._joins(ids, lead):
                self._step_back()
                continue
            self._sequence = (self._sequence + ids[len(lead) :])[-2 * PAGE :]
            news, fresh = self.rows.add(rows, since)
            self._repeated = 0 if news else self._repeated + 1
            if len(rows) < PAGE and not news:
                await self._look_at_front(since)
            elif self._repeated >= MAX_REPEATED:
                self.broken = True
            else:
                self._offset = max(self._offset + len(rows) - OVERLAP, 0)
                if news and not thorough and self.rows.order.has_passed(fresh):
                    self.passed = True
                    return

    def _without_newer(self, ids: list[str]) -> list[str]:
        """The ids without those that stand above all that was met before: they were made since."""
        self._top = self._top or (ids[0] if ids else None)
        met = list(dropwhile(lambda chat_id: chat_id not in self.rows.met, ids))
        return met if met and (self._offset == 0 or met[0] == self._top) else ids

    def _joins(self, ids: list[str], lead: list[str]) -> bool:
        """Whether this page continues the rows before it, so that none between them was missed."""
        return bool(lead) and (len(lead) == len(ids) or self._sequence[-len(lead) :] == lead)

    def _step_back(self) -> None:
        """Rows went away, or the order is not stable: read a page further up again, and give up after some."""
        self._steps_back += 1
        self.broken = self._steps_back > MAX_STEPS_BACK or self._offset == 0
        self._offset = max(self._offset - self._steps_back * (PAGE - OVERLAP), 0)

    async def _look_at_front(self, since: datetime) -> None:
        """The end of the list. What moved to its front while other pages were read is met there."""
        if len(self.rows.met) > PAGE:
            rows = await self._page(0)
            self.broken = not any(chat_id in self.rows.met for chat_id in ids_of(rows))
            self.rows.add(rows, since)
        self.ended = not self.broken


class CursorWalk:
    """A walk over v2's list, with a filter or (`metadata` empty) without one."""

    def __init__(
        self, marks: Mapping[str, str], page: Callable[[Mapping[str, str], str | None], Awaitable[dict[str, Any]]]
    ) -> None:
        self.marks = marks
        self._page = page
        self._cursor: str | None = None
        self._cursors: set[str] = set()
        self._repeated = 0
        self._sequence: list[str] = []
        self._before: list[str] | None = None
        self.rows = Rows()
        self.ended = False
        self.passed = False
        self.broken = False
        self.filter_ignored = False

    async def go_on(self, since: datetime, may_call: MayCall, *, thorough: bool) -> None:
        """As `OffsetWalk.resume`."""
        self.passed = False
        for _ in range(MAX_PAGES):
            if self.ended or self.broken or not may_call():
                return
            page = await self._page(self.marks, self._cursor)
            rows = page["chats"]
            self.filter_ignored = self.filter_ignored or any(is_foreign(row, self.marks) for row in rows)
            self._sequence += ids_of(rows)
            news, fresh = self.rows.add(rows, since)
            self._repeated = 0 if news or self._before is not None else self._repeated + 1
            if self._advance(page) and not thorough:
                self.passed = self._before is not None or (news and self.rows.order.has_passed(fresh))
                if self.passed:
                    return

    def _advance(self, page: dict[str, Any]) -> bool:
        """Whether there is more to read."""
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
        return self._before is not None and len(self._sequence) > 2 * len(self._before)

    def _finish(self) -> None:
        """Rows of several pages that come in no order are read a second time: they must come in the same one."""
        if self._before is not None:
            both = set(self._before) & set(self._sequence)
            self.ended = _only(self._before, both) == _only(self._sequence, both)
            self.broken = not self.ended
        elif self._cursor is None or self.rows.order.is_known:
            self.ended = True
        else:
            self._before, self._sequence = self._sequence, []
            self._cursor, self._cursors = None, set()


class FilteredWalks:
    """A walk per filter of v2's list, and one without a filter where filters cannot be trusted."""

    def __init__(
        self,
        wanted: Sequence[Mapping[str, str]],
        page: Callable[[Mapping[str, str], str | None], Awaitable[dict[str, Any]]],
    ) -> None:
        self._filtered = [CursorWalk(marks, page) for marks in wanted]
        self._everything = CursorWalk({}, page)
        #: Whether the filter answers what it is asked for; None: it answered nothing, which says nothing.
        self.filter_works: bool | None = None

    async def go_on(
        self, since: datetime, may_call: MayCall, *, thorough: bool, filter_works: bool | None = None
    ) -> None:
        """As `OffsetWalk.resume`. `filter_works` is what earlier walks found out."""
        for walk in self._filtered:
            await walk.go_on(since, may_call, thorough=thorough)
            if walk.filter_ignored:
                self._filtered = [walk]  # It walks the whole list, and serves all.
                break
        ignored = self._filtered[0].filter_ignored
        if ignored or any(walk.rows.met for walk in self._filtered):
            self.filter_works = not ignored
        else:
            self.filter_works = filter_works if thorough or self._asks_for_one_chat() else None
        if thorough and not ignored and self.filter_works is None:
            await self._everything.go_on(since, may_call, thorough=True)

    def _asks_for_one_chat(self) -> bool:
        """Whether an empty answer is no surprise: the marker is that of a chat which may not exist."""
        return any("protokeep_marker" in walk.marks for walk in self._filtered)

    @property
    def met(self) -> dict[str, Mapping[str, Any]]:
        """Every row that any of the walks met, by the chat's id."""
        return {
            chat_id: row for walk in (*self._filtered, self._everything) for chat_id, (_, row) in walk.rows.met.items()
        }

    @property
    def ended(self) -> bool:
        """Whether everything was seen, by a filter that works or without one."""
        proven = self.filter_works is not None or self._everything.ended
        return proven and all(walk.ended for walk in self._filtered)

    @property
    def passed(self) -> bool:
        """Whether nothing cut the walks."""
        return all(walk.ended or walk.passed for walk in self._filtered)

    @property
    def broken(self) -> bool:
        """Whether rows may have been missed."""
        return any(walk.broken for walk in (*self._filtered, self._everything))

    def unreadable(self) -> list[Skipped]:
        """Rows without an id, or whose metadata cannot be read."""
        found = [one for walk in (*self._filtered, self._everything) for one in walk.rows.nameless]
        for chat_id, row in self.met.items():
            if not isinstance(row.get("metadata"), dict):
                found.append(Skipped(chat_id, "Its metadata could not be read.", instant(row.get("createdAt"))))
        return found


def is_foreign(row: Any, marks: Mapping[str, str]) -> bool:
    """Whether a row carries other marks than those that were asked for."""
    carried = row.get("metadata") if isinstance(row, dict) else None
    return isinstance(carried, dict) and not carries(carried, marks)


def carries(carried: Mapping[str, Any], marks: Mapping[str, str]) -> bool:
    """Whether a chat's metadata holds all of `metadata`."""
    return all(carried.get(key) == value for key, value in marks.items())


def _only(ids: Sequence[str], those: set[str]) -> list[str]:
    return list(dict.fromkeys(chat_id for chat_id in ids if chat_id in those))
