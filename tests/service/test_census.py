"""Censuses against the emulated v0: they survive kills, miss nothing, keep to their calls, and show nobody's else."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest

from censuses import AFTER_LEASE, AT_ONCE, Censuses, Kills, old_account
from foreign_chats import plant
from protokeep.core.call_budget import Limits
from protokeep.core.census import CensusState, ChatContent, Claim
from protokeep.core.errors import InvalidInput, NotConfigured, NotFound
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Status
from protokeep.core.provider_keys import KeyOwner
from protokeep.service import census_groups
from protokeep.service.census_adoption import AdoptRequest
from protokeep.service.provider_keys import ProviderKeys
from world import ADA, EVE, Crash, World, on_sqlite, quick

pytestmark = pytest.mark.world(timing=AT_ONCE)


@pytest.fixture
def censuses(world: World, monkeypatch: pytest.MonkeyPatch) -> Censuses:
    """The censuses of the world's first process, which read a few prompts."""
    monkeypatch.setattr(census_groups, "MOST_PROMPTS", 5)
    return Censuses(world, world.first)


async def test_a_kill_at_every_point_of_every_step_loses_nothing(world: World, censuses: Censuses) -> None:
    """
    Each step is killed before its call, before its save and after it. What is found is what an undisturbed census of
    another workspace finds, and only steps that were killed before their save make their call again.
    """
    old_account(world, 130, also_in="v2")
    await censuses.run(EVE)
    undisturbed = world.calls()

    kills = Kills()
    world.first.context.checkpoint = kills
    await censuses.service.start(ADA)
    while (await censuses.newest(ADA)).state is not CensusState.DONE:
        with contextlib.suppress(Crash):
            await censuses.clean_up.step()
        world.clock.advance(AFTER_LEASE)

    census = await censuses.newest(ADA)
    assert Counter(kills.points)["census_saved"] > 10
    assert await censuses.kept("default") == await censuses.kept("elsewhere")
    assert census.chats == 130
    assert census.calls == undisturbed
    repeated = Counter(kills.points)["census_read"]
    assert undisturbed < world.calls() - undisturbed <= undisturbed + repeated


async def test_two_processes_take_no_step_twice(world: World, censuses: Censuses) -> None:
    """
    Two processes step the same census at once: no call is made twice.
    """
    old_account(world, 130)
    other = Censuses(world, await world.node())
    await censuses.service.start(ADA)
    while (await censuses.newest()).state is CensusState.RUNNING:
        await asyncio.gather(censuses.clean_up.step(), other.clean_up.step())
        world.clock.advance(0.1)

    census = await censuses.newest()
    assert (census.state, census.chats) == (CensusState.DONE, 130)
    assert world.calls() == census.calls


@on_sqlite
@pytest.mark.parametrize("order", ["newest", "updated"])
async def test_a_list_that_others_change_misses_none(world: World, censuses: Censuses, order: str) -> None:
    """
    Somebody edits, makes or deletes a chat before every second request: no chat that was there all the time is missed.
    """
    old = old_account(world, 400)
    kinds = ["create", "delete", "rename", "favorite", "write"]
    with world.knobs(list_order=order, edit_every=2, edit_kinds=kinds, edit_seed=3):
        census = await censuses.run()

    gone = {chat.id for chat in world.sandbox.chats.values() if chat.deleted}
    assert census.state is CensusState.DONE, census.problem
    assert set(old.chats) - gone - set(await censuses.ids(missing=False)) == set()


async def test_what_others_own_is_counted_and_never_shown(world: World, censuses: Censuses) -> None:
    """
    On the environment's key: a prototype of another workspace, chats with marks of another installation, and a chat
    that another workspace adopts after the census. Nothing of the first two is kept, and none of them can be touched.
    """
    elses = await world.make("secret-product", "A secret plan", who=EVE)
    (marked,) = plant(world, timedelta(days=2), metadata={"protokeep": "another", "protokeep_marker": "x"})
    free, later = plant(world, timedelta(days=2), count=2)
    world.clock.advance(600)
    await censuses.run()

    async def visible() -> tuple[set[str], int]:
        summary = await censuses.service.summary(ADA)
        return set(await censuses.ids()), summary.by_claim["foreign"].chats

    assert await visible() == ({free.id, later.id}, 2)
    kept = {row["chat_id"]: row for row in await censuses.kept("default")}
    assert elses.chat_id is not None
    for chat_id in (elses.chat_id, marked.id):
        told = {
            name: kept[chat_id][name] for name in ("name", "author_id", "web_url", "metadata", "prompt", "created_at")
        }
        assert told == {**dict.fromkeys(told), "name": ""}
        with pytest.raises(NotFound):
            await censuses.service.pin(ADA, chat_id)
        with pytest.raises(NotFound):
            await censuses.service.adopt(ADA, AdoptRequest("mine", [chat_id]))
    await censuses.run(EVE)
    await censuses.service.adopt(EVE, AdoptRequest("theirs", [later.id]))

    assert await visible() == ({free.id}, 3)
    assert await world.rows("SELECT 1 FROM protokeep_pins") == []


