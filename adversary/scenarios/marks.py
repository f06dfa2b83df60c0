"""Chats that carry marks as ours do, planted by somebody with a key of the account. They become nobody's prototype."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from adversary.harness import World
from adversary.knobs import Fault, Operation
from adversary.scenario import BOTH, SQLITE, scenario

MARKER = "protokeep_marker"
PRODUCT = "protokeep_product"


@scenario(databases=BOTH, versions=(2, 1))
async def planted_marks(world: World) -> None:
    """Chats with made-up marks: unsigned, signed for another, in capitals, for other people, products, workspaces.

    None of them becomes a row, none stops the account's creates, and a lost answer is adopted as ever.
    """
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1)
    await world.create_ready("true")
    true = dict(world.v0.account.ours()[0].sent_metadata)
    planted = [metadata for metadata in _forgeries(true) if metadata]
    for metadata in planted:
        world.v0.account.plant(1, age=1.0, metadata=metadata)
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    lost = (await world.create("lost")).json()["id"]
    await world.all_are("ready", lost, seconds=60)
    await world.restart(world.members[0])
    await asyncio.sleep(world.pick(short=4, full=10))
    await world.create("after")
    await world.settles(60)
    rows = await world.database.rows("SELECT product_id, v0_chat_id FROM design_mockups")
    ours = {chat.id for chat in world.v0.account.ours()}
    strange = [row["product_id"][:40] for row in rows if row["v0_chat_id"] not in ours]
    world.report.note(planted=len(planted))
    world.report.expect(not strange, "planted_became_rows", strange)
    for product in ("true", "lost", "after"):
        state = (await world.status(product)).get("state")
        world.report.expect(state == "ready", "account_blocked", f"{product} is {state}")
    await world.verdict({"true": 1, "lost": 1, "after": 1})


@scenario(databases=SQLITE, versions=(2, 1))
async def lost_marks(world: World) -> None:
    """v0 drops the metadata of a create, or writes it in capitals, and the answer is lost. Nothing stops for ever."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1, metadata="capitals")
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    await world.create("capitals")
    await asyncio.sleep(3)
    world.v0.knobs.turn(metadata="kept")
    await world.restart(world.members[0])
    made = (await world.create("after")).json()
    ready = await world.all_are("ready", made["id"], seconds=60)
    world.report.expect(ready, "account_blocked", (await world.view(made["id"])).get("reason"))
    world.report.expect(await world.settles(90), "rests", (await world.status("capitals")).get("state"))


def _forgeries(true: dict[str, Any]) -> list[dict[str, Any]]:
    """Variations on the marks of a true chat."""

    def of(marker: str, **more: Any) -> dict[str, Any]:
        return {**true, MARKER: marker, **more}

    others = [name for name in true if name not in (MARKER, PRODUCT)]
    unsigned = {name: true[name] for name in (MARKER, PRODUCT)} | {MARKER: str(uuid4())}
    capitals = of(true[MARKER].upper())
    forged = [
        of(str(uuid4()), **{PRODUCT: "planted"}),
        unsigned | {PRODUCT: "unsigned"},
        capitals,
        of(str(uuid4()).upper(), **{PRODUCT: "shouting"}),
        of(str(uuid4()), **{PRODUCT: "x" * 300}),
        of(str(uuid4()), **{PRODUCT: "a\x00b\nc"}),
        of(str(uuid4()), **{PRODUCT: " \u202e "}),
        of(true[MARKER], **{PRODUCT: "stolen"}),
        of("not-a-marker", **{PRODUCT: "nonsense"}),
    ]
    # Each other mark in its turn says somebody else: another person, another workspace, another installation.
    forged += [of(str(uuid4()), **{PRODUCT: f"as-{name[-20:]}", name: "alice"}) for name in others]
    return forged
