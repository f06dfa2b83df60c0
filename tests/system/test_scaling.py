"""The simulation behind docs/scaling.md, held against cases computed by hand, and the page against what it cites."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.measured import figure, section
from benchmarks.pacing import BEGIN, Account, Ask
from protokeep.core.call_budget import Limits

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
DAY = BEGIN + timedelta(days=1)
#: A number of a table, with its thousands' separators and decimals.
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


@pytest.mark.parametrize(
    ("version", "hooked", "calls", "lag", "commits"),
    [
        # Accepted at 0.2 s, ends at 10.2 s. Asked at 3.2, 6.4, 9.8 and 14.9 s, answered 0.2 s later: half of its age.
        pytest.param(2, False, 1 + 4, 4.9, 3 + 4 * 3 + 2 + 2, id="v2: polls become rarer"),
        # The list is read at 3.2, 6.4, 9.6 and 12.8 s; the picture and the cost are two calls more.
        pytest.param(1, False, 1 + 4 + 2, 2.8, 3 + 4 * 3 + 2 + 2, id="v1: a sweep every three seconds"),
        # The hook of the beginning moves the first poll to 30.4 s; the hook of the end comes at 10.4 s, and is polled.
        pytest.param(2, True, 1 + 1, 0.4, 3 + 2 + 1 + 2, id="v2: a hook tells the end"),
    ],
)
def test_one_prototype_is_polled_as_by_hand(version: int, hooked: bool, calls: int, lag: float, commits: int) -> None:
    """
    Calls, commits and the time until the end is known are those that a pencil gives.
    """
    outcome = Account(version, Limits(), hooked=hooked).run([Ask(BEGIN, timedelta(seconds=10))], DAY)

    assert outcome.calls.total() == calls
    assert outcome.commits == commits
    assert outcome.lags == [pytest.approx(lag)]


def test_polls_stay_within_the_budget_of_a_minute() -> None:
    """
    Of 60 calls a minute young prototypes may spend 45; all ends are known in the end, later than without a limit.
    """
    asks = [Ask(BEGIN + timedelta(seconds=number / 4), timedelta(seconds=60)) for number in range(200)]
    limited, free = (Account(2, limits, hooked=False).run(asks, DAY) for limits in (Limits(60), Limits()))

    later = {minute: calls for minute, calls in limited.calls.items() if minute > BEGIN}
    assert 0 < max(later.values()) <= 45
    assert len(limited.lags) == len(free.lags) == len(asks)
    assert limited.lag(0.95) > free.lag(0.95)


def test_a_figure_is_read_where_it_stands() -> None:
    """
    Costs come from docs/benchmarks.md by section, row and column; what is missing is said, never taken as nothing.
    """
    assert figure("Polling thousands with few calls", "v2", 1, columns=11) > 1
    with pytest.raises(LookupError, match="no figure"):
        figure("Polling thousands with few calls", "v9", 1)
    with pytest.raises(LookupError, match="no section"):
        section("Nothing that was measured")


def test_every_figure_of_the_scaling_page_stands_where_it_says() -> None:
    """
    Each row of a table that links to a section of docs/benchmarks.md holds only numbers that this section holds.
    """
    headings = {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-"): name for name in _headings()}
    rows = re.findall(r"^\| (?:[^|]*)\|([^|]*)\|.*\(benchmarks\.md#([\w-]+)\) \|$", PAGE.read_text(), flags=re.M)
    wrong = [
        (number, anchor)
        for cell, anchor in rows
        for number in NUMBER.findall(cell)
        if number not in NUMBER.findall(section(headings[anchor]))
    ]

    assert len(rows) > 10
    assert wrong == []


def test_every_simulated_row_of_the_scaling_page_is_what_the_script_wrote() -> None:
    """
    A table under "rows of" a section of docs/benchmarks.md has only rows that stand in that section.
    """
    tables = re.findall(r"<!-- rows of: (.+) -->\n((?:\|.*\n)+)", PAGE.read_text())
    changed = [
        row for heading, table in tables for row in table.splitlines() if row not in section(heading).splitlines()
    ]

    assert len(tables) == 5
    assert changed == []


def _headings() -> list[str]:
    return re.findall(r"^## (.+)$", (PAGE.parent / "benchmarks.md").read_text(), flags=re.M)
