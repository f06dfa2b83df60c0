"""The page of the command line, out of the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from protokeep import cli
from tools.docs_site.api_pages import cell

INTRODUCTION = """# Command line

This page is generated from the commands; `protokeep COMMAND --help` says the same. Commands that ask a server take its
address and your token from `PROTOKEEP_URL` and `PROTOKEEP_TOKEN`. `--json` prints JSON for programs.
[From the command line](assistants.md#from-the-command-line) lists the exit codes, and says what asking again does after
a lost answer.
"""


def write(page: Path) -> None:
    """Write it: per command its purpose, usage, arguments, options, example and exit codes."""
    page.write_text("\n".join(_page()), encoding="utf-8")


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of each command."""
    group = group or get_command(cli.app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def _page() -> Iterator[str]:
    yield INTRODUCTION
    program: Any = get_command(cli.app)
    heading = ""
    for words, command in sorted(commands(program), key=lambda one: len(one[0])):
        group = words[0] if len(words) > 1 else "Commands"
        if group != heading:
            heading = group
            yield f"## {f'`{group}`' if len(words) > 1 else group}\n"
            yield f"{program.commands[group].help}\n" if len(words) > 1 else ""
        yield from _command(" ".join(words), command)


def _command(words: str, command: Any) -> Iterator[str]:
    context = command.make_context(f"protokeep {words}", [], resilient_parsing=True)
    example, _, codes = command.epilog.partition(". Exit codes: ")
    yield f"### `protokeep {words}`\n"
    yield f"{' '.join(inspect.cleandoc(command.help).split())}\n"
    yield f"```text\nprotokeep {words} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    records = [found for each in command.params if (found := each.get_help_record(context)) is not None]
    if records:
        yield from ("| argument or option | meaning |", "|---|---|")
        for name, meaning in records:
            yield f"| `{cell(name)}` | {_meaning(meaning)} |"
        yield ""
    yield f"```sh\n{example.removeprefix('Example: ')}\n```\n"
    if codes:
        yield f"Exit codes: {codes}\n"


def _meaning(text: str) -> str:
    """A help text, in which what stands in angle brackets is no HTML."""
    return re.sub(r"([<*_\[\]])", r"\\\1", cell(text))
