"""What people wrote down about mutants: the guards that are always tried, and changes that change nothing."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from mutants.mutant import Mutant

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Guard:
    """A change at a guard: it breaks what `breaks` says. `mutant` is None where the code has changed since."""

    path: str
    old: str
    breaks: str
    mutant: Mutant | None


def guards(root: Path) -> list[Guard]:
    """The guards of `guards.toml`; the old text has to stand in its file once."""
    found = []
    for row in tomllib.loads((HERE / "guards.toml").read_text(encoding="utf-8"))["guard"]:
        path, old, breaks = row["file"], row["old"].strip("\n"), row["breaks"]
        file = root / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        mutant = None
        if text.count(old) == 1:
            start = text.index(old)
            mutant = Mutant(path, start, start + len(old), row["new"].strip("\n"), breaks, tuple(row.get("tests", ())))
        found.append(Guard(path, old, breaks, mutant))
    return found


def equivalents() -> set[tuple[str, str, str]]:
    """(file, line before, line after) of changes that change nothing, or only words, costs or limits."""
    rows = tomllib.loads((HERE / "equivalents.toml").read_text(encoding="utf-8")).get("equivalent", [])
    return {(row["file"], " ".join(row["before"].split()), " ".join(row["after"].split())) for row in rows}
