"""The application in a world, called directly."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from world import Site, World


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    """The application without a socket between."""
    async with world.serving(real=False) as served:
        yield served
