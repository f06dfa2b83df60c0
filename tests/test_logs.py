"""Lines of the log: whatever a value holds, it is a part of its line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from protokeep import logs

#: A builder's word that would be a line of its own, rename the window, and turn the line round.
FORGED = "x\n2026-01-01T00:00:00Z [info     ] signed_in   actor=alice\x1b]0;PWN\x07\x9b2J\u202e\r\x85y\u2028z"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The handlers of the other tests are back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("value", [FORGED, "a\x1b[2Jb", [FORGED], {"k": FORGED}, ValueError(FORGED)], ids=ascii)
def test_a_value_cannot_begin_a_line_or_steer_a_terminal(
    form: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)

    structlog.get_logger("test").warning("chat_unreadable", reason=value if form == "console" else str(value))

    assert_one_line(capsys.readouterr().err)


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_message_of_a_library_cannot_begin_a_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", form)

    logging.getLogger("library").warning("refused: %s", FORGED)

    assert_one_line(capsys.readouterr().err)


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_value_fills_the_disk(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Libraries log words of callers, however many they are.
    """
    logs.configure("info", form)

    logging.getLogger("library").warning("unknown: %s", "a" * 1_000_000)
    structlog.get_logger("test").warning("chat_unreadable", reason="b" * 1_000_000)
    try:
        raise ValueError("c" * 1_000_000)
    except ValueError:
        structlog.get_logger("test").exception("unexpected_error")

    said = capsys.readouterr().err
    assert len(said) < 70_000
    assert "unknown: aaa" in said


def test_what_the_library_of_mcp_says_of_requests_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """
    It names what callers ask for in their own words.
    """
    logs.configure("info", "console")

    logging.getLogger("mcp.server.mcpserver.server").info("Resource %r not found", "a caller's words")

    assert capsys.readouterr().err == ""


def test_the_lines_of_a_traceback_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    """
    The message of an error may hold somebody else's words, which would be lines of their own.
    """
    logs.configure("info", "console")

    try:
        raise RuntimeError(FORGED)
    except RuntimeError:
        structlog.get_logger("test").exception("poll_failed")

    first, *others = capsys.readouterr().err.rstrip("\n").split("\n")
    assert "poll_failed" in first
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others if line)


def test_a_traceback_in_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")

    try:
        raise RuntimeError(FORGED)
    except RuntimeError:
        structlog.get_logger("test").exception("poll_failed")

    line = capsys.readouterr().err
    assert_one_line(line)
    assert "PWN" in json.loads(line)["exception"]


def assert_one_line(printed: str) -> None:
    """Printed is one line, whoever splits it, without any character that is not shown."""
    line = printed.removesuffix("\n")
    assert line
    assert line.isprintable()
