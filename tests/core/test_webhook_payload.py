"""What is read out of a hook's delivery: ids of chats, wherever they stand, and no more than a few."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.foreign_text import ID_MAX
from protokeep.core.webhook_payload import MAX_CANDIDATES, MAX_DELIVERY, MAX_DEPTH, MAX_VALUES, chats_named


def named(payload: Any) -> list[str]:
    """The chats that a delivery names."""
    return chats_named(json.dumps(payload).encode())[0]


@pytest.mark.parametrize(
    "payload",
    [
        {"chatId": "c-1"},
        {"chat_id": "c-1"},
        {"CHATID": "c-1"},
        {"chat": {"id": "c-1"}},
        {"data": {"chat": {"id": "c-1", "name": "x"}}},
        {"object": {"messages": [{"chatId": "c-1"}]}},
        [{"chatId": "c-1"}, {"chatId": "c-1"}],
    ],
)
def test_a_chat_id_is_found_once_in_lists_and_objects(payload: Any) -> None:
    """
    A chat's id is found by its name, in lists and objects, once.
    """
    assert named(payload) == ["c-1"]


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "c-1"},
        {"message": {"id": "m-1"}},
        {"chat": "c-1"},
        {"chats": {"id": "c-1"}},
        {"chat": [{"id": "c-1"}]},
        {"chatId": 7},
        {"chatId": ""},
        {"chatId": "c" * (ID_MAX + 1)},
        {"chatId": "c\n1"},
        {"chat": {"id": None}},
        "chatId",
        7,
        None,
    ],
)
def test_a_value_that_is_no_text_of_the_right_length_is_no_chat_id(payload: Any) -> None:
    """
    What is no text of the right length under such a name is not taken for a chat's id.
    """
    assert named(payload) == []


def test_a_chat_id_of_the_greatest_length_is_found() -> None:
    """
    An id of the greatest length is one.
    """
    assert named({"chatId": "c" * ID_MAX}) == ["c" * ID_MAX]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 9999, b'{"chatId": "c-1"}' + b" " * MAX_DELIVERY])
def test_a_body_that_is_no_json_or_too_large_names_no_chat(body: bytes) -> None:
    """
    What is no JSON, or too large, names nothing.
    """
    assert chats_named(body) == ([], False)


def test_a_delivery_of_the_greatest_size_is_read() -> None:
    """
    A delivery of the greatest size is read.
    """
    body = b'{"chatId": "c-1"}'
    assert chats_named(body + b" " * (MAX_DELIVERY - len(body))) == (["c-1"], False)


class TestBounds:
    def nested(self, depth: int) -> Any:
        """An id so many levels down."""
        value: Any = {"chatId": "c-1"}
        for _ in range(depth):
            value = {"data": value}
        return value

    def test_a_chat_id_is_found_some_levels_down_and_no_further(self) -> None:
        """
        An id is found some levels down, and no further.
        """
        assert named(self.nested(MAX_DEPTH)) == ["c-1"]
        assert named(self.nested(MAX_DEPTH + 1)) == []

    def test_a_delivery_names_a_bounded_number_of_chats(self) -> None:
        """
        At most so many are taken of one delivery.
        """
        assert len(named([{"chatId": f"c-{number}"} for number in range(MAX_CANDIDATES + 5)])) == MAX_CANDIDATES

    def test_the_search_for_chat_ids_ends_after_so_many_values(self) -> None:
        """
        After so many values it looks no further.
        """
        fill = {f"k-{number}": number for number in range(MAX_VALUES - 1)}
        assert named({**fill, "chatId": "c-1"}) == ["c-1"]
        assert named({**fill, "more": 1, "chatId": "c-1"}) == []


@pytest.mark.parametrize(
    ("payload", "begun"),
    [
        ({"event": "message.created"}, True),
        ({"type": "chat.created"}, True),
        ({"event": "message.finished"}, False),
        ({"event": "message.finished", "type": "chat.created"}, False),
        ({"event": ["message.created"]}, False),
        ({"data": {"event": "message.created"}}, False),
        ([{"event": "message.created"}], False),
        ({}, False),
    ],
)
def test_only_a_delivery_that_says_so_is_about_a_beginning(payload: Any, begun: bool) -> None:
    """
    Only a delivery that says so itself is one about a beginning.
    """
    assert chats_named(json.dumps(payload).encode())[1] is begun


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part))
)
def test_reading_a_delivery_never_raises(payload: Any) -> None:
    """
    Whatever is sent, it is read or not.
    """
    chats, begun = chats_named(json.dumps(payload).encode())
    assert (len(chats) <= MAX_CANDIDATES, begun in (True, False)) == (True, True)
