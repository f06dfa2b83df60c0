"""Everything that commands print: nothing in it can steer the terminal, whoever wrote it.

Text for people has a replacement for each control character. JSON for programs has an escape, which means the same.
The same holds for characters that the terminal's encoding does not have: nobody's encoding ends a command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import typer

from protokeep.core.foreign_text import is_seen, one_line, visible

#: The setting of the log's form, which counts before the settings are read.
LOG_FORMAT = "PROTOKEEP_LOG_FORMAT"
#: Whether notices are lines of a JSON log, for commands whose output a program collects.
_notices_are_json = False


class OutputFailed(OSError):
    """What a command has to say could not be written, such as on a full disk. A reader who went away is no error."""


def prepare_streams() -> None:
    """Let the streams of this process take every text, and be there: a shell may have closed them (`>&-`)."""
    for name, flags in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, flags))  # noqa: SIM115 - open for as long as the process
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def print_text(text: str) -> None:
    """Print a line, or several, on standard output."""
    _write(sys.stdout, visible(text) + "\n")


def write_notices_as_json(chosen: bool) -> None:
    """Let `print_notice` write lines of a JSON log from here on, or text for people."""
    global _notices_are_json  # noqa: PLW0603 - standard error is one for the whole process, too
    _notices_are_json = chosen


def are_notices_json() -> bool:
    """Whether `print_notice` writes lines of a JSON log."""
    return _notices_are_json


def is_logging_json(arguments: Sequence[str]) -> bool:
    """Whether a command keeps a log and the environment asks for JSON: already the first line is JSON then."""
    return arguments[:1] in (["serve"], ["worker"], ["migrate"]) and os.environ.get(LOG_FORMAT) == "json"


def print_notice(text: str, level: str = "info") -> None:
    """Print a line, or several, on standard error, in the name of the program. `level` is for a JSON log."""
    if _notices_are_json:
        line = {"event": visible(text), "level": level, "timestamp": datetime.now(UTC).isoformat()}
        _write(sys.stderr, json_text(line, None, sys.stderr.encoding) + "\n")
        return
    _write(sys.stderr, f"protokeep: {visible(text)}\n")


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON on standard output; in one line if `indent` is None."""
    _write(sys.stdout, json_text(value, indent, sys.stdout.encoding) + "\n")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error.errno, error.strerror) from None


def json_text(value: Any, indent: int | None = 2, encoding: str | None = "utf-8") -> str:
    """A value as JSON in which every character is shown and has a place in `encoding`, or is escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isprintable() and _has_place(text, encoding):
        return text
    return "".join(
        character
        if character == "\n" or (is_seen(character) and _has_place(character, encoding))
        else json.dumps(character)[1:-1]
        for character in text
    )


def _has_place(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def read_input() -> str:
    """All of standard input. Exits if it is no text in the encoding that the terminal says."""
    try:
        text = sys.stdin.read()
        text.encode()  # Half characters stand for bytes that are no text.
    except UnicodeError:
        print_notice(f"standard input is not valid text in {sys.stdin.encoding}. Send it in that encoding.")
        raise typer.Exit(2) from None
    return text.removeprefix("\ufeff")


def fault_of_arguments(arguments: Sequence[str]) -> str | None:
    """Which argument holds bytes that are no text in the encoding that the terminal says, in a sentence; None: none."""
    for argument in arguments:
        if not _has_place(argument, "utf-8"):
            return f"an argument is not valid text in {sys.getfilesystemencoding()}: {visible(argument)}"
    return None


def in_one_line(value: object) -> str:
    """A value that somebody else wrote, as a part of a line: it cannot end the line."""
    return one_line(str(value))
