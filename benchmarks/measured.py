"""Figures that docs/benchmarks.md holds, read where they stand, so that a later measurement changes what follows."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
NUMBER = r"([\d,]*\.?\d+)"


def section(heading: str) -> str:
    """The text below a heading of the page, up to the next one."""
    _, found, rest = PAGE.read_text().partition(f"\n## {heading}\n")
    if not found:
        raise LookupError(f"docs/benchmarks.md has no section {heading!r}: `make bench` writes it.")
    return rest.partition("\n## ")[0]


def figure(heading: str, row: str, column: int, *, columns: int = 0, after: str = "") -> float:
    """The first number in a cell of the row that begins with `row`; column 0 is the whole row behind that.

    `columns`: the number of cells of the table, where several tables of the section have such a row. `after`: what
    stands before the number, as a regular expression. Raises `LookupError` where there is none.
    """
    for line in section(heading).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith(f"| {row} |") or (columns and len(cells) != columns):
            continue
        text = line.removeprefix(f"| {row} |") if column == 0 else cells[column]
        if found := re.search(after + r"\**" + NUMBER, text):
            return float(found[1].replace(",", ""))
    raise LookupError(f"docs/benchmarks.md has no figure in {heading!r}, row {row!r}, column {column}.")
