"""A backup taken while running, and what becomes of everything that was made after it was taken."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from postgres import PostgresServer
from protokeep.core.errors import InvalidInput, NotNow, NotReady
from protokeep.core.prototype import State, Status
from protokeep.service.installation import fork
from protokeep.store.backup import backup
from world import ADA, ANN, PROMPT, World, both_versions

Snapshot = Callable[[], Awaitable[Callable[[], Awaitable[None]]]]


@pytest.fixture
async def snapshot(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Snapshot]:
    """Take a copy now; calling what it returns ends all processes and starts one on that copy, a minute later."""
    copies: list[str] = []

    async def taken() -> Callable[[], Awaitable[None]]:
        if world.database_url.startswith("sqlite"):
            path = tmp_path / f"copy-{len(copies)}.db"
            backup(Path(world.database_url.removeprefix("sqlite:///")), path)
            copies.append(f"sqlite:///{path}")
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            await _end(world)  # CREATE DATABASE .. TEMPLATE wants nobody else connected; pg_dump would not mind.
            copies.append(server.create_database(template=world.database_url))
            await world.node()
        url = copies[-1]

        async def restored() -> None:
            await _end(world)
            world.database_url = url
            world.clock.advance(60)
            await world.node()

        return restored

    yield taken
    await _end(world)
    for url in copies:
        if url.startswith("postgresql"):
            request.getfixturevalue("postgres").drop_database(url)


async def _end(world: World) -> None:
    for node in world.nodes:
        await node.close()
    world.nodes.clear()


@both_versions
async def test_a_product_made_since_the_copy_is_taken_back(world: World, snapshot: Snapshot) -> None:
    """A product that the copy has never heard of gets its row, its prompt and its slot back, and nothing is made."""
    await world.complete("p-1")
    restored = await snapshot()
    await world.make("p-2", "A page for the second product")
    await restored()
    assert await world.listed("p-2") == []

    await world.keeper.reconcile()

    (found,) = await world.listed("p-2")
    assert found.prompt == "A page for the second product"
    assert found.user_id == "ann"
    assert found.is_current
    await world.live(30)
    assert (await world.get(found.id)).status is Status.COMPLETED
    again = await world.ensure("p-2", "A page for the second product")
    assert (again.is_existing, again.prototype.id) == (True, found.id)
    assert world.chats_created == 2
    assert await world.orphans() == set()


@both_versions
async def test_a_click_on_the_restored_copy_gets_the_forgotten_chat(world: World, snapshot: Snapshot) -> None:
    """Somebody clicks on the restored copy at once: the click gets the forgotten chat, not a second one."""
    await world.complete("p-1")
    restored = await snapshot()
    await world.make("p-2")
    await restored()

    made = await world.make("p-2")

    assert made.chat_id in world.sandbox.chats
    assert world.sandbox.chats[made.chat_id or ""].metadata["protokeep_product"] == "p-2"
    assert world.chats_created == 2
    assert await world.orphans() == set()


@both_versions
async def test_a_claim_in_the_copy_is_looked_up_before_it_is_sent(world: World, snapshot: Snapshot) -> None:
    """A row that was merely claimed in the copy is looked up before anything is sent for it."""
    ensured = await world.ensure("p-1")
    restored = await snapshot()
    await world.first.keeper.submit(ensured.prototype.id)
    assert world.chats_created == 1
    await restored()

    await world.live(30)

    assert (await world.get(ensured.prototype.id)).chat_id == world.chat.id
    assert world.chats_created == 1


@both_versions
async def test_a_forgotten_other_one_is_current_again(world: World, snapshot: Snapshot) -> None:
    """Another one that was asked for after the copy was taken is the current one again."""
    first = await world.complete("p-1")
    restored = await snapshot()
    world.clock.advance(5)
    await world.complete("p-1", PROMPT, create_new=True)
    await restored()

    await world.keeper.reconcile()

    newest, older = await world.listed("p-1")
    assert (newest.is_current, older.is_current) == (True, False)
    assert older.id == first.id
    assert (await world.status("p-1")).id == newest.id
    assert await world.orphans() == set()


async def test_create_new_on_the_restored_copy_makes_another_one(world: World, snapshot: Snapshot) -> None:
    """A wish for another one, made on the restored copy, is still a wish for another one."""
    restored = await snapshot()
    await world.make("p-1")
    await restored()

    await world.make("p-1", create_new=True)

    assert len(await world.listed("p-1")) == 2
    assert world.chats_created == 2
    assert await world.orphans() == set()


@both_versions
async def test_nothing_is_sent_before_the_builder_could_be_asked(world: World, snapshot: Snapshot) -> None:
    """While the builder cannot be asked, a click on a restored copy waits, and says why."""
    restored = await snapshot()
    await world.make("p-1")
    await restored()
    rules = [{"operation": operation, "status": 503, "times": None} for operation in ("chats.list", "chats.find")]
    with world.knobs(fail_next=rules):
        parked = await world.make("p-1")
        assert parked.generation is not None
        assert parked.generation.hold.code == "server_error"
        assert world.chats_created == 1
    await world.live(30)
    assert (await world.get(parked.id)).chat_id == world.chat.id
    assert world.chats_created == 1


class TestBackup:
    """`protokeep backup` on its own."""

    def test_a_backup_is_whole_and_private(self, sqlite_url: str, tmp_path: Path) -> None:
        """The copy opens by itself, and only its owner may read it."""
        source, copy = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "copy.db"
        backup(source, copy)
        values = []
        for path in (source, copy):
            with contextlib.closing(sqlite3.connect(path)) as connection:
                values.append(connection.execute("SELECT name, value FROM protokeep_meta ORDER BY name").fetchall())
        assert values[0] == values[1] != []
        assert copy.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in tmp_path.glob("*.part")] == []

    def test_a_backup_overwrites_nothing(self, sqlite_url: str, tmp_path: Path) -> None:
        """An older copy stays what it is."""
        copy = tmp_path / "copy.db"
        copy.write_text("older")
        with pytest.raises(InvalidInput, match="exists"):
            backup(Path(sqlite_url.removeprefix("sqlite:///")), copy)
        assert copy.read_text() == "older"

    def test_a_backup_of_no_database_makes_no_file(self, tmp_path: Path) -> None:
        """A wrong path is said, and makes no empty file."""
        with pytest.raises(InvalidInput, match="no database"):
            backup(tmp_path / "none.db", tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()

    def test_a_file_that_is_no_database_is_not_backed_up(self, tmp_path: Path) -> None:
        """What SQLite cannot read is not copied."""
        (tmp_path / "text.db").write_text("not a database, but long enough to be looked at" * 50)
        with pytest.raises(NotReady):
            backup(tmp_path / "text.db", tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()


@both_versions
async def test_what_the_bin_deleted_since_the_copy_is_not_deleted_twice_and_does_not_wait_for_ever(
    world: World, snapshot: Snapshot
) -> None:
    """
    Its chat is in the builder's trash. In the copy one prototype waits in the bin, and one is in use and is deleted
    again: the rows of both go, the builder deletes nothing a second time, and what was taken back since the copy can be
    taken back again.
    """
    week = timedelta(days=7)
    binned, used, saved = [await world.complete(product) for product in ("p-1", "p-2", "p-3")]
    world.first.context.bin_time = week
    for one in (binned, saved):
        await world.keeper.delete(ANN, one.id)
    await world.keeper.finalize()  # Their chats are copied.
    world.clock.advance(6 * 86_400)
    restored = await snapshot()
    world.first.context.bin_time = week
    await world.keeper.take_back(ANN, saved.id)
    await world.keeper.delete(ADA, used.id, at_once=True)
    for _ in range(2):  # PostgreSQL's first process began after a silence, and lets the bin wait for an hour more.
        world.clock.advance(1.5 * 86_400)
        await world.keeper.finalize()
    assert [world.sandbox.chats[str(one.chat_id)].deleted for one in (binned, used, saved)] == [True, True, False]
    await restored()
    world.first.context.bin_time = week

    await world.keeper.finalize()
    await world.live(900, 15)
    again = await world.get(saved.id)
    assert again.generation is not None
    assert again.generation.deletion_due_at is not None
    assert again.generation.deletion_due_at >= world.clock() + week - timedelta(hours=1)
    await world.keeper.delete(ANN, used.id)
    await world.keeper.take_back(ANN, again.id)
    world.clock.advance(8 * 86_400)
    for _ in range(30):
        await world.live(30, 30)
        await world.keeper.finalize()
        world.clock.advance(600)

    assert [await world.store.get_unscoped(one.id) for one in (binned, used)] == [None, None]
    assert (await world.get(saved.id)).state is State.READY
    deletions = [world.sandbox.deletions.done[str(one.chat_id)] for one in (binned, used, saved)]
    assert deletions == [1, 1, 0]


@both_versions
async def test_a_fork_changes_no_chat_of_the_original(world: World, snapshot: Snapshot) -> None:
    """
    Staging made from a copy, at the same account: it deletes, continues and takes back nothing that it has not made,
    and the original takes back nothing of it.
    """
    original_url = world.database_url
    ready = await world.complete("ready")
    under_way = await world.ensure("under-way")
    use_copy = await snapshot()
    await world.first.context.heartbeat.beat()
    with pytest.raises(NotNow, match="Stop every"):
        await fork(world.first.context)
    await world.sweep()
    await world.complete("later")
    await world.sweep()
    originals = _chats(world)
    await use_copy()

    _, _, ended = await fork(world.first.context)
    await _end(world)
    await world.node()
    claimed = await world.keeper.iterate(ANN, ready.id, "Make it blue", wait=0.0)
    for _ in range(4):
        world.clock.advance(120)
        await world.sweep()
        await world.keeper.reconcile()
    asked = await world.get(claimed.id)
    await world.keeper.delete(ADA, ready.id, at_once=True)
    for _ in range(4):
        world.clock.advance(120)
        await world.sweep()
    kept = await world.get(ready.id)

    assert len(originals) == 3
    assert {chat_id: chat for chat_id, chat in _chats(world).items() if chat_id in originals} == originals
    assert (ended, await world.listed("later")) == (1, [])
    assert (await world.get(under_way.prototype.id)).status is Status.FAILED
    assert "copied from" in f"{asked.generation} {kept.generation}"

    own = await world.complete("own")
    gone = await world.keeper.delete(ADA, own.id, at_once=True)
    other = await world.complete("other")
    await _end(world)
    world.database_url = original_url
    await world.node()
    for _ in range(4):
        world.clock.advance(120)
        await world.keeper.reconcile()
        await world.sweep()

    assert (gone, world.sandbox.chats[str(own.chat_id)].deleted) == (None, True)
    assert (await world.listed("other"), world.sandbox.chats[str(other.chat_id)].deleted) == ([], False)


@both_versions
async def test_a_copy_in_use_is_said(world: World, snapshot: Snapshot) -> None:
    """
    Two installations with one id: when the copy has made a chat, the original's log names it, and what helps.
    """
    original_url = world.database_url
    use_copy = await snapshot()
    await world.sweep()
    await use_copy()
    world.clock.advance(600)
    twin = await world.complete("twin")
    copy_url, original = world.database_url, world.nodes
    world.database_url, world.nodes = original_url, []
    await world.node(single_process=True)
    with capture_logs() as before:
        await world.sweep()
        await world.keeper.reconcile()
    world.nodes, world.database_url = [*original, *world.nodes], copy_url
    world.clock.advance(600)
    second = await world.complete("second")
    world.nodes = world.nodes[::-1]
    with capture_logs() as lines:
        for _ in range(4):
            world.clock.advance(180)
            await world.keeper.reconcile()

    named = [line["chat_id"] for line in lines if line["event"] == "installation_runs_twice"]
    assert (named, "installation_runs_twice" in str(before), twin.chat_id in named) == ([second.chat_id], False, False)


def _chats(world: World) -> dict[str, tuple[bool, int, str]]:
    """What v0 shows of every chat: whether it is deleted, its messages and its metadata."""
    return {
        chat.id: (chat.deleted, len(chat.messages), str(sorted(chat.metadata.items())))
        for chat in world.sandbox.chats.values()
    }
