"""A sign-in service, and protokeep set to believe it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from issuer import FakeIssuer, issuing
from world import Site, World


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    """A running sign-in service with one key."""
    async with issuing() as running:
        yield running


@pytest.fixture
async def site(world: World, issuer: FakeIssuer) -> AsyncIterator[Site]:
    """The application, called directly, that takes the issuer's tokens."""
    async with world.serving(real=False, **issuer.settings) as served:
        yield served
