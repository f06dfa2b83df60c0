"""Whole accounts: every chat is met while others work there, in few calls; lists that lie are never called whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

import protokeep
from protokeep.core.census import ChatContent
from protokeep.core.errors import OutcomeUnknown
from protokeep.providers.base import Provider
from protokeep.providers.census_port import with_census
from protokeep.providers.v0_walks import PAGE
from protokeep.sandbox import Chat
from protokeep.sandbox.backend import Request
from providers.accounts import Account, account_of, read_whole
from providers.conftest import V0, answering, provider_of, says
from providers.lists import NOW, Lists

#: Readings of each list while people are at work; `make census` reads accounts of 4,000 chats, many times.
SEEDS = int(os.environ.get("PROTOKEEP_CENSUSES", "0"))
SIZE = 4000 if SEEDS else 420
ORDERS = ("newest", "oldest", "random", "favorites", "updated")
only_v1 = pytest.mark.parametrize("version", [1], ids=["v1"])
only_v2 = pytest.mark.parametrize("version", [2], ids=["v2"])


@dataclass
class Deleting:
    """Deletes chats while a list is read, before its page of that number."""

    lists: Lists
    page: int
    first: int
    count: int

    def __call__(self, page: int) -> None:
        if page == self.page:
            del self.lists.chats[self.first : self.first + self.count]


async def costs_of(account: Account) -> dict[str, float]:
    """All credits that the account's reports name."""
    costs: dict[str, float] = {}
    position = None
    while True:
        page = await account.provider.costs_page(position)
        for chat_id, spent in page.credits.items():
            costs[chat_id] = costs.get(chat_id, 0.0) + spent
        position = page.position
        if position is None:
            return costs


