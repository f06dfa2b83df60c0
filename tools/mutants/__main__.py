"""make mutants ARGS="--sample 60 --seed 7 --only core" or ARGS="--guards"."""

from __future__ import annotations

import argparse
import ast
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutants import python, sql
from mutants.marks import equivalents, guards
from mutants.mutant import Mutant, sources
from mutants.reach import reach_of
from mutants.running import Job, Trees, Verdict

ROOT = Path(__file__).resolve().parents[2]
#: Reached-lines map, copies of the tree, logs. Goes with `make clean`.
FOLDER = ROOT / ".venv" / "mutants"
#: Which part of a sample each area gets.
SHARES = {"core": 0.35, "service": 0.35, "store": 0.15, "sql": 0.15}


def main() -> int:
    """0: done, whatever survived. 1: a guard of the list is no longer in the code."""
    asked = _options()
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = 0
    if asked.guards:
        chosen, stale = _guards(asked.only)
    else:
        chosen = _sample(asked.sample, asked.seed, asked.only)
    if asked.list:
        for mutant in chosen:
            print(_description(mutant))
        return bool(stale)
    _report(list(_tried(_jobs(chosen, asked))))
    return bool(stale)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=40, help="how many random mutants (40)")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same seed, the same mutants (1)")
    parser.add_argument("--only", help="an area (core, service, store, sql) or a part of a path")
    parser.add_argument("--guards", action="store_true", help="the mutants of tools/mutants/guards.toml instead")
    parser.add_argument("--tests", type=int, default=120, help="how many tests a mutant has to get past (120)")
    parser.add_argument("--anew", action="store_true", help="find out anew which tests run which lines")
    parser.add_argument("--list", action="store_true", help="only say which mutants these are")
    return parser.parse_args()


def _is_asked(mutant: Mutant, only: str | None) -> bool:
    return only is None or only == mutant.area or (only not in SHARES and only in mutant.path)


def _guards(only: str | None) -> tuple[list[Mutant], int]:
    chosen, stale = [], 0
    for guard in guards(ROOT):
        if guard.mutant is None:
            stale += 1
            print(
                f"stale      {guard.path}: `{' '.join(guard.old.split())}` does not stand there once", file=sys.stderr
            )
        elif _is_asked(guard.mutant, only):
            chosen.append(guard.mutant)
    return chosen, stale


def _sample(size: int, seed: int, only: str | None) -> list[Mutant]:
    by_area: dict[str, list[Mutant]] = {area: [] for area in SHARES}
    for mutant in _all():
        if _is_asked(mutant, only):
            by_area[mutant.area].append(mutant)
    asked = {area: mutants for area, mutants in by_area.items() if mutants}
    whole = sum(SHARES[area] for area in asked)
    dice = random.Random(seed)  # noqa: S311 - a sample is no secret
    chosen: list[Mutant] = []
    for area, mutants in asked.items():
        chosen += dice.sample(mutants, min(len(mutants), round(size * SHARES[area] / whole)))
    return chosen


def _all() -> Iterator[Mutant]:
    for file in sources(ROOT):
        path, text = str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")
        if path.endswith(".sql"):
            yield from sql.mutants_of(path, text)
        else:
            yield from (mutant for mutant in python.mutants_of(path, text) if _parses(mutant.apply(text)))


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _jobs(chosen: Sequence[Mutant], asked: argparse.Namespace) -> list[Job]:
    """The tests that each mutant has to get past: those named beside a guard, else those that run its lines."""
    if asked.guards and all(mutant.tests for mutant in chosen):
        return [Job(mutant, list(mutant.tests)) for mutant in chosen]
    reach = reach_of(ROOT, FOLDER, anew=asked.anew)
    return [Job(mutant, reach.tests_of(mutant, asked.tests)) for mutant in chosen]


def _tried(jobs: Sequence[Job]) -> Iterator[tuple[Mutant, str]]:
    """Each mutant and what became of it; survivors are printed as they come."""
    same = equivalents()
    alike = [job for job in jobs if (job.mutant.path, *job.mutant.diff(_text(job.mutant))) in same]
    yield from ((job.mutant, "equivalent") for job in alike)
    for job, verdict in Trees(ROOT, FOLDER, 2).run([job for job in jobs if job not in alike]):
        if verdict is not Verdict.KILLED:
            print(f"{verdict:<10} {_description(job.mutant)}  ({len(job.tests)} tests)", flush=True)
        yield job.mutant, "killed" if verdict is Verdict.KILLED else "survived"


def _text(mutant: Mutant) -> str:
    return (ROOT / mutant.path).read_text(encoding="utf-8")


def _description(mutant: Mutant) -> str:
    text = _text(mutant)
    before, after = mutant.diff(text)
    return f"{mutant.path}:{mutant.line(text)}: {mutant.what}\n           - {before}\n           + {after}"


def _report(results: Sequence[tuple[Mutant, str]]) -> None:
    counts = Counter((mutant.area, outcome) for mutant, outcome in results)
    print(f"\n{'area':<10}{'killed':>8}{'survived':>10}{'equivalent':>12}{'':>4}percent")
    for area in [*SHARES, "other", "all"]:
        killed, survived, alike = (
            sum(count for (of, outcome), count in counts.items() if outcome == name and area in (of, "all"))
            for name in ("killed", "survived", "equivalent")
        )
        if killed + survived + alike:
            percent = f"{100 * killed / max(killed + survived, 1):.0f} %"
            print(f"{area:<10}{killed:>8}{survived:>10}{alike:>12}{'':>4}{percent}")


if __name__ == "__main__":
    sys.exit(main())
