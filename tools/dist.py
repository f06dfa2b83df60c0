"""Make what a release consists of: wheel, source archive, bill of materials, notes and digests.

`python tools/dist.py [FOLDER]`; the folder is `dist` unless one is given. The same tree gives the same bytes: hatchling
takes all times from SOURCE_DATE_EPOCH, or else from a constant of its own.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import release_notes
import sbom

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """0 once everything is in the folder, which may hold nothing else."""
    folder = Path(sys.argv[1] if sys.argv[1:] else "dist").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"{folder} is not empty: remove it, so that nothing old is released", file=sys.stderr)
        return 1
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        print(built.stderr, file=sys.stderr)
        return 1
    version = next(folder.glob("*.whl")).name.split("-")[1]
    bill = sbom.bill_of(version, sbom.RUNTIME.read_text(encoding="utf-8"))
    (folder / f"protokeep-{version}.cdx.json").write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    (folder / f"protokeep-{version}.notes.md").write_text(_notes(version), encoding="utf-8")
    lines = [f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    print("".join(lines), end="")
    return 0


def _notes(version: str) -> str:
    """The notes of the version, or those of what is unreleased, with a word about it."""
    changelog = release_notes.CHANGELOG.read_text(encoding="utf-8")
    if notes := release_notes.notes_of(changelog, version):
        return notes
    print(f"dist: CHANGELOG.md has no section for {version}; the notes are those of Unreleased", file=sys.stderr)
    return release_notes.notes_of(changelog, release_notes.UNRELEASED) or ""


if __name__ == "__main__":
    sys.exit(main())
