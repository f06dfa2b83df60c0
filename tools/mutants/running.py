"""Runs tests on changed copies of the source tree; the tree itself is never changed."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mutants.mutant import Mutant

#: One test, and all tests of one change. Who hangs has noticed.
TEST_SECONDS = 30
MUTANT_SECONDS = 300
#: To end in good order after an interrupt, with the database server.
ENDING_SECONDS = 30
FAILED, INTERRUPTED, WRONG_CALL, NO_TESTS = 1, 2, 4, 5


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNREACHED = "unreached"  #: no test runs the line: survived, too


@dataclass(frozen=True, slots=True)
class Job:
    """A mutant, and the tests that it has to get past."""

    mutant: Mutant
    tests: Sequence[str]


class Trees:
    """So many copies of the source tree in a folder of their own."""

    def __init__(self, root: Path, folder: Path, count: int) -> None:
        self._free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._count = count
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "src", "tests", "docs", "pyproject.toml", "README.md"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for number in range(count):
            tree = folder / f"tree-{number}"
            shutil.rmtree(tree, ignore_errors=True)
            for name in listed:
                if (root / name).exists():
                    (tree / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(root / name, tree / name)
            self._free.put(tree)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Verdict]]:
        """The verdicts in the order of the jobs, as they come."""
        pool = ThreadPoolExecutor(self._count)
        try:
            yield from zip(jobs, pool.map(self._verdict, jobs), strict=True)
        finally:  # Whoever interrupts does not wait for all that were to come.
            pool.shutdown(cancel_futures=True)

    def _verdict(self, job: Job) -> Verdict:
        if not job.tests:
            return Verdict.UNREACHED
        tree = self._free.get()
        changed = tree / job.mutant.path
        text = changed.read_text(encoding="utf-8")
        try:
            changed.write_text(job.mutant.apply(text), encoding="utf-8")
            return _tested(tree, job.tests)
        finally:
            changed.write_text(text, encoding="utf-8")
            self._free.put(tree)


def _tested(tree: Path, tests: Sequence[str]) -> Verdict:
    """Whether one of the tests fails."""
    asked = tree / "tests-to-run"
    asked.write_text("\n".join(tests), encoding="utf-8")
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    command += ["-o", f"timeout={TEST_SECONDS}", f"@{asked.name}"]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "HYPOTHESIS_STORAGE_DIRECTORY": str(tree / "made")}
    with (tree / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=tree, env=environment, stdout=log, stderr=log)
        try:
            code = running.wait(MUTANT_SECONDS)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            return Verdict.KILLED
    if code in (WRONG_CALL, NO_TESTS) and "ERROR: not found" in (tree / "log").read_text():
        raise RuntimeError(f"pytest was asked for tests that are not there; see {tree / 'log'}")
    return Verdict.SURVIVED if code == 0 else Verdict.KILLED
