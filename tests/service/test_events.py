"""What is written down of everything that happens: who, what, why, to the last field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protokeep.core.prototype import Prototype
from tracked import tracked
from world import ADA, ANN, BOB, World, on_sqlite

CREATES, SENDS = "chats.create*", "messages.sendAsync"
Line = tuple[str, str, str | None, str | None, dict[str, Any] | None]


async def history(world: World, prototype: Prototype) -> list[Line]:
    """(kind, source, actor, status, data) of a prototype's events, oldest first."""
    rows = await world.store.history("default", prototype.id)
    read = [json.loads(row["data"]) if isinstance(row["data"], str) else row["data"] for row in rows]
    return [
        (row["kind"], row["source"], row["actor"], row["status"], data) for row, data in zip(rows, read, strict=True)
    ]


async def audited(world: World) -> list[tuple[str, str, str | None, Any]]:
    """(action, actor, subject, data) of the audit, in order."""
    await world.first.context.audit.flush()
    rows = await world.rows("SELECT action, actor, subject, data FROM protokeep_audit ORDER BY at, action")
    return [
        (row["action"], row["actor"], row["subject"], json.loads(row["data"]) if row["data"] else None) for row in rows
    ]


async def test_a_whole_life_is_recorded_with_source_person_and_words(world: World) -> None:
    """
    From the claim over an end, a message, a stop and a deletion: each step with its source, its person and its words.
    """
    one = await world.complete()
    chat = {"chat_id": one.chat_id}
    world.clock.advance(5)
    await world.keeper.iterate(BOB, one.id, "Make it blue", wait=0)
    await world.work()
    world.clock.advance(1)
    await world.keeper.stop(ANN, one.id)
    world.clock.advance(120)
    assert await world.keeper.delete(ADA, one.id) is None

    assert holds(
        await history(world, one),
        [
            ("claimed", "person", "ann", "pending", {"outcome": "created", "another": False}),
            ("sent", "submit", None, None, {"attempt": 1}),
            ("accepted", "submit", None, "pending", chat),
            ("status", "submit", None, "pending", {"state": "making"}),
            ("status", "poll", None, "completed", {"state": "ready"}),
            ("asked", "person", "bob", None, {"message": "Make it blue"}),
            ("sent", "submit", None, None, {"attempt": 1}),
            ("continued", "submit", None, "in_progress", {"round": 2}),
            ("status", "submit", None, "in_progress", {"state": "making"}),
            ("status", "person", "ann", "failed", {"code": "stopped"}),
            ("deleting", "person", "ada", None, {}),
            ("deleted", "sweep", None, None, chat),
        ],
    )
    (archive,) = await world.rows("SELECT id FROM protokeep_archives")
    assert await audited(world) == [
        ("created", "ann", one.id, {"product_id": "p-1", "outcome": "created"}),
        ("asked", "bob", one.id, {"round": 2}),
        ("stopped", "ann", one.id, None),
        ("deleted", "ada", one.id, {"product_id": "p-1", "archive_id": str(archive["id"])}),
    ]


async def test_trouble_of_a_create_is_recorded_in_order_each_reason_once(world: World) -> None:
    """
    A create that is put off, lost, looked up and found says so in this order, each reason once.
    """
    rule = {"operation": CREATES, "status": 429, "retry_after": 9, "message": "Slowly."}
    with world.knobs(fail_next=[rule]):
        one = await world.make()
    with world.knobs(drop_next_answers=1):
        await world.live(12)
    await world.live(60)

    assert holds(
        await history(world, one),
        [
            ("claimed", "person", "ann", "pending", {}),
            ("sent", "submit", None, None, {"attempt": 1}),
            ("parked", "submit", None, "pending", {"code": "rate_limited"}),
            ("sent", "submit", None, None, {"attempt": 2}),
            ("undecided", "submit", None, "pending", {"code": "no_answer"}),
            ("adopted", "submit", None, "pending", {"chat_id": world.chat.id}),
            ("status", "submit", None, "pending", {"state": "making"}),
            ("status", "poll", None, "in_progress", {"state": "making"}),
            ("status", "poll", None, "completed", {"state": "ready"}),
        ],
    )


@on_sqlite
async def test_a_refusal_is_recorded_with_its_code_and_its_words(world: World) -> None:
    """
    A refusal stands in the history with its code and its words, once as what happened and once as the status.
    """
    with world.knobs(fail_next=[{"operation": CREATES, "status": 422, "message": "Too long."}]):
        one = await world.make()
    again = await world.ensure()

    told = await history(world, one)
    assert holds(
        told[2:],
        [
            ("refused", "submit", None, "failed", {"code": "refused"}),
            ("status", "submit", None, "failed", {"code": "refused"}),
        ],
    )
    assert all("Too long." in (data or {})["message"] for *_, data in told[2:])
    assert (await audited(world))[-1] == (
        "created", "ann", again.prototype.id, {"product_id": "p-1", "outcome": "replaced"},
    )  # fmt: skip


async def test_refused_and_parked_messages_are_recorded_and_reuse_audited(world: World) -> None:
    """
    So do messages; and whoever gets what is there stands in the audit, too.
    """
    one = await world.complete()
    refusal = {"operation": SENDS, "status": 422, "message": "Too long."}
    for rule in (refusal, {"operation": SENDS, "status": 402, "message": "Top up."}):
        with world.knobs(fail_next=[rule]):
            await world.keeper.iterate(BOB, one.id, "Make it blue", wait=0)
            await world.work()
    await world.ensure(who=BOB)

    told = [line for line in await history(world, one) if line[0] in ("refused", "parked")]
    assert holds(
        told,
        [
            ("refused", "submit", None, "completed", {"code": "refused"}),
            ("parked", "submit", None, "completed", {"code": "out_of_credits"}),
        ],
    )
    assert "Too long." in (told[0][4] or {})["message"]
    assert "Top up." in (told[1][4] or {})["message"]
    assert ("reused", "bob", one.id, {"product_id": "p-1", "outcome": "reused"}) in await audited(world)


@pytest.mark.parametrize("holds_it", [True, False])
async def test_a_missing_key_is_recorded_once(world: World, holds_it: bool) -> None:
    """
    That there is no key is told once, however often somebody comes.
    """
    one = (await world.ensure()).prototype
    keyless = await world.node(key=None)
    for _ in range(3):
        if holds_it:
            await keyless.keeper.submit_held(tracked(await world.get(one.id)))
        else:
            await keyless.sweep()
        world.clock.advance(61)

    told = [line for line in await history(world, one) if line[0] == "parked"]
    assert holds(told, [("parked", "submit", None, None, {"code": "no_key"})])


def holds(told: list[Line], expected: list[Line]) -> bool:
    """Whether these are the lines; what is expected of their data stands in them, with or without more."""
    assert [line[:4] for line in told] == [line[:4] for line in expected]
    for line, other in zip(told, expected, strict=True):
        assert (line[4] or {}) | (other[4] or {}) == (line[4] or {})
    return True
