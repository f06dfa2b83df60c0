"""Hooks that come twice, late, before the create's answer, and for chats that are nobody's."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from adversary.harness import World
from adversary.members import Member
from adversary.scenario import SQLITE, scenario

#: Looks at v0 for each prototype, at most: a delivery only makes one come sooner.
LOOKS_EACH = 8
LOOKS = ("message", "messages", "detail", "list")


@scenario(databases=SQLITE, versions=(2, 1))
async def hooks_twice_and_late(world: World) -> None:
    """Each delivery comes twice, the second late; 300 forged ones come too. All end right, and looks stay few."""
    await world.open()
    member = _public_member(world)
    await world.ready(member)
    await world.command("hooks", "install", PROTOKEEP_PUBLIC_URL=member.url)
    world.v0.knobs.turn(generation_seconds=4, create_seconds=1.0, hooks="twice")
    products = [f"p{number}" for number in range(12)]
    answers = await asyncio.gather(*(world.create(product, wait=3) for product in products))
    hook = member.url + urlsplit(world.v0.hooks[0]).path
    marker = answers[0].json()["id"]
    for number in range(world.pick(short=50, full=300)):
        forged = {"chatId": f"x{number}", "metadata": {"protokeep_marker": marker}, "status": "completed"}
        await world.http.post(hook, json={"event": "message.finished", "data": forged})
    await asyncio.sleep(0.5)
    early = {(await world.view(answer.json()["id"]))["project_status"] for answer in answers}
    world.report.note(early=sorted(early))
    await world.settles(60)
    looks = sum(world.v0.calls[name] for name in LOOKS)
    world.report.expect(looks <= len(products) * LOOKS_EACH, "looks", f"{looks} for {len(products)} prototypes")
    await world.verdict(dict.fromkeys(products, 1))


def _public_member(world: World) -> Member:
    """A server that knows the address at which hooks reach it."""
    member = Member("serve", "public", dict(world.environment), world.folder)
    member.environment["PROTOKEEP_PUBLIC_URL"] = member.url
    world.members.append(member)
    member.start()
    return member
