"""Plans: who makes, approves, applies and edits them; what they tell; what they do by themselves (drafts only)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fake_accounts import pin
from people import SECRET
from protokeep.core.census import ChatContent, Claim
from protokeep.core.clean_up import ItemState, PlanAction, PlanState, undo_of
from protokeep.core.errors import InvalidInput, NotFound, NotNow
from protokeep.core.plan_file import write_csv
from protokeep.core.principals import Principal, Role
from protokeep.service.chat_metadata import Signer
from protokeep.service.invitations import Invitations
from protokeep.service.receipts import is_signed_by_us, signed_export
from protokeep.service.sessions import Sessions
from protokeep.service.tokens import Tokens
from protokeep.store.invitations import InvitationStore
from protokeep.store.sessions import SessionStore
from protokeep.store.tokens import TokenStore
from protokeep.wiring import ENVIRONMENT_ACCOUNT
from service.clean_up_world import ADA, EVE, MAX, CleanUpWorld, opened


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[CleanUpWorld]:
    """An account with six old chats, which a census has seen."""
    async with opened(sqlite_url, 6) as made:
        yield made


async def test_an_approval_names_the_list_and_the_workspace_and_application_names_the_list_again(
    world: CleanUpWorld,
) -> None:
    """Another digest or name does nothing; neither does an application before the approval."""
    plans = world.first.plans
    with pytest.raises(InvalidInput, match="name of the workspace"):
        await plans.propose(ADA, "elsewhere")
    plan = await world.propose(chats=["c-0001"])
    for digest, name in ((plan.digest, "Default"), ("", "default"), ("0" * 64, "default")):
        with pytest.raises(InvalidInput):
            await plans.approve(ADA, plan.id, digest, name)
    with pytest.raises(NotNow):
        await plans.apply(ADA, plan.id, plan.digest)
    approved = await plans.approve(ADA, plan.id, plan.digest, "default")
    assert approved.state is PlanState.APPROVED
    with pytest.raises(InvalidInput):
        await plans.apply(ADA, plan.id, "")
    item = (await world.items(plan))["c-0001"]
    assert (item.state, item.due_at, undo_of(item)) == (
        ItemState.WAITING,
        world.clock() + timedelta(days=14),
        "at_once",
    )
    with pytest.raises(NotFound):
        await plans.get("elsewhere", plan.id)
    with pytest.raises(NotFound):
        await plans.undo(EVE, plan.id)


async def test_more_than_half_of_the_account_needs_two_different_admins(world: CleanUpWorld) -> None:
    """The second approval of the same admin is none."""
    plan = await world.propose(chats=["c-0001", "c-0002", "c-0003", "c-0004"])
    for _ in range(2):
        plan = await world.first.plans.approve(ADA, plan.id, plan.digest, "default")
        assert (plan.state, len(plan.approvals)) == (PlanState.DRAFT, 1)
    plan = await world.first.plans.approve(MAX, plan.id, plan.digest, "default")
    assert (plan.state, [by for by, _ in plan.approvals]) == (PlanState.APPROVED, ["ada", "max"])


HANDS = {
    # Who makes whose token, in this order (None: the command line), and who then approves, in this order.
    "the first approver made the second one's token": ([("ada", None), ("bob", "ada")], ("ada", "bob"), "made your"),
    "the second approver made the first one's": ([("ada", None), ("bob", "ada")], ("bob", "ada"), "token you made"),
    "over a third person": ([("ada", None), ("bob", "ada"), ("cy", "bob")], ("ada", "cy"), "led to it"),
    "by an invitation over a third person": ([("ada", None), ("bob", "ada"), ("cy", "bob?")], ("ada", "cy"), "led to"),
    "one person made both": ([("ada", None), ("bob", "ada"), ("cy", "ada")], ("bob", "cy"), "ada made both"),
    "an operator made both": ([("ada", None), ("bob", None), ("cy", "bob")], ("ada", "cy"), None),
    "a sign-in service names the second one": ([("ada", None), ("bob", "ada"), ("cy", "-")], ("bob", "cy"), None),
}


@pytest.mark.parametrize("name", HANDS)
async def test_an_admin_cannot_approve_twice_with_tokens_that_went_through_their_hands(
    database_url: str, name: str
) -> None:
    """Whoever made a token, or a token that it was made with, may be who uses it: two such approvals are one."""
    made, (first, second), reason = HANDS[name]
    async with opened(database_url, 6) as world:
        context = world.first.context
        tokens = Tokens(TokenStore(context.store.database), SECRET, context.clock)
        sessions = Sessions(SessionStore(context.store.database), tokens, SECRET, context.clock)
        invitations = Invitations(InvitationStore(context.store.database), tokens, sessions)
        people: dict[str, Principal] = {}
        for user_id, maker in made:
            by = people.get((maker or "").rstrip("?"))
            if maker == "-":
                people[user_id] = Principal("default", user_id, Role.ADMIN, "")
                continue
            if by is not None and maker is not None and maker.endswith("?"):
                code, _ = await invitations.invite(by, Role.ADMIN, 7)
                text = (await invitations.accept(code, user_id)).token
            else:
                text, _ = await tokens.create(Role.ADMIN, user_id=user_id, by=by)
            people[user_id] = await tokens.check(text)
        plan = await world.propose(chats=["c-0001", "c-0002", "c-0003", "c-0004"])
        await world.first.plans.approve(people[first], plan.id, plan.digest, "default")
        if reason is None:
            approved = await world.first.plans.approve(people[second], plan.id, plan.digest, "default")
            assert approved.state is PlanState.APPROVED
            return
        with pytest.raises(NotNow, match=f"{reason}.*Nothing was approved"):
            await world.first.plans.approve(people[second], plan.id, plan.digest, "default")
        assert len((await world.first.plans.get("default", plan.id)).approvals) == 1


async def test_two_plans_that_are_approved_at_once_share_no_chat(database_url: str) -> None:
    """Two admins, two plans, one chat, at the same moment: one plan has it, the other one says why it has not."""
    async with opened(database_url, 10) as world:
        first, second = await world.propose(chats=["c-0001", "c-0002"]), await world.propose(chats=["c-0002", "c-0003"])
        other = world.process()
        await asyncio.gather(
            world.first.plans.approve(ADA, first.id, first.digest, "default"),
            other.plans.approve(MAX, second.id, second.digest, "default"),
        )
        states = [(await world.states(plan))["c-0002"] for plan in (first, second)]
        assert sorted(states) == [ItemState.SKIPPED, ItemState.WAITING]


async def test_a_draft_that_nobody_approves_expires_and_one_without_a_census_is_not_made(world: CleanUpWorld) -> None:
    """After seven days it cannot be approved; a workspace without a census gets advice."""
    plan = await world.propose(chats=["c-0001"])
    world.clock.advance(timedelta(days=7).total_seconds())
    with pytest.raises(NotNow, match="Make a new one"):
        await world.first.plans.approve(ADA, plan.id, plan.digest, "default")
    await world.first.runner.work()
    assert (await world.first.plans.get("default", plan.id)).state is PlanState.EXPIRED
    with pytest.raises(NotNow, match="census"):
        await world.first.plans.propose(EVE, "elsewhere")


@pytest.mark.parametrize(
    "options",
    [{"grace_days": 2}, {"per_day": 0}, {"rules_off": frozenset({"pinned"})}, {"rules_off": frozenset({"x"})}],
)
async def test_options_that_break_a_rule_are_refused(world: CleanUpWorld, options: dict[str, object]) -> None:
    """Grace is at least three days; a rule that is absolute cannot be switched off."""
    with pytest.raises(InvalidInput):
        await world.propose(**options)  # type: ignore[arg-type]


async def test_an_edited_list_is_a_new_plan_with_a_new_digest(world: CleanUpWorld) -> None:
    """The plan that it comes from stays as it is."""
    plan = await world.propose(chats=["c-0001", "c-0002"])
    items = await world.first.plans.all_items("default", plan.id)
    lines = write_csv(items).splitlines(keepends=True)
    content = "".join([lines[0], lines[2].replace(",delete,", ",keep,"), lines[6].replace(",keep,", ",delete,")])
    after = await world.first.plans.import_edited(ADA, plan.id, content)
    assert (after.edited_from, after.deletions, after.state) == (plan.id, 2, PlanState.DRAFT)
    assert after.digest != plan.digest
    deleted = {key for key, item in (await world.items(after)).items() if item.action is PlanAction.DELETE}
    assert deleted == {"c-0002", "c-0005"}
    assert (await world.items(after))["c-0001"].decided_by == "ada"
    assert await world.first.plans.all_items("default", plan.id) == items


async def test_an_edited_list_keeps_one_of_each_group(sqlite_url: str) -> None:
    """Every chat of a group chosen by hand: the last one is refused."""
    async with opened(sqlite_url) as world:
        for chat_id in ("c-0000", "c-0001"):
            world.account.add(chat_id, world.clock())
        await world.census(groups={"c-0000": "g", "c-0001": "g"})
        plan = await world.propose(chats=["c-0000", "c-0001"])
        items = await world.first.plans.all_items("default", plan.id)
        assert [item.rule for item in items] == ["not_claimed", "newest_of_group"]
        content = write_csv(items).replace(",keep,", ",delete,")
        with pytest.raises(InvalidInput, match="at least one of this group has to stay"):
            await world.first.plans.import_edited(ADA, plan.id, content)


async def test_people_are_told_what_goes_and_the_plan_says_what_it_takes(world: CleanUpWorld) -> None:
    """One message for each author, with the titles; calls, credits and the end of the plan."""
    world.account.add("c-0006", world.clock(), author_id="bob", name="Shop\n<b>")
    await world.census()
    await world.census()
    plan = await world.propose(chats=["c-0001", "c-0002", "c-0006"], per_day=1)
    people = await world.first.reports.people("default", plan.id)
    assert [(one.author_id, len(one.chats)) for one in people] == [("ann", 2), ("bob", 1)]
    assert "- Shop <b>" in people[1].message
    figures = await world.first.reports.figures("default", plan.id)
    assert (figures.calls, figures.credits) == (15, 6.0)
    assert figures.ends_at == world.clock() + timedelta(days=16)


async def test_cancelling_ends_a_plan_and_frees_its_chats(world: CleanUpWorld) -> None:
    """Another plan may have them then; nothing is deleted."""
    plan = await world.approved(chats=["c-0001"])
    await world.first.plans.cancel(ADA, plan.id)
    await world.run()
    assert (await world.states(plan))["c-0001"] is ItemState.SKIPPED
    again = await world.approved(chats=["c-0001"])
    assert (await world.states(again))["c-0001"] is ItemState.WAITING
    assert not world.account.removed


async def test_chats_of_others_are_in_no_plan_and_pins_of_others_count(world: CleanUpWorld) -> None:
    """A foreign chat is not listed; a chat that another workspace on the same account pinned stays."""
    world.account.add("theirs", world.clock(), name="secret")
    await world.census(claims={"theirs": Claim.FOREIGN})
    await pin(world.first.context.store, ENVIRONMENT_ACCOUNT, "c-0001", world.clock(), workspace="elsewhere")
    plan = await world.propose()
    items = await world.items(plan)
    assert "theirs" not in items
    assert items["c-0001"].rule == "pinned"
    assert plan.chats == 6


async def test_the_standing_policy_makes_drafts_and_nothing_else(world: CleanUpWorld) -> None:
    """Off by default; once a day at most; a draft that waits is not made again; nothing is deleted."""
    world.account.add("bad", world.clock(), content=ChatContent.FAILED)
    await world.census()
    await world.census()
    await world.first.runner.work()
    assert await world.first.plans.newest("default") == []
    with pytest.raises(InvalidInput):
        await world.first.policies.set(ADA, "other", None, 30)
    await world.first.policies.set(ADA, "default", None, 30)
    for _ in range(3):
        await world.first.runner.work()
        world.clock.advance(86_400)
    (draft,) = await world.first.plans.newest("default")
    assert (draft.origin, draft.state, draft.deletions) == ("policy", PlanState.DRAFT, 1)
    assert (await world.items(draft))["bad"].rule == "failed"
    await world.first.policies.remove(ADA, ENVIRONMENT_ACCOUNT)
    await world.run(steps=20)
    assert not world.account.removed


async def test_receipts_are_signed_and_name_no_chat(world: CleanUpWorld) -> None:
    """One line a chat, complete; a changed line, or another installation's secret, is noticed."""
    plan = await world.approved(chats=["c-0001", "c-0002"])
    world.account.edit("c-0002", name="Changed meanwhile")
    await world.run()
    context = world.first.context
    records = await context.store.plans.receipts("default", plan.id)
    plan = await world.first.plans.get("default", plan.id)
    export = json.loads(json.dumps(signed_export(context.signer, plan, records)))
    assert {(one["chat_id"], one["outcome"], one["rule"]) for one in export["receipts"]} == {
        ("c-0001", "deleted", "not_claimed"),
        ("c-0002", "skipped", "changed"),
    }
    assert all(one["approved_by"] == ["ada"] for one in export["receipts"])
    assert "Name of" not in json.dumps(export)
    assert is_signed_by_us(Signer(SECRET), export)
    assert not is_signed_by_us(Signer(b"another"), export)
    export["receipts"][0]["outcome"] = "kept"
    assert not is_signed_by_us(Signer(SECRET), export)
