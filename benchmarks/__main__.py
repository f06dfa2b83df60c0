"""`make bench`: run every benchmark, or those named, and write what they print into docs/benchmarks.md.

Each benchmark is a module that prints a Markdown table of its own when it is run; its section is replaced, others stay.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Each section is one run of the command named below its heading. The machine is shared and noisy: ratios count, absolute
times only inform. `make bench` measures all sections anew, `make bench ARGS=main_job` one of them.
"""
LIBRARIES = ("fastapi", "uvicorn", "sqlalchemy", "asyncpg", "aiosqlite", "pgqueuer", "httpx2")
#: The text of a section after this marker is written by hand, and kept when the section is measured anew.
WHY = "<!-- why -->\n"
#: Name of the module -> heading of its section.
BENCHMARKS = {
    "main_job": "The main job",
    "requests": "A reuse, a status, a list",
    "peers": "Durable starts, compared with DBOS and PgQueuer",
    "storm": "A storm of clicks",
    "growth": "A million prototypes",
    "commits": "Commits on a slow disk",
    "migration": "A migration beside a reader and a writer",
    "footprint": "Memory, start, a second process",
    "tracking": "Polling thousands with few calls",
    "page": "The page",
    "newcomer": "A newcomer's first minute",
    "census": "A census of an old account",
    "clean_up": "The clean-up of an old account",
    "shares": "Two workspaces on one server",
    "assistants": "Assistants",
    "grouping": "Grouping the chats of an account",
    "catalogue": "Searches, and what exists already",
    "scrape": "A reading of the metrics",
    "counters": "Rows that many write",
    "scale": "Scale, simulated",
    "start": "A start from the wheel",
}


def main() -> int:
    """Run what the command line names; 1 when one of them failed."""
    wanted = sys.argv[1:] or [name for name in BENCHMARKS if (ROOT / "benchmarks" / f"{name}.py").exists()]
    if unknown := set(wanted) - set(BENCHMARKS):
        sys.stderr.write(f"no such benchmark: {', '.join(sorted(unknown))}. There are: {', '.join(BENCHMARKS)}\n")
        return 2
    failed = False
    for name in wanted:
        sys.stderr.write(f"measuring {name} ...\n")
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(done.stdout + "\n")
        failed = failed or done.returncode != 0
        if done.returncode == 0:
            write(name, done.stdout)
    return 1 if failed else 0


def write(name: str, printed: str) -> None:
    """Replace the section of one benchmark."""
    page = PAGE.read_text() if PAGE.exists() else HEAD
    section = f"## {BENCHMARKS[name]}\n\n`python -m benchmarks.{name}`, {_machine()}\n\n{printed.strip()}\n"
    pattern = re.compile(rf"## {re.escape(BENCHMARKS[name])}\n.*?(?=\n## |\Z)", re.S)
    if there := pattern.search(page):
        _, why, words = there[0].partition(WHY)
        whole = section + (f"\n{WHY}{words.rstrip()}\n" if why else "")
        page = page[: there.start()] + whole + page[there.end() :]
    else:
        page = f"{page.rstrip()}\n\n{section}"
    PAGE.write_text(page.rstrip() + "\n")


def _machine() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    cores = os.cpu_count()
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, Python {platform.python_version()}, {versions}."


if __name__ == "__main__":
    sys.exit(main())
