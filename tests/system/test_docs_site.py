"""The site that `make docs` builds: its navigation, what is generated for it, and what a browser would fetch for it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from page_links import broken_links
from protokeep.web.app import create_app
from protokeep.web.reference import groups_of
from system.access.route_policy import RULES, Way
from tools.docs_site import api_pages, cli_page, sources
from tools.docs_site.outside import outside_requests
from world import settings_of


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the generator gets them."""
    target = tmp_path_factory.mktemp("docs") / "pages"
    sources.lay_out(target)
    api_pages.write(target / "reference")
    cli_page.write(target / "cli.md")
    return target


def test_the_front_page_lists_every_page() -> None:
    """
    Each page of docs/ has a line in docs/README.md, in the order of the navigation; a forgotten one comes last.
    """
    assert dict(sources.groups()).get("More", []) == [], "add a line for each to docs/README.md"


def test_a_forgotten_page_is_on_the_site_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    The navigation needs no page to be listed, and passes over a line whose page is not there.
    """
    (tmp_path / "README.md").write_text("# Front\n\n## Start\n\n- [One](one.md)\n- [Gone](gone.md)\n")
    for name in ("one.md", "two.md"):
        (tmp_path / name).write_text("# A page\n")
    monkeypatch.setattr(sources, "DOCS", tmp_path)
    monkeypatch.setattr(sources, "FRONT", tmp_path / "README.md")
    monkeypatch.setattr(sources, "BESIDE", ())

    assert list(sources.groups()) == [("Start", ["One <one.md>"]), ("More", ["two.md"])]


def test_every_link_of_the_site_leads_somewhere(pages: Path) -> None:
    """
    Links are as true on the site as on a code host, those of generated pages too; each page is laid out once.
    """
    laid_out = sorted(pages.rglob("*.md"))

    assert {str(page.relative_to(pages)): found for page in laid_out if (found := broken_links(page))} == {}
    assert len(laid_out) == len(sources.pages()) + len(list((pages / "reference").iterdir())) + 1


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    """
    A missing file, a missing heading, and a heading that stands only in a block of code; the second heading of a name
    has a number, and code and comments hold no links.
    """
    page = tmp_path / "page.md"
    page.write_text(
        "# `A` page, [linked](page.md)\n\n## Same\n\n## Same\n\n```sh\n# not a heading\n[x](gone.md)\n```\n\n"
        "[1](#a-page-linked) [2](page.md#same-1) [3](https://x.example/gone) `[4](gone.md)` <!-- [5](gone.md) -->\n"
        "[6](gone.md) [7](#not-a-heading) [8](page.md#same-2) ![9](gone.png)\n"
    )

    assert broken_links(page) == ["gone.md", "#not-a-heading", "page.md#same-2", "gone.png"]


def test_every_operation_is_in_the_reference_with_its_role_and_an_example(pages: Path) -> None:
    """
    The reference has each operation once, with the role that the route asks for, answers, and a call with its address.
    """
    groups = groups_of(create_app(settings_of()).openapi())
    text = "\n".join(page.read_text() for page in (pages / "reference").glob("*.md"))
    operations = [one for group in groups for one in group.operations]
    described = re.findall(r"^```text\n(\w+ /\S*)\n```$", text, flags=re.MULTILINE)

    assert sorted(described) == sorted(f"{one.method} {one.path}" for one in operations)
    for one in operations:
        rule = RULES[f"{one.method} {one.path}"]
        assert one.role == ("" if rule.way is Way.OPEN else rule.role.value), one.path
        assert one.answers, one.path
        assert f"```sh\n{api_pages.example_of(one)}\n```" in text
    assert "| `prompt` | body, required | string |" in text


def test_every_command_is_on_its_page_with_usage_and_example(pages: Path) -> None:
    """
    The page of the command line has each command once, with every option, and an example.
    """
    text = (pages / "cli.md").read_text()
    parts = dict(re.findall(r"^### `protokeep ([^`]+)`\n(.*?)(?=^##|\Z)", text, flags=re.MULTILINE | re.DOTALL))
    commands = list(cli_page.commands())

    assert sorted(parts) == sorted(" ".join(words) for words, _ in commands)
    for words, command in commands:
        part = parts[" ".join(words)]
        options = [option for param in command.params if not param.hidden for option in param.opts if option[0] == "-"]
        assert [option for option in options if option not in part] == [], words
        assert part.count("protokeep ") >= 2, words
    assert "Exit codes: 0 done" in parts["watch"]


def test_what_a_browser_would_fetch_is_found_and_links_are_not(tmp_path: Path) -> None:
    """
    Scripts, styles, fonts and pictures of other servers are found in each kind of file; links may lead anywhere.
    """
    fetched = {
        "a.html": ['<script defer src="https://x.example/a.js">', "<img alt='' src=//x.example/a.png>"],
        "b.html": ['<link rel="stylesheet" href="http://x.example/a.css">', '<iframe src="https://x.example">'],
        "c.css": ["@font-face { src: url(https://x.example/f.woff2) }", '@import "//x.example/a.css";'],
        "d.js": ['fetch("https://x.example")', 'script.src = "https://x.example/a.js"'],
    }
    for name, lines in fetched.items():
        (tmp_path / name).write_text("\n".join(lines))
    local = (
        '<a href="https://x.example">x</a><script src="_static/a.js"></script><link rel="canonical" href="https://x">'
    )
    (tmp_path / "local.html").write_text(local)

    found = [line.partition(":")[0] for line in outside_requests(tmp_path)]

    assert found == [name for name, lines in fetched.items() for _ in lines]


@pytest.mark.skipif(find_spec("furo") is None, reason="`make docs` installs what builds the site")
def test_the_site_is_built_without_a_warning_and_asks_nobody_else(tmp_path: Path) -> None:
    """
    The build fails for a warning, such as an unknown anchor, and for anything of another server in a page.
    """
    command = [sys.executable, "-m", "tools.docs_site", str(tmp_path)]
    done = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "PROTOKEEP_DATABASE_URL" in (tmp_path / "site" / "configuration.html").read_text()
    assert "Search.setIndex(" in (tmp_path / "site" / "searchindex.js").read_text()
