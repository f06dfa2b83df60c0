"""Print the notes of a release, cut from CHANGELOG.md: `python tools/release_notes.py 0.1.0`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
UNRELEASED = "Unreleased"


def notes_of(changelog: str, version: str) -> str | None:
    """What stands below the heading of a version, without the heading and its date; None where it has none."""
    heading = re.search(rf"^## \[{re.escape(version)}\].*\n", changelog, re.M)
    if heading is None:
        return None
    section = re.split(r"^## |^\[[^\]]+\]: ", changelog[heading.end() :], maxsplit=1, flags=re.M)[0]
    return section.strip() + "\n"


def main() -> int:
    """0, or 1 with a sentence where the version has no section yet."""
    (version,) = sys.argv[1:] or (UNRELEASED,)
    notes = notes_of(CHANGELOG.read_text(encoding="utf-8"), version)
    if notes is None:
        print(f"CHANGELOG.md has no section for {version}. Give what is under Unreleased its heading.", file=sys.stderr)
        return 1
    print(notes, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
