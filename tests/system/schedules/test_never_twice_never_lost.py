"""What must always hold, in any order of clicks, crashes, lost answers, hooks, refusals and jumps of the clock.

A schedule is a list of steps that hypothesis makes up, over the real service, a real database and the emulated v0
over real HTTP. `make schedules` (PROTOKEEP_SCHEDULES=10000) runs more of them, and new ones each time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from postgres import PostgresServer
from system.schedules.schedules import Schedules

SCHEDULES = int(os.environ.get("PROTOKEEP_SCHEDULES", "25"))
STEPS = 25


def _machine(fresh: Callable[[], str], forget: Callable[[str], None], version: int) -> type[Schedules]:
    class Machine(Schedules):
        api_version = version

        def fresh_database(self) -> str:
            self._url: str = fresh()
            return self._url

        def forget_database(self) -> None:
            forget(self._url)

    return Machine


def _run(machine: type[Schedules], schedules: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=schedules,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            # A failing schedule is told as it is: making it shorter takes minutes, reading twenty-five steps does not.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )


@pytest.mark.timeout(0)
@pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
def test_every_promise_holds_under_any_schedule_on_sqlite(sqlite_template: Path, version: int) -> None:
    """Any schedule, on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10**9))

        def fresh() -> str:
            path = Path(folder) / f"{next(numbers)}.db"
            shutil.copy(sqlite_template, path)
            return f"sqlite:///{path}"

        def forget(url: str) -> None:
            for leftover in Path(folder).glob(Path(url).name + "*"):
                leftover.unlink()

        _run(_machine(fresh, forget, version), SCHEDULES)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
def test_every_promise_holds_under_any_schedule_on_postgresql(
    postgres: PostgresServer, pg_template: str, version: int
) -> None:
    """Any schedule, on PostgreSQL."""

    def fresh() -> str:
        return postgres.create_database(template=pg_template)

    _run(_machine(fresh, postgres.drop_database, version), max(SCHEDULES // 4, 5))
