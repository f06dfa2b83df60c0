"""The pages for people, held against the code: tables are complete, commands exist, links lead somewhere."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from page_links import broken_links
from protokeep import cli
from protokeep.core.state_labels import STATE_LABELS
from protokeep.settings import SECRETS, Settings
from protokeep.web.app import create_app
from protokeep.web.models import CreateProject, PrototypeView
from protokeep.web.problem_kinds import KINDS
from system.access.route_policy import RULES, Way, routes_of
from world import settings_of

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "protokeep"
DOCS = ROOT / "docs"
FOLDERS = ("docs", "deploy", "examples", ".ci")
PAGES = sorted([*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))])
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]
#: How the code reads a variable past the settings.
ENVIRONMENT_READS = re.compile(r'(?:environ\.get\(|environ\[|envvar=|secret_in_environment\()"([A-Z0-9_]+)"')


def rows(page: Path, heading: str = "", level: str = "## ") -> Iterator[list[str]]:
    """The cells of all table rows below a heading of a page, up to the next one of its level; "": of the whole page."""
    text = page.read_text()
    if heading:
        text = re.split(rf"^{level}", text.partition(f"\n{level}{heading}\n")[2], maxsplit=1, flags=re.M)[0]
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def first_words(page: Path, heading: str = "", level: str = "## ") -> list[str]:
    """What stands in backticks in the first cell of each row."""
    return [word for cells in rows(page, heading, level) for word in re.findall(r"`([^`]+)`", cells[0])]


def code_of(page: Path) -> Iterator[str]:
    """Every line of a code block, and every code span."""
    for number, part in enumerate(re.split(r"^```.*$", page.read_text(), flags=re.M)):
        yield from part.splitlines() if number % 2 else re.findall(r"`([^`\n]+)`", part)


def test_every_route_is_in_the_api_page_with_its_role() -> None:
    """
    The tables of docs/api.md hold every route of the application, none that is gone, and who may use it.
    """
    documented = {cells[0].strip("`"): cells[1] for cells in rows(DOCS / "api.md", "Routes")}
    routes = {route for route in routes_of(create_app(settings_of())) if not route.startswith("HEAD ")}
    roles = {route: "open" if RULES[route].way is Way.OPEN else RULES[route].role.value for route in routes}

    assert documented == roles


def test_every_setting_is_in_the_configuration_page_with_its_default() -> None:
    """
    The tables of docs/configuration.md hold every setting and file of a secret, none that is gone, and true defaults.
    """
    page = DOCS / "configuration.md"
    outside = {cells[0].strip("`") for cells in rows(page, "Outside the server")}
    documented = {cells[0].strip("`"): cells[1] for cells in rows(page) if cells[0].strip("`") not in outside}

    assert documented == dict(_defaults())


def _defaults() -> Iterator[tuple[str, str]]:
    for name, field in Settings.model_fields.items():
        alias = getattr(field.validation_alias, "choices", [f"PROTOKEEP_{name.upper()}"])[0]
        value = field.default
        if name in SECRETS:
            yield f"{alias}_FILE", "unset"
        yield alias, "unset" if value in (None, "") else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_every_other_variable_is_in_the_configuration_page() -> None:
    """
    What the code reads from the environment beside the settings is in the last table of docs/configuration.md.
    """
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    read = {name for name in ENVIRONMENT_READS.findall(source) if name.startswith("PROTOKEEP_")}
    read |= {f"{name}_FILE" for name in re.findall(r'secret_in_environment\("([A-Z0-9_]+)"', source)}

    assert read - set(first_words(DOCS / "configuration.md", "Outside the server")) == set()


def test_every_field_of_a_prototype_is_described() -> None:
    """
    docs/api.md names every field of a request and of a prototype, and every state.
    """
    words = first_words(DOCS / "api.md", "The prototype")

    assert set(first_words(DOCS / "api.md", "Creating")) >= set(CreateProject.model_fields)
    assert set(words) >= set(PrototypeView.model_fields)
    assert set(words) >= {state.value for state in STATE_LABELS}


def test_every_problem_type_is_described() -> None:
    """
    docs/api.md names every type of problem that an answer can have, with its status.
    """
    source = "\n".join(path.read_text() for path in (SOURCE / "web").rglob("*.py"))
    raised = set(re.findall(r'\b([45]\d\d)(?:, |: \()"([a-z][a-z-]+)"', source))
    table = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \| (.+) \|$", (DOCS / "api.md").read_text(), flags=re.M)

    assert {(status, kind) for status, kind, _ in table} == raised
    assert {kind: (int(status), meaning) for status, kind, meaning in table} == KINDS


def test_every_log_event_that_is_named_exists() -> None:
    """
    docs/operations.md names no log event that the code does not write.
    """
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    written = set(re.findall(r'log\.\w+\(\s*"(\w+)"', source))

    assert set(first_words(DOCS / "operations.md", "Log events")) - written == set()


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_command_exists(page: Path) -> None:
    """
    Every `protokeep` command has its options, and every `make` command its target.
    """
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.M))
    unknown = []
    for line in code_of(page):
        if found := re.search(r"(?:^|/|[A-Z]=\S+ )protokeep ([a-z-][^|<>#]*)", line):
            unknown += [f"{line}: {word}" for word in unknown_words(found[1])]
        if (found := re.match(r"\s*make ([a-z]+)", line)) and found[1] not in targets:
            unknown.append(line)

    assert unknown == []


@functools.cache
def _program() -> Any:
    """The command line; it takes long to make, and pages name hundreds of commands."""
    return get_command(cli.app)


def unknown_words(words: str) -> Iterator[str]:
    """The command or the options that a line of the command line gets wrong."""
    command = _program()
    for number, word in enumerate(words.split()):
        nested = getattr(command, "commands", {})
        if word.startswith("--"):
            known = {option for param in command.params for option in param.opts} | {"--help"}
            known |= {"--install-completion", "--show-completion"} if number == 0 else set()
            if word.partition("=")[0] not in known:
                yield word
        elif word in nested:
            command = nested[word]
        elif nested:
            yield word
            return


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_link_leads_somewhere(page: Path) -> None:
    """
    Links between pages name a file, and a heading that it has.
    """
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """
    A path in backticks is one of the repository's.
    """
    named = re.compile(r"(?:src|tests|tools|benchmarks)/[\w/.-]*\.\w+")
    paths = [path for line in code_of(page) for path in named.findall(line)]

    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_module_on_the_map_exists() -> None:
    """
    CONTRIBUTING.md names no module and no query file that is gone; `NAME.py` stands for a new one.
    """
    spans = [line for line in code_of(ROOT / "CONTRIBUTING.md") if re.fullmatch(r"[\w/]+\.(?:py|sql)", line)]
    files = [f"/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "src").rglob("*.*")]
    files += [f"/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "tests").rglob("*.py")]

    assert [span for span in spans if "NAME" not in span and not any(file.endswith(f"/{span}") for file in files)] == []


#: How many requirements of levels 1 and 2 each section of OWASP ASVS 5.0.0 has; they come first in each.
ASVS = (
    "1.1:2 1.2:9 1.3:11 1.4:3 1.5:2 2.1:3 2.2:3 2.3:4 2.4:1 3.2:2 3.3:4 3.4:6 3.5:5 3.7:2 4.1:3 4.2:1 4.3:2 "
    "4.4:4 5.1:1 5.2:3 5.3:2 5.4:3 6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4 7.1:3 7.2:4 7.3:2 7.4:5 7.5:2 "
    "7.6:2 8.1:2 8.2:3 8.3:1 8.4:1 9.1:3 9.2:4 10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2 10.7:3 11.1:2 11.2:3 "
    "11.3:3 11.4:4 11.5:1 11.6:1 12.1:3 12.2:2 12.3:4 13.1:1 13.2:5 13.3:2 13.4:5 14.1:2 14.2:4 14.3:3 15.1:3 "
    "15.2:3 15.3:7 16.1:1 16.2:5 16.3:4 16.4:3 16.5:3 17.1:1 17.2:4 17.3:2"
)


def test_every_asvs_requirement_is_answered_once() -> None:
    """
    docs/asvs.md has each of the 253 requirements of levels 1 and 2 once, in a row or among those that do not apply.
    """
    named = re.findall(r"`(\d+\.\d+\.\d+)`", (DOCS / "asvs.md").read_text())
    counts = re.findall(r"([\d.]+):(\d+)", ASVS)
    asked = [f"{section}.{number}" for section, count in counts for number in range(1, int(count) + 1)]

    assert len(asked) == 253
    assert sorted(named) == sorted(asked)


def test_every_asvs_answer_names_its_proof() -> None:
    """
    What is said to be met names a test that exists, or says that it was found by reading.
    """
    answers = [cells for cells in rows(DOCS / "asvs.md") if re.fullmatch(r"`\d+\.\d+\.\d+`", cells[0])]
    tests = [test for cells in answers for test in re.findall(r"`(tests/[^`]+)`", cells[3])]

    assert [cells for cells in answers if not re.match(r"(?:yes|not met|yours)\b", cells[2])] == []
    assert [cells for cells in answers if cells[2].startswith("yes") and not cells[3]] == []
    assert [test for test in tests if not _is_test(test)] == []


def _is_test(name: str) -> bool:
    path, *inner = name.split("::")
    nodes: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    for part in inner:
        found = [one for one in nodes if getattr(one, "name", None) == part]
        if not found:
            return False
        nodes = getattr(found[0], "body", [])
    return inner[-1].startswith("test_")


def test_every_decision_is_listed_under_its_title() -> None:
    """
    The list of decisions has each of them once, with its number and title.
    """
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| ([^|(]+?)(?: \([^)]*\))? \|$", _decisions_list(), flags=re.M)
    found = [
        (path.name[:4], path.name, re.findall(r"^# (.+)$", path.read_text(), flags=re.M)[0])
        for path in sorted((DOCS / "decisions").glob("0*.md"))
    ]

    assert [tuple(row) for row in listed] == found


def _decisions_list() -> str:
    return (DOCS / "decisions" / "README.md").read_text()
