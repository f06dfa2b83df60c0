"""Waiting for a change of one prototype, woken by the bus and bounded in time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator

from protokeep import telemetry
from protokeep.core.principals import Principal
from protokeep.core.prototype import State, TrackedPrototype
from protokeep.service.context import Context

#: The row is read again so often while the provider has not accepted it: a change may not be heard of.
ACCEPTANCE_CHECK_SECONDS = 1.0


@contextlib.contextmanager
def waiting(context: Context, principal: Principal, seconds: float) -> Iterator[float]:
    """The seconds that a request of `principal` may wait: all of them, or 0 where too many requests wait already."""
    if seconds <= 0 or context.waits.full(principal) is not None:
        yield 0.0
        return
    with context.waits.held(principal):
        yield seconds


async def wait_until_accepted(
    context: Context, claimed: TrackedPrototype, seconds: float, start: Callable[[], Awaitable[None]]
) -> TrackedPrototype:
    """Call `start`, then wait until the provider has the request or it is held up. The row as it is then."""
    telemetry.claimed(claimed.id, claimed.generation.follow_up.turn)
    latest = claimed
    deadline = asyncio.get_running_loop().time() + seconds
    with context.bus.watching(claimed.id) as changed:
        await start()
        while latest.generation.submission.is_open and latest.state not in (State.PARKED, State.UNDECIDED):
            if not await _wait_for(context, changed, deadline, ACCEPTANCE_CHECK_SECONDS):
                break
            latest = await context.store.get_unscoped(claimed.id) or latest
    return latest


async def wait_until_changed(
    context: Context,
    prototype: TrackedPrototype,
    seconds: float,
    refresh: Callable[[TrackedPrototype], Awaitable[TrackedPrototype]],
) -> TrackedPrototype:
    """Wait until the state differs from `prototype`'s. Calls `refresh` now and then, as a watcher does."""
    latest = prototype
    deadline = asyncio.get_running_loop().time() + seconds
    interval = max(context.timing.poll_interval.total_seconds(), 0.0)
    with context.bus.watching(prototype.id) as changed:
        while latest.state is prototype.state and latest.status is prototype.status:
            if not await _wait_for(context, changed, deadline, interval):
                break
            latest = await context.store.get_unscoped(prototype.id) or latest
            if latest.state is prototype.state:
                latest = await refresh(latest)
    return latest


async def _wait_for(context: Context, changed: asyncio.Event, deadline: float, longest: float) -> bool:
    """Wait for a change, for about `longest` seconds at most; False: the deadline is over, or the process stops."""
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0 or context.bus.closed:
        return False
    with contextlib.suppress(TimeoutError):
        # Not all at the same moment: hundreds of requests that began together would wake together, again and again.
        await asyncio.wait_for(changed.wait(), min(left, longest * random.uniform(0.7, 1.3)))  # noqa: S311 - no secret
    changed.clear()
    return True
