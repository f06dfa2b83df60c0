"""Searches in lists that lie: what was not seen is never called absent, and what is there is found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from providers.lists import NOW, POISON, Lists, ids

OLD, RECENT = timedelta(days=300), timedelta(minutes=20)
only_v1 = pytest.mark.parametrize("version", [1], ids=["v1"])
only_v2 = pytest.mark.parametrize("version", [2], ids=["v2"])


class TestOrder:
    @pytest.mark.parametrize("order", ["newest", "oldest", "stable", "pinned"])
    @pytest.mark.parametrize("filter_works", [True, False])
    async def test_a_list_is_seen_whole_in_any_stable_order(self, version: int, order: str, filter_works: bool) -> None:
        """
        The chat is found, and where it is missing the search says that it saw everything.
        """
        v0 = Lists(version, order=order, filter_works=filter_works)
        v0.add(260, OLD)
        v0.add(60, OLD / 2, pinned=True)

        missing = await v0.find()
        ours = v0.ours()
        found = await v0.find()

        assert (missing.whole, ids(missing)) == (True, [])
        assert ids(found) == [ours.id]

    @pytest.mark.parametrize("thorough", [True, False])
    async def test_old_favourites_first_do_not_end_a_search(self, version: int, thorough: bool) -> None:
        """
        Sixty old favourites come first, newest first among themselves: what is behind them is found all the same.
        """
        v0 = Lists(version, order="pinned", filter_works=False)
        v0.add(200, OLD)
        v0.add(100, OLD / 2, pinned=True)
        ours = v0.ours()

        assert ids(await v0.find(thorough=thorough)) == [ours.id]

    async def test_a_young_favourite_before_old_ones_proves_nothing(self, version: int) -> None:
        """
        A quick search may stop behind it; it does not count as having seen everything, and a thorough one goes on.
        """
        v0 = Lists(version, order="pinned", filter_works=False)
        v0.add(1, timedelta(0), pinned=True)
        v0.add(250, OLD, pinned=True)
        ours = v0.ours()
        provider = v0.provider()

        quick = await v0.find(provider, thorough=False)
        full = await v0.find(provider, continuation=quick.continuation)

        assert (ids(quick), quick.whole, quick.passed) == ([], False, True)
        assert ids(full) == [ours.id]
        await provider.aclose()

    async def test_an_order_that_changes_from_page_to_page_is_never_whole(self, version: int) -> None:
        """
        Every page of a list that is shuffled anew each time: rows may be missed, so nothing is called absent.
        """
        v0 = Lists(version, order="shuffled", filter_works=False)
        v0.add(500, OLD)

        assert [(await v0.find()).whole for _ in range(5)] == [False] * 5

    async def test_a_quick_search_stops_where_chats_become_too_old(self, version: int) -> None:
        """
        In an account of thousands it reads a page or two.
        """
        v0 = Lists(version, filter_works=False)
        v0.add(5, RECENT)
        v0.add(3000, OLD)

        quick = await v0.find(thorough=False)

        assert (quick.passed, quick.reached, quick.whole) == (True, True, False)
        assert v0.pages <= 2


class TestPages:
    @only_v1
    @pytest.mark.parametrize("size", [20, 50, 59])
    async def test_a_short_page_is_not_the_end_of_a_list(self, version: int, size: int) -> None:
        """
        A v0 that answers fewer rows than it is asked for hides none.
        """
        v0 = Lists(version, order="oldest", page_size=size)
        v0.add(130, OLD)
        ours = v0.ours()

        found = await v0.find()

        assert (ids(found), found.whole) == ([ours.id], True)

    @only_v1
    @pytest.mark.parametrize("gone", [1, 9, 10, 25, 49, 60, 120])
    async def test_rows_that_move_up_while_pages_are_read_hide_none(self, version: int, gone: int) -> None:
        """
        Others delete chats between two pages: either what moved up is read again, or nothing is called absent.
        """
        v0 = Lists(version)
        v0.add(400, RECENT)
        late = v0.ours(RECENT + timedelta(milliseconds=205))

        def delete(page: int) -> None:
            if page == 3:
                del v0.chats[:gone]

        v0.before_page = delete
        search = await v0.find(since=NOW - timedelta(hours=1))

        assert ids(search) == [late.id] or not search.whole

    @only_v1
    @pytest.mark.parametrize("new_chats", [1, 10, 45, 60, 130])
    async def test_rows_that_move_down_are_no_reason_to_give_up(self, version: int, new_chats: int) -> None:
        """
        Others create chats between two pages; all that were there are met.
        """
        v0 = Lists(version)
        v0.add(200, RECENT)
        ours = v0.ours(RECENT * 2)

        def create(page: int) -> None:
            if page in (1, 2):
                v0.add(new_chats, timedelta(seconds=-page))

        v0.before_page = create
        search = await v0.find(since=NOW - timedelta(hours=1))

        assert (ids(search), search.ended) == ([ours.id], True) or (new_chats > 10 and not search.whole)

    @only_v1
    async def test_a_chat_that_moves_to_the_front_meanwhile_is_met_there(self, version: int) -> None:
        """
        In a list by last change, a chat behind the page that is read may jump to the front.
        """
        v0 = Lists(version)
        v0.add(200, RECENT)
        ours = v0.ours(RECENT * 2)

        def move(page: int) -> None:
            if page == 2:
                ours.age = timedelta(0)

        v0.before_page = move

        assert ids(await v0.find(since=NOW - timedelta(hours=1))) == [ours.id]

    async def test_repeated_rows_at_page_borders_are_met_once(self, version: int) -> None:
        v0 = Lists(version, repeated_rows=10, filter_works=False)
        v0.add(230, RECENT)
        ours = v0.ours(OLD)

        search = await v0.find(since=NOW - OLD * 2)

        assert ids(search) == [ours.id]
        assert search.ended

    @only_v1
    async def test_the_same_page_again_and_again_is_given_up(self, version: int) -> None:
        """
        A v0 that ignores the offset has not shown its end.
        """
        v0 = Lists(version)
        v0.add(60, RECENT)
        provider = v0.provider()
        v0.before_page = lambda page: None
        v0.repeated_rows = 10**6

        search = await v0.find(provider)

        assert not search.whole
        assert v0.pages <= 10
        await provider.aclose()

    @only_v2
    @pytest.mark.parametrize("cursor", [5, {}, "", ["a"], "missing"], ids=str)
    async def test_a_cursor_that_is_none_is_no_end(self, version: int, cursor: Any) -> None:
        from providers.conftest import MARKS, answering, none_known, says

        body = {"chats": [], "cursor": cursor} if cursor != "missing" else {"chats": []}
        provider, _ = answering(version, says(200, body))

        assert not (await provider.find([MARKS], sent_after=NOW, known=none_known)).whole
        await provider.aclose()


class TestFilter:
    @only_v2
    async def test_a_filter_that_finds_nothing_is_not_believed(self, version: int) -> None:
        """
        An index that is broken or lags answers an empty list; the whole list has the chat.
        """
        v0 = Lists(version, filter_finds_nothing=True)
        v0.add(250, OLD)
        ours = v0.ours()

        assert ids(await v0.find()) == [ours.id]

    @only_v2
    async def test_a_filter_that_was_seen_to_work_saves_the_walk(self, version: int) -> None:
        """
        One call is enough then, however many chats the account has.
        """
        v0 = Lists(version)
        v0.add(2000, OLD)
        v0.add(3, RECENT, metadata={"protokeep": "keeper-1", "protokeep_marker": "another"})
        provider = v0.provider()
        quick = await provider.find([{"protokeep": "keeper-1"}], sent_after=NOW, known=_all_known, thorough=False)
        assert (quick.reached, ids(quick)) == (True, [])

        assert (await v0.find(provider)).whole
        assert v0.pages == 2
        await provider.aclose()


async def _all_known(chats: Sequence[str]) -> set[str]:
    return set(chats)


class TestUnreadable:
    @only_v1
    @pytest.mark.parametrize("poison", POISON)
    async def test_one_chat_that_cannot_be_read_hides_no_other(self, version: int, poison: str) -> None:
        """
        It is passed over and named; the search found what it could, and is not whole.
        """
        v0 = Lists(version)
        (bad,) = v0.add(1, RECENT, poison=poison)
        ours = v0.ours(RECENT * 2)

        search = await v0.find(since=NOW - timedelta(hours=1))

        assert ids(search) == [ours.id]
        assert [one.chat_id for one in search.skipped] == [bad.id]
        assert (search.ended, search.whole, search.error) == (True, False, None)

    @only_v1
    async def test_an_unreadable_chat_that_is_too_old_does_not_matter(self, version: int) -> None:
        """
        It was made long before the create was sent, by any clock.
        """
        v0 = Lists(version)
        v0.add(1, timedelta(hours=3), poison="private")
        (near,) = v0.add(1, timedelta(minutes=70), poison="private")

        search = await v0.find()

        assert [one.chat_id for one in search.skipped] == [near.id]
        assert not search.whole_since(NOW)
        assert search.whole_since(NOW + timedelta(hours=1))

    @only_v1
    async def test_unreadable_chats_are_read_again_ever_more_seldom(self, version: int) -> None:
        v0 = Lists(version)
        (private,) = v0.add(1, RECENT, poison="private")
        (failing,) = v0.add(1, RECENT, poison="failing")
        v0.add(20, RECENT)
        provider = v0.provider()

        for _ in range(20):
            assert not (await v0.find(provider)).whole

        assert {v0.read[chat.id] for chat in v0.chats[2:]} == {1}
        assert v0.read[private.id] <= 3
        assert 3 <= v0.read[failing.id] <= 6
        failing.poison = private.poison = None
        for _ in range(40):
            await v0.find(provider)
        assert (await v0.find(provider)).whole
        await provider.aclose()

    @only_v1
    async def test_an_outage_is_not_taken_for_many_unreadable_chats(self, version: int) -> None:
        """
        Errors of v0's own one after the other cut the search.
        """
        v0 = Lists(version)
        v0.add(100, RECENT, poison="failing")

        search = await v0.find()

        assert search.error is not None
        assert sum(v0.read.values()) < 15
        assert not search.reached

    @pytest.mark.parametrize(
        "row",
        [5, None, [], {}, {"id": None}, {"id": 17}, {"id": {}}, {"id": "x" * 201}, {"id": "a\x00b"}],
        ids=repr,
    )
    async def test_rows_without_an_id_are_passed_over_but_not_forgotten(self, version: int, row: Any) -> None:
        v0 = Lists(version, filter_works=False)
        v0.add(1, RECENT, row=row if row is not None else [])
        ours = v0.ours()

        search = await v0.find()

        assert ids(search) == [ours.id]
        assert (search.ended, search.whole, len(search.skipped)) == (True, False, 1)

    async def test_a_row_without_an_id_that_is_too_old_does_not_matter(self, version: int) -> None:
        v0 = Lists(version, filter_works=False)
        v0.add(1, RECENT, row={"id": 5, "createdAt": "2025-01-01T00:00:00Z", "metadata": {}})

        assert (await v0.find()).whole

    async def test_a_row_that_is_too_large_hides_no_other(self, version: int) -> None:
        """
        Eight megabytes of title in one row: the other rows of its page are read in smaller pages.
        """
        v0 = Lists(version, filter_works=False)
        v0.add(30, RECENT)
        large: dict[str, Any] = {"id": "large", "title": "x" * (8 * 1024 * 1024), "metadata": {}}
        v0.add(1, RECENT, row=large)
        ours = v0.ours(RECENT * 2)

        search = await v0.find(since=NOW - timedelta(hours=1))

        assert version == 2 or ids(search) == [ours.id]
        assert not search.whole

    @only_v2
    @pytest.mark.parametrize("metadata", [[], "x", 5, None], ids=repr)
    async def test_rows_whose_metadata_cannot_be_read_hide_no_other(self, version: int, metadata: Any) -> None:
        v0 = Lists(version, filter_works=False)
        v0.add(1, RECENT, row={"id": "odd", "createdAt": "2026-01-02T03:04:00Z", "metadata": metadata})
        ours = v0.ours()

        search = await v0.find()

        assert (ids(search), search.whole) == ([ours.id], False)


class TestCut:
    @pytest.mark.parametrize("calls", [1, 3, 7])
    async def test_a_search_that_is_cut_by_its_calls_goes_on_where_it_was(self, version: int, calls: int) -> None:
        """
        Part after part; each makes about so many calls, and together no more than one search in one part.
        """
        v0 = Lists(version, order="oldest", filter_works=False)
        v0.add(330, OLD)
        v0.add(12, RECENT)
        ours = v0.ours()
        whole = Lists(version, v0.chats, order="oldest", filter_works=False)
        await whole.find()
        provider = v0.provider()

        search = await v0.find(provider, calls=calls)
        parts = 1
        while search.continuation is not None:
            assert not search.whole
            before = v0.pages + sum(v0.read.values())
            search = await v0.find(provider, calls=calls, continuation=search.continuation)
            assert v0.pages + sum(v0.read.values()) - before <= calls + 4
            parts += 1

        assert (ids(search), search.ended) == ([ours.id], True)
        assert v0.pages + sum(v0.read.values()) <= whole.pages + sum(whole.read.values()) + parts
        await provider.aclose()

    @pytest.mark.parametrize("failure", [(429, {}), (500, {}), (200, {"data": 5}), (403, {})], ids=str)
    async def test_an_error_in_the_middle_of_a_search_keeps_what_was_found(
        self, version: int, failure: tuple[int, Any]
    ) -> None:
        v0 = Lists(version, filter_works=False)
        v0.add(210, RECENT)
        v0.fails = lambda page: failure if page == 3 else None
        provider = v0.provider()

        cut = await v0.find(provider)
        v0.ours(RECENT * 2)
        done = await v0.find(provider, continuation=cut.continuation, since=NOW - timedelta(hours=1))

        assert (cut.whole, cut.reached) == (False, False)
        assert cut.error is not None
        assert len(done.chats) == 1
        await provider.aclose()

    @only_v1
    async def test_ten_thousand_chats_oldest_first(self, version: int) -> None:
        """
        More pages than one part reads: the last chat of the list is found by the next part.
        """
        v0 = Lists(version, order="oldest")
        v0.add(10_100, OLD)
        ours = v0.ours()
        provider = v0.provider()

        first = await v0.find(provider)
        second = await v0.find(provider, continuation=first.continuation)

        assert (first.whole, ids(first)) == (False, [])
        assert (second.ended, ids(second)) == (True, [ours.id])
        await provider.aclose()
