"""The words that people meet are those of `docs/glossary.md`: one per thing, and none that says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from protokeep.core.state_labels import STATE_LABELS
from protokeep.web.pages.own_words import in_own_words
from sentences import PACKAGE, ROOT, Sentence, every_sentence

#: What only operators and programmers read. Their words are those of the field: polling, census, follow-up.
FOR_OPERATORS = (
    *("README.md", "docs/"),
    *(f"src/protokeep/{name}" for name in ("adoption.py", "doctor.py", "settings", "wiring.py", "job", "agents/")),
    *(f"src/protokeep/cli/{name}" for name in ("adopt.py", "hooks.py", "server.py")),
    *("src/protokeep/metrics.py", "src/protokeep/service/gauges.py"),
    "src/protokeep/store/",
    "src/protokeep/web/",
)
#: The page is for everyone, whatever else the web serves.
FOR_EVERYONE = ("src/protokeep/web/pages/", "src/protokeep/web/templates/", "src/protokeep/web/static/")

#: Sentences that no page shows, each with its reason.
NOT_ON_THE_PAGE: Mapping[str, str] = {
    "src/protokeep/service/archives.py": "Copies of chats have no page.",
    "src/protokeep/core/errors.py": "A database that is not migrated serves no page; it is the operator's.",
    "src/protokeep/service/tokens.py": "The page revokes tokens by their buttons.",
    "src/protokeep/service/installation.py": "A server with another secret does not start; it is the operator's.",
    "src/protokeep/service/hooks.py": "Hooks are a command of the operator's.",
    "src/protokeep/service/vault.py": "A key that does not open is told by the account that it belongs to.",
}

#: Places that may have a word, each with its reason.
EXCEPTIONS: Mapping[str, str] = {
    "docs/glossary.md": "It lists the words.",
    "docs/asvs.md": "It answers a standard in the standard's words.",
    "docs/benchmarks.md": "It is written by a program.",
}
#: Values of fields and names of commands that stand in a sentence as they are typed.
NAMES = re.compile(
    r"`[^`]*`|/api/\S+|protokeep \w+( [\w-]+)*|\{[^}]*\}|urn:\S+|PROTOKEEP_\w+|^Example: .*|\w+_\w+|--[\w-]+"
    r"|^census \w+$|^[\w, ]*\b(ours, surplus, lost, nobody)\.$|\(census\)|filename=.*"
)


def _table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the glossary."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    part = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _banned() -> Iterator[tuple[re.Pattern[str], str, bool]]:
    """A pattern for each word that nobody should meet, what to say instead, and whether operators may read it."""
    for words, instead, where in _table("Words that nobody should meet"):
        for word in words.split(", "):
            pattern = r"(?<!app )(?<!\{)\bbuilders?\b(?!\})" if word == "the builder" else rf"\b{word}\b"
            yield re.compile(pattern, re.IGNORECASE), instead, where == "not for operators"


@pytest.fixture(scope="module", name="sentences")
def _sentences() -> list[Sentence]:
    return [one for one in every_sentence() if not one.place.startswith(tuple(EXCEPTIONS))]


def test_no_sentence_has_a_word_that_nobody_should_meet(sentences: list[Sentence]) -> None:
    """A product manager understands each sentence at the first reading."""
    banned = list(_banned())
    found = []
    for one in sentences:
        text = NAMES.sub(" ", one.text)
        for pattern, instead, may_be_for_operators in banned:
            if pattern.search(text) and not (may_be_for_operators and _is_for_operators(one)):
                found.append(f"{one.place}: {pattern.pattern}, say: {instead}: {one.text[:160]}")

    assert len(sentences) > 3000
    assert "\n".join(found) == ""


def _is_for_operators(sentence: Sentence) -> bool:
    return sentence.place.startswith(FOR_OPERATORS) and not sentence.place.startswith(FOR_EVERYONE)


def test_the_page_says_no_address_of_the_api_and_no_command(sentences: list[Sentence]) -> None:
    """What the service says to programs and terminals is said in the page's own words there."""
    shown = ("src/protokeep/core/", "src/protokeep/service/")
    names = r"create_new|other_account|V0_API_KEY|PROTOKEEP_|Retry-After|Idempotency-Key"
    code = re.compile(rf"/api/|`protokeep |{names}")
    told = [
        one for one in sentences if one.place.startswith(shown) and not one.place.startswith(tuple(NOT_ON_THE_PAGE))
    ]
    on_the_page = [one for one in sentences if one.place.startswith(FOR_EVERYONE) and "own_words.py" not in one.place]

    found = [f"{one.place}: {text}" for one in told if code.search(text := in_own_words(_written_out(one.text)))]
    assert "\n".join(found) == ""
    assert [f"{one.place}: {one.text}" for one in on_the_page if "/api/" in one.text or "`protokeep" in one.text] == []


def _written_out(text: str) -> str:
    """The sentence with the setting's name that a provider puts into it."""
    return text.replace("{self._names[name]}", "V0_API_KEY").replace("{self.kind.upper()}", "PERSON")


def test_the_glossary_has_the_labels_of_all_states() -> None:
    """The words of states stand in `core/state_labels.py`, and the glossary says the same."""
    said = {(row[0], row[1].strip("`"), row[2]) for row in _table("States")}

    assert {(one.label, state.value, one.meaning) for state, one in STATE_LABELS.items()} == said


def test_each_thing_of_the_glossary_has_one_word() -> None:
    """No word is given to two things, and none is a word that another thing is not called."""
    rows = _table("Words")
    words = [row[0] for row in rows]

    assert sorted(set(words)) == sorted(words)
    assert all(row[1] for row in rows)
    assert (PACKAGE / "core" / "state_labels.py").exists()
