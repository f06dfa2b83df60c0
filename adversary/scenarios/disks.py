"""SQLite on a real machine: a second server on one file, a full disk, a server that sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from adversary.databases import SqliteDatabase
from adversary.harness import CouldNotRunError, World
from adversary.knobs import Fault, Operation
from adversary.scenario import SQLITE, scenario


@scenario(databases=SQLITE)
async def second_server(world: World) -> None:
    """Two servers on one SQLite file. The second is refused, or both together keep every promise."""
    await world.open("serve")
    first = world.members[0]
    second = world.add("serve", "second")
    await asyncio.sleep(4)
    if second.exit_code is not None:
        world.report.note(second="refused")
        return
    await world.ready(second)
    world.v0.knobs.turn(generation_seconds=2, index_lag=3)
    world.v0.fail(Operation.CREATE, Fault(reset_unanswered=True), times=-1, share=0.3)
    products = [f"p{number}" for number in range(world.pick(short=10, full=30))]
    members = (first, second)
    clicks = [
        world.begin(world.create(product, members[(number + turn) % 2], wait=1))
        for turn in range(6)
        for number, product in enumerate(products)
    ]
    await asyncio.gather(*clicks)
    await world.restart(first)
    second.sleep()
    await asyncio.sleep(12)
    second.wake()
    world.v0.knobs.turn(rules=[])
    world.report.expect(await world.settles(90), "rests", "not settled after 90 s")
    await world.verdict(dict.fromkeys(products, 1))


@scenario(databases=SQLITE)
async def server_sleeps(world: World) -> None:
    """SIGSTOP for 25 s while twenty creates are in their calls."""
    await world.open("serve")
    world.v0.knobs.turn(generation_seconds=2, index_lag=3, create_seconds=2.0)
    clicks = [world.begin(world.create(f"p{number}", wait=0, patience=100)) for number in range(20)]
    await asyncio.sleep(0.7)
    world.members[0].sleep()
    await asyncio.sleep(25)
    world.members[0].wake()
    await asyncio.gather(*clicks)
    await world.settles(60)
    await world.verdict({f"p{number}": 1 for number in range(20)})


@scenario(databases=SQLITE)
async def full_disk(world: World) -> None:
    """The disk is full in the midst of creates, and has room again 12 s later."""
    assert isinstance(world.database, SqliteDatabase)
    async with _small_disk(world.folder / "disk") as disk:
        true = world.database.path
        world.database.path = disk / "protokeep.db"
        world.database.url = f"sqlite:///{world.database.path}"
        try:
            await _fill_and_free(world, disk)
        finally:
            for member in world.members:
                member.kill()
            with contextlib.suppress(sqlite3.Error):
                _keep_copy(world.database.path, true)
            world.database.path = true
    await world.verdict({"before": 1, **{f"p{n}": (0, 1) for n in range(6)}, **{f"q{n}": 1 for n in range(4)}})


async def _fill_and_free(world: World, disk: Path) -> None:
    await world.open("serve")
    await world.create("before")
    world.v0.knobs.turn(create_seconds=1.5, generation_seconds=1)
    clicks = [world.begin(world.create(f"p{number}", wait=0)) for number in range(6)]
    await asyncio.sleep(0.8)
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    await asyncio.gather(*clicks)
    codes = [(await world.create(f"q{number}", wait=0)).status_code for number in range(4)]
    world.report.note(while_full=codes)
    world.report.expect(set(codes) <= {200, 201, 202, 503}, "answers", codes)
    await asyncio.sleep(12)
    filler.unlink()
    await asyncio.sleep(1)
    for number in range(4):
        await world.create(f"q{number}", wait=1)
    world.report.expect(await world.settles(90), "rests", "not settled after 90 s")


@asynccontextmanager
async def _small_disk(folder: Path) -> AsyncIterator[Path]:
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder))
    if (
        shutil.which("mount") is None
        or (await asyncio.to_thread(subprocess.run, mount, capture_output=True)).returncode
    ):
        raise CouldNotRunError("skipped: needs to mount a small tmpfs")
    try:
        yield folder
    finally:
        await asyncio.to_thread(subprocess.run, ("umount", "-l", str(folder)), capture_output=True)


def _keep_copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source, timeout=20)) as from_there, closing(sqlite3.connect(target)) as to_there:
        from_there.backup(to_there)
