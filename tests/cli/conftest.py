"""A served protokeep for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from live_server import Demo, demo


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Demo]:
    """protokeep in front of an emulated v0."""
    with demo(tmp_path) as running:
        yield running
