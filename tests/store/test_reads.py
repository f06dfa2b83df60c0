"""Reads and small writes where there are several of everything: each answers for its own only."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from owner_schemas import run
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Prototype
from protokeep.store.gallery import GalleryStore
from protokeep.store.prototypes import Page
from tracked import generation_of, tracked
from world import ANN, BOB, World

ACCOUNT, OTHER_ACCOUNT = "v0:environment", "v0:workspace:elsewhere"
EVE = Principal("elsewhere", "eve", Role.MAKER, "")
MINUTE = timedelta(minutes=1)


def text(at: datetime) -> str:
    """An instant as both databases take it."""
    return f"'{at:%Y-%m-%dT%H:%M:%S.%fZ}'"


async def change(world: World, prototype: Prototype, changes: str) -> Prototype:
    """A row with other values, past all our code."""
    await run(world.database_url, f"UPDATE protokeep_generations SET {changes} WHERE mockup_id = '{prototype.id}'")
    return await world.get(prototype.id)


class TestProductsAndPeople:
    async def test_a_product_name_in_two_workspaces_is_two_products(self, world: World) -> None:
        """
        A product of one workspace is not the product of the same id in another one.
        """
        mine, theirs = await world.ensure("p-1"), await world.ensure("p-1", who=EVE)

        assert mine.prototype.id != theirs.prototype.id
        for who, own in ((ANN, mine), (EVE, theirs)):
            assert [one.id for one in await world.listed(who=who)] == [own.prototype.id]
            assert (await world.status(who=who)).id == own.prototype.id
            assert await world.store.get(who.workspace_id, own.prototype.id) is not None
            other = theirs if own is mine else mine
            assert await world.store.get(who.workspace_id, other.prototype.id) is None

    async def test_the_same_key_of_two_people_or_workspaces_is_two_keys(self, world: World) -> None:
        """
        The same key of two people, or in two workspaces, is two keys.
        """
        made = [await world.ensure("p-1", who=who, create_new=True, idempotency_key="k") for who in (ANN, BOB, EVE)]
        again = [await world.ensure("p-1", who=who, create_new=True, idempotency_key="k") for who in (ANN, BOB, EVE)]

        assert len({one.prototype.id for one in made}) == 3
        assert [one.prototype.id for one in again] == [one.prototype.id for one in made]

    async def test_a_later_product_name_replaces_the_earlier_and_none_does_not(self, world: World) -> None:
        """
        A product's name is its own, a later one takes its place, and no name leaves it.
        """
        gallery = GalleryStore(world.store)
        await world.ensure("p-1", product_name="Shop")
        await world.ensure("p-2", product_name="Bar")
        await world.ensure("p-1", who=EVE, product_name="Theirs")
        await world.ensure("p-1", create_new=True)
        assert await gallery.product_name("default", "p-1") == "Shop"

        await world.ensure("p-1", create_new=True, product_name="Better shop")

        names = [await gallery.product_name("default", product) for product in ("p-1", "p-2", "p-3")]
        assert names == ["Better shop", "Bar", None]
        assert await gallery.product_name("elsewhere", "p-1") == "Theirs"

    async def test_a_history_is_one_prototypes_oldest_first(self, world: World) -> None:
        """
        A history is one prototype's, oldest first, in its own workspace.
        """
        made, other = await world.make("p-1"), await world.ensure("p-2")

        history = await world.store.history("default", made.id)
        assert [row["kind"] for row in history] == ["claimed", "sent", "accepted", "status"]
        assert [row["kind"] for row in await world.store.history("default", made.id, limit=2)] == ["claimed", "sent"]
        assert [row["kind"] for row in await world.store.history("default", other.prototype.id)] == ["claimed"]
        assert await world.store.history("elsewhere", made.id) == []

    async def test_pages_of_a_product_hold_each_prototype_once(self, world: World) -> None:
        """
        The pages of a product hold each of its prototypes once, newest first, as far as they are asked for.
        """
        made = []
        for number in range(6):
            who = ANN if number % 2 else BOB
            made.append((await world.ensure("p-1", who=who, create_new=True)).prototype)
            await world.ensure("p-2", create_new=True)
            world.clock.advance(number % 3)  # Some are made at the same moment.
        newest_first = sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)

        found: list[Prototype] = []
        after = None
        while page := await world.store.list_of_product("default", "p-1", Page(limit=2, after=after)):
            found += page
            after = page[-1].created_at, page[-1].id
        assert [one.id for one in found] == [one.id for one in newest_first]
        by_bob = await world.store.list_of_product("default", "p-1", Page(limit=9, user_id="bob"))
        assert {one.id for one in by_bob} == {one.id for one in made[::2]}
        assert await world.store.list_of_product("default", "p-1", Page(limit=9, provider="stitch")) == []


class TestGalleryReads:
    async def test_durations_are_of_this_workspaces_unchanged_prototypes(self, world: World) -> None:
        """
        What ready ones took, the newest first: of this workspace, and without those that were changed since.
        """
        gallery = GalleryStore(world.store)
        first = await world.complete("p-1")
        world.clock.advance(5)
        second = await world.complete("p-2")
        changed, running = await world.complete("p-3"), await world.make("p-4")
        await change(world, changed, "turn = 2")
        await change(world, first, f"settled_at = {text(first.created_at + MINUTE)}")
        await change(world, second, f"settled_at = {text(second.created_at + 2 * MINUTE)}")

        assert generation_of(running).settled_at is None
        assert await gallery.durations("default", 9) == [2 * MINUTE, MINUTE]
        assert await gallery.durations("default", 1) == [2 * MINUTE]
        assert await gallery.durations("elsewhere", 9) == []


class TestDuePolls:
    async def looked(self, world: World) -> dict[str, Prototype]:
        """Prototypes whose looks are due in the order of their names, one of another account."""
        now = world.clock.now
        made = {name: await world.make(name) for name in ("a", "b", "later", "never", "other", "v1")}
        due = {"a": -20, "b": -10, "later": 5, "other": -30, "v1": 5}
        for name, seconds in due.items():
            await change(world, made[name], f"next_poll_at = {text(now + timedelta(seconds=seconds))}")
        await change(world, made["never"], "next_poll_at = NULL")
        await change(world, made["other"], f"account = '{OTHER_ACCOUNT}'")
        await change(world, made["v1"], "api_version = 1")
        return made

    async def test_due_polls_of_one_account_come_longest_overdue_first(self, world: World) -> None:
        """
        Looks of one account that are due, the longest overdue first.
        """
        made, now = await self.looked(world), world.clock.now

        assert [one.id for one in await world.store.due(ACCOUNT, now)] == [made["a"].id, made["b"].id]
        assert [one.id for one in await world.store.due(ACCOUNT, now, limit=1)] == [made["a"].id]
        assert [one.id for one in await world.store.due(OTHER_ACCOUNT, now)] == [made["other"].id]
        assert await world.store.next_due(ACCOUNT) == now - timedelta(seconds=20)
        assert await world.store.next_due("v0:workspace:nobody") is None

    async def test_polls_due_soon_are_of_one_account_and_version(self, world: World) -> None:
        """
        Looks to come of one account and version, up to a moment.
        """
        made, now = await self.looked(world), world.clock.now

        async def soon(seconds: float, account: str = ACCOUNT, version: int = 2) -> list[str]:
            until = now + timedelta(seconds=seconds)
            return [one.id for one in await world.store.due_soon(account, version, now, until)]

        assert (await soon(4), await soon(5)) == ([], [made["later"].id])
        assert await soon(5, version=1) == [made["v1"].id]
        assert await soon(5, OTHER_ACCOUNT) == []
        at_once = now - timedelta(seconds=10)
        assert [one.id for one in await world.store.due_soon(ACCOUNT, 2, at_once, now)] == []

    async def test_a_requested_poll_is_due_now_unless_just_made(self, world: World) -> None:
        """
        A look that somebody asks for is due now, unless one was made just now; only that one.
        """
        one, other = await world.make("p-1"), await world.make("p-2")
        now = world.clock.now

        async def asks(seen_seconds_ago: float) -> bool:
            await change(world, one, f"observed_at = {text(now - timedelta(seconds=seen_seconds_ago))}")
            return await world.store.request_poll(
                tracked(one), now, stale_before=now - timedelta(seconds=3), watched_until=now + MINUTE
            )

        assert not await asks(2.9)
        assert generation_of(await world.get(one.id)).polling.watched_until is None
        assert await asks(3)
        asked = generation_of(await world.get(one.id))
        assert (asked.polling.next_poll_at, asked.polling.watched_until) == (now, now + MINUTE)
        assert generation_of(await world.get(other.id)).polling.watched_until is None

    async def test_a_poll_of_an_unsent_create_cannot_be_requested(self, world: World) -> None:
        """
        What the builder does not have yet is not looked at.
        """
        one = (await world.ensure()).prototype
        now = world.clock.now
        assert not await world.store.request_poll(tracked(one), now, stale_before=now, watched_until=now)
        assert await world.get(one.id) == one

    async def test_due_deletions_come_oldest_first_without_undecided_ones(self, world: World) -> None:
        """
        Deletions whose next try is due, the oldest first; none that must be looked up before.
        """
        now = world.clock.now
        made = {name: await world.make(name) for name in ("first", "second", "later", "sent", "none")}
        for name, seconds in (("first", -20), ("second", -10), ("later", -30), ("sent", -40)):
            await change(world, made[name], f"deletion_requested_at = {text(now + timedelta(seconds=seconds))}")
        await change(world, made["second"], f"next_try_at = {text(now)}")
        await change(world, made["later"], f"next_try_at = {text(now + MINUTE)}")
        await change(world, made["sent"], "recovery_point = 'sent'")

        assert [one.id for one in await world.store.due_for_deletion(now)] == [made["first"].id, made["second"].id]
        assert [one.id for one in await world.store.due_for_deletion(now, limit=1)] == [made["first"].id]
        assert len(await world.store.due_for_deletion(now + MINUTE)) == 3


class TestCalls:
    async def test_calls_are_counted_by_account_minute_and_day(self, world: World) -> None:
        """
        Calls are counted for an account by the minute and by the UTC day, each from nothing.
        """
        spend = world.store.accounts.spend
        now = datetime(2026, 1, 2, 23, 58, 30, tzinfo=world.clock.now.tzinfo)

        assert await spend(ACCOUNT, 3, now) == (3, 3)
        assert await spend(ACCOUNT, 4, now + timedelta(seconds=29)) == (7, 7)
        assert await spend(OTHER_ACCOUNT, 1, now) == (1, 1)
        assert await spend(ACCOUNT, 5, now + timedelta(seconds=30)) == (5, 12)
        assert await spend(ACCOUNT, 6, now + timedelta(seconds=90)) == (6, 6)

    async def test_polls_of_one_account_are_paused_until_a_moment(self, world: World) -> None:
        """
        Looks of one account are held until a moment, and it is told why.
        """
        accounts, now = world.store.accounts, world.clock.now
        for account in (ACCOUNT, OTHER_ACCOUNT):
            assert await accounts.take_tracking(account, "v0", "somebody", now, now + MINUTE)
        await accounts.pause_polling(ACCOUNT, now + MINUTE, "rate_limited", "Slowly.")

        held, free = await accounts.get(ACCOUNT), await accounts.get(OTHER_ACCOUNT)
        assert (held.polling_paused_code, held.is_polling_paused(now), held.is_polling_paused(now + MINUTE)) == (
            "rate_limited", True, False,
        )  # fmt: skip
        assert (free.polling_paused_code, free.is_polling_paused(now)) == (None, False)
        for code in ("short_of_calls", "polling_fails"):
            assert not replace(held, polling_paused_code=code).is_polling_paused(now)
