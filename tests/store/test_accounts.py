"""What holds an account back is that account's own, and one create finds out whether it is over."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from owner_schemas import run
from protokeep.core.prototype import Prototype
from protokeep.store.accounts import Accounts
from tracked import generation_of, tracked
from world import World

ACCOUNT, OTHER_ACCOUNT = "v0:environment", "v0:workspace:elsewhere"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def accounts(world: World) -> Accounts:
    return world.store.accounts


async def parked(world: World, product_id: str, account: str = ACCOUNT, **columns: str) -> Prototype:
    """A claim that waits a minute for its account."""
    made = (await world.ensure(product_id)).prototype
    at = (world.clock.now + MINUTE).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    given = {"account": f"'{account}'", "hold_code": "'out_of_credits'", "next_try_at": f"'{at}'", **columns}
    changes = ", ".join(f"{name} = {value}" for name, value in given.items())
    await run(world.database_url, f"UPDATE protokeep_generations SET {changes} WHERE mockup_id = '{made.id}'")
    return await world.get(made.id)


async def next_try(world: World, prototype: Prototype) -> datetime | None:
    return generation_of(await world.get(prototype.id)).submission.next_try_at


class TestPause:
    async def held(self, world: World, accounts: Accounts, *names: str) -> None:
        for name in names:
            await accounts.hold(name, "v0", "out_of_credits", "Top up.", world.clock.now + MINUTE)

    async def test_one_create_probes_after_each_pause(self, world: World, accounts: Accounts) -> None:
        """
        Nobody probes before the pause is over, one does then, and the next one only after another pause.
        """
        await self.held(world, accounts, ACCOUNT)
        now = world.clock.now

        async def probes(at: datetime) -> bool:
            return await accounts.take_probe(ACCOUNT, at, at + 2 * MINUTE)

        assert not await probes(now + MINUTE / 2)
        assert [await probes(now + MINUTE) for _ in range(3)] == [True, False, False]
        assert not await probes(now + 2 * MINUTE)
        assert await probes(now + 3 * MINUTE)

    async def test_without_a_pause_nobody_probes(self, world: World, accounts: Accounts) -> None:
        """
        An account that nothing holds back needs no probe.
        """
        assert await accounts.take_tracking(ACCOUNT, "v0", "somebody", world.clock.now, world.clock.now + MINUTE)
        assert not await accounts.take_probe(ACCOUNT, world.clock.now, world.clock.now + MINUTE)

    async def test_a_probe_leaves_the_pauses_of_other_accounts(self, world: World, accounts: Accounts) -> None:
        """
        The probe of one account leaves the pauses of others as they are.
        """
        await self.held(world, accounts, ACCOUNT, OTHER_ACCOUNT)
        at = world.clock.now + MINUTE

        assert await accounts.take_probe(ACCOUNT, at, at + MINUTE)
        assert (await accounts.get(OTHER_ACCOUNT)).hold_until == at
        assert await accounts.take_probe(OTHER_ACCOUNT, at, at + MINUTE)

    async def test_releasing_an_account_resumes_its_parked_claims_only(self, world: World, accounts: Accounts) -> None:
        """
        When an account works again its parked claims go on now; nobody else's do, nor what waits for something else.
        """
        await self.held(world, accounts, ACCOUNT, OTHER_ACCOUNT)
        mine = await parked(world, "p-1")
        others = [
            await parked(world, "p-2", OTHER_ACCOUNT),
            await parked(world, "p-3", recovery_point="'settled'"),
            await parked(world, "p-4", hold_code="NULL"),
        ]
        earlier = await parked(world, "p-5")
        past = f"{world.clock.now - MINUTE:%Y-%m-%dT%H:%M:%S.%fZ}"
        await run(
            world.database_url,
            f"UPDATE protokeep_generations SET next_try_at = '{past}' WHERE mockup_id = '{earlier.id}'",
        )

        await accounts.release(ACCOUNT, world.clock.now)

        assert await next_try(world, mine) == world.clock.now
        assert [await next_try(world, one) for one in others] == [world.clock.now + MINUTE] * 3
        assert await next_try(world, earlier) == world.clock.now - MINUTE
        assert (await accounts.get(ACCOUNT)).hold_code is None
        assert (await accounts.get(OTHER_ACCOUNT)).hold_code == "out_of_credits"

    async def test_failures_in_a_row_are_counted_for_each_account(self, world: World, accounts: Accounts) -> None:
        """
        Failures are counted for each account, and forgotten when it works.
        """
        counts = [await accounts.count_failure(name, "v0") for name in (ACCOUNT, ACCOUNT, OTHER_ACCOUNT)]
        assert counts == [1, 2, 1]

        await accounts.release(ACCOUNT, world.clock.now)

        assert [(await accounts.get(name)).failures for name in (ACCOUNT, OTHER_ACCOUNT)] == [0, 1]


class TestDue:
    async def test_due_rows_are_taken_sent_ones_first_then_the_oldest(self, world: World) -> None:
        """
        What is due and held by nobody is taken up: what was sent first, then what waits longest.
        """
        now = world.clock.now
        made = {name: (await world.ensure(name)).prototype for name in ("new", "old", "sent", "held", "later", "done")}

        async def change(name: str, changes: str) -> None:
            update = f"UPDATE protokeep_generations SET {changes} WHERE mockup_id = '{made[name].id}'"
            await run(world.database_url, update)

        def at(seconds: float) -> str:
            return f"'{now + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}'"

        await change("old", f"next_try_at = {at(-60)}")
        await change("sent", f"recovery_point = 'sent', next_try_at = {at(-1)}")
        await change("held", f"lease_until = {at(6)}, next_try_at = {at(-90)}")
        await change("later", f"next_try_at = {at(30)}")
        await change("done", f"recovery_point = 'accepted', next_try_at = {at(-90)}")

        due = await world.store.due_for_submit(now)

        assert [mockup_id for mockup_id, _, _ in due] == [made[name].id for name in ("sent", "old", "new")]
        assert [sent for _, _, sent in due] == [True, False, False]
        assert len(await world.store.due_for_submit(now, limit=1)) == 1
        assert made["held"].id in {mockup_id for mockup_id, _, _ in await world.store.due_for_submit(now + MINUTE / 10)}

    async def test_parked_and_leased_rows_are_not_taken(self, world: World) -> None:
        """
        Whoever is told of a row that is parked or held by somebody leaves it alone until its time.
        """
        waiting = await parked(world, "p-1")
        lease = world.timing.lease
        now = world.clock.now

        assert await world.store.take_for_submit(waiting.id, now, lease) is None
        assert await world.store.take_for_submit(waiting.id, now + MINUTE, lease) is not None
        assert await world.store.take_for_submit(waiting.id, now + MINUTE, lease) is None
        assert await world.store.take_for_submit(waiting.id, now + MINUTE + lease, lease) is not None


class TestTracking:
    async def test_one_process_tracks_each_account_until_its_lease_ends(self, world: World, accounts: Accounts) -> None:
        """
        One process tracks an account until its lease is over; each account has its own.
        """
        now = world.clock.now
        later = now + MINUTE

        async def takes(owner: str, at: datetime, account: str = ACCOUNT) -> bool:
            return await accounts.take_tracking(account, "v0", owner, at, at + MINUTE)

        assert await takes("a", now)
        assert [await takes("b", now), await takes("a", now), await takes("b", now, OTHER_ACCOUNT)] == [
            False, True, True,
        ]  # fmt: skip
        assert not await takes("b", later - timedelta(seconds=1))
        assert await takes("b", later)
        await accounts.release_tracking(ACCOUNT, "a")
        assert not await takes("a", later)
        await accounts.release_tracking(ACCOUNT, "b")
        assert await takes("a", later)

    async def test_accounts_with_due_polls_that_nobody_tracks_are_found(self, world: World, accounts: Accounts) -> None:
        """
        Accounts with a look due that nobody else tracks.
        """
        await world.make("p-1")
        second = await world.make("p-2")
        await run(
            world.database_url,
            f"UPDATE protokeep_generations SET account = '{OTHER_ACCOUNT}' WHERE mockup_id = '{second.id}'",
        )
        assert await accounts.to_track("a", world.clock.now) == []
        now = world.clock.advance(60)
        assert sorted(await accounts.to_track("a", now)) == [ACCOUNT, OTHER_ACCOUNT]

        await accounts.take_tracking(ACCOUNT, "v0", "a", now, now + MINUTE)
        await accounts.take_tracking(OTHER_ACCOUNT, "v0", "b", now, now + MINUTE)

        assert await accounts.to_track("a", now) == [ACCOUNT]
        assert await accounts.to_track("c", now) == []
        assert sorted(await accounts.to_track("c", now + MINUTE)) == [ACCOUNT, OTHER_ACCOUNT]

    async def test_only_due_polls_that_did_not_move_are_postponed(self, world: World, accounts: Accounts) -> None:
        """
        For want of calls a look is put off; nothing is looked at for that which was not to be, or has moved.
        """
        done, made, moved = await world.complete("p-1"), await world.make("p-2"), await world.make("p-3")
        await run(world.database_url, f"UPDATE protokeep_generations SET version = 99 WHERE mockup_id = '{moved.id}'")
        until = world.clock.now + MINUTE

        await accounts.postpone_polls([tracked(made), tracked(done), tracked(moved)], until)

        due = [generation_of(await world.get(one.id)).polling.next_poll_at for one in (made, done, moved)]
        assert due == [until, None, generation_of(moved).polling.next_poll_at]
