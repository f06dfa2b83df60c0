"""Everything that commands print: nothing in it can steer the terminal, whoever wrote it.

Text for people has a replacement for each control character. JSON for programs has an escape, which means the same.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from protokeep.core.foreign_text import is_seen, one_line, visible


def print_text(text: str) -> None:
    """Print a line, or several, on standard output."""
    sys.stdout.write(visible(text) + "\n")


def print_notice(text: str) -> None:
    """Print a line, or several, on standard error, in the name of the program."""
    sys.stderr.write(f"protokeep: {visible(text)}\n")


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON on standard output; in one line if `indent` is None."""
    sys.stdout.write(json_text(value, indent) + "\n")


def json_text(value: Any, indent: int | None = 2) -> str:
    """A value as JSON in which every character is shown, or escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    shown = (
        character if is_seen(character) or character == "\n" else json.dumps(character)[1:-1] for character in text
    )
    return "".join(shown)


def in_one_line(value: object) -> str:
    """A value that somebody else wrote, as a part of a line: it cannot end the line."""
    return one_line(str(value))