@on_sqlite
async def test_marks_say_whose_a_chat_is(world: World, censuses: Censuses) -> None:
    """
    A mark that we signed for the workspace makes a chat its own, and lost; one that we signed for another makes it
    foreign. Where lists show no marks, an adoption reads them, and refuses.
    """
    signer = world.first.context.signer

    def signed(workspace_id: str) -> dict[str, str]:
        marks = {"protokeep": "here", "protokeep_marker": str(uuid4()), "protokeep_workspace": workspace_id}
        return {**marks, "protokeep_signature": signer.sign(marks)}

    (lost,) = plant(world, timedelta(days=2), metadata=signed("default"))
    (elses,) = plant(world, timedelta(days=2), metadata=signed("elsewhere"))
    world.api_version = 1
    (unseen,) = plant(world, timedelta(days=2), metadata=signed("elsewhere"))
    await censuses.run()

    claims = {one.record.chat.chat_id: one.record.claim for one in await censuses.chats()}
    assert claims == {lost.id: Claim.LOST, unseen.id: Claim.NOBODY}
    assert elses.id not in claims
    result = await censuses.service.adopt(ADA, AdoptRequest("p-1", [lost.id, unseen.id]))
    assert [one.chat_id for one in result.adopted] == [lost.id]
    assert [one.chat_id for one in result.refused] == [unseen.id]
    assert [row["v0_chat_id"] for row in await world.rows("SELECT v0_chat_id FROM design_mockups")] == [lost.id]


@on_sqlite
async def test_a_workspace_reads_its_own_key_and_never_a_persons(world: World) -> None:
    """
    A workspace with a key of its own reads that account first; one that the environment's key does not serve has
    nothing else. A person's own key is no account to read.
    """
    node = await world.node(ours_for=["default"])
    censuses = Censuses(world, node)
    keys = ProviderKeys(node.context)
    await keys.set(EVE, KeyOwner("elsewhere", "eve"), "v0", "key-of-eve-herself")
    with pytest.raises(NotConfigured):
        await censuses.service.start(EVE)
    await keys.set(EVE, KeyOwner("elsewhere"), "v0", "key-of-elsewhere")
    plant(world, timedelta(days=2), count=3, key="key-of-elsewhere")
    plant(world, timedelta(days=2), count=2)
    await world.node()
    census = await censuses.run(EVE)

    assert (census.account, census.chats) == ("v0:workspace:elsewhere", 3)
    with pytest.raises(InvalidInput):
        await censuses.service.start(EVE, "v0:environment")
    with pytest.raises(InvalidInput):
        await censuses.service.summary(EVE, "v0:environment")
    assert (await censuses.run(ADA)).chats == 2


@on_sqlite
async def test_an_incremental_census_reads_what_is_new(world: World, censuses: Censuses) -> None:
    """
    After a whole census the next one stops at the first page that is known; the whole one after it marks what is gone.
    """
    old = old_account(world, 300)
    first = await censuses.run()
    assert first.is_whole
    gone = world.sandbox.chats[old.chats[150]]
    world.sandbox.backend.delete_chat(gone, world.clock.elsewhere())
    new = plant(world, timedelta(days=1), count=3)
    before = world.calls("chats.find", "chats.list")
    second = await censuses.run()

    assert (second.is_whole, second.state) == (False, CensusState.DONE)
    assert {chat.id for chat in new} <= set(await censuses.ids())
    assert world.calls("chats.find", "chats.list") - before <= 6
    assert gone.id not in await censuses.ids(missing=True)
    third = await censuses.run(whole=True)
    assert third.expected == 300
    assert await censuses.ids(missing=True) == [gone.id]


@on_sqlite
@pytest.mark.world(timing=quick(clean_up_pace=timedelta(seconds=1)), limits=Limits(per_minute=600, per_day=40))
async def test_a_census_keeps_to_a_quarter_of_the_days_calls(world: World, censuses: Censuses) -> None:
    """
    With forty calls a day it makes ten, a second apart, waits for the next day, and goes on by itself.
    """
    old_account(world, 900)
    await censuses.service.start(ADA)
    began = world.clock()
    while (await censuses.newest()).state is CensusState.RUNNING:
        due = await censuses.clean_up.step()
        assert due is not None
        world.clock.advance(max((due - world.clock()).total_seconds(), 0.01))
    paused = await censuses.newest()

    assert (world.calls(), paused.state) == (10, CensusState.PAUSED)
    assert "resumes automatically" in (paused.problem or "")
    assert world.clock().date() == (began + timedelta(days=1)).date()
    await censuses.clean_up.step()
    assert world.calls() == 11


