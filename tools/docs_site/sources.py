"""Lays the pages out as the site has them: `docs/` is its root, and everything else stands in `repository/`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FRONT = DOCS / "README.md"
#: Pages outside docs/ that the site has too.
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
#: Pages that are generated, and the page of docs/ after which the navigation lists them.
GENERATED_AFTER = {"api.md": ("reference/index.md", "cli.md")}

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_TITLED = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_GROUP = re.compile(r"^## (.+)$", re.MULTILINE)


def lay_out(target: Path) -> None:
    """Copy every page and what it links to into a folder, with links that are true there, and the navigation."""
    for page in pages():
        place = target / place_of(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_as_on_the_site(page, target), encoding="utf-8")
    front = target / "index.md"
    front.write_text(front.read_text(encoding="utf-8") + _navigation(), encoding="utf-8")
    decisions = target / "decisions" / "index.md"
    listing = _toctree("", sorted(path.name for path in (DOCS / "decisions").glob("0*.md")))
    decisions.write_text(decisions.read_text(encoding="utf-8") + listing, encoding="utf-8")


def pages() -> list[Path]:
    """Every page that the site has, the generated ones aside."""
    return [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in BESIDE)]


def place_of(path: Path) -> PurePosixPath:
    """Where a file of the repository stands on the site."""
    if path == ROOT / "README.md":
        path = FRONT
    if path.is_relative_to(DOCS):
        place = PurePosixPath(path.relative_to(DOCS).as_posix())
        return place.with_name("index.md") if place.name == "README.md" else place
    return PurePosixPath("repository", path.relative_to(ROOT).as_posix())


def groups() -> Iterator[tuple[str, list[str]]]:
    """(heading, its entries) of the navigation: as the front page lists them, the pages that it forgets last."""
    _, *parts = _GROUP.split(FRONT.read_text(encoding="utf-8"))
    listed: set[PurePosixPath] = set()
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        entries = []
        for title, link in _TITLED.findall(text):
            if (DOCS / link).is_file():
                place = place_of((DOCS / link).resolve())
                listed.add(place)
                entries += [f"{title} <{place}>", *GENERATED_AFTER.get(str(place), ())]
        yield heading, entries
    forgotten = {place_of(page) for page in pages() if page.parent.name != "decisions"} - listed - {place_of(FRONT)}
    if forgotten:
        yield "More", sorted(map(str, forgotten))


def _navigation() -> str:
    return "".join(_toctree(heading, names) for heading, names in groups())


def _toctree(caption: str, names: list[str]) -> str:
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *names, "```", ""])


def _as_on_the_site(page: Path, target: Path) -> str:
    parts = _FENCE.split(page.read_text(encoding="utf-8"))
    return "".join(part if number % 2 else _relink(part, page, target) for number, part in enumerate(parts))


def _relink(text: str, page: Path, target: Path) -> str:
    def on_the_site(found: re.Match[str]) -> str:
        name, hash_, anchor = found[1].partition("#")
        path = (page.parent / name).resolve()
        if not name or ":" in name or not path.exists():
            return found[1]
        if path.is_dir():
            path = path / "README.md"
        place = place_of(path)
        if path.suffix != ".md" and not (target / place).exists():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / place)
        return os.path.relpath(place, place_of(page).parent) + hash_ + anchor

    return _LINK.sub(on_the_site, text)
