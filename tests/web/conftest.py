"""The application, with and without a socket between."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from world import Site, World


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    """The application called directly: for the many cases to which a socket makes no difference."""
    async with world.serving(real=False) as served:
        yield served


@pytest.fixture
async def real_site(world: World) -> AsyncIterator[Site]:
    """The application on a real port."""
    async with world.serving() as served:
        yield served
