"""What the account and the archive say at the last moment: about other chats of a group, and about the chat's copy."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta

import pytest

from censuses import AT_ONCE, Censuses, old_account
from fake_accounts import pin
from node import Crash
from protokeep.core.clean_up import ItemState, PlanState
from protokeep.core.errors import ProviderRejected
from protokeep.core.keep_rules import Selection
from protokeep.sandbox import Request
from protokeep.service.census_adoption import AdoptRequest
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.plans import PlanService
from protokeep.store.sql import Statement
from service.clean_up_world import ADA, GRACE, MAX, CleanUpWorld, opened
from world import ENVIRONMENT_ACCOUNT, World, on_sqlite

RULES_OFF = frozenset({"recent", "shared", "vercel", "favorite", "newest_of_group", "seen_once"})


@pytest.fixture
async def fake(sqlite_url: str) -> AsyncIterator[CleanUpWorld]:
    """An account with twelve old chats, three of which are a group."""
    async with opened(sqlite_url) as made:
        for number in range(12):
            made.account.add(f"c-{number:04}", made.clock())
        await made.census(groups=dict.fromkeys(("c-0001", "c-0002", "c-0003"), "g"))
        yield made


async def applied(world: World, wanted: Selection) -> tuple[Censuses, PlanService, str]:
    """A census, and a plan of these chats that is approved and whose grace period is over."""
    censuses, plans = Censuses(world, world.first), PlanService(world.first.context)
    await censuses.run()
    world.clock.advance(86_400)
    plan = await plans.propose(ADA, "default", None, wanted, PlanOptions(per_day=1000, rules_off=RULES_OFF))
    for admin in (ADA, MAX)[: plan.approvals_needed]:
        await plans.approve(admin, plan.id, plan.digest, "default")
    await plans.apply(ADA, plan.id, plan.digest)
    world.clock.advance((GRACE + timedelta(days=1)).total_seconds())
    return censuses, plans, plan.id


async def test_one_of_a_group_stays_though_the_others_went_away_at_the_app_builder(fake: CleanUpWorld) -> None:
    """What the plan keeps was deleted by hand, and no census has seen that: another one of the group stays instead."""
    plan = await fake.approved(chats=["c-0001", "c-0002"])
    del fake.account.chats["c-0003"]
    await fake.run()
    item = (await fake.items(plan))["c-0001"]
    assert (item.state, item.rule) == (ItemState.SKIPPED, "last_of_group")
    assert {*fake.account.removed} == {"c-0002"}


@on_sqlite
@pytest.mark.world(timing=AT_ONCE)
async def test_a_chat_in_the_bin_is_none_that_stays(world: World) -> None:
    """A prototype was made of one chat of each group and then deleted: its copies do not go before it."""
    old_account(world, 40, api="v2")
    censuses = Censuses(world, world.first)
    await censuses.run()
    rows = await world.rows("SELECT group_id, chat_id FROM protokeep_census_chats WHERE group_id IS NOT NULL")
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["group_id"], []).append(row["chat_id"])
    copies = [group for group in groups.values() if len(group) > 1][:2]
    world.first.context.bin_time = timedelta(days=60)
    for number, (first, *_) in enumerate(copies):
        await censuses.service.adopt(ADA, AdoptRequest(f"p-{number}", [first]))
        (made,) = await world.rows(f"SELECT id FROM design_mockups WHERE v0_chat_id = '{first}'")
        await world.keeper.delete(ADA, made["id"])
    censuses, _, _ = await applied(
        world, Selection(chat_ids=frozenset(chat_id for group in copies for chat_id in group))
    )
    await censuses.finish()
    for _, *others in copies:
        assert [chat_id for chat_id in others if not world.sandbox.chats[chat_id].deleted]


@on_sqlite
@pytest.mark.parametrize("api_version", [1])
@pytest.mark.world(timing=AT_ONCE)
async def test_an_edit_while_the_files_are_downloaded_saves_the_chat(world: World) -> None:
    """API v1 tells of the chat before its files: it is read once more, so that nobody's last words are deleted."""
    old_account(world, 30, api="v1")
    edited = set()

    def rename(request: Request) -> None:
        if request.operation == "chats.downloadVersion" and request.chat_id is not None:
            edited.add(request.chat_id)
            world.sandbox.edit(request.chat_id, "rename")

    censuses, plans, plan_id = await applied(world, Selection(older_than_days=1))
    world.sandbox.before_request = rename
    await censuses.finish()
    assert len(edited) > 3
    assert not [chat_id for chat_id in edited if world.sandbox.chats[chat_id].deleted]
    items = {item.chat_id: item.rule for item in await plans.all_items("default", plan_id)}
    assert {items[chat_id] for chat_id in edited} == {"changed"}


