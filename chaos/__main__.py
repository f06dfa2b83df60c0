"""`make chaos`: run the scenarios, print one line of figures each, exit 1 on any violation."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from chaos.handover import rolling_restart, take_over_of_creates, take_over_of_tracking
from chaos.inspect import as_line
from chaos.lost import lost_answers
from chaos.storm import storm
from postgres import PostgresServer

SCENARIOS = ("postgresql", "sqlite", "take-over", "rolling", "lost")


def main() -> int:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"any of: {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--slots", type=int, default=320, help="products that are clicked on")
    parser.add_argument("--clicks", type=int, default=6, help="simultaneous clicks on each")
    parser.add_argument("--seconds", type=float, default=110.0, help="how long clicks and faults go on")
    parser.add_argument("--rounds", type=int, default=3, help="kills in take-over, restarts in rolling")
    parser.add_argument("--creates", type=int, default=5000, help="in lost: every fifth loses its answer")
    parser.add_argument("--api-version", type=int, choices=(1, 2), default=2, help="of the emulated v0")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; printed with the figures")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(unknown)}")
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    failed = False
    with tempfile.TemporaryDirectory(prefix="protokeep-chaos-") as folder:
        for scenario in arguments.scenarios or SCENARIOS:
            figures, violations = asyncio.run(_run(scenario, arguments, seed, Path(folder)))
            for violation in violations[:20]:
                sys.stderr.write(f"VIOLATION {violation}\n")
            sys.stdout.write(f"{scenario}: {as_line(figures)}\n")
            sys.stdout.flush()
            failed = failed or bool(violations)
    return 1 if failed else 0


async def _run(scenario: str, arguments: Any, seed: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    if scenario == "sqlite":
        return await _storm(f"sqlite:///{folder / 'chaos.db'}", None, arguments, seed)
    with PostgresServer() as server:
        url = server.create_database()
        if scenario == "postgresql":
            return await _storm(url, server, arguments, seed)
        if scenario == "rolling":
            outcomes, stops = await rolling_restart(url, arguments.rounds)
            figures = {**outcomes, "stops": len(stops), "longest_stop_seconds": round(max(stops), 2)}
            lost = sum(count for name, count in outcomes.items() if name != "answered")
            return figures, [f"{lost} requests were not answered"] if lost else []
        if scenario == "lost":
            verdict, figures = await lost_answers(url, arguments.creates, arguments.api_version)
            return figures, verdict.violations
        tracking = await take_over_of_tracking(url, arguments.rounds)
        creates, surplus = await take_over_of_creates(server.create_database(), arguments.rounds)
        violations = [f"{surplus} chats too many"] if surplus else []
        violations += [f"take-over took {seconds:.1f} s" for seconds in (*tracking, *creates) if seconds > 10]
        return {
            "tracking_seconds": [round(seconds, 1) for seconds in tracking],
            "creates_seconds": [round(seconds, 1) for seconds in creates],
            "chats_too_many": surplus,
        }, violations


async def _storm(url: str, server: Any, arguments: Any, seed: int) -> tuple[dict[str, Any], list[str]]:
    began = time.monotonic()
    verdict, done = await storm(
        url,
        server,
        api_version=arguments.api_version,
        slots=arguments.slots,
        clicks=arguments.clicks,
        seconds=arguments.seconds,
        seed=seed,
    )
    within = sum(1 for seconds in verdict.adopted_after if seconds <= 60)
    figures = {
        "slots": arguments.slots,
        **dict(sorted(done.items())),
        "chats": verdict.chats,
        "rows": verdict.rows,
        "duplicates": verdict.duplicates,
        "unknown_chats": verdict.unknown_chats,
        "unsettled": verdict.unsettled,
        "found_again": len(verdict.adopted_after),
        "found_again_within_60_s": within,
        "violations": len(verdict.violations),
        "seconds": round(time.monotonic() - began),
        "seed": seed,
    }
    return figures, verdict.violations


if __name__ == "__main__":
    sys.exit(main())
