"""Every way in which v0 can answer a create or a follow-up, well, badly, late or not at all, after acting or before."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2

from adversary.harness import CouldNotRunError, World
from adversary.knobs import Fault, Operation
from adversary.scenario import SQLITE, scenario

SOON = {"Retry-After": "2"}
#: What acts, or may have: one chat comes of it in the end, whatever the answer was.
ACTED = {
    "usual": Fault(),
    "500-after": Fault(status=500),
    "502-html": Fault(status=502, raw="<html>bad gateway</html>"),
    "504-after": Fault(status=504),
    "408-after": Fault(status=408),
    "409-after": Fault(status=409),
    "425-after": Fault(status=425),
    "499-after": Fault(status=499),
    "308-after": Fault(status=308, headers={"Location": "/elsewhere"}),
    "no-answer": Fault(reset_unanswered=True),
    "reset-midway": Fault(reset_midway=True),
    "reset-after": Fault(reset_after=True),
    "stale-connection": Fault(reset_unread=True),
    "late-answer": Fault(after=9),
    "late-act": Fault(before=9),
    "empty-200": Fault(raw=""),
    "html-200": Fault(raw="<html>"),
    "null-200": Fault(raw="null"),
    "list-200": Fault(raw="[]"),
    "error-in-200": Fault(raw='{"error":{"message":"x","type":"y"}}'),
    "no-id": Fault(without=("id", "chatId")),
    "no-message-id": Fault(without=("messageId", "messages", "latestVersion")),
    "number-as-id": Fault(instead={"id": 5, "chatId": 5}),
    "null-messages": Fault(instead={"messages": None, "latestVersion": None}),
    "strange-status": Fault(instead={"latestVersion": {"id": "b1", "status": "strange"}}),
    "more-fields": Fault(instead={"zzz": 1}),
    "early-hints": Fault(early_hints=True),
    "trickle": Fault(trickle=0.002),
    "slow-trickle": Fault(trickle=0.1),
}
#: What says that it did not act, truly: it is sent again, or the row says why not.
REFUSED = {
    "500-before": Fault(act=False, status=500),
    "400-before": Fault(act=False, status=400),
    "401-before": Fault(act=False, status=401),
    "402-before": Fault(act=False, status=402),
    "403-before": Fault(act=False, status=403),
    "409-before": Fault(act=False, status=409),
    "413-before": Fault(act=False, status=413),
    "422-before": Fault(act=False, status=422),
    "425-before": Fault(act=False, status=425),
    "429-bare": Fault(act=False, status=429),
    "429-past": Fault(act=False, status=429, retry_after_date=-3600),
    "429-soon": Fault(act=False, status=429, headers=SOON),
    "307-before": Fault(act=False, status=307, headers={"Location": "/elsewhere"}),
}
#: A circuit that opened, and pauses of the account, are another story: each fault begins anew.
RELEASE = (
    "UPDATE protokeep_accounts SET hold_code = NULL, hold_until = NULL, failures = 0, polling_paused_until = NULL",
    "UPDATE protokeep_generations SET next_try_at = NULL WHERE recovery_point = 'claimed'",
)
SHORT = ("usual", "409-after", "499-after", "308-after", "no-answer", "no-id", "409-before", "429-soon", "500-before")


@scenario(databases=SQLITE, versions=(2, 1))
async def create_answers(world: World) -> None:
    """Each way that a create can end, once. Each makes one chat, and every row ends settled or says why not."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1)
    faults = {name: fault for name, fault in (ACTED | REFUSED).items() if not world.short or name in SHORT}
    for name, fault in faults.items():
        await world.database.execute(*RELEASE)
        world.v0.knobs.turn(rules=[])
        world.v0.fail(Operation.CREATE, fault)
        with contextlib.suppress(httpx2.HTTPError):
            answer = await world.create(name, wait=1)
            world.report.remark(f"{name}: {answer.status_code} {answer.json().get('state')}")
    await world.database.execute(*RELEASE)
    world.report.expect(await world.settles(90), "rests", "not settled after 90 s")
    await world.verdict({name: 1 if name in ACTED else (0, 1) for name in faults})


@scenario(databases=SQLITE, versions=(2, 1))
async def follow_up_answers(world: World) -> None:
    """Each way that a follow-up can end, once, each in a prototype of its own."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=0.5)
    faults = {name: fault for name, fault in (ACTED | REFUSED).items() if not world.short or name in SHORT}
    made = await world.create_ready(*faults)
    accepted: dict[str, tuple[int, int]] = {}
    for name, fault in faults.items():
        await world.database.execute(*RELEASE)
        world.v0.knobs.turn(rules=[])
        world.v0.fail(Operation.SEND, fault)
        answer = await world.send_follow_up(made[name], f"change {name}", key=name, wait=1)
        world.report.remark(f"{name}: {answer.status_code} {answer.json().get('state')}")
        accepted[f"change {name}"] = (1 if name in ACTED else 0, 1)
    await world.database.execute(*RELEASE)
    world.report.expect(await world.settles(120), "rests", "not settled after 120 s")
    await world.verdict(dict.fromkeys(faults, 1), accepted)


@scenario(databases=SQLITE, versions=(2, 1))
async def nowhere_to_send(world: World) -> None:
    """v0's address leads elsewhere (a permanent redirect), or nowhere. The rows say so, and go on when it is mended."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1)
    elsewhere = "https://elsewhere.example/v2/chats"
    world.v0.fail(Operation.CREATE, Fault(act=False, status=308, headers={"Location": elsewhere}), times=-1)
    made = (await world.create("moved", wait=2)).json()
    await asyncio.sleep(1)
    found = await world.view(made["id"])
    words = str(found.get("reason")) + str(found.get("error"))
    world.report.expect("elsewhere.example" in words, "says_too_little", f"a 308 is told as: {words}")
    world.v0.knobs.turn(rules=[])
    await world.database.execute(*RELEASE)
    world.report.expect(await world.settles(90), "rests", (await world.view(made["id"])).get("state"))
    lost = world.add("serve", "no-scheme", V0_BASE_URL="v0.example.com")
    with contextlib.suppress(CouldNotRunError, httpx2.HTTPError):
        await world.ready(lost)
        answer = (await world.create("nowhere", lost, wait=2)).json()
        world.report.expect(answer["state"] != "undecided", "says_too_much", "undecided, though nothing can be sent")
    await world.verdict({"moved": (0, 1)})
