"""The whole way against the emulated v0: census, plan, deletion, a scan afterwards, and undo."""

from __future__ import annotations

from datetime import timedelta

import pytest

from censuses import AT_ONCE, Censuses, old_account
from protokeep.core.clean_up import ItemState, PlanState
from protokeep.core.keep_rules import Selection
from protokeep.core.principals import Principal, Role
from protokeep.service.archives import ChatArchives
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.plan_reports import PlanReports
from protokeep.service.plans import PlanService
from world import ADA, World, both_versions

MAX = Principal("default", "max", Role.ADMIN, "token-of-max")


@both_versions
@pytest.mark.world(timing=AT_ONCE)
async def test_an_old_account_is_cleaned_up_and_one_chat_comes_back(world: World) -> None:
    """What the plan names is gone from v0, nothing else is, a census says so, and a chat's files come back whole."""
    old_account(world, 60, api=f"v{world.api_version}")
    censuses = Censuses(world, world.first)
    await censuses.run()
    world.clock.advance(86_400)
    plans = PlanService(world.first.context)
    rules_off = frozenset({"recent", "shared", "vercel", "favorite"})
    plan = await plans.propose(
        ADA, "default", None, Selection(older_than_days=1), PlanOptions(per_day=1000, rules_off=rules_off)
    )
    assert plan.deletions > 5
    for admin in (ADA, MAX)[: plan.approvals_needed]:
        await plans.approve(admin, plan.id, plan.digest, "default")
    await plans.apply(ADA, plan.id, plan.digest)
    planned = {item.chat_id for item in await plans.all_items("default", plan.id) if item.state is ItemState.WAITING}
    before = {chat.id for chat in world.sandbox.chats.values() if not chat.deleted}
    files = {chat_id: dict(world.sandbox.chats[chat_id].files) for chat_id in planned}
    world.clock.advance(timedelta(days=15).total_seconds())
    await steps(world, censuses)

    assert (await plans.get("default", plan.id)).state is PlanState.DONE
    left = {chat.id for chat in world.sandbox.chats.values() if not chat.deleted}
    items = {item.chat_id: item for item in await plans.all_items("default", plan.id)}
    removed = {chat_id for chat_id, item in items.items() if item.state is ItemState.DELETED}
    assert {item.rule for item in items.values() if item.state in (ItemState.SKIPPED, ItemState.FAILED)} == set()
    assert (removed, before - left) == (planned, planned)
    await censuses.run()
    assert (await PlanReports(world.first.context, plans).report("default", plan.id)).verified is None
    await censuses.run(whole=True)
    report = await PlanReports(world.first.context, plans).report("default", plan.id)
    assert (report.removed, report.verified) == (len(planned), True), report.sentence

    archives = ChatArchives(world.first.context)
    copies = {chat_id: await archives.copy_of("default", str(items[chat_id].archive_id)) for chat_id in removed}
    chosen = next(chat_id for chat_id in sorted(removed) if copies[chat_id].files)
    empty = [chat_id for chat_id in sorted(removed) if not copies[chat_id].files]
    await plans.undo(ADA, plan.id, [chosen, *empty])
    await steps(world, censuses)
    items = {item.chat_id: item for item in await plans.all_items("default", plan.id)}
    for chat_id in empty:
        assert items[chat_id].state is ItemState.DELETED
        assert "cannot be made again" in str(items[chat_id].answer)
    assert (await plans.undo(ADA, plan.id, empty)).not_possible == len(empty)
    item = items[chosen]
    assert item.state is ItemState.RESTORED, item
    assert item.restored_as is not None
    assert dict(world.sandbox.chats[item.restored_as].files) == files[chosen]


async def steps(world: World, censuses: Censuses) -> None:
    """Take all steps that are due."""
    for _ in range(2000):
        due = await censuses.clean_up.step()
        if due is None:
            return
        world.clock.advance(max((due - world.clock()).total_seconds(), 0.5))
