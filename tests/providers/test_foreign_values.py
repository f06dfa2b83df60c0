"""Every value of an answer of v0 is somebody else's input: what becomes of it, whatever it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protokeep.core.errors import OutcomeUnknown, ProviderError
from protokeep.core.foreign_text import ADDRESS_MAX, is_id, is_seen
from protokeep.core.prototype import ObservedState
from protokeep.core.validation import PROMPT_MAX
from protokeep.providers.base import PollTarget
from protokeep.providers.v0_fields import amount, instant, link, our_metadata, prompt
from protokeep.providers.v0_walks import Rows
from providers.conftest import MARKS, ROOT, V0Provider, answering, none_known, says

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: The hosts of the tests' own v0, whose links may be http.
HOSTS = {"v0.test"}
STEERING = "a\x1b]0;PWN\x07b\u202e\n\x00"
ODD_IDS = [STEERING, "../hooks", "..", "a/b", "a?b", "a#b", "a b", "a\u200bb", "é"]

Call = Callable[[V0Provider], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "create": lambda v0: v0.create("A shop", MARKS),
    "send": lambda v0: v0.send("chat-1", "bigger"),
    "conversation": lambda v0: v0.conversation("chat-1"),
    "cancel": lambda v0: v0.cancel("chat-1", None),
    "observe": lambda v0: v0.observe([PollTarget("chat-1", "message-1", NOW), PollTarget("chat-2", None, NOW)]),
    "find": lambda v0: v0.find([MARKS], sent_after=NOW, known=none_known),
    "find thoroughly": lambda v0: v0.find([{"protokeep": "keeper-1"}], sent_after=NOW, known=none_known, calls=20),
    "prompt_of": lambda v0: v0.prompt_of("chat-1"),
    "recent_chats": lambda v0: v0.recent_chats(),
    "hooks": lambda v0: v0.hooks(),
    "add_hook": lambda v0: v0.add_hook("name", "https://us.example/hooks/v0/x"),
    "costs": lambda v0: v0.costs(["chat-1", "chat-2"], since=NOW),
    "delete": lambda v0: v0.delete("chat-1"),
}

KEYS = [
    *("id", "chatId", "messageId", "projectId", "data", "chats", "messages", "latestVersion", "status", "role"),
    *("finishReason", "content", "createdAt", "metadata", "protokeep", "protokeep_marker", "webUrl", "demoUrl"),
    *("screenshotUrl", "cursor", "pagination", "hasMore", "nextCursor", "usage", "creditsCost", "total", "totalCost"),
    *("name", "error", "message"),
]
WORDS = st.sampled_from(
    [
        *("chat-1", "chat-2", "message-1", "marker-1", "keeper-1", "stop", "completed", "failed", "user", "assistant"),
        *("2026-01-02T03:04:05Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1e400", "-5", "NaN", "7"),
        *("https://v0.app/x", "http://v0.test/x", "http://evil.example/x", "https://a@evil.example/", "javascript:x"),
        *ODD_IDS,
    ]
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=25,
)
#: Answers that have the outer shape of v0's, so that the values inside are read.
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "id": WORDS,
        "chatId": WORDS,
        "messageId": WORDS,
        "data": st.lists(JSON, max_size=4),
        "chats": st.lists(JSON, max_size=4),
        "messages": st.lists(JSON, max_size=4),
        "metadata": JSON,
        "latestVersion": JSON,
        "createdAt": VALUES,
        "role": VALUES,
        "finishReason": JSON,
        "usage": JSON,
        "webUrl": VALUES,
        "cursor": VALUES,
        "pagination": JSON,
    },
)


class TestAnyJson:
    @settings(max_examples=400, deadline=None)
    @given(version=st.sampled_from([1, 2]), call=st.sampled_from(sorted(CALLS)), body=JSON | SHAPED)
    async def test_any_answer_is_an_error_of_ours_or_a_value_within_the_rules(
        self, version: int, call: str, body: Any
    ) -> None:
        provider, _ = answering(version, says(200, body))

        assert_within_rules(await answer_or_error(provider, call))

    @settings(max_examples=100, deadline=None)
    @given(
        version=st.sampled_from([1, 2]),
        call=st.sampled_from(sorted(CALLS)),
        status=st.sampled_from([300, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503]),
        words=st.text() | st.sampled_from([STEERING, "x" * 5000]),
    )
    async def test_words_of_a_refusal_become_one_short_line(
        self, version: int, call: str, status: int, words: str
    ) -> None:
        body = {"error": {"message": words}} if version == 1 else {"message": words}
        provider, _ = answering(version, says(status, body))

        assert_within_rules(await answer_or_error(provider, call))

    @pytest.mark.parametrize("call", sorted(CALLS))
    @pytest.mark.parametrize("name", ["createdAt", "role", "content", "id", "metadata", "finishReason", "totalCost"])
    async def test_a_value_that_is_nested_deeply_stops_nothing(self, version: int, call: str, name: str) -> None:
        """
        Deep enough that its text could not be built, and not so deep that the parser gives up.
        """
        deep = "[" * 900 + "]" * 900
        row = f'{{"id": "chat-1", "role": "user", "content": "x", "metadata": {{}}, "{name}": {deep}}}'
        body = f'{{"id": "chat-1", "metadata": {{}}, "data": [{row}], "chats": [{row}], "messages": [{row}]}}'
        provider, _ = answering(version, says(200, body))

        assert_within_rules(await answer_or_error(provider, call))


class TestIds:
    @pytest.mark.parametrize("chat_id", ODD_IDS, ids=ascii)
    async def test_a_create_whose_id_cannot_be_used_may_have_acted(self, version: int, chat_id: str) -> None:
        """
        It is looked for by its marker, and its row in the list is unreadable: nothing is sent twice.
        """
        provider, _ = answering(version, says(200, {"id": chat_id, "chatId": chat_id, "messageId": "m"}))
        with pytest.raises(OutcomeUnknown):
            await provider.create("A shop", MARKS)

        row = {"id": chat_id, "metadata": MARKS, "createdAt": "2026-01-02T03:04:05Z"}
        provider, _ = answering(version, says(200, {"data": [row], "chats": [row], "cursor": None}))
        found = await provider.find([MARKS], sent_after=NOW, known=none_known)

        assert (list(found.chats), found.whole, found.whole_since(NOW)) == ([], False, False)

    @pytest.mark.parametrize("message_id", ODD_IDS, ids=ascii)
    async def test_a_conversation_with_a_message_that_cannot_be_named_is_unreadable(
        self, version: int, message_id: str
    ) -> None:
        """
        It may be ours: a conversation without it would say that ours never arrived, and ours would be sent again.
        """
        rows = [
            {"id": message_id, "role": "user", "content": "bigger", "createdAt": "2026-01-02T03:05:00Z"},
            {"id": "m-1", "role": "user", "content": "A shop", "createdAt": "2026-01-02T03:04:00Z"},
        ]
        provider, _ = answering(version, says(200, {"id": "chat-1", "messages": rows, "cursor": None}))

        with pytest.raises(OutcomeUnknown):
            await provider.conversation("chat-1")

    @pytest.mark.parametrize("content", [None, 5, ["bigger"], {"text": "bigger"}], ids=str)
    async def test_a_conversation_with_a_message_without_words_is_unreadable(self, version: int, content: Any) -> None:
        rows = [{"id": "m-1", "role": "user", "content": content, "createdAt": "2026-01-02T03:05:00Z"}]
        provider, _ = answering(version, says(200, {"id": "chat-1", "messages": rows, "cursor": None}))

        with pytest.raises(OutcomeUnknown):
            await provider.conversation("chat-1")

    @pytest.mark.parametrize("chat_id", [".", "..", "...", "a/../../hooks"])
    async def test_dots_of_an_older_row_lead_to_no_other_path(self, version: int, chat_id: str) -> None:
        provider, transport = answering(version, says(404, {"message": "no"}))

        await provider.delete(chat_id)

        (request,) = transport.asked
        before, _, last = request.url.raw_path.decode().partition("?")[0].rpartition("/")
        assert (before, last in (".", "..")) == (f"/v{version}/chats", False)

    @pytest.mark.parametrize("version", [2], ids=["v2"])
    async def test_an_older_rows_id_is_escaped_in_the_address_of_its_chat(self, version: int) -> None:
        message = {"id": "m", "finishReason": "stop"}
        provider, _ = answering(version, says(200, message))

        result = await provider.observe([PollTarget("../settings?x#y", "m", NOW)])

        seen = result.observations["../settings?x#y"]
        assert seen.chat_url == f"{ROOT}/chat/..%2Fsettings%3Fx%23y"


class TestLinks:
    @pytest.mark.parametrize(
        "address",
        [
            "http://evil.example/x",
            "http://v0.test.evil.example/x",
            "http://v0.test@evil.example/x",
            "https://user:word@v0.app/x",
            "https://v0.app/\x1b]0;PWN\x07",
            "https://v0.app/\u202egnp.exe",
            "https:///x",
            "https://v0.app:0/",
        ],
        ids=ascii,
    )
    @pytest.mark.parametrize("version", [1], ids=["v1"])
    async def test_an_address_that_breaks_the_rules_is_no_link(self, version: int, address: str) -> None:
        row = {
            "id": "chat-1",
            "createdAt": "2026-01-02T03:04:05Z",
            "webUrl": address,
            "latestVersion": {"id": "v", "status": "completed", "demoUrl": address, "screenshotUrl": address},
        }
        provider, _ = answering(version, says(200, {"data": [row]}))

        seen = (await provider.observe([PollTarget("chat-1", None, NOW)])).observations["chat-1"]

        assert (seen.state, seen.web_url, seen.demo_url, seen.image_url) == (ObservedState.FINISHED, None, None, None)

    def test_a_link_is_https_except_at_the_configured_host(self) -> None:
        assert link("https://demo.vusercontent.net/x")
        assert link("http://127.0.0.1:8500/x") is None
        assert link("http://127.0.0.1:8500/x", {"127.0.0.1"})


class TestValues:
    @pytest.mark.parametrize(
        "value", [-1, -0.5, 1e9, 1e400, "-3", "nan", "inf", "1e400", True, None, [], {}, "x"], ids=str
    )
    def test_an_amount_out_of_range_is_none(self, value: Any) -> None:
        assert amount(value) is None

    @pytest.mark.parametrize("value", [0, "0.25", 7, 3.5, "12"], ids=str)
    def test_an_amount_is_a_number_or_a_number_as_text(self, value: Any) -> None:
        assert amount(value) == float(value)

    @pytest.mark.parametrize(
        "value", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z"]
    )
    def test_a_time_at_the_edges_of_time_is_none(self, value: str) -> None:
        assert instant(value) is None

    @pytest.mark.parametrize("value", ["", " ", "x" * (PROMPT_MAX + 1), "a\x00", "\ud800", 5, None, ["x"]], ids=repr)
    def test_a_prompt_that_no_caller_may_send_is_none(self, value: Any) -> None:
        assert prompt(value) is None

    def test_only_our_own_metadata_is_kept_and_only_as_much_as_v0_takes(self) -> None:
        metadata: dict[str, Any] = {"protokeep": "k", "other": "x", "protokeep_user": "x" * 501, "protokeep_x": 5}
        many = {f"protokeep_{number}": "x" for number in range(1000)}

        assert our_metadata(metadata) == {"protokeep": "k"}
        assert len(our_metadata(many) or {}) == 50
        assert our_metadata([]) is None


class TestFloods:
    async def test_many_different_rows_without_an_id_are_counted_quickly(self, version: int) -> None:
        """
        Each of them is compared with no other one: twenty thousand would hold up every account for minutes.
        """
        compared = 0

        class Counted(str):
            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                nonlocal compared
                compared += 1
                return str.__eq__(self, other)

            __hash__ = str.__hash__

        rows = Rows()
        page = [{"createdAt": Counted(f"2026-01-02T03:04:05.{number:06}Z")} for number in range(3000)]
        rows.add(page, NOW)

        assert len(rows.without_id) == 3000
        assert compared < 30_000

    async def test_a_walk_keeps_only_what_it_needs_of_a_row(self, version: int) -> None:
        """
        A row may have megabytes, and a walk meets twenty thousand.
        """
        row = {"id": "chat-1", "metadata": {**MARKS, "notes": "x" * 100_000}, "text": "x" * 100_000}

        def answer(request: httpx2.Request) -> httpx2.Response:
            single = request.url.path.endswith("/chat-1")
            return httpx2.Response(200, json=row if single else {"data": [row], "chats": [row], "cursor": None})

        provider, _ = answering(version, answer)
        found = await provider.find([MARKS], sent_after=NOW, known=none_known)

        assert [chat.metadata for chat in found.chats] == [MARKS]


async def answer_or_error(provider: V0Provider, call: str) -> Any:
    """The result of a call, or its error. Any error that is no `ProviderError` is raised."""
    try:
        return await CALLS[call](provider)
    except ProviderError as error:
        return error


def assert_within_rules(value: Any, name: str = "") -> None:
    """Every value of a result is one that a caller might have sent, by the name under which it stands."""
    if isinstance(value, str | ProviderError):
        assert_text_within_rules(str(value), name)
    elif isinstance(value, int | float):
        assert math.isfinite(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            assert_within_rules(key, "metadata")
            assert_within_rules(inner, name)
    elif isinstance(value, Collection):
        for inner in value:
            assert_within_rules(inner, name)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.name != "continuation":
                assert_within_rules(getattr(value, field.name), field.name)
    else:
        assert value is None or isinstance(value, datetime | timedelta)


def assert_text_within_rules(value: str, name: str) -> None:
    """A text by its name: an id, a link, words for people, or text that is only kept."""
    if name.endswith("_url"):
        assert link(value, HOSTS) == value
        assert len(value) <= ADDRESS_MAX
    elif name.endswith("_id") or name == "id":
        assert is_id(value) or value == "(a row without an id)"
    else:
        assert len(value) < 600
        assert name in ("content", "metadata", "role") or all(is_seen(character) for character in value)
        assert "\x00" not in value.encode().decode()
