"""A demo whose generations take a moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from live_server import Demo, demo
from protokeep.sandbox import Knobs


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Demo]:
    """What `make demo` is: everything runs, and prototypes get ready by themselves."""
    with demo(tmp_path, knobs=Knobs(generation_seconds=0.5)) as running:
        yield running
