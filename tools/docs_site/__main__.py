"""Build the site into build/docs/site, and fail for a page with a warning or a request outside: `make docs`."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sphinx.cmd.build import build_main

from docs_site import api_pages, cli_page, sources

BUILD = sources.ROOT / "build" / "docs"
#: What a browser fetches by itself: not the links, which a person follows.
_FETCHED = (
    re.compile(r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc(?:set)?=["']?(?:https?:)?//[^"'\s>]+""", re.I),
    re.compile(r"""<link\b(?![^>]*rel=["'](?:canonical|license))[^>]*href=["'](?:https?:)?//[^"'\s>]+""", re.I),
    re.compile(r"""(?:url\(\s*["']?|@import\s+["'])(?:https?:)?//[^"')\s]+""", re.I),
    re.compile(r"""\b(?:fetch|importScripts|import)\(\s*["'`](?:https?:)?//[^"'`]+""", re.I),
)


def build(target: Path) -> int:
    """Lay the pages out, generate the rest and build; 0: without a warning."""
    shutil.rmtree(target, ignore_errors=True)
    pages = target / "pages"
    sources.lay_out(pages)
    api_pages.write(pages / "reference")
    cli_page.write(pages / "cli.md")
    return build_main(
        [
            *("-b", "html", "-q", "-W", "--keep-going", "-c", str(Path(__file__).parent)),
            *("-d", str(target / "doctrees"), str(pages), str(target / "site")),
        ]
    )


def outside_requests(site: Path) -> Iterator[str]:
    """What a browser would fetch from elsewhere, with its file."""
    for path in sorted(site.rglob("*")):
        if path.suffix in {".html", ".css", ".js"}:
            text = path.read_text(encoding="utf-8")
            yield from (f"{path.relative_to(site)}: {found[0]}" for one in _FETCHED for found in one.finditer(text))


def main() -> int:
    """1: a warning, or a request outside."""
    site = BUILD / "site"
    if build(BUILD):
        return 1
    if found := list(outside_requests(site)):
        print("\n".join(["docs: these would ask another server:", *found]), file=sys.stderr)
        return 1
    files = [path for path in site.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    pages = sum(path.suffix == ".html" for path in files)
    print(f"docs: {pages} pages, {size / 1e6:.1f} MB. Open {(site / 'index.html').relative_to(sources.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