async def test_a_chat_that_is_always_refused_stops_the_plan_once(fake: CleanUpWorld) -> None:
    """Team-mates' private chats are listed and may not be read: who resumes the plan gets the others deleted."""
    plan = await fake.approved(chats=["c-0004", "c-0005", "c-0006"])
    refused = ProviderRejected("This chat is private.", code="refused", status=403)
    forbidden = {"c-0004", "c-0005"}
    fake.account.fault = lambda call, chat_id: (refused, False) if chat_id in forbidden else None
    await fake.run(steps=20)
    assert (await fake.first.plans.get("default", plan.id)).state is PlanState.PAUSED
    assert not fake.account.removed
    await fake.first.plans.resume(ADA, plan.id)
    await fake.run()
    assert {*fake.account.removed} == {"c-0006"}
    items = await fake.items(plan)
    assert {(items[chat_id].state, items[chat_id].rule) for chat_id in forbidden} == {(ItemState.FAILED, "no_right")}


async def test_chats_that_are_gone_make_a_plan_no_smaller_part_of_the_account(fake: CleanUpWorld) -> None:
    """Five of the six chats that are left are more than half of the account, however many there once were."""
    async with fake.first.context.store.database.transaction() as connection:
        gone = Statement("UPDATE protokeep_census_chats SET is_missing = true WHERE chat_id >= :first")
        await connection.execute(gone, {"first": "c-0006"})
    plan = await fake.propose(chats=["c-0000", "c-0001", "c-0002", "c-0004", "c-0005"])
    assert (plan.chats, plan.deletions, plan.approvals_needed) == (6, 5, 2)


@pytest.mark.parametrize("how", ["UPDATE protokeep_archives SET body = :body", "DELETE FROM protokeep_archives"])
@pytest.mark.parametrize("point", ["plan_item_marked", "plan_deletion_answered"])
async def test_a_deletion_is_sent_again_only_with_its_archive(fake: CleanUpWorld, how: str, point: str) -> None:
    """The process died, and the archive was lost: it is made again, or the chat stays. What is gone is written down."""
    plan = await fake.approved(chats=["c-0004"])

    def reached(name: str) -> None:
        if name == point:
            raise Crash(name)

    fake.first.context.checkpoint = reached
    with pytest.raises(Crash):
        await fake.run()
    fake.first.context.checkpoint = lambda name: None
    async with fake.first.context.store.database.transaction() as connection:
        await connection.execute(Statement(how), {"body": b"?"} if ":body" in how else {})
    await fake.run(steps=200)
    item = (await fake.items(plan))["c-0004"]
    if point == "plan_deletion_answered":
        assert item.state is ItemState.DELETED
    elif how.startswith("UPDATE"):
        assert (item.state, item.rule, {*fake.account.removed}) == (ItemState.FAILED, "not_archived", set())
    else:
        assert item.state is ItemState.DELETED
        await fake.first.archives.copy_of("default", str(item.archive_id))  # Raises where it is not whole.


async def test_plans_stop_when_the_database_is_an_older_copy(fake: CleanUpWorld, sqlite_url: str) -> None:
    """A pin that was set after the copy was taken is not in it: nothing is deleted before a person has looked."""
    path = sqlite_url.removeprefix("sqlite:///")
    plan = await fake.approved(chats=["c-0004", "c-0005"])
    await fake.first.context.heartbeat.beat()
    with closing(sqlite3.connect(path)) as now, closing(sqlite3.connect(f"{path}.copy")) as copy:
        now.backup(copy)
    await pin(fake.first.context.store, ENVIRONMENT_ACCOUNT, "c-0004", fake.clock())
    await fake.first.context.heartbeat.beat()
    with closing(sqlite3.connect(path)) as now, closing(sqlite3.connect(f"{path}.copy")) as copy:
        copy.backup(now)
    await fake.first.context.heartbeat.beat()
    await fake.run(steps=20)
    stopped = await fake.first.plans.get("default", plan.id)
    assert (stopped.state, stopped.problem_code) == (PlanState.PAUSED, "database_went_back")
    assert not fake.account.removed

    await fake.first.plans.resume(ADA, plan.id)
    fake.clock.advance(7200)
    await fake.run(fake.process(), steps=20)  # Nothing had beaten for two hours.
    assert (await fake.first.plans.get("default", plan.id)).state is PlanState.PAUSED
    await fake.first.plans.resume(ADA, plan.id)
    await fake.run()
    assert {*fake.account.removed} == {"c-0004", "c-0005"}
