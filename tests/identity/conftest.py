"""protokeep, set to believe the tests' own sign-in service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fake_issuer import FakeIssuer
from world import Site, World


@pytest.fixture
async def site(world: World, issuer: FakeIssuer) -> AsyncIterator[Site]:
    """The application, called directly, that takes the issuer's tokens."""
    async with world.serving(real=False, **issuer.settings) as served:
        yield served
