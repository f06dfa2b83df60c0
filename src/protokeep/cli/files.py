"""Files that commands read, and exports that they print."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from protokeep.cli.retry_advice import EXIT_USAGE
from protokeep.cli.terminal import print_json, print_notice, print_text, read_input


def read_file(name: str) -> str:
    """The text of a file, or of standard input for `-`. Exits for what cannot be read."""
    if name == "-":
        return read_input()
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        print_notice(f"{name} cannot be read: {reason}.")
        raise typer.Exit(EXIT_USAGE) from None


def print_export(content: str, *, is_json: bool) -> None:
    """Print a list that the server wrote as CSV or JSON, with the line ends of a terminal."""
    if is_json:
        print_json(json.loads(content))
    else:
        print_text(content.replace("\r\n", "\n").rstrip("\n"))