class TestReading:
    @pytest.mark.parametrize("order", ORDERS)
    async def test_no_chat_is_missed_while_people_are_at_work(self, version: int, order: str) -> None:
        """
        People rename, favourite, share, continue, delete and create chats before every page: no old chat is missed.
        """
        for seed in range(SEEDS or 1):
            async with account_of(version, SIZE, seed=seed) as account:
                account.sandbox.set_knobs(list_order=order)
                account.at_work(seed, edits=2)
                read = await read_whole(account.provider)

                assert account.there - set(read.chats) == set(), seed
                assert read.broken == 0, seed

    async def test_a_census_takes_few_calls_and_names_projects_and_costs(self, version: int) -> None:
        """
        4,000 chats with projects and costs take at most 160 calls; costs older than a week count.
        """
        async with account_of(version, SIZE) as account:
            read = await read_whole(account.provider)
            names = await account.provider.project_names()
            costs = await costs_of(account)
            oldest = min(costs, key=lambda chat_id: account.sandbox.chats[chat_id].created_at)

            assert account.there == set(read.chats)
            assert read.calls == (-(-(SIZE - PAGE) // 55) + 3 if version == 1 else -(-SIZE // 100))
            assert account.provider.calls <= SIZE / 25 + 3 or not SEEDS
            assert account.provider.calls <= 160
            assert set(names) or version == 2
            assert {chat.project_id for chat in read.chats.values()} - {None} <= set(names)
            assert (NOW - account.sandbox.chats[oldest].created_at).days > 30
            assert len(costs) > SIZE * 0.9
            assert min(costs.values()) > 0

    async def test_rows_say_what_the_chats_are(self, version: int) -> None:
        """
        Names, authors, rights, privacy and times are those of the chats; what a version's lists do not tell is None.
        """
        async with account_of(version, 200) as account:
            read = await read_whole(account.provider)

            for chat in account.chats:
                seen = read.chats[chat.id]
                assert (seen.name, seen.privacy) == (chat.shown_name or "", chat.privacy)
                assert seen.created_at is not None
                assert abs(seen.created_at - chat.created_at) < timedelta(milliseconds=1)
                assert seen.vercel_project_id == chat.vercel_project_id
                if version == 1:
                    assert (seen.content, seen.is_favorite) == (self.content_of(account, chat), chat.favorite)
                    assert (seen.project_id, seen.metadata, seen.may_delete) == (chat.project_id, None, None)
                else:
                    assert (seen.content, seen.is_favorite) == (ChatContent.UNTOLD, None)
                    assert (seen.metadata, seen.may_delete) == (chat.metadata, chat.writable)

    @staticmethod
    def content_of(account: Account, chat: Chat) -> ChatContent:
        """What a chat of the emulator holds."""
        version = chat.latest_version(account.clock.now)
        told = {"pending": ChatContent.GENERATING, "completed": ChatContent.FINISHED, "failed": ChatContent.FAILED}
        return told[version.status] if version else ChatContent.EMPTY

    @only_v1
    @pytest.mark.parametrize("count", [4, 50, 150])
    async def test_rows_that_go_away_make_it_step_back(self, version: int, count: int) -> None:
        """
        Chats above the place where it reads are deleted between two pages: the rows that moved up are met all the same.
        """
        v0 = Lists(version)
        chats = v0.add(600, NOW - NOW)
        v0.before_page = Deleting(v0, page=4, first=20, count=count)

        read = await read_whole(v0.provider())

        assert {chat.id for chat in v0.chats} <= set(read.chats) <= {chat.id for chat in chats}
        assert read.broken == 0

    async def test_a_chat_that_moves_up_twice_is_met(self, version: int) -> None:
        """
        Chats move from the unread part to the top, and one of them again while the top is read once more.
        """
        moving, moves_at, again_at = {1: (100, 3, 11), 2: (150, 2, 5)}[version]
        async with account_of(version, 420) as account:
            by_change = sorted(account.chats, key=lambda chat: chat.last_touched(account.clock.now))
            moved = sorted(by_change[:moving], key=lambda chat: chat.sequence)

            def edit(request: Request) -> None:
                account.clock.advance(60)
                for chat in moved if request.number == moves_at else moved[:1] if request.number == again_at else []:
                    account.sandbox.edit(chat.id, "rename")

            account.sandbox.set_knobs(list_order="updated")
            account.sandbox.before_request = edit
            read = await read_whole(account.provider)

            assert (account.there - set(read.chats), read.broken) == (set(), 0)

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 59, 60, 61, 100, 101, 200])
    async def test_accounts_of_any_size_end(self, version: int, size: int) -> None:
        """
        Nothing is missed at the edges of pages, nor in an empty account.
        """
        v0 = Lists(version)
        v0.add(size, NOW - NOW)

        read = await read_whole(v0.provider())

        assert (len(read.chats), read.broken, read.unreadable) == (size, 0, [])

    @pytest.mark.parametrize("page_size", [7, 20, 59])
    async def test_a_short_page_is_not_the_end(self, version: int, page_size: int) -> None:
        """
        v0 may answer fewer rows than were asked for.
        """
        v0 = Lists(version, page_size=page_size)
        v0.add(150, NOW - NOW)
        if version == 1:
            v0.before_page = Deleting(v0, page=3, first=0, count=page_size)

        assert {chat.id for chat in v0.chats} <= set((await read_whole(v0.provider())).chats)

    async def test_a_list_in_another_order_each_time_is_broken(self, version: int) -> None:
        """
        A list that is shuffled for every page is never called whole.
        """
        v0 = Lists(version, order="shuffled")
        v0.add(500, NOW - NOW)

        read = await read_whole(v0.provider())

        assert read.broken == 5 if version == 1 else len(read.chats) < 500 or read.broken == 0

    async def test_rows_that_cannot_be_read_hide_no_others(self, version: int) -> None:
        """
        A row that is no object, has no id, or has metadata that is none, is told; all others are read.
        """
        v0 = Lists(version)
        chats = v0.add(130, NOW - NOW)
        for number, row in enumerate(["a text", {}, {"id": "../x"}, {"id": "a b"}, ["a list"]]):
            chats[20 * number].row = row
        if version == 2:
            chats[129].row = {"id": "odd", "metadata": []}

        read = await read_whole(v0.provider())

        assert len(read.chats) == 130 - 5 - (version - 1)
        assert "(a row without an id)" in {skipped.chat_id for skipped in read.unreadable}
        assert version == 1 or "odd" in {skipped.chat_id for skipped in read.unreadable}
        assert read.broken == 0

    async def test_rows_that_are_too_large_hide_no_others(self, version: int) -> None:
        """
        Rows that are too large together are read one by one; in v1 one that is too large by itself is passed over.
        """
        v0 = Lists(version)
        chats = v0.add(130, NOW - NOW)
        metadata: dict[str, Any] = {"metadata": {}} if version == 2 else {}
        for number in (70, 72):
            chats[number].row = {"id": f"large-{number}", "name": "x" * 5 * 1024 * 1024, **metadata}
        if version == 1:
            chats[100].row = {"id": "huge", "name": "x" * 9 * 1024 * 1024}

        read = await read_whole(v0.provider())

        assert {chat.id for chat in chats if chat.row is None} < set(read.chats)
        assert {"large-70", "large-72"} < set(read.chats)
        assert {skipped.reason for skipped in read.unreadable} == (
            {"Its row in the list was too large to be read."} if version == 1 else set()
        )

    @only_v2
    @pytest.mark.parametrize("cursor", ["again", "", 7, {}, "x" * 3000])
    async def test_a_cursor_that_leads_nowhere_is_broken(self, version: int, cursor: Any) -> None:
        """
        A cursor that repeats, or is none, ends no list.
        """
        row = {"id": "one", "createdAt": "2026-01-01T00:00:00Z", "metadata": {}}
        provider, _ = answering(version, says(200, {"chats": [row], "cursor": cursor}))

        read = await read_whole(provider)

        assert (read.broken, list(read.chats)) == (5, ["one"])
        assert read.calls <= 2 * 5

    @only_v2
    async def test_a_cursor_that_v0_has_forgotten_is_broken(self, version: int) -> None:
        """
        A reading that goes on days later begins again; v0's own troubles are raised.
        """
        refusing, _ = answering(version, says(422, {"message": "cursor: is not one of this list"}))
        failing, _ = answering(version, says(500, {"message": "boom"}))

        assert (await refusing.read_account({"cursor": "old"}, set())).is_broken
        with pytest.raises(OutcomeUnknown):
            await failing.read_account({"cursor": "old"}, set())

    @only_v1
    async def test_a_list_that_goes_round_in_circles_is_broken(self, version: int) -> None:
        """
        The same full page for every offset is no end.
        """
        rows = [{"id": f"chat-{number}", "createdAt": "2026-01-01T00:00:00Z"} for number in range(60)]
        provider, _ = answering(version, says(200, {"data": rows}))

        assert (await read_whole(provider)).broken == 5

    async def test_the_names_of_others_cannot_steer(self, version: int) -> None:
        """
        A name is one line without what a terminal obeys; an address that may not be shown is none.
        """
        row = {"id": "one", "name": "a\x1b[31m\nb\x00" + "x" * 9000, "webUrl": "javascript:x", "metadata": {"k": "v"}}
        row["title"] = row["name"]
        provider, _ = answering(version, says(200, {"data": [row], "chats": [row], "cursor": None}))

        (chat,) = (await read_whole(provider)).chats.values()

        assert chat.name.startswith("a\ufffd[31m b\ufffd")
        assert len(chat.name) == 500
        assert chat.web_url == (None if version == 1 else "http://v0.test/chat/one")


