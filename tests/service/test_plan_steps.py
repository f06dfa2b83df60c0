"""A plan is carried out: exactly what was approved is deleted, archived before, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from fake_accounts import pin
from node import Crash
from protokeep.core.census import ChatContent, ChatKind
from protokeep.core.clean_up import ItemState, Plan, PlanState
from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected, ProviderUnreachable
from protokeep.store.sql import Statement
from protokeep.wiring import ENVIRONMENT_ACCOUNT
from service.clean_up_world import ADA, CASES, MAX, CleanUpWorld, opened

#: Every point of a run at which a process may be killed.
POINTS = (
    "plan_item_decided",
    "plan_archive_made",
    "plan_item_archived",
    "plan_item_marked",
    "plan_deletion_answered",
)
RESTORE_POINTS = ("before_make_again", "after_make_again", "plan_chat_made_again")


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[CleanUpWorld]:
    """An account with six old chats, which a census has seen."""
    async with opened(sqlite_url, 6) as made:
        yield made


async def assert_done_once(world: CleanUpWorld, plan: Plan, deleted: set[str]) -> None:
    """Exactly these chats are gone; each was archived before, removed once, and has one receipt."""
    items = await world.items(plan)
    assert deleted == {chat_id for chat_id, item in items.items() if item.state is ItemState.DELETED}
    assert {*world.account.removed} == deleted
    assert set(world.account.removed.values()) <= {1}
    assert not deleted & set(world.account.chats)
    receipts = await world.receipts(plan)
    by_chat = [one["chat_id"] for one in receipts if one["outcome"] == "deleted"]
    assert sorted(by_chat) == sorted(deleted)
    for one in receipts:
        if one["outcome"] == "deleted":
            copy = await world.first.archives.copy_of("default", one["archive_id"])
            assert copy.chat.fingerprint == one["fingerprint"]
            assert copy.files == world.account.files[one["chat_id"]]


async def test_the_planned_chats_are_deleted_and_no_others(world: CleanUpWorld) -> None:
    """Nothing happens before the plan is applied; then each chat is copied, archived and deleted, once."""
    plan = await world.propose(chats=["c-0001", "c-0002"])
    await world.first.plans.approve(ADA, plan.id, plan.digest, "default")
    world.clock.advance(timedelta(days=60).total_seconds())
    await world.run()
    assert world.account.calls == 0

    await world.first.plans.apply(ADA, plan.id, plan.digest)
    await world.run()
    await world.first.plans.apply(ADA, plan.id, plan.digest)
    await world.run()

    await assert_done_once(world, plan, {"c-0001", "c-0002"})
    found = await world.first.plans.get("default", plan.id)
    assert (found.state, found.step_at) == (PlanState.DONE, None)
    report = await world.first.reports.report("default", plan.id)
    assert report.sentence == (
        "2 removed, 0 pinned deleted, 0 skipped because they had changed, 4 credits they had cost."
    )
    assert report.verified is None
    world.clock.advance(60)
    await world.census()
    assert (await world.first.reports.report("default", plan.id)).verified is True


async def test_a_run_that_is_killed_anywhere_goes_on_and_deletes_exactly_what_was_planned(database_url: str) -> None:
    """At each point, in turn and at random, the process is killed; another one takes over."""
    dice = random.Random(17)
    async with opened(database_url, 4 + CASES) as world:
        chats = sorted(world.account.chats)[:-3]
        plan = await world.approved(chats=chats)
        for number in range(CASES * 2):
            process = world.process()
            kill_at = POINTS[number % len(POINTS)] if number < len(POINTS) * 2 else dice.choice(POINTS)

            def kill(point: str, kill_at: str = kill_at) -> None:
                if point == kill_at:
                    raise Crash(point)

            process.context.checkpoint = kill
            with contextlib.suppress(Crash):
                for _ in range(5):
                    await process.runner.work()
                    world.clock.advance(1)
            await world.end(process)
            world.clock.advance(dice.choice((1, 70)))
        await world.run()
        await assert_done_once(world, plan, set(chats))


@pytest.mark.parametrize("answer", ["acted", "not acted"])
async def test_a_deletion_without_an_answer_is_read_again_and_never_assumed(world: CleanUpWorld, answer: str) -> None:
    """The answer is lost, whether or not the app builder acted: the item waits, and is decided by a read."""
    plan = await world.approved(chats=["c-0001"])
    lost = iter([OutcomeUnknown("no answer", code="no_answer")])

    def fault(call: str, chat_id: str) -> tuple[ProviderError, bool] | None:
        error = next(lost, None) if call == "delete" else None
        return (error, answer == "acted") if error else None

    world.account.fault = fault
    await world.first.runner.work()
    assert await world.states(plan) | {"c-0001": ItemState.DELETING} == await world.states(plan)
    await world.run()
    await assert_done_once(world, plan, {"c-0001"})


async def test_a_chat_that_changed_after_a_lost_deletion_stays(world: CleanUpWorld) -> None:
    """It is there and another one than before: it is kept."""
    plan = await world.approved(chats=["c-0001"])
    world.account.fault = lambda call, chat_id: (
        (OutcomeUnknown("no answer", code="no_answer"), False) if call == "delete" else None
    )
    await world.first.runner.work()
    world.account.fault = lambda call, chat_id: None
    world.account.edit("c-0001", name="Mine")
    await world.run()
    item = (await world.items(plan))["c-0001"]
    assert (item.state, item.rule) == (ItemState.SKIPPED, "changed")
    assert "c-0001" in world.account.chats


#: What others may do to a chat at the app builder.
CHANGES: dict[str, dict[str, Any]] = {
    "edited": {"updated_at": datetime(2026, 1, 2, tzinfo=UTC)},
    "renamed": {"name": "Another name"},
    "favourite": {"is_favorite": True},
    "shared": {"privacy": "public"},
    "asked to be kept": {"name": "keep this"},
    "generating": {"content": ChatContent.GENERATING},
    "not ours to delete": {"may_delete": False},
}
#: What its metadata may say, which the list of v1 does not show.
MARKS = {"kept": {"x": "keep"}, "of others": {"protokeep": "another"}}
#: What people here may do with it.
HERE = ("pinned", "pinned elsewhere", "adopted")


async def touch(world: CleanUpWorld, what: str, chat_id: str) -> None:
    """Somebody does something with a chat."""
    store = world.first.context.store
    if what == "adopted":
        statement = Statement(
            "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, v0_chat_id, created_at, updated_at)"
            " VALUES (:id, 'p', 'ann', 'v0', 'x', :chat_id, :now, :now)"
        )
        async with store.database.transaction() as connection:
            values = {"id": str(uuid4()), "chat_id": chat_id, "now": world.clock()}
            await connection.execute(statement, values)
    elif what in HERE:
        workspace = "default" if what == "pinned" else "elsewhere"
        await pin(store, ENVIRONMENT_ACCOUNT, chat_id, world.clock(), workspace=workspace)
    elif what in MARKS:
        world.account.metadata[chat_id] = MARKS[what]
    else:
        world.account.edit(chat_id, **CHANGES[what])


async def test_a_chat_that_somebody_touched_is_never_deleted(sqlite_url: str) -> None:
    """Whatever happens to it between the plan and its deletion, and (here) at each moment of the step.

    What happens at the app builder after the read that decided is bounded by a few seconds only; a pin and an adoption
    are looked for once more.
    """
    cases = [(what, "") for what in (*CHANGES, *MARKS, *HERE)] + [(what, at) for what in HERE for at in POINTS[:4]]
    async with opened(sqlite_url, 60) as world:
        touched = {f"c-{number:04}": case for number, case in enumerate(cases)}
        plan = await world.approved(chats=[*touched])
        for chat_id, (what, at) in touched.items():
            if at == "":
                await touch(world, what, chat_id)
                await world.first.runner.work()
            else:
                await kill_at(world, at)
                await touch(world, what, chat_id)
                world.clock.advance(70)
                await world.first.runner.work()
        await world.run()

        assert not world.account.removed
        items = await world.items(plan)
        for chat_id, case in touched.items():
            assert items[chat_id].state is ItemState.SKIPPED, (case, items[chat_id])
        receipts = await world.receipts(plan)
        rules = {one["chat_id"]: one["rule"] for one in receipts}
        assert rules == {chat_id: items[chat_id].rule for chat_id in touched}
        assert len(receipts) == len(touched)


async def kill_at(world: CleanUpWorld, point: str) -> None:
    """A process is killed at a point of its step."""
    process = world.process()

    def kill(reached: str) -> None:
        if reached == point:
            raise Crash(reached)

    process.context.checkpoint = kill
    world.clock.advance(70)
    with pytest.raises(Crash):
        await process.runner.work()


async def test_random_changes_between_plan_and_deletion_save_every_chat_that_was_touched(database_url: str) -> None:
    """Random people touch random chats while the plan runs: what was touched before its deletion is there."""
    dice = random.Random(4)
    async with opened(database_url, 10 + CASES * 2) as world:
        chats = sorted(world.account.chats)
        plan = await world.approved(chats=chats[:-2])
        touched: set[str] = set()
        for _ in range(CASES * 2):
            chat_id = dice.choice(chats)
            if chat_id not in world.account.chats:
                continue
            what = dice.choice(("name", "updated_at", "is_favorite", "privacy", "pin"))
            if what == "pin":
                await pin(world.first.context.store, ENVIRONMENT_ACCOUNT, chat_id, world.clock())
            else:
                value = {"name": "x", "updated_at": world.clock(), "is_favorite": True, "privacy": "team"}[what]
                world.account.edit(chat_id, **{what: value})
            touched.add(chat_id)
            await world.first.runner.work()
            world.clock.advance(1)
        await world.run()
        assert touched <= set(world.account.chats)
        await assert_done_once(world, plan, set(chats[:-2]) - touched)
        assert (await world.first.reports.report("default", plan.id)).pinned_touched == 0


@pytest.mark.parametrize("point", POINTS[:4])
async def test_a_process_that_slept_reads_the_chat_again(world: CleanUpWorld, point: str) -> None:
    """It sleeps for minutes between its read and its deletion; somebody edits the chat meanwhile."""
    plan = await world.approved(chats=["c-0001"])

    def sleep(reached: str) -> None:
        if reached == point:
            world.clock.advance(300)
            world.account.edit("c-0001", name="Edited meanwhile")

    world.first.context.checkpoint = sleep
    await world.run()
    assert not world.account.removed
    assert (await world.items(plan))["c-0001"].rule == "changed"


async def test_two_plans_of_two_admins_delete_a_chat_once_and_never_both_chats_of_a_group(database_url: str) -> None:
    """The second plan skips what the first one deletes; each counts on a chat that the other one deletes: one stays."""
    async with opened(database_url) as world:
        for number in range(4):
            world.account.add(f"c-{number}", world.clock())
        kinds = dict.fromkeys(world.account.chats, ChatKind.DUPLICATE)
        await world.census(groups={"c-0": "g", "c-1": "g"}, kinds=kinds)
        first = await world.propose(chats=["c-0", "c-2"], rules_off=frozenset({"newest_of_group"}))
        second = await world.propose(chats=["c-1", "c-2"], by=MAX, rules_off=frozenset({"newest_of_group"}))
        for plan, by in ((first, ADA), (second, MAX)):
            await world.first.plans.approve(by, plan.id, plan.digest, "default")
            await world.first.plans.apply(by, plan.id, plan.digest)
        world.clock.advance(timedelta(days=15).total_seconds())
        other = world.process()
        for _ in range(8):
            await world.run(other, steps=1)
            await world.run(steps=1)
        assert world.account.removed["c-2"] == 1
        assert len({"c-0", "c-1"} & set(world.account.chats)) == 1
        second_items = await world.items(second)
        assert second_items["c-2"].rule == "other_plan"


async def test_what_happens_here_at_the_last_moment_counts(sqlite_url: str) -> None:
    """Past the read that decided: the other chat of its group is deleted by another plan, or somebody pins the chat."""
    async with opened(sqlite_url) as world:
        for number in range(4):
            world.account.add(f"c-{number}", world.clock())
        await world.census(groups={"c-0": "g", "c-1": "g"})
        rules_off = frozenset({"newest_of_group"})
        plan = await world.approved(chats=["c-0", "c-2"], rules_off=rules_off)
        await world.propose(chats=["c-1"], rules_off=rules_off)
        moments = {
            "plan_item_archived": (
                "UPDATE protokeep_plan_items SET state = 'deleted' WHERE chat_id = 'c-1' AND action = 'delete'"
            ),
            "plan_item_marked": (
                "INSERT INTO protokeep_pins (workspace_id, account, chat_id, pinned_by, pinned_at)"
                f" VALUES ('default', '{ENVIRONMENT_ACCOUNT}', 'c-2', 'bob', '2026-01-20T00:00:00.000000Z')"
            ),
        }

        def meanwhile(point: str) -> None:
            if point in moments:
                with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
                    connection.execute(moments.pop(point))
                connection.close()

        world.first.context.checkpoint = meanwhile
        await world.run()
        items = await world.items(plan)
        assert not moments
        assert (items["c-0"].rule, items["c-2"].rule) == ("last_of_group", "pinned")
        assert not world.account.removed


async def test_requests_for_fewer_calls_slow_a_plan_down_and_stop_it_for_the_day(world: CleanUpWorld) -> None:
    """The first 429 doubles the pauses, the second one of a day ends the day; nothing is lost."""
    plan = await world.approved(chats=["c-0001", "c-0002", "c-0003"])
    busy = [ProviderBusy("slow", code="rate_limited", status=429, retry_after=timedelta(seconds=7))] * 2
    world.account.fault = lambda call, chat_id: (busy.pop(), False) if call == "delete" and busy else None
    await world.first.runner.work()
    found = await world.first.plans.get("default", plan.id)
    assert found.step_at == world.clock() + timedelta(seconds=7)
    world.clock.advance(7)
    await world.first.runner.work()
    found = await world.first.plans.get("default", plan.id)
    assert found.step_at == world.clock().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert found.state is PlanState.APPLYING
    assert not world.account.removed
    await world.run()
    await assert_done_once(world, plan, {"c-0001", "c-0002", "c-0003"})


async def test_a_refusal_of_the_account_pauses_the_plan_until_a_person_resumes_it(world: CleanUpWorld) -> None:
    """The run stops with words, not the item; nothing is deleted until somebody resumes it."""
    plan = await world.approved(chats=["c-0001", "c-0002"])
    cases = [(call, status) for call in ("copy", "delete") for status in (401, 402, 403)]
    for call, status in cases:
        refuse(world, call, status)
        before = world.account.calls
        for _ in range(5):
            await world.first.runner.work()
            world.clock.advance(3600)
        found = await world.first.plans.get("default", plan.id)
        assert (found.state, found.problem) == (PlanState.PAUSED, "No. Then resume the plan.")
        assert world.account.calls - before <= 2
        await world.first.plans.resume(ADA, plan.id)
    world.account.fault = lambda made, chat_id: None
    assert not world.account.removed
    await world.run()
    await assert_done_once(world, plan, {"c-0001", "c-0002"})


def refuse(world: CleanUpWorld, call: str, status: int) -> None:
    """The app builder refuses this call from now on."""
    kind = ProviderBusy if status == 402 else ProviderRejected
    error = kind("No.", code="refused", status=status)
    world.account.fault = lambda made, chat_id: (error, False) if made == call else None


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("v0's answer was larger than 64 MiB.", code="too_large"),
        OutcomeUnknown("That is no JSON.", code="bad_answer", status=200),
        OutcomeUnknown("Server error.", code="server_error", status=500),
    ],
)
async def test_a_chat_that_cannot_be_copied_is_not_deleted_and_stops_no_other(
    world: CleanUpWorld, error: ProviderError
) -> None:
    """It fails with the reason, or waits; the others are deleted."""
    plan = await world.approved(chats=["c-0001", "c-0002", "c-0003"])
    world.account.fault = lambda call, chat_id: (error, False) if (call, chat_id) == ("copy", "c-0001") else None
    await world.run(steps=300)
    assert {*world.account.removed} == {"c-0002", "c-0003"}
    state = (await world.states(plan))["c-0001"]
    assert state is (ItemState.WAITING if error.status == 500 else ItemState.FAILED)


async def test_calls_are_a_second_apart_and_two_after_a_request_for_fewer(world: CleanUpWorld) -> None:
    """A step of two calls waits two seconds for the next one, and four once the app builder was asked too often."""
    world.pace = 1.0
    process = world.process()
    plan = await world.approved(chats=["c-0001", "c-0002", "c-0003"])
    busy = [ProviderBusy("slow", code="rate_limited", status=429)]
    for pause in (2, 30, 4):
        world.account.fault = lambda call, chat_id, slow=pause == 30: (busy.pop(), False) if slow and busy else None  # type: ignore[misc]
        await process.runner.work()
        found = await world.first.plans.get("default", plan.id)
        assert found.step_at == world.clock() + timedelta(seconds=pause)
        world.clock.advance(pause)


async def test_an_outage_ends_by_itself(world: CleanUpWorld) -> None:
    """Nothing answers for a while; then everything is done."""
    plan = await world.approved(chats=["c-0001", "c-0002"])
    down = [ProviderUnreachable("down", code="unreachable")] * 9
    world.account.fault = lambda call, chat_id: (down.pop(), False) if down else None
    await world.run()
    await assert_done_once(world, plan, {"c-0001", "c-0002"})


async def test_a_key_of_another_account_deletes_nothing_and_concludes_nothing(world: CleanUpWorld) -> None:
    """Every chat answers 404, and the list shows others: the plan stops. A chat that is gone alone is written down."""
    plan = await world.approved(chats=["c-0001", "c-0002"])
    del world.account.chats["c-0001"]
    await world.first.runner.work()
    item = (await world.items(plan))["c-0001"]
    assert (item.state, item.rule, item.answer) == (ItemState.SKIPPED, "gone", "404 to a read")

    world.account.chats.clear()
    world.account.add("of-others", world.clock())
    await world.run(steps=20)
    assert (await world.first.plans.get("default", plan.id)).problem_code == "other_account"
    assert (await world.states(plan))["c-0002"] is ItemState.WAITING


async def test_a_daily_quota_holds_and_a_part_is_kept_for_undo(world: CleanUpWorld) -> None:
    """Two deletions a day; what was deleted can be made again the same day."""
    plan = await world.approved(chats=["c-0001", "c-0002", "c-0003", "c-0004"], per_day=2)
    for _ in range(6):
        await world.first.runner.work()
        world.clock.advance(1)
    assert len(world.account.removed) == 2
    await world.first.plans.undo(ADA, plan.id, [next(iter(world.account.removed))])
    await world.first.runner.work()
    assert len(world.account.made) == 1
    world.clock.advance(86_400)
    for _ in range(6):
        await world.first.runner.work()
        world.clock.advance(1)
    assert len(world.account.removed) == 4


async def test_a_plan_is_taken_back_before_its_deletions_and_after_them(world: CleanUpWorld) -> None:
    """Chats that are there stay; those that are gone are made again from their archives, byte for byte, and pinned."""
    plan = await world.approved(chats=["c-0001", "c-0002", "c-0003"])
    await world.first.runner.work()
    (gone,) = world.account.removed
    files = dict(world.account.files[gone])
    await world.first.plans.pause(ADA, plan.id)

    undone = await world.first.plans.undo(ADA, plan.id)
    await world.run()

    assert (undone.protected, undone.restoring) == (2, 1)
    item = (await world.items(plan))[gone]
    assert item.state is ItemState.RESTORED
    assert item.restored_as is not None
    assert world.account.files[item.restored_as] == files
    assert world.account.metadata[item.restored_as] == {"protokeep_restored_from": gone}
    assert {*world.account.removed} == {gone}
    found = await world.first.plans.get("default", plan.id)
    assert (found.state, found.step_at) == (PlanState.CANCELLED, None)
    world.clock.advance(86_400 * 60)
    await world.census()
    again = await world.propose(chats=[item.restored_as])
    assert (await world.items(again))[item.restored_as].rule == "pinned"


@pytest.mark.parametrize("point", RESTORE_POINTS)
async def test_a_chat_is_made_again_once_though_the_process_is_killed(world: CleanUpWorld, point: str) -> None:
    """Killed at each point, the undo goes on, and finds the chat that was made."""
    plan = await world.approved(chats=["c-0001"])
    await world.run()
    await world.first.plans.undo(ADA, plan.id)

    def kill(reached: str) -> None:
        if reached == point:
            raise Crash(reached)

    other = world.process()
    other.context.checkpoint = kill
    with pytest.raises(Crash):
        await other.runner.work()
    world.clock.advance(90)
    await world.run()
    assert world.account.made == ["c-0001"]
    assert (await world.states(plan))["c-0001"] is ItemState.RESTORED


async def test_an_undo_of_a_deletion_under_way_is_decided_by_what_happened(world: CleanUpWorld) -> None:
    """The answer was lost: a chat that is there stays, one that is gone is made again."""
    plan = await world.approved(chats=["c-0001", "c-0002"])
    world.account.fault = lambda call, chat_id: (
        (OutcomeUnknown("bad", code="bad_answer", status=200), chat_id == "c-0001") if call == "delete" else None
    )
    await world.first.runner.work()
    await world.first.runner.work()
    undone = await world.first.plans.undo(ADA, plan.id)
    assert undone.under_way == 2
    await world.run()
    states = await world.states(plan)
    assert (states["c-0001"], states["c-0002"]) == (ItemState.RESTORED, ItemState.PROTECTED)
    assert "c-0002" in world.account.chats


async def test_a_workspace_that_the_key_does_not_serve_any_more_loses_nothing(world: CleanUpWorld) -> None:
    """The environment's key serves others now: the plan stops before it reads anything."""
    plan = await world.approved(chats=["c-0001"])
    world.serves = lambda workspace: workspace == "elsewhere"
    await world.run(steps=5)
    assert world.account.calls == 0
    assert (await world.first.plans.get("default", plan.id)).problem_code == "no_key"
