"""What is tidied now and then, and what must not be; and what gives up instead of going round for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.errors import NotNow, QuotaReached
from protokeep.core.prototype import Status
from protokeep.core.quotas import Quotas
from protokeep.core.reuse import Outcome
from world import ANN, World

DAY = 24 * 3600


class TestTidying:
    async def test_counts_of_today_stay(self, world: World) -> None:
        """
        Tidying forgets no count of this day: a cap that is reached stays reached, and is free again tomorrow.
        """
        world.first.context.quotas = Quotas(per_person=1)
        await world.make("p-1")
        await world.sweep()
        world.clock.advance(3601)
        await world.sweep()

        with pytest.raises(QuotaReached):
            await world.ensure("p-2")
        world.clock.advance(DAY)
        await world.ensure("p-2")

    async def test_counts_of_days_that_are_over_are_forgotten(self, world: World) -> None:
        """
        Counts of days long past are forgotten.
        """
        world.first.context.quotas = Quotas(per_person=1)
        await world.make("p-1")
        world.clock.advance(3 * DAY)
        await world.sweep()

        assert await world.rows("SELECT * FROM protokeep_create_counts") == []

    async def test_idempotency_keys_are_kept_for_a_week(self, world: World) -> None:
        """
        A repeated request gets its first answer for a week, and no longer.
        """
        first = await world.ensure("p-1", create_new=True, idempotency_key="k")
        world.clock.advance(7 * DAY - 60)
        await world.keeper.housekeeping.retention.run_if_due()
        again = await world.ensure("p-1", create_new=True, idempotency_key="k")
        assert (again.decision.outcome, again.prototype.id) == (Outcome.REPLAYED, first.prototype.id)

        world.clock.advance(3700)
        await world.keeper.housekeeping.retention.run_if_due()
        anew = await world.ensure("p-1", create_new=True, idempotency_key="k")
        assert anew.prototype.id != first.prototype.id

    async def test_housekeeping_runs_once_an_hour(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It is done at the first sweep and then once an hour.
        """
        tidied = []

        async def forget(before: Any) -> int:
            tidied.append(world.clock.now)
            return 0

        monkeypatch.setattr(world.store.claims, "delete_expired_counts", forget)
        began = world.clock.now
        for seconds in (0, 1800, 1799, 1):
            world.clock.advance(seconds)
            await world.sweep()

        assert tidied == [began, began + timedelta(hours=1)]


class TestGivingUp:
    async def never(self, *_: Any, **__: Any) -> None:
        """A save that somebody else is always ahead of."""
        return None

    async def test_a_follow_up_that_loses_every_race_is_refused(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A message that loses every race is refused in words, and nothing is kept of it.
        """
        done = await world.complete()
        before = await world.contents()
        monkeypatch.setattr(world.store, "save", self.never)

        with pytest.raises(NotNow, match="Too many people"):
            await world.keeper.iterate(ANN, done.id, "Make it blue", idempotency_key="k", wait=0)
        assert await world.contents() == before

    async def test_a_deletion_that_loses_every_race_is_refused(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So is a deletion.
        """
        done = await world.complete()
        before = await world.contents()
        monkeypatch.setattr(world.store, "save", self.never)

        with pytest.raises(NotNow, match="Too many people"):
            await world.keeper.delete(ANN, done.id)
        assert {**await world.contents(), "protokeep_archives": []} == before  # The copy that was made stays.
        assert not world.chat.deleted


async def test_waiting_requests_are_answered_when_the_process_ends(world: World) -> None:
    """
    A status request or a create that would be held for long is answered when the process is told to end.
    """
    await world.make()
    world.first.context.bus.close()

    async with asyncio.timeout(10):
        assert (await world.status(wait=60)).status is Status.PENDING
        assert not (await world.ensure("p-2", wait=60)).accepted
