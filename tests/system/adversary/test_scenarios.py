"""Short forms of the adversary's scenarios, with real processes. `make adversary` runs all of them, at full length.

What takes a pause of half a minute or settings that users have is not here: the suite has it on an injected clock.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import adversary.scenarios  # noqa: F401 - enters the scenarios
from adversary.scenario import SCENARIOS, run
from postgres import PostgresServer

#: What is over in a few seconds, with the database and the version of v0's API that say most.
QUICK = [
    ("two_keys", "sqlite", 2),
    ("two_keys", "postgresql", 1),
    ("planted_marks", "sqlite", 2),
    ("deleted_stays_deleted", "sqlite", 2),
]


@pytest.mark.parametrize(("name", "kind", "version"), QUICK)
async def test_the_short_form_of_every_scenario_holds(
    name: str, kind: str, version: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """
    No promise is broken in front of a v0 that was written from its documents alone.
    """
    server: PostgresServer | None = request.getfixturevalue("postgres") if kind == "postgresql" else None

    outcome = await run(SCENARIOS[name], kind, server, tmp_path / "scenario", version=version, short=True)

    assert ("held", outcome.line) == (outcome.word, outcome.line)


def test_every_scenario_is_described() -> None:
    """
    Each has a line of its own, and its kind in the documentation; the documentation names no other.
    """
    page = (Path(__file__).parents[3] / "docs" / "reliability.md").read_text()
    table = page.partition("| kind | scenarios |")[2]

    assert len({one.says for one in SCENARIOS.values()}) == len(SCENARIOS)
    assert set(re.findall(r"`(\w+)`", table)) == set(SCENARIOS)
