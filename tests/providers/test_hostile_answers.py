"""Answers that v0 should never give, and gateways, proxies and strangers do."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected, ProviderUnreachable
from protokeep.core.prototype import ObservedState
from protokeep.providers.base import PollResult, PollTarget, Provider
from protokeep.providers.v0_fields import instant
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_refusals import retry_after
from providers.conftest import MARKS, ROOT, answering, none_known, says

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HTML = "<!doctype html><title>502 Bad Gateway</title>"
DEEP = "[" * 100_000

#: Successes that hold no id which could be trusted.
UNREADABLE = {
    "html": says(200, HTML),
    "empty": says(200, b""),
    "no content": says(204, b""),
    "cut": says(200, '{"id": "abc", "chatId": "ab'),
    "not utf-8": says(200, b'{"id": "\xff\xfe'),
    "too deep": says(200, DEEP),
    "long number": says(200, "1" * 5000),
    "null": says(200, "null"),
    "list": says(200, [{"id": "x", "chatId": "x"}]),
    "text": says(200, '"chat"'),
    "number": says(200, "17"),
    "no id": says(200, {"object": "chat"}),
    "id is null": says(200, {"id": None, "chatId": None}),
    "id is a number": says(200, {"id": 17, "chatId": 17}),
    "id is an object": says(200, {"id": {}, "chatId": {}}),
    "id is empty": says(200, {"id": "", "chatId": ""}),
    "id is endless": says(200, {"id": "x" * 201, "chatId": "x" * 201}),
    "id holds NUL": says(200, {"id": "a\x00b", "chatId": "a\x00b"}),
    "id holds half a character": says(200, '{"id": "\\ud800", "chatId": "\\ud800"}'),
    "error inside": says(200, {"error": {"message": "no", "type": "internal_server_error"}}),
    "message inside": says(200, {"message": "Something went wrong"}),
    "broken gzip": says(200, b"no gzip", content_encoding="gzip"),
    "gzip of too much": says(200, gzip.compress(b" " * 9_000_000), content_encoding="gzip"),
    "redirect": says(302, b"", location="https://evil.example/"),
    "see other": says(303, b"", location="/v3/chats"),
    "not modified": says(304, b""),
}


class TestCreate:
    @pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
    async def test_a_success_without_an_id_is_unknown_and_asked_once(self, version: int, answer: Any) -> None:
        """
        A success without an id may have acted: unknown, asked once, and never anywhere else.
        """
        provider, transport = answering(version, answer)

        with pytest.raises(OutcomeUnknown) as caught:
            await provider.create("A shop", MARKS)

        assert str(caught.value).startswith("v0 ") or str(caught.value).startswith("v0's ")
        assert [request.url.host for request in transport.asked] == ["v0.test"]

    @pytest.mark.parametrize(
        "body",
        [HTML, "", DEEP, '{"error": 17}', '{"error": {"message": null}}', "null", "[]", b"\xff\x00"],
        ids=["html", "empty", "too deep", "number", "null message", "null", "list", "not utf-8"],
    )
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, ProviderRejected),
            (402, ProviderBusy),
            (429, ProviderBusy),
            (422, ProviderRejected),
            (500, OutcomeUnknown),
        ],
    )
    async def test_an_unreadable_refusal_is_decided_by_its_status(
        self, version: int, status: int, error: type[ProviderError], body: str | bytes
    ) -> None:
        """
        The status alone decides; the body is only asked for words.
        """
        provider, _ = answering(version, says(status, body))

        with pytest.raises(error) as caught:
            await provider.create("A shop", MARKS)

        assert str(status) in str(caught.value)

    async def test_v0s_words_become_one_short_storable_line(self, version: int) -> None:
        """
        v0's words end up in rows, pages and logs: one line, shortened, and nothing that a database refuses.
        """
        provider, _ = answering(version, says(422, {"message": "a\x00b\x1b[31m\n\nc\ud800 " + "x" * 5000}))

        with pytest.raises(ProviderRejected) as caught:
            await provider.create("A shop", MARKS)

        words = str(caught.value)
        assert words.isprintable()
        assert words.encode()
        assert len(words) < 500
        assert "a" in words

    @pytest.mark.parametrize("value", ["17", "Fri, 02 Jan 2099 03:04:22 GMT"])
    async def test_a_requested_pause_is_handed_on_up_to_an_hour(self, version: int, value: str) -> None:
        """
        A pause that is asked for, in seconds or as a date, is handed on; of at most an hour.
        """
        provider, _ = answering(version, says(429, {"message": "slow"}, retry_after=value))

        with pytest.raises(ProviderBusy) as caught:
            await provider.create("A shop", MARKS)

        assert caught.value.retry_after == timedelta(seconds=17 if value == "17" else 3600)

    @pytest.mark.parametrize(
        ("raised", "error"),
        [
            (httpx2.ConnectError("refused"), ProviderUnreachable),
            (httpx2.ConnectTimeout("slow"), ProviderUnreachable),
            (httpx2.PoolTimeout("busy"), ProviderUnreachable),
            (httpx2.ReadTimeout("slow"), OutcomeUnknown),
            (httpx2.WriteTimeout("slow"), OutcomeUnknown),
            (httpx2.ReadError("reset"), OutcomeUnknown),
            (httpx2.WriteError("reset"), OutcomeUnknown),
            (httpx2.RemoteProtocolError("closed"), OutcomeUnknown),
            (httpx2.DecodingError("gzip"), OutcomeUnknown),
            (httpx2.TooManyRedirects("round"), OutcomeUnknown),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    async def test_only_a_connection_that_sent_nothing_counts_as_unsent(
        self, version: int, raised: Exception, error: type[ProviderError]
    ) -> None:
        """
        Only what certainly was not sent counts as not sent.
        """

        def fail(request: httpx2.Request) -> httpx2.Response:
            raise raised

        provider, transport = answering(version, fail)

        with pytest.raises(error) as caught:
            await provider.create("A shop", MARKS)

        assert type(caught.value) is error
        assert len(transport.asked) == 1

    async def test_a_create_sends_the_documented_fields_only(self, version: int) -> None:
        """
        The documents' own fields and no other: bodies are closed. Asynchronous, with the marks, and `scope` outside.
        """
        provider, transport = answering(version, says(200, {"id": "c", "chatId": "c", "messageId": "m"}))

        await provider.create("A shop", MARKS)

        (request,) = transport.asked
        body = {"message": "A shop", "metadata": MARKS}
        assert transport.bodies == [{**body, "responseMode": "async"} if version == 1 else body]
        assert request.url.path == ("/v1/chats" if version == 1 else "/v2/chats/async")
        assert dict(request.url.params) == {"scope": "mckinsey"}
        assert request.headers["authorization"] == "Bearer key"

    @settings(max_examples=60, deadline=None)
    @given(
        version=st.sampled_from([1, 2]),
        body=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["id", "chatId", "messageId", "latestVersion", "status", "messages", "webUrl", "x"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=12,
        ),
        status=st.sampled_from([200, 202, 400, 404, 418, 429, 500, 599]),
    )
    async def test_any_json_gives_an_id_or_one_of_our_errors(self, version: int, body: Any, status: int) -> None:
        """
        Whatever JSON comes with whatever status, there is an id or one of our errors, and nothing else.
        """
        provider, _ = answering(version, says(status, body))

        try:
            chat = await provider.create("A shop", MARKS)
        except ProviderError:
            return
        assert chat.chat_id == body["id" if version == 1 else "chatId"]
        assert status < 300


class TestObserve:
    async def poll(self, provider: Provider, *chats: str) -> PollResult:
        """One round of looks."""
        return await provider.observe([PollTarget(chat, "message-1", NOW) for chat in chats or ("chat-1",)])

    @pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
    async def test_an_unreadable_poll_settles_nothing(self, version: int, answer: Any) -> None:
        """
        What cannot be read settles nothing: neither finished, nor failed, nor gone.
        """
        provider, _ = answering(version, answer)

        result = await self.poll(provider)

        assert result.missing == frozenset()
        assert all(one.state is ObservedState.QUEUED for one in result.observations.values())
        assert result.problem or result.unreadable or result.observations

    @pytest.mark.parametrize("word", ["finished", "STOP", "", 0, False, True, [], {}, ["stop"], {"stop": 1}], ids=str)
    async def test_an_unknown_status_is_not_guessed(self, version: int, word: Any) -> None:
        """
        A word that is not known here is shown as one to look at, not guessed.
        """
        message = {"id": "message-1", "chatId": "chat-1", "finishReason": word, "role": "assistant"}
        row = {"id": "chat-1", "createdAt": "2026-01-02T03:04:05Z", "latestVersion": {"id": "v", "status": word}}
        provider, _ = answering(version, says(200, {"data": [row]} if version == 1 else message))

        result = await self.poll(provider)

        seen = result.observations["chat-1"]
        assert (seen.state, seen.error_code) == (ObservedState.WAITING, "needs_a_look")

    async def test_an_answer_about_another_chat_is_not_taken(self, version: int) -> None:
        """
        An answer about another chat is not taken for this one's.
        """
        message = {"id": "m", "chatId": "chat-2", "finishReason": "stop"}
        row = {"id": "chat-2", "latestVersion": {"id": "v", "status": "completed"}}

        def answer(request: httpx2.Request) -> httpx2.Response:
            if version == 2:
                return httpx2.Response(200, json=message)
            return httpx2.Response(200, json={"data": [row]} if request.url.path.endswith("/chats") else row)

        provider, _ = answering(version, answer)

        result = await self.poll(provider)

        assert "chat-2" not in result.observations
        assert all(one.state is not ObservedState.FINISHED for one in result.observations.values())

    @pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//evil", "", 5, None, "x" * 3000])
    async def test_only_http_addresses_are_kept_as_links(self, version: int, address: Any) -> None:
        """
        Only http(s) addresses are kept: they are shown as links.
        """
        chat = {
            "id": "chat-1",
            "createdAt": "2026-01-02T03:04:05Z",
            "webUrl": address,
            "latestVersion": {"id": "v", "status": "completed", "demoUrl": address, "screenshotUrl": address},
        }
        message = {"id": "message-1", "chatId": "chat-1", "finishReason": "stop"}
        provider, _ = answering(version, says(200, {"data": [chat]} if version == 1 else message))

        seen = (await self.poll(provider)).observations["chat-1"]

        assert seen.state is ObservedState.FINISHED
        for link in (seen.demo_url, seen.web_url, seen.image_url, seen.chat_url):
            assert link is None or link.startswith(ROOT)

    @pytest.mark.parametrize("chat", ["a/b", "a?b=c", "a#b", "../../v1/user", "a b", "%2e%2e"])
    async def test_an_odd_chat_id_is_one_segment_of_the_path(self, version: int, chat: str) -> None:
        """
        An id from an older row is one segment of the path, whatever it holds.
        """
        listing = {"data": [], "object": "list"}

        def answer(request: httpx2.Request) -> httpx2.Response:
            if request.url.path == "/v1/chats":
                return httpx2.Response(200, json=listing)
            return httpx2.Response(404, json={"message": "no"})

        provider, transport = answering(version, answer)

        assert (await self.poll(provider, chat)).missing == {chat}
        await provider.delete(chat)

        for request in transport.asked:
            path = request.url.raw_path.decode().partition("?")[0]
            if path != "/v1/chats":
                assert path.count("/") == 3 + path.endswith("/messages") + 2 * path.endswith("message-1")
            assert dict(request.url.params).keys() <= {"scope", "limit", "offset"}


class TestLists:
    @pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
    async def test_an_unreadable_list_is_an_error_not_an_empty_list(self, version: int, answer: Any) -> None:
        """
        A list that cannot be read is an error, never an empty list: it would count as "not there".
        """
        provider, _ = answering(version, answer)

        with pytest.raises(ProviderError):
            await provider.find([MARKS], sent_after=NOW, known=none_known)

    @pytest.mark.parametrize("second", [says(500, {}), says(200, HTML), says(429, {}), says(200, {"data": 5})])
    async def test_a_cut_list_is_an_error(self, version: int, second: Any) -> None:
        """
        Nor is half a list a list.
        """
        pages = Pages(version, 150)
        asked = 0

        def answer(request: httpx2.Request) -> httpx2.Response:
            nonlocal asked
            asked += 1
            return pages(request) if asked == 1 else second(request)

        provider, _ = answering(version, answer)

        found = await provider.find([{"protokeep_marker": "none"}], sent_after=NOW, known=none_known)

        assert (found.chats, found.whole, found.reached) == ([], False, False)
        assert found.error is not None

    async def test_malformed_rows_are_passed_over_in_a_search(self, version: int) -> None:
        """
        Rows of other shapes are passed over; the good one among them is found.
        """
        good = {"id": "chat-1", "createdAt": "2026-01-02T03:04:05Z", "metadata": MARKS}
        rows: list[Any] = [None, 5, "x", [], {}, {"id": 5}, {"id": ""}, {"id": "y", "metadata": []}, good]

        def answer(request: httpx2.Request) -> httpx2.Response:
            one = {"y": {"id": "y", "metadata": []}, "chat-1": good}.get(request.url.path.rpartition("/")[2])
            return httpx2.Response(200, json=one or {"data": rows, "chats": rows, "cursor": None})

        provider, _ = answering(version, answer)

        found = await provider.find([MARKS], sent_after=NOW, known=none_known)

        assert [chat.chat_id for chat in found.chats] == ["chat-1"]

    @pytest.mark.parametrize("version", [1], ids=["v1"])
    async def test_malformed_rows_keep_no_other_chat_from_being_polled(self, version: int) -> None:
        """
        Nor do they keep a round of looks from reading the others.
        """
        good = {"id": "chat-1", "latestVersion": {"id": "v", "status": "completed"}}
        rows: list[Any] = [
            None,
            5,
            [],
            {},
            {"id": {}},
            {"id": [1]},
            {"id": "chat-2", "latestVersion": 5, "createdAt": {}},
            good,
        ]
        provider, _ = answering(version, says(200, {"data": rows}))

        result = await provider.observe([PollTarget("chat-1", None, NOW)])

        assert result.observations["chat-1"].state is ObservedState.FINISHED

    @pytest.mark.parametrize("version", [1], ids=["v1"])
    @pytest.mark.parametrize("reason", [{}, {"stop": 1}, [], 5, "?", None], ids=str)
    async def test_a_v1_chat_with_an_unknown_last_message_has_not_begun(self, version: int, reason: Any) -> None:
        """
        A chat without a version whose last message ends in an unknown word has not begun, as far as we can tell.
        """
        messages = [None, {"role": "assistant", "finishReason": reason, "createdAt": 5}, {"role": "user"}]
        provider, _ = answering(version, says(200, {"data": [], "id": "chat-1", "messages": messages}))

        result = await provider.observe([PollTarget("chat-1", None, NOW)])

        assert result.observations["chat-1"].state is ObservedState.QUEUED

    async def test_a_search_does_not_trust_v0s_filter(self, version: int) -> None:
        """
        A v0 that ignores the filter does not make everybody's chats ours.
        """
        pages = Pages(version, 3)
        provider, _ = answering(version, pages)

        found = await provider.find([{"protokeep_marker": "marker-1"}], sent_after=NOW, known=none_known)

        assert [chat.chat_id for chat in found.chats] == ["chat-1"]

    async def test_a_list_without_an_end_is_given_up(self, version: int) -> None:
        """
        A list without an end is given up; it does not hold a worker for ever.
        """

        def answer(request: httpx2.Request) -> httpx2.Response:
            rows = [{"id": f"c-{n}", "metadata": {}, "createdAt": "2026-01-02T03:04:05Z"} for n in range(60)]
            if request.url.path.endswith("/chats"):
                return httpx2.Response(200, json={"data": rows, "chats": rows, "cursor": "again"})
            return httpx2.Response(200, json=rows[0])

        provider, transport = answering(version, answer)

        with contextlib.suppress(ProviderError):
            found = await provider.find([MARKS], sent_after=NOW, known=none_known)
            assert (found.chats, found.whole) == ([], False)
        assert len(transport.asked) <= 300

    @pytest.mark.parametrize("version", [1], ids=["v1"])
    @pytest.mark.parametrize("new_rows", [0, 1, 5, 10])
    async def test_rows_that_shift_down_between_pages_are_not_missed(self, version: int, new_rows: int) -> None:
        """
        v1 pages by offset: while others create chats, rows move down. None of those that were there is missed.
        """
        pages = Pages(version, 200, new_rows=new_rows)
        provider, transport = answering(version, pages)
        targets = [PollTarget(f"chat-{n}", None, NOW) for n in range(200)]

        result = await provider.observe(targets)

        assert len(result.observations) == 200
        offsets = [int(request.url.params["offset"]) for request in transport.asked if "offset" in request.url.params]
        assert offsets == sorted(offsets)
        assert all(later - sooner < 60 for sooner, later in pairwise(offsets))

    @pytest.mark.parametrize("version", [1], ids=["v1"])
    async def test_rows_that_shift_up_between_pages_are_not_missed(self, version: int) -> None:
        """
        Rows that move up because others are deleted are not missed either, as long as the overlap covers them.
        """
        pages = Pages(version, 200, new_rows=-8)
        provider, _ = answering(version, pages)

        result = await provider.observe([PollTarget(f"chat-{n}", None, NOW) for n in range(150)])

        assert len(result.observations) == 150
        assert result.missing == frozenset()


class Pages:
    """A v0 with `count` chats of which `chat-1` carries our marks; `new_rows` appear on top after every page.

    Negative: so many of the newest ones, which nobody watches, are deleted instead.
    """

    def __init__(self, version: int, count: int, new_rows: int = 0) -> None:
        self.version = version
        self.new_rows = new_rows
        foreign = 40 if new_rows < 0 else 0
        names = [f"foreign-{n}" for n in range(foreign)] + [f"chat-{n}" for n in range(count)]
        self.rows = [self.row(name, index) for index, name in enumerate(names)]

    def row(self, name: str, age: int) -> dict[str, Any]:
        """A chat as lists and details show it."""
        return {
            "id": name,
            "createdAt": (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z"),
            "metadata": MARKS if name == "chat-1" else {"protokeep_marker": "other"},
            "latestVersion": {"id": "v", "status": "pending"},
        }

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if not path.endswith("/chats"):
            found = next((row for row in self.rows if row["id"] == path.rpartition("/")[2]), None)
            return httpx2.Response(200 if found else 404, json=found or {"message": "no"})
        params = request.url.params
        start = int(params.get("offset", params.get("cursor", "0")))
        limit = int(params["limit"])
        rows: Sequence[Any] = self.rows[start : start + limit]
        more = str(start + limit) if start + limit < len(self.rows) else None
        if self.new_rows < 0:
            self.rows = self.rows[-self.new_rows :] if self.rows[0]["id"].startswith("foreign") else self.rows
        for number in range(self.new_rows):
            self.rows.insert(0, self.row(f"new-{len(self.rows)}-{number}", -len(self.rows)))
        return httpx2.Response(200, json={"data": rows} if self.version == 1 else {"chats": rows, "cursor": more})


class TestWords:
    @given(st.text() | st.sampled_from(["inf", "nan", "-5", "1e400", "Mon, 01 Jan 99999 00:00:00 GMT", "0"]))
    def test_any_retry_after_is_none_or_at_most_an_hour(self, value: str) -> None:
        """
        Whatever the header holds, the pause is None or between nothing and an hour.
        """
        pause = retry_after(value, NOW)

        assert pause is None or timedelta(0) < pause <= timedelta(hours=1)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("30", 30),
            ("0.5", 0.5),
            ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
            ("Fri, 02 Jan 2026 03:04:05 GMT", None),
            ("Thu, 01 Jan 2026 00:00:00 GMT", None),
            ("86400", 3600),
            ("soon", None),
            ("", None),
            (None, None),
        ],
    )
    def test_retry_after_is_seconds_or_a_future_http_date(self, value: str | None, seconds: float | None) -> None:
        """
        Seconds or an HTTP date; what lies in the past, or is neither, asks for nothing.
        """
        assert retry_after(value, NOW) == (None if seconds is None else timedelta(seconds=seconds))

    @given(st.none() | st.integers() | st.text() | st.datetimes().map(lambda moment: moment.isoformat() + "Z"))
    def test_a_time_of_v0_is_an_aware_instant_or_none(self, value: Any) -> None:
        """
        A time of v0's is an aware instant or None.
        """
        moment = instant(value)

        assert moment is None or moment.tzinfo is not None

    @pytest.mark.parametrize(
        ("base_url", "root", "web"),
        [
            ("https://api.v0.dev", "https://api.v0.dev", "https://v0.app"),
            ("https://api.v0.dev/v2/", "https://api.v0.dev", "https://v0.app"),
            ("https://api.v0.app/v1", "https://api.v0.app", "https://v0.app"),
            ("http://127.0.0.1:8500", "http://127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("https://proxy.example/v0/v2", "https://proxy.example/v0", "https://proxy.example"),
            ("https://notv0.dev.example", "https://notv0.dev.example", "https://notv0.dev.example"),
            ("https://evilv0.dev", "https://evilv0.dev", "https://evilv0.dev"),
        ],
    )
    def test_a_base_url_is_taken_with_or_without_its_version(self, base_url: str, root: str, web: str) -> None:
        """
        The base URL is taken with or without a version; chats of another host open on that host.
        """
        config = V0Config.of(api_key="k", base_url=base_url, scope="", web_url=None, timeout_seconds=1)

        assert (config.root_url, config.web_url, config.scope) == (root, web, None)

    def test_deep_json_is_too_deep_for_the_parser(self) -> None:
        """
        What these tests call too deep is too deep for the parser.
        """
        with pytest.raises((RecursionError, ValueError)):
            json.loads(DEEP)
