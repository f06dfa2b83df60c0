"""What a scenario found out: figures, and every promise that was broken."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from typing import Any

#: Single finds of one kind that are printed.
SHOWN = 4


class Report:
    """Collects while a scenario runs. `verbose` tells each remark at once, with the seconds since the start."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.figures: dict[str, Any] = {}
        self.violations: dict[str, list[str]] = defaultdict(list)
        self._verbose = verbose
        self._began = time.monotonic()

    @property
    def held(self) -> bool:
        """Whether no promise was broken."""
        return not self.violations

    def expect(self, holds: bool, kind: str, words: object) -> None:
        """Note a violation unless it holds."""
        if not holds:
            self.violations[kind].append(str(words))
            self.remark(f"VIOLATION {kind}: {words}")

    def note(self, **figures: Any) -> None:
        """Add figures to the scenario's line."""
        self.figures.update(figures)
        self.remark(", ".join(f"{name}={value}" for name, value in figures.items()))

    def remark(self, words: object) -> None:
        """Tell what happens, where somebody asked to hear it."""
        if self._verbose:
            sys.stderr.write(f"    [{time.monotonic() - self._began:7.2f}] {words}\n")

    def line(self) -> str:
        """Figures, and after them the violations, on one line."""
        parts = [f"{name}={value}" for name, value in self.figures.items()]
        for kind, finds in self.violations.items():
            parts.append(f"{kind} x{len(finds)}: {'; '.join(finds[:SHOWN])}")
        return ", ".join(parts)
