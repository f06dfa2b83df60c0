"""`make adversary`: run the scenarios in front of the adversary's v0, one line each.

Exit codes: 0 all held, 1 a promise was broken, 3 something could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import adversary.scenarios
from adversary.scenario import BOTH, SCENARIOS, Scenario, run
from postgres import PostgresServer

Run = tuple[Scenario, str, int]


def main() -> int:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="make adversary", description=adversary.scenarios.__doc__)
    parser.add_argument("scenarios", nargs="*", help="names, or beginnings of names; default: all")
    parser.add_argument("--database", choices=BOTH, help="only on this one")
    parser.add_argument("--version", type=int, choices=(1, 2), help="only with this version of v0's API")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time; most of them mostly wait")
    parser.add_argument("--short", action="store_true", help="few products, short waits")
    parser.add_argument("--list", action="store_true", help="list the scenarios, run none")
    parser.add_argument("--verbose", action="store_true", help="tell what happens while it happens")
    parser.add_argument("--keep", type=Path, help="a folder for databases and logs, kept afterwards")
    arguments = parser.parse_args()
    chosen = list(_chosen(arguments.scenarios))
    if not chosen:
        parser.error("no such scenario; --list lists them")
    if arguments.list:
        for one in chosen:
            sys.stdout.write(f"{one.name:<28} {one.says}\n")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # The processes are ended then, not left.
    runs = list(_runs(chosen, arguments))
    with ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adversary-")))
        server: PostgresServer | None = None
        if any(kind == "postgresql" for _, kind, _ in runs):
            server = stack.enter_context(PostgresServer({"log_min_messages": "fatal"}))
        verdicts = asyncio.run(_run_all(runs, arguments, folder.absolute(), server))
    return 1 if "VIOLATED" in verdicts else 3 if "could not run" in verdicts else 0


async def _run_all(
    runs: list[Run], arguments: argparse.Namespace, folder: Path, server: PostgresServer | None
) -> set[str]:
    """Run all, some at a time, and print a line for each as it ends; the verdicts of the lines."""
    slots = asyncio.Semaphore(arguments.jobs)

    async def run_one(one: Scenario, kind: str, version: int) -> str:
        where = folder / f"{one.name}-{kind}-v{version}"
        async with slots:
            outcome = await run(
                one, kind, server, where, version=version, short=arguments.short, verbose=arguments.verbose
            )
        figures = f", {outcome.line}" if outcome.line else ""
        sys.stdout.write(f"{one.name} {kind} v{version}: {outcome.word}, {outcome.seconds:.0f} s{figures}\n")
        sys.stdout.flush()
        return outcome.word

    return set(await asyncio.gather(*(run_one(*each) for each in runs)))


def _chosen(names: list[str]) -> Iterator[Scenario]:
    for one in SCENARIOS.values():
        if not names or any(one.name == name or one.name.startswith(f"{name}_") for name in names):
            yield one


def _runs(chosen: list[Scenario], arguments: argparse.Namespace) -> Iterator[Run]:
    for one in chosen:
        for kind in one.databases:
            for version in one.versions:
                if arguments.database in (None, kind) and arguments.version in (None, version):
                    yield one, kind, version


if __name__ == "__main__":
    sys.exit(main())
