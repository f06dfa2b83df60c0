"""One change of one source file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Part of the source tree -> the name of its area in reports.
AREAS = {
    "src/protokeep/core/": "core",
    "src/protokeep/service/": "service",
    "src/protokeep/store/queries/": "sql",
    "src/protokeep/store/": "store",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """The characters from `start` to `end` of a file become `new`. `what` says so in words.

    `tests` are run first, before those that run the line.
    """

    path: str
    start: int
    end: int
    new: str
    what: str
    tests: tuple[str, ...] = ()

    @property
    def area(self) -> str:
        """The area that its file belongs to."""
        return next((area for prefix, area in AREAS.items() if self.path.startswith(prefix)), "other")

    def apply(self, text: str) -> str:
        """The file's text with the change."""
        return text[: self.start] + self.new + text[self.end :]

    def line(self, text: str) -> int:
        """The number of the line where the change begins."""
        return text.count("\n", 0, self.start) + 1

    def diff(self, text: str) -> tuple[str, str]:
        """The changed lines, before and after, each joined to one line."""
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", self.end)
        last = len(text) if last < 0 else last
        before = text[first:last]
        after = text[first : self.start] + self.new + text[self.end : last]
        return _one_line(before), _one_line(after)


def sources(root: Path) -> list[Path]:
    """The files that are changed: Python and SQL of every area, without migrations."""
    folders = [root / folder for folder in ("src/protokeep/core", "src/protokeep/service", "src/protokeep/store")]
    return sorted(
        path
        for folder in folders
        for path in [*folder.glob("*.py"), *folder.glob("queries/*.sql")]
        if path.name != "__init__.py"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
