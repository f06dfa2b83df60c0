"""A SQLite file that is replaced by an older copy: with the server stopped, killed, or still running."""

from __future__ import annotations

import asyncio
from pathlib import Path

from adversary.databases import SqliteDatabase
from adversary.harness import World
from adversary.scenario import SQLITE, scenario


@scenario(databases=SQLITE, versions=(2, 1))
async def copy_and_restart(world: World) -> None:
    """`protokeep backup`, more is made, the server is killed, the copy put in place, and the server started."""
    copy = await _make_and_copy(world)
    world.members[0].kill()
    await _sqlite(world).restore_by_rename(copy)
    world.members[0].start()
    await world.ready(*world.members)
    await _click_again(world)


@scenario(databases=SQLITE, versions=(2, 1))
async def copy_in_place(world: World) -> None:
    """The copy is written over the file through SQLite's backup API, under the running server."""
    copy = await _make_and_copy(world)
    await _sqlite(world).restore_in_place(copy)
    await asyncio.sleep(world.pick(short=4, full=10))
    await _click_again(world)


@scenario(databases=SQLITE, versions=(2, 1))
async def copy_in_place_restart(world: World) -> None:
    """The copy is written over the file through SQLite's backup API, and the server restarts a moment later."""
    copy = await _make_and_copy(world)
    await _sqlite(world).restore_in_place(copy)
    await world.restart(world.members[0], politely=True)
    await _click_again(world)


@scenario(databases=SQLITE, versions=(2,))
async def copy_by_rename(world: World) -> None:
    """The copy is renamed to the file's name under the running server, which has the old file open. It restarts later.

    Whatever the server did in between went into a file without a name; what reached v0 is found again.
    """
    copy = await _make_and_copy(world)
    await _sqlite(world).restore_by_rename(copy)
    await asyncio.sleep(world.pick(short=4, full=10))
    world.begin(world.create("between", wait=0))
    await asyncio.sleep(4)
    await world.restart(world.members[0])
    await _click_again(world, "between")


async def _make_and_copy(world: World) -> Path:
    """Three prototypes that the copy has, three that it has not, and a follow-up that it has not."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=1, index_lag=2, list_lag=2)
    made = await world.create_ready("a0", "a1", "a2")
    copy = world.folder / "copy.db"
    await world.command("backup", str(copy))
    await world.create_ready("b0", "b1", "b2")
    await world.send_follow_up(made["a0"], "make it red", key="red")
    await world.all_are("ready", made["a0"])
    return copy


async def _click_again(world: World, *more: str) -> None:
    products = ["a0", "a1", "a2", "b0", "b1", "b2", *more]
    outcomes = []
    for product in products:
        answer = await world.create(product, wait=0)
        outcomes.append(answer.json().get("decision", {}).get("outcome", answer.status_code))
    world.report.note(clicked_again="/".join(str(outcome) for outcome in outcomes))
    await world.create("after", wait=0)
    await asyncio.sleep(25)
    world.report.expect(await world.settles(90), "rests", "not settled after 90 s")
    await world.verdict(dict.fromkeys([*products, "after"], 1), {"make it red": 1})


def _sqlite(world: World) -> SqliteDatabase:
    assert isinstance(world.database, SqliteDatabase)
    return world.database
