"""The application called directly, for those of these tests that go through HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from world import Site, World


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    """The application without a socket between, which makes no difference to most tests here."""
    async with world.serving(real=False) as served:
        yield served
