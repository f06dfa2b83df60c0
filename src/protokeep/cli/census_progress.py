"""How far a census is, on standard error: a bar on a terminal, and a line for each phase elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from protokeep.cli.terminal import in_one_line, print_notice

Show = Callable[[Mapping[str, Any], float | None], None]


@contextlib.contextmanager
def shown_progress(*, quiet: bool, is_terminal: bool) -> Iterator[Show]:
    """What shows how far a census is, for as long as the context lasts."""
    if quiet:
        yield lambda census, seconds_left: None
    elif is_terminal:
        with _bar() as show:
            yield show
    else:
        yield _Lines().show


class _Lines:
    """A line whenever the phase, the state or the problem changes."""

    def __init__(self) -> None:
        self._shown: tuple[str, ...] = ()

    def show(self, census: Mapping[str, Any], seconds_left: float | None) -> None:
        told = (census["state"], census["phase"], census["problem"] or "")
        if told != self._shown:
            self._shown = told
            print_notice(_words(census, seconds_left))


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    columns = (BarColumn(bar_width=30), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None)

        def show(census: Mapping[str, Any], seconds_left: float | None) -> None:
            words = Text(_words(census, seconds_left)).plain
            progress.update(bar, description=words, completed=census["chats"], total=census["expected"])

        yield show


def _words(census: Mapping[str, Any], seconds_left: float | None) -> str:
    expected = f" of about {census['expected']:,}" if census["expected"] else ""
    left = "" if seconds_left is None else f", about {seconds_left:.0f} s left"
    words = f"{census['chats']:,}{expected} chats, {census['calls']:,} calls{left}: "
    return words + in_one_line(census["problem"] or census["phase"] or census["state"])
