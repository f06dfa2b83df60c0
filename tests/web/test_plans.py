"""A plan over HTTP, with both clients and at the command line, from its draft to its receipts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from typer.testing import CliRunner

from fake_accounts import FakeAccount, save_census
from people import SECRET
from protokeep.cli import app as cli
from protokeep.client import AsyncProtokeep, InvalidInput, NotAllowed, NotFound, Protokeep, plans
from protokeep.client.census import pin, unpin
from protokeep.core.principals import Role
from protokeep.service.archives import ChatArchives
from protokeep.service.chat_metadata import Signer
from protokeep.service.clean_up_budget import CleanUpBudget
from protokeep.service.plan_policies import PlanPolicies
from protokeep.service.plan_reports import PlanReports
from protokeep.service.plan_steps import PlanRunner
from protokeep.service.plans import PlanService
from protokeep.service.receipts import is_signed_by_us
from protokeep.web.pages.plan_presenters import sentence_of
from world import ENVIRONMENT_ACCOUNT, World, on_sqlite


async def old_account(world: World) -> FakeAccount:
    """Four old chats that a census has seen; the account is in memory."""
    account = FakeAccount()
    for number in range(4):
        account.add(f"c-{number}", world.clock(), name=f"=Chat {number}")
    for node in world.nodes:
        await node.context.heartbeat.started()
        node.context.providers.add(ENVIRONMENT_ACCOUNT, account, for_new=True)
    await save_census(world.store, ENVIRONMENT_ACCOUNT, list(account.chats.values()), world.clock())
    return account


@on_sqlite
async def test_a_plan_goes_from_its_draft_to_its_receipts_over_http(world: World) -> None:
    """Members read it, admins decide; the file that comes back may differ in its actions only."""
    async with world.serving(real=False) as site:
        account = await old_account(world)
        admin = AsyncProtokeep(site.url, await site.token(Role.ADMIN, "ada"), transport=site.http._transport)
        viewer = AsyncProtokeep(site.url, await site.token(Role.VIEWER, "vic"), transport=site.http._transport)
        with pytest.raises(NotAllowed):
            await viewer.run(plans.create("default"))
        with pytest.raises(InvalidInput, match="name of the workspace"):
            await admin.run(plans.create("Default"))
        with pytest.raises(InvalidInput, match="chat_ids"):  # A list that came out empty does not mean everything.
            await admin.run(plans.create("default", chat_ids=[]))
        draft = await admin.run(plans.create("default", chat_ids=["c-0", "c-1"], grace_days=3))
        assert (draft["state"], draft["deletions"], draft["approvals_needed"]) == ("draft", 2, 1)
        listed = await viewer.run(plans.listed())
        assert [one["id"] for one in listed["plans"]] == [draft["id"]]
        items = await viewer.run(plans.items(draft["id"], action="delete"))
        assert [(one["chat_id"], one["undo"]) for one in items] == [("c-0", "at_once"), ("c-1", "at_once")]

        exported = await viewer.run(plans.export(draft["id"]))
        assert "'=Chat 0" in exported
        sent = plans.unchanged_lines_left_out(exported, exported.replace("c-1,delete", "c-1,keep"))
        assert sent.count("c-") == 1
        edited = await admin.run(plans.import_edited(draft["id"], sent))
        assert (edited["deletions"], edited["edited_from"]) == (1, draft["id"])
        with pytest.raises(InvalidInput, match="line 2: fingerprint is missing"):
            await admin.run(plans.import_edited(draft["id"], "chat_id,action,fingerprint\nc-0,keep,"))

        other = await admin.run(plans.create("default", chat_ids=["c-0", "c-1"], grace_days=3))
        await admin.run(plans.approve(edited["id"], edited["digest"], "default"))
        await admin.run(plans.approve(other["id"], other["digest"], "default"))
        service = PlanService(world.first.context)
        approved = await service.get("default", other["id"])
        figures = await PlanReports(world.first.context, service).figures("default", other["id"])
        assert "1 chat is in its grace period" in sentence_of(approved, world.clock(), figures)
        people = await admin.run(plans.people(edited["id"]))
        assert [len(one["chats"]) for one in people["people"]] == [1]
        await admin.run(plans.apply(edited["id"], edited["digest"]))
        world.clock.advance(3 * 86_400)
        await run(world)
        assert set(account.removed) == {"c-0"}
        report = await viewer.run(plans.report(edited["id"]))
        assert report["sentence"].startswith("1 removed, 0 pinned deleted")
        export = await admin.run(plans.receipts(edited["id"]))
        assert is_signed_by_us(Signer(SECRET), export)

        undone = await admin.run(plans.undo(edited["id"]))
        assert undone["restoring"] == 1
        await run(world)
        assert account.made == ["c-0"]
        policy = await admin.run(plans.set_policy("default", 30))
        assert (await viewer.run(plans.policies()))["policies"] == [policy]
        await admin.run(plans.remove_policy())
        assert (await viewer.run(plans.policies()))["policies"] == []


async def run(world: World) -> None:
    """Take the steps of all plans, with a process of their own."""
    context = world.first.context
    service = PlanService(context)
    budget = CleanUpBudget(context, world.keeper.budget)
    runner = PlanRunner(context, ChatArchives(context), budget, PlanPolicies(context, service))
    for _ in range(12):
        await runner.work()
        world.clock.advance(2)


@on_sqlite
async def test_the_command_line_leads_from_a_draft_to_its_report(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command prints what to do next; nothing is applied without the digest."""
    async with world.serving() as site:
        await old_account(world)
        token = await site.token(Role.ADMIN, "ada")
        monkeypatch.setenv("PROTOKEEP_URL", site.url)
        monkeypatch.setenv("PROTOKEEP_TOKEN", token)

        keeper = Protokeep(site.url, token)

        async def call(*words: str, code: int = 0) -> str:
            with structlog.testing.capture_logs():  # The server's: it runs in this process.
                result: Any = await asyncio.to_thread(CliRunner().invoke, cli, ["plan", *words])
            assert result.exit_code == code, result.output
            return str(result.output)

        draft = json.loads(await call("create", "--workspace", "default", "--chat", "c-0", "--json"))
        shown = await call("show", draft["id"])
        assert f"--digest {draft['digest']}" in shown
        assert draft["id"] in await call("list")
        assert "so it stays" not in await call("items", draft["id"], "--action", "delete")
        await asyncio.to_thread(lambda: keeper.run(pin("c-0")))
        assert "Pinned by ada, so it stays." in await call("items", draft["id"], "--action", "delete")
        await asyncio.to_thread(lambda: keeper.run(unpin("c-0")))
        file = tmp_path / "plan.csv"
        await call("export", draft["id"], "--output", str(file))
        assert "exists" in await call("export", draft["id"], "--output", str(file), code=1)
        assert (file.read_text().splitlines(), file.stat().st_mode & 0o777) == (
            (await call("export", draft["id"])).splitlines(),
            0o600,
        )
        file.write_text(file.read_text().replace("c-3,keep", "c-3,delete"))
        edited = json.loads(await call("import", draft["id"], str(file), "--json"))
        assert edited["deletions"] == 2
        digest = ("--digest", edited["digest"])
        await call("approve", edited["id"], *digest, "--workspace", "default")
        assert "Hello!" in await call("people", edited["id"])
        await call("apply", edited["id"], code=2)
        await call("apply", edited["id"], *digest)
        await call("pause", edited["id"])
        await call("resume", edited["id"])
        assert "2 chats stay." in await call("undo", edited["id"])
        assert "0 removed" in await call("report", edited["id"])
        receipts = tmp_path / "receipts.json"
        await call("receipts", edited["id"], "--output", str(receipts))
        assert json.loads(receipts.read_text()) == json.loads(await call("receipts", edited["id"]))
        monkeypatch.setenv("PROTOKEEP_SECRET_KEY", "the secret of another installation")
        assert "changed" in await call("verify-receipts", str(receipts), code=1)
        await call("cancel", draft["id"])
        assert "older than 30 days" in await call("policy", "--older-than", "30", "--workspace", "default")
        assert "no standing policy" in await call("policy", "--off")


@on_sqlite
async def test_the_synchronous_client_runs_the_same_operations(world: World) -> None:
    """A plan that is not there is not found."""
    async with world.serving() as site:
        token = await site.token(Role.ADMIN, "ada")

        def ask() -> None:
            with Protokeep(site.url, token) as client, pytest.raises(NotFound):
                client.run(plans.get("none"))

        await asyncio.to_thread(ask)
