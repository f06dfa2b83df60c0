"""Build the site, and fail for a warning or a request outside: `make docs`, or `python -m tools.docs_site FOLDER`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from tools.docs_site import api_pages, cli_page, sources
from tools.docs_site.outside import outside_requests

DEFAULT = sources.ROOT / "build" / "docs"


def main(target: Path) -> int:
    """Build FOLDER/site out of FOLDER/pages. 1: a warning, or a request outside."""
    shutil.rmtree(target, ignore_errors=True)
    pages, site = target / "pages", target / "site"
    sources.lay_out(pages)
    api_pages.write(pages / "reference")
    cli_page.write(pages / "cli.md")
    here = str(Path(__file__).parent)
    options = ["-b", "html", "-q", "-W", "--keep-going", "-c", here, "-d", str(target / "doctrees")]
    if build_main([*options, str(pages), str(site)]):
        return 1
    if found := list(outside_requests(site)):
        print("\n".join(["docs: these would ask another server:", *found]), file=sys.stderr)
        return 1
    files = [path for path in site.rglob("*") if path.is_file()]
    count = sum(path.suffix == ".html" for path in files)
    size = sum(path.stat().st_size for path in files)
    print(f"docs: {count} pages, {size / 1e6:.1f} MB. Open {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else DEFAULT))
