"""Waiting for what happens beside a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait in real time, for a short while, until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it changes in code that knows no event of ours
            await asyncio.sleep(0.005)
