"""One prototype per product, whoever asks, however often and however many at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from protokeep.core.errors import InvalidInput, KeyReused, NotConfigured, NotFound
from protokeep.core.prototype import Prototype, State, Status
from protokeep.core.reuse import Outcome
from protokeep.service import Ensured, NewPrototype
from protokeep.store.prototypes import Page
from tracked import generation_of
from world import ANN, BOB, GENERATION_SECONDS, PROMPT, Node, World, both_versions, on_sqlite


async def all_at_once(nodes: list[Node], count: int, **asked: object) -> list[Ensured]:
    """`count` people click at the same time, spread over processes."""
    new = NewPrototype(**{"product_id": "p-1", "prompt": PROMPT, **asked})  # type: ignore[arg-type]
    people = [replace(ANN, user_id=f"user-{number}") for number in range(count)]
    if "idempotency_key" in asked:
        people = [ANN] * count
    return await asyncio.gather(
        *(nodes[number % len(nodes)].keeper.ensure(who, new, wait=10) for number, who in enumerate(people))
    )


async def failed(world: World) -> Prototype:
    """A product whose prototype v0 gave up."""
    with world.knobs(finish_reason="error"):
        return await world.complete()


@both_versions
class TestReuse:
    async def test_the_first_request_makes_a_prototype(self, world: World) -> None:
        """
        The first request makes one, with what was asked for and who asked.
        """
        ensured = await world.ensure()
        await world.work()

        assert (ensured.is_existing, ensured.decision.outcome) == (False, Outcome.CREATED)
        made = await world.get(ensured.prototype.id)
        assert (made.product_id, made.user_id, made.prompt, made.provider) == ("p-1", "ann", PROMPT, "v0")
        assert (made.status, made.is_current, made.chat_id) == (made.status, True, world.chat.id)
        assert generation_of(made).api_version == world.api_version
        assert (world.chat.message, world.chat.api) == (PROMPT, f"v{world.api_version}")

    async def test_later_requests_get_the_same_one_at_every_step(self, world: World) -> None:
        """
        Everybody after that gets the same one, at every step of its life, and v0 hears nothing of it.
        """
        first = (await world.ensure()).prototype
        seen = []
        for seconds in (0, 0, 4, GENERATION_SECONDS, 86_400):
            again = await world.ensure(who=BOB)
            assert (again.prototype.id, again.is_existing) == (first.id, True)
            assert (again.decision.outcome, again.decision.prompt_differs) == (Outcome.REUSED, False)
            seen.append(again.prototype.state)
            await world.work()
            world.clock.advance(seconds)
            await world.sweep()

        assert seen[0] is State.QUEUED
        assert seen[-1] is State.READY
        assert (world.chats_created, world.creates) == (1, 1)

    async def test_a_timed_out_prototype_is_reused(self, world: World) -> None:
        """
        `timeout` is reused: it may yet finish, and a second one would be a duplicate.
        """
        with world.knobs(generation_seconds=100_000):
            first = await world.make()
        await world.live(603, step=20)
        assert (await world.get(first.id)).status is Status.TIMEOUT

        assert (await world.ensure()).prototype.id == first.id
        assert world.chats_created == 1

    async def test_a_failed_prototype_is_replaced_once_and_stays_listed(self, world: World) -> None:
        """
        A failed one is replaced, by one new one, and stays in the list.
        """
        first = await failed(world)

        ensured = await world.ensure()
        await world.work()

        assert (ensured.is_existing, ensured.decision.outcome) == (False, Outcome.REPLACED)
        assert "v0 says that this version failed" in ensured.decision.reason or "error" in ensured.decision.reason
        assert [one.id for one in await world.listed()] == [ensured.prototype.id, first.id]
        assert [one.is_current for one in await world.listed()] == [True, False]
        assert world.chats_created == 2

    async def test_a_gone_prototype_is_replaced(self, world: World) -> None:
        """
        One that was deleted at v0 is seen to be gone, and then replaced.
        """
        first = await world.complete()
        await world.complete("p-2")
        await world.live(660, step=20)
        world.sandbox.delete(first.chat_id or "")
        world.clock.advance(world.timing.completed_recheck.total_seconds())

        assert (await world.status()).state is State.NOT_VISIBLE  # It may come back.
        await world.live(400, step=10)
        gone = await world.get(first.id)
        assert (gone.status, generation_of(gone).error.code) == (Status.FAILED, "gone")

        ensured = await world.ensure()
        assert ensured.decision.outcome is Outcome.REPLACED
        assert "no longer exists" in ensured.decision.reason

    async def test_create_new_makes_another_current_one(self, world: World) -> None:
        """
        `create_new` makes another, which becomes the current one; both are listed, newest first.
        """
        first = await world.complete()
        world.clock.advance(1)

        second = await world.complete(create_new=True)

        assert second.id != first.id
        assert [one.id for one in await world.listed()] == [second.id, first.id]
        assert (await world.status()).id == second.id
        assert (await world.ensure()).prototype.id == second.id
        assert world.chats_created == 2


class TestPrompts:
    async def test_another_prompt_gets_the_existing_one_and_is_told_so(self, world: World) -> None:
        """
        Another prompt gets the existing prototype, and is told so; white space and case are no other prompt.
        """
        first = await world.make()

        other = await world.ensure(prompt="Something else altogether")
        same = await world.ensure(prompt=f"  {PROMPT.upper()}\n")

        assert (other.prototype.id, other.decision.prompt_differs) == (first.id, True)
        assert "create_new=true" in other.decision.reason
        assert (same.prototype.id, same.decision.prompt_differs) == (first.id, False)
        assert (await world.get(first.id)).prompt == PROMPT


class TestIdempotencyKeys:
    async def test_a_repeated_key_returns_the_first_answer(self, world: World) -> None:
        """
        The same key with the same request returns the first answer, also for `create_new`.
        """
        await world.make()
        first = await world.ensure(create_new=True, idempotency_key="k")
        again = await world.ensure(create_new=True, idempotency_key="k")
        await world.work()

        assert (first.decision.outcome, first.is_existing) == (Outcome.CREATED, False)
        assert (again.decision.outcome, again.is_existing) == (Outcome.REPLAYED, True)
        assert again.prototype.id == first.prototype.id
        assert world.chats_created == 2

    async def test_a_repeated_key_of_a_reuse_returns_what_was_reused(self, world: World) -> None:
        """
        A key whose first answer was an existing prototype gives that one, though it has failed since.
        """
        with world.knobs(finish_reason="error"):
            first = await world.make()
            assert (await world.ensure(idempotency_key="k")).decision.outcome is Outcome.REUSED
            await world.live(GENERATION_SECONDS * 2)
        assert (await world.get(first.id)).status is Status.FAILED

        again = await world.ensure(idempotency_key="k")

        assert (again.prototype.id, again.decision.outcome) == (first.id, Outcome.REPLAYED)
        assert world.chats_created == 1

    @pytest.mark.parametrize(
        "other", [{"prompt": "B"}, {"product_id": "p-2"}, {"create_new": True}, {"product_name": "Shop"}], ids=str
    )
    async def test_a_key_with_another_request_is_refused(self, world: World, other: dict[str, object]) -> None:
        """
        The same key with another request is refused, and changes nothing.
        """
        await world.ensure(idempotency_key="k")
        before = await world.contents()

        with pytest.raises(KeyReused) as caught:
            await world.ensure(**{"idempotency_key": "k", **other})  # type: ignore[arg-type]

        assert caught.value.field == "Idempotency-Key"
        assert await world.contents() == before

    async def test_the_same_key_of_two_people_is_two_keys(self, world: World) -> None:
        """
        Two people with the same key do not get in each other's way.
        """
        ann = await world.ensure(create_new=True, idempotency_key="k")
        bob = await world.ensure(create_new=True, idempotency_key="k", who=BOB, prompt="Another one")

        assert ann.prototype.id != bob.prototype.id
        assert bob.decision.outcome is Outcome.CREATED

    async def test_a_key_is_forgotten_after_a_week(self, world: World) -> None:
        """
        A key is remembered for a week and then names a new intent.
        """
        first = await world.complete(create_new=True, idempotency_key="k")
        world.clock.advance(6 * 86_400)
        await world.keeper.housekeeping.retention.run_if_due()
        assert (await world.ensure(create_new=True, idempotency_key="k")).prototype.id == first.id
        world.clock.advance(2 * 86_400)
        await world.keeper.housekeeping.retention.run_if_due()

        assert (await world.ensure(create_new=True, idempotency_key="k")).prototype.id != first.id


class TestAtOnce:
    @pytest.mark.parametrize("processes", [1, 3])
    @both_versions
    async def test_a_hundred_clicks_over_several_processes_make_one_chat(self, world: World, processes: int) -> None:
        """
        A hundred people at once, over several processes: one chat, one who made it, and all see the same.
        """
        nodes = [await world.node(immediate=True) for _ in range(processes)]

        ensured = await all_at_once(nodes, 100)

        assert len({one.prototype.id for one in ensured}) == 1
        assert sum(not one.is_existing for one in ensured) == 1
        assert (world.chats_created, world.creates) == (1, 1)
        assert len(await world.rows("SELECT id FROM design_mockups")) == 1

    async def test_fifty_clicks_on_a_failed_one_replace_it_once(self, world: World) -> None:
        """
        Fifty people who find a failed one replace it once.
        """
        await failed(world)
        nodes = [await world.node(immediate=True) for _ in range(3)]

        ensured = await all_at_once(nodes, 50)

        assert len({one.prototype.id for one in ensured}) == 1
        assert sum(one.decision.outcome is Outcome.REPLACED for one in ensured) == 1
        assert (world.chats_created, len(await world.rows("SELECT id FROM design_mockups"))) == (2, 2)

    async def test_fifty_repeats_of_one_key_make_one(self, world: World) -> None:
        """
        Fifty repeats of one click with `create_new` and a key make one.
        """
        nodes = [await world.node(immediate=True) for _ in range(3)]

        ensured = await all_at_once(nodes, 50, create_new=True, idempotency_key="k")

        assert len({one.prototype.id for one in ensured}) == 1
        assert sum(one.decision.outcome is Outcome.CREATED for one in ensured) == 1
        assert world.chats_created == 1

    async def test_ten_create_new_at_once_make_ten_and_one_is_current(self, world: World) -> None:
        """
        Ten on purpose are ten, and one of them is current.
        """
        nodes = [await world.node(immediate=True) for _ in range(2)]

        ensured = await all_at_once(nodes, 10, create_new=True)

        assert len({one.prototype.id for one in ensured}) == world.chats_created == 10
        assert sum(one.is_current for one in await world.listed()) == 1
        assert await world.orphans() == set()

    async def test_a_hundred_clicks_on_twenty_products_make_twenty_chats(self, world: World) -> None:
        """
        Twenty products with five clicks each: twenty chats, each with its own product's prompt.
        """
        node = await world.node(immediate=True)
        asked = [NewPrototype(f"p-{n}", f"prompt {n}") for n in range(20) for _ in range(5)]

        ensured = await asyncio.gather(*(node.keeper.ensure(ANN, new, wait=20) for new in asked))

        assert world.chats_created == 20
        assert {chat.message for chat in world.sandbox.chats.values()} == {f"prompt {n}" for n in range(20)}
        for new, one in zip(asked, ensured, strict=True):
            assert (one.prototype.product_id, one.prototype.prompt) == (new.product_id, new.prompt)


class TestWaiting:
    async def test_a_create_that_waits_returns_once_it_is_accepted(self, world: World) -> None:
        """
        A create that waits comes back as soon as the builder has accepted.
        """
        node = await world.node(immediate=True)

        ensured = await node.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=10)

        assert ensured.accepted
        assert ensured.prototype.chat_id == world.chat.id

    async def test_a_create_that_does_not_wait_returns_with_the_claim(self, world: World) -> None:
        """
        A create that does not wait comes back with the claim.
        """
        ensured = await world.ensure(wait=0)

        assert (ensured.accepted, ensured.prototype.status, world.creates) == (False, Status.PENDING, 0)

    async def test_a_parked_create_does_not_keep_its_caller_waiting(self, world: World) -> None:
        """
        A create that is parked does not keep its caller waiting.
        """
        node = await world.node(immediate=True)
        world.sandbox.set_knobs(fail_next=[{"status": 402, "times": None}])

        async with asyncio.timeout(4):
            ensured = await node.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=10)

        assert (ensured.accepted, ensured.prototype.state) == (False, State.PARKED)


class TestBadInput:
    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"provider": "figma"}, "provider"),
            ({"provider": ""}, "provider"),
            ({"prompt": ""}, "prompt"),
            ({"prompt": "x" * 100_001}, "prompt"),
            ({"prompt": "a\x00b"}, "prompt"),
            ({"product_id": ""}, "product_id"),
            ({"product_id": "x" * 201}, "product_id"),
            ({"product_id": "a\nb"}, "product_id"),
            ({"product_name": "x" * 201}, "product_name"),
            ({"idempotency_key": ""}, "Idempotency-Key"),
            ({"idempotency_key": "x" * 256}, "Idempotency-Key"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
    )
    async def test_a_bad_value_is_named_and_nothing_is_written(
        self, world: World, asked: dict[str, str], field: str
    ) -> None:
        """
        A value that cannot be used is named, and no row has changed.
        """
        await world.make("p-0")
        before = await world.contents()

        with pytest.raises(InvalidInput) as caught:
            await world.ensure(**{"product_id": "p-1", **asked})  # type: ignore[arg-type]

        assert caught.value.field == field
        assert await world.contents() == before
        assert world.creates == 1

    async def test_without_a_key_a_create_names_the_setting_and_writes_nothing(self, world: World) -> None:
        """
        Without a key of the builder's a create names the setting and writes nothing; reads work.
        """
        made = await world.make()
        node = await world.node(key=None)
        before = await world.contents()

        with pytest.raises(NotConfigured, match="V0_API_KEY"):
            await node.keeper.ensure(ANN, NewPrototype("p-2", PROMPT))

        assert await world.contents() == before
        found, _ = await node.keeper.list(ANN, "p-1", Page())
        assert [one.id for one in found] == [made.id]
        assert (await node.keeper.get(ANN, made.id)).id == made.id


class TestWorkspaces:
    STRANGER = replace(BOB, workspace_id="another")

    async def test_the_same_product_id_in_another_workspace_is_another_product(self, world: World) -> None:
        """
        Another workspace's product of the same id is another product; its prototypes cannot be seen or found.
        """
        ours = await world.make()

        theirs = await world.ensure(who=self.STRANGER)
        await world.work()

        assert (theirs.is_existing, theirs.prototype.id != ours.id, world.chats_created) == (False, True, 2)
        assert [one.id for one in await world.listed(who=self.STRANGER)] == [theirs.prototype.id]
        assert [one.id for one in await world.listed()] == [ours.id]
        with pytest.raises(NotFound):
            await world.keeper.get(self.STRANGER, ours.id)
        with pytest.raises(NotFound):
            await world.keeper.status(replace(self.STRANGER, workspace_id="third"), "p-1", "v0")


@on_sqlite
class TestRestart:
    async def test_what_a_dead_process_claimed_is_sent_by_the_next_sweep(self, world: World) -> None:
        """
        What was claimed and never sent is sent by whoever sweeps next.
        """
        claimed = await world.ensure()
        other = await world.node()

        await other.sweep()

        assert (await world.get(claimed.prototype.id)).chat_id == world.chat.id