@on_sqlite
async def test_trouble_at_the_builder_pauses_or_ends_a_census_with_words(world: World, censuses: Censuses) -> None:
    """
    429 with Retry-After and 503 pause it, and it goes on by itself; a refused key ends it, and says what to do.
    """
    old_account(world, 130)
    with world.knobs(fail_next=[{"operation": "chats.find", "status": 429, "retry_after": 77, "times": 2, "after": 1}]):
        await censuses.service.start(ADA)
        while (await censuses.newest()).state is CensusState.RUNNING:
            await censuses.clean_up.step()
            world.clock.advance(0.1)
        paused = await censuses.newest()
        assert paused.step_at is not None
        assert timedelta(seconds=76) < paused.step_at - world.clock() <= timedelta(seconds=77)
        assert (await censuses.finish()).chats == 130

    with world.knobs(fail_next=[{"operation": "*", "status": 401, "times": None}]):
        failed = await censuses.run()
    assert failed.state is CensusState.FAILED
    assert "PUT /api/design/keys" in (failed.problem or "")


async def test_a_group_is_adopted_once_whoever_asks_at_once(world: World, censuses: Censuses) -> None:
    """
    Two admins give the same group to two products, in two processes, and repeat it: each chat gets one row, one chat
    of each product is in its slot, all are followed, and the audit names who did it.
    """
    chats = plant(world, timedelta(days=3), count=6)
    await censuses.run()
    other = Censuses(world, await world.node())
    ben = Principal("default", "ben", Role.ADMIN, "token-of-ben")
    ids = [chat.id for chat in chats]
    before = world.calls("chats.update", "chats.delete")

    for _ in range(2):
        await asyncio.gather(
            censuses.service.adopt(ADA, AdoptRequest("p-ada", ids)),
            other.service.adopt(ben, AdoptRequest("p-ben", ids, product_name="Ben's")),
        )

    rows = await world.rows("SELECT v0_chat_id, product_id FROM design_mockups")
    assert sorted(row["v0_chat_id"] for row in rows) == sorted(ids)
    audit = await world.rows("SELECT actor FROM protokeep_audit WHERE action = 'adopted'")
    assert Counter(row["actor"] for row in audit) == Counter(
        {"p-ada": "ada", "p-ben": "ben"}[row["product_id"]] for row in rows
    )
    assert world.calls("chats.update", "chats.delete") == before
    await world.pass_time(1)
    polled = await world.rows("SELECT count(*) AS number FROM protokeep_generations WHERE observed_at IS NOT NULL")
    assert polled[0]["number"] == 6


async def test_the_best_chat_takes_a_free_slot_and_no_other(world: World, censuses: Censuses) -> None:
    """
    The finished chat becomes the product's prototype, with its prompt, and is ready at the next poll; a slot that
    somebody uses stays as it is. What is adopted is nobody's any more.
    """
    made = await world.complete("used")
    old_account(world, 60)
    await censuses.run()
    by_content = {
        found.record.chat.content: found.record.chat.chat_id for found in await censuses.chats(claim="nobody")
    }
    failed, finished = by_content[ChatContent.FAILED], by_content[ChatContent.FINISHED]

    free = await censuses.service.adopt(ADA, AdoptRequest("free", [failed, finished], product_name="Free"))
    assert [(one.chat_id, one.outcome, one.is_current) for one in free.adopted] == [
        (finished, "adopted", True),
        (failed, "adopted", False),
    ]
    await world.pass_time(1)
    current = await world.status("free")
    assert (current.chat_id, current.status) == (finished, Status.COMPLETED)
    assert current.prompt == world.sandbox.chats[finished].messages[0].content
    assert {one.record.claim for one in await censuses.chats(product_id="free")} == {Claim.OURS}
    again = await censuses.service.adopt(ADA, AdoptRequest("free", [failed, finished]))
    assert {one.outcome for one in again.adopted} == {"known"}

    (other, *_) = await censuses.ids(claim="nobody", content="finished")
    await censuses.service.adopt(ADA, AdoptRequest("used", [other]))
    assert (await world.status("used")).id == made.id


@on_sqlite
async def test_a_chat_that_the_key_may_not_read_keeps_no_other_chat_from_its_product(
    world: World, censuses: Censuses
) -> None:
    """A private chat of a mate answers 403: it is named with the reason, and the others of the group are adopted."""
    chats = plant(world, timedelta(days=3), count=3)
    await censuses.run()
    with world.knobs(fail_next=[{"operation": "chats.get", "status": 403, "times": 1}]):
        result = await censuses.service.adopt(ADA, AdoptRequest("p-ada", [chat.id for chat in chats]))

    assert [(one.chat_id in {chat.id for chat in chats}, "private" in one.reason) for one in result.refused] == [
        (True, True)
    ]
    assert [one.outcome for one in result.adopted] == ["adopted", "adopted"]
    assert [one.is_current for one in result.adopted] == [True, False]
