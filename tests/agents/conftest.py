"""A served protokeep, and an environment in which an agent finds the emulated v0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from live_server import Demo, demo


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """protokeep in front of an emulated v0; V0_API_KEY and the rest are set as an operator sets them."""
    with demo(tmp_path) as running:
        monkeypatch.setenv("V0_API_KEY", "test")
        monkeypatch.setenv("V0_BASE_URL", running.v0_url)
        monkeypatch.setenv("V0_WEB_URL", running.v0_url)
        monkeypatch.setenv("PROTOKEEP_POLL_INTERVAL_SECONDS", "0.1")
        monkeypatch.setenv("PROTOKEEP_DATABASE_URL", f"sqlite:///{tmp_path / 'agent.db'}")
        monkeypatch.delenv("PROTOKEEP_URL", raising=False)
        monkeypatch.setenv("PROTOKEEP_TOKEN", running.token)
        yield running


@pytest.fixture(params=["protokeep", "database", "the server's database"])
def place(request: pytest.FixtureRequest, served: Demo, tmp_path: Path) -> str:
    """What `db` may be: a running protokeep, a database of the agent's own, or one that a server runs on too."""
    return {
        "protokeep": served.url,
        "database": f"sqlite:///{tmp_path / 'agent.db'}",
        "the server's database": served.settings.database_url,
    }[str(request.param)]
