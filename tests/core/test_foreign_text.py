"""Text that somebody else wrote: which of it is an id or an address, and how the rest is shown."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.foreign_text import ADDRESS_MAX, ID_MAX, address_of, is_id, one_line, visible

#: What turns a line round, ends it, clears the screen or renames the window.
STEERING = [
    "\x1b]0;PWN\x07",
    "\x9b2J",
    "\x00",
    "\r",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\ud800",
    "\u2028",
]


class TestIds:
    @pytest.mark.parametrize("value", ["a", "hZ3_x-9.~", "chat:1", "a@b", "...", "x" * ID_MAX, "!$&'()*+,;=:@"])
    def test_what_stands_for_itself_in_a_path_is_an_id(self, value: str) -> None:
        assert is_id(value)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%2fb",
            "a b",
            'a"b',
            "a<b",
            "ä",
            "x" * (ID_MAX + 1),
            "a\n",
            7,
            None,
        ]
        + [f"a{steering}b" for steering in STEERING],
        ids=ascii,
    )
    def test_everything_else_is_no_id(self, value: object) -> None:
        assert not is_id(value)

    @given(st.text(max_size=20))
    def test_an_id_is_one_segment_of_a_path_without_escapes(self, value: str) -> None:
        if is_id(value):
            assert urlsplit(f"https://v0.app/chat/{value}").path == f"/chat/{value}"
            assert quote(value, safe="!$&'()*+,;=:@") == value


class TestAddresses:
    @pytest.mark.parametrize(
        "value",
        [
            "https://v0.app/chat/x",
            "http://127.0.0.1:8500/chat/x",
            "https://[2001:db8::1]/x",
            "https://demo.vusercontent.net/?a=b&c=%20#d",
            "https://v0.app/café",
        ],
    )
    def test_a_web_address_is_taken(self, value: str) -> None:
        assert address_of(value) is not None

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "https://",
            "https:///x",
            "//v0.app/x",
            "javascript:alert(1)//https://v0.app",
            "ftp://v0.app/x",
            "https://v0.app@evil.example/",
            "https://user:word@v0.app/",
            "https://@v0.app/",
            "https://v0.app:0/",
            "https://v0.app:99999/",
            "https://v0.app:x/",
            "https://[::1/",
            "https://v0.app\\@evil.example/",
            "https://v0.app/a b",
            " https://v0.app/",
            'https://v0.app/"onclick=',
            "https://v0.app/<b>",
            "https://v\u0430.app/",
            "https://v0.app/" + "x" * ADDRESS_MAX,
            None,
            5,
        ]
        + [f"https://v0.app/a{steering}b" for steering in STEERING]
        + ["ht\ntps://v0.app/"],
        ids=ascii,
    )
    def test_everything_else_is_no_address(self, value: object) -> None:
        assert address_of(value) is None


class TestWords:
    @pytest.mark.parametrize("steering", STEERING, ids=ascii)
    def test_what_steers_a_terminal_is_replaced(self, steering: str) -> None:
        shown = visible(f"a{steering}b")

        assert shown.isprintable()
        assert (shown[0], shown[-1]) == ("a", "b")

    @pytest.mark.parametrize(
        "text", ["Ein Café", "日本", "👩\u200d🚀", "\u0645\u06cc\u200c\u062e", "two\nlines", "a\ttab", ""]
    )
    def test_words_of_every_language_are_shown_as_they_are(self, text: str) -> None:
        assert visible(text) == text

    @given(st.text())
    def test_any_text_becomes_one_short_line_that_every_database_takes(self, text: str) -> None:
        line = one_line(text, 50)

        assert len(line) <= 50
        assert len(line.splitlines()) <= 1
        assert line.encode().decode() == line
        assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in line)
        assert one_line(line, 50) == line.strip()
