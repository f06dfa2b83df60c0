"""Files that commands read and write, and exports that they print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from protokeep.cli.retry_advice import EXIT_ERROR, EXIT_USAGE
from protokeep.cli.terminal import print_json, print_notice, print_text, read_input

Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A new file, which only you can read. [standard output]")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]


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


def require_free(path: Path | None, *, force: bool) -> None:
    """Exit, before anything is read for it, if a file is there that is not to be replaced."""
    if path is not None and not force and os.path.lexists(path):
        _refuse_existing(path)


def save_file(path: Path, content: bytes, *, force: bool, as_json: bool) -> None:
    """Save a file that only its owner can read, and say so. Exits where that is not possible, and leaves no part."""
    from protokeep.store import private_files

    try:
        private_files.save_file(path, content, replacing=force)
    except FileExistsError as error:
        _refuse_existing(path, "" if not force else str(error.strerror))
    except OSError as error:
        print_notice(f"{path} could not be written: {error.strerror}. Name another file with --output.")
        raise typer.Exit(EXIT_ERROR) from None
    if as_json:
        print_json({"file": str(path), "bytes": len(content)})
    else:
        print_notice(f"{len(content):,} bytes in {path}")


def print_export(content: str, *, is_json: bool) -> None:
    """Print a list that the server wrote as CSV or JSON, with the line ends of a terminal."""
    if is_json:
        print_json(json.loads(content))
    else:
        print_text(content.replace("\r\n", "\n").rstrip("\n"))


def _refuse_existing(path: Path, why: str = "") -> None:
    follows = f"{why}, so it is not replaced. Name another file." if why else "Name another file, or add --force."
    print_notice(f"{path} exists. {follows}")
    raise typer.Exit(EXIT_ERROR) from None
