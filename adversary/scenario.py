"""How a scenario is named, chosen and run."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from adversary.databases import Database, PostgresDatabase, SqliteDatabase
from adversary.harness import CouldNotRunError, World
from adversary.members import find_faketime
from adversary.report import Report
from postgres import PostgresServer

SQLITE = ("sqlite",)
POSTGRESQL = ("postgresql",)
BOTH = (*SQLITE, *POSTGRESQL)
Play = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """One kind of trouble. `play` brings it about and notes in the world's report what broke."""

    name: str
    play: Play
    databases: tuple[str, ...]
    versions: tuple[int, ...]
    needs_faketime: bool = False

    @property
    def says(self) -> str:
        """What it does, in a line."""
        return (self.play.__doc__ or "").strip().splitlines()[0]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *, databases: tuple[str, ...] = BOTH, versions: tuple[int, ...] = (2,), needs_faketime: bool = False
) -> Callable[[Play], Play]:
    """Enter a coroutine function under its name. `versions`: of v0's API, with each of which it is run."""

    def enter(play: Play) -> Play:
        name = getattr(play, "__name__", "")
        SCENARIOS[name] = Scenario(name, play, databases, versions, needs_faketime)
        return play

    return enter


@dataclass(frozen=True)
class Outcome:
    """How one run ended: held, VIOLATED, skipped, or could not run."""

    word: str
    seconds: float
    line: str


async def run(
    one: Scenario,
    kind: str,
    server: PostgresServer | None,
    folder: Path,
    *,
    version: int,
    short: bool = False,
    verbose: bool = False,
) -> Outcome:
    """Run a scenario on one kind of database and with one version of v0's API."""
    if one.needs_faketime and find_faketime() is None:
        return Outcome("skipped", 0.0, "needs faketime")
    began = time.monotonic()
    report = Report(verbose=verbose)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    word = "could not run"
    try:
        database = await _database(kind, server, folder)
        async with World(database, folder, report, version=version, short=short) as world:
            await one.play(world)
        word = "held" if report.held else "VIOLATED"
    except CouldNotRunError as error:
        report.note(error=error)
    except Exception as error:  # noqa: BLE001 - the outermost line of a scenario: the others are run all the same
        report.note(error=f"{type(error).__name__}: {error}")
        word = "could not run" if report.held else "VIOLATED"
    return Outcome(word, time.monotonic() - began, report.line())


async def _database(kind: str, server: PostgresServer | None, folder: Path) -> Database:
    if kind == "sqlite":
        return SqliteDatabase(folder / "protokeep.db")
    assert server is not None
    return PostgresDatabase(server, await asyncio.to_thread(server.create_database))