class TestFirstPrompt:
    async def test_the_first_prompt_of_a_long_chat_is_on_the_last_page(self, v0: V0) -> None:
        """
        Eighty follow-ups later the first prompt is still told, as it was sent.
        """
        chat = await v0.create("  The very first:\na shop  ")
        for _ in range(80):
            v0.clock.advance(60)
            v0.sandbox.edit(chat.chat_id, "write")

        assert await v0.provider.first_prompt(chat.chat_id) == "  The very first:\na shop  "

    async def test_a_prompt_is_cut_and_none_is_none(self, version: int) -> None:
        """
        What is longer than is compared is cut; a chat without a message of a person has no prompt.
        """
        long = {"id": "m", "role": "user", "content": "x" * 300_000, "createdAt": "2026-01-01T00:00:00Z"}
        for rows, prompt in (([long], "x" * 20_000), ([{**long, "role": "assistant"}], None), ([], None)):
            provider, _ = answering(version, says(200, {"data": rows, "messages": rows, "cursor": None}))
            assert await provider.first_prompt("one") == prompt

    async def test_messages_that_do_not_end_are_no_chat(self, version: int) -> None:
        """
        A cursor that repeats, and more messages than are read, raise: no first prompt is guessed, no copy is half.
        """
        rows = [{"id": f"m{number}", "role": "user", "content": "x", "createdAt": ""} for number in range(100)]
        calls = 0

        def answer(request: httpx2.Request) -> httpx2.Response:
            nonlocal calls
            calls += 1
            cursor = "again" if is_circle else f"cursor-{calls}"
            page = {"hasMore": True, "nextCursor": cursor}
            return httpx2.Response(200, json={"data": rows, "messages": rows, "cursor": cursor, "pagination": page})

        for is_circle in (True, False):
            calls = 0
            provider, _ = answering(version, answer)
            for read in (provider.first_prompt, provider.copy_chat):
                with pytest.raises(OutcomeUnknown):
                    await read("one")
            assert calls <= 2 * (2 if is_circle and version == 2 else 21)


class TestCosts:
    async def test_costs_are_asked_from_the_beginning(self, version: int) -> None:
        """
        Every page of the first reading asks for all years, also where a version would begin a week ago.
        """
        provider, asked = answering(version, says(200, {"data": []}))
        assert (await provider.costs_page(None)).position is None
        (request,) = asked.asked
        assert request.url.params["startDate" if version == 1 else "start"] < "2022"

    async def test_a_cursor_that_repeats_ends_the_costs(self, version: int) -> None:
        """
        An empty page is not the end; a page that leads to itself is.
        """
        pagination = {"hasMore": True, "nextCursor": "next", "cursor": "next"}
        provider, _ = answering(version, says(200, {"data": [], "pagination": pagination}))
        assert (await provider.costs_page(None)).position == "next"
        assert (await provider.costs_page("next")).position is None


class TestPort:
    def test_both_versions_can_be_read_whole(self, version: int) -> None:
        """
        The port is supported, and a provider without it is told apart.
        """
        assert with_census(provider_of(version)) is not None
        assert with_census(object.__new__(type("Plain", (Provider,), {}))) is None

    def test_no_project_is_deleted(self) -> None:
        """
        v0's call that deletes a project with all its chats for good is not in the code (rule R7).
        """
        package = Path(protokeep.__file__).parent
        code = [path for path in package.rglob("*.py") if "sandbox" not in path.parts]
        assert not [path for path in code if "deleteAllChats" in path.read_text(encoding="utf-8")]
