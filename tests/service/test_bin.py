"""The bin: what people delete waits there, its chat is archived, and it can be taken back."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from people import ADA, ANN, BOB, PROMPT
from protokeep.core.errors import ArchiveFault, NotAllowed, NotFound, NotNow, ProviderBusy, ProviderError
from protokeep.core.prototype import Prototype, State
from protokeep.providers.census_port import ChatCopy
from protokeep.providers.v0_v2 import V0V2
from protokeep.service.archives import ChatArchives
from world import Crash, World

DAY = 86_400.0
WEEK = timedelta(days=7)


class Copies:
    """Counts the copies that the builder gives out; while there is a `fault`, it is raised instead."""

    def __init__(self) -> None:
        self.fault: ProviderError | ArchiveFault | None = None
        self.copied: list[str] = []


@pytest.fixture
def copies(world: World, monkeypatch: pytest.MonkeyPatch) -> Copies:
    """What is deleted waits in the bin for a week, in every process."""
    counted, copy_chat = Copies(), V0V2.copy_chat
    world.first.context.bin_time = WEEK

    async def copy_and_count(provider: V0V2, chat_id: str) -> ChatCopy:
        if counted.fault is not None:
            raise counted.fault
        counted.copied.append(chat_id)
        return await copy_chat(provider, chat_id)

    monkeypatch.setattr(V0V2, "copy_chat", copy_and_count)
    return counted


async def deleted_at_builder(world: World, prototype: Prototype) -> bool:
    return world.sandbox.chats[str(prototype.chat_id)].deleted


async def end_of_bin(world: World) -> None:
    """Let the time in the bin pass, and all that follows it."""
    world.clock.advance(7 * DAY + 1)
    for _ in range(3):
        await world.keeper.finalize()
        world.clock.advance(400)


async def test_what_is_deleted_waits_with_its_chat_and_blocks_nothing(world: World, copies: Copies) -> None:
    """It is in no list and in no slot; the next create makes another one; deleting again tells until when."""
    first = await world.complete()

    binned = await world.keeper.delete(ANN, first.id)
    again = await world.keeper.delete(ADA, first.id)
    await world.keeper.finalize()

    assert binned is not None
    assert again is not None
    assert binned.state is again.state is State.IN_BIN
    assert again.generation.deletion_due_at == world.clock() + WEEK
    assert copies.copied == [first.chat_id]
    assert not await deleted_at_builder(world, first)
    assert await world.listed() == []
    with pytest.raises(NotFound):
        await world.status()
    assert [one.id for one in (await world.keeper.bin.list(BOB, 10))[0]] == [first.id]
    second = await world.make()
    assert second.id != first.id
    assert world.chats_created == 2
    with pytest.raises(NotNow, match="in the bin"):
        await world.keeper.iterate(ANN, first.id, "Make it blue")
    with pytest.raises(NotNow, match="in the bin"):
        await world.keeper.stop(ANN, first.id)


@pytest.mark.parametrize("slot_is_taken", [False, True])
async def test_what_is_taken_back_is_as_before_and_takes_its_slot_only_if_it_is_free(
    world: World, copies: Copies, slot_is_taken: bool
) -> None:
    """Nothing of it is lost, its chat is not touched, and whoever has the slot keeps it."""
    first = await world.finish()
    await world.keeper.delete(ANN, first.id)
    await world.keeper.finalize()
    second = await world.make() if slot_is_taken else None
    world.clock.advance(6 * DAY)
    with pytest.raises(NotAllowed):
        await world.keeper.take_back(BOB, first.id)

    back = await world.keeper.take_back(ANN, first.id)
    assert (await world.keeper.take_back(ANN, first.id)).id == first.id
    await world.live(60)
    await end_of_bin(world)

    assert back.state is State.READY
    assert back.is_current is not slot_is_taken
    assert (back.project_url, back.chat_id, back.prompt) == (first.project_url, first.chat_id, first.prompt)
    assert (await world.status()).id == (second.id if second else first.id)
    assert not await deleted_at_builder(world, first)
    assert "taken_back" in await world.kinds(first)
    assert (await world.keeper.bin.list(ANN, 10))[0] == []


async def test_after_its_time_it_goes_once_and_its_archive_stays(world: World, copies: Copies) -> None:
    """The archive is of the chat as it was at the end, not as it was when somebody deleted it."""
    first = await world.complete()
    await world.keeper.delete(ANN, first.id)
    await world.keeper.finalize()
    chat = world.sandbox.chats[str(first.chat_id)]
    chat.files["b.ts"] = "1\r\n"
    world.sandbox.edit(chat.id, "rename")

    await end_of_bin(world)

    assert await deleted_at_builder(world, first)
    assert world.calls("chats.delete") == 1
    assert await world.store.get_unscoped(first.id) is None
    archives = ChatArchives(world.first.context)
    newest, _ = (await archives.list("default", 10))[0]
    copy = await archives.copy_of("default", newest.id)
    assert copy.chat.name == chat.shown_name
    assert copy.files["b.ts"] == b"1\r\n"
    assert [message["content"] for message in copy.messages if message["role"] == "user"] == [PROMPT]
    assert (newest.mockup_id, newest.product_id) == (first.id, "p-1")
    history = await world.store.history("default", first.id)
    assert [row["kind"] for row in history][-3:] == ["binned", "deleting", "deleted"]
    with pytest.raises(NotFound):
        await world.keeper.take_back(ANN, first.id)
    assert await world.keeper.delete(ANN, first.id) is None


async def use_the_bin(world: World, prototype: Prototype, *, until_the_end: bool) -> None:
    """Delete a prototype, and take it back after days, or do not."""
    await world.keeper.delete(ANN, prototype.id)
    await world.keeper.finalize()
    world.clock.advance((8 if until_the_end else 3) * DAY)
    await world.keeper.finalize()
    await world.keeper.take_back(ANN, prototype.id)


POINTS = ["after_put", "after_copy", "after_archive", "after_archived", "after_bin", "after_take_back"]


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_that_dies_at_any_step_loses_nothing_and_deletes_nothing_early(
    world: World, copies: Copies, point: str
) -> None:
    """Another process goes on: the chat is archived before it goes, goes once, and only after its time."""
    first = await world.complete()
    world.first.crash_at(point)
    with pytest.raises(Crash):
        await use_the_bin(world, first, until_the_end=point == "after_bin")
    node = await world.node()
    node.context.bin_time = WEEK
    world.nodes.reverse()
    assert not await deleted_at_builder(world, first)
    await world.keeper.finalize()

    assert await deleted_at_builder(world, first) is (point == "after_bin")
    if point == "after_take_back":
        assert (await world.get(first.id)).state is State.READY
        await world.keeper.delete(ANN, first.id)
    await end_of_bin(world)

    assert await world.store.get_unscoped(first.id) is None
    assert world.calls("chats.delete") == 1
    archives, _ = await ChatArchives(node.context).list("default", 10)
    assert {one.chat_id for one in archives} == {first.chat_id}
    assert len(copies.copied) <= 4


async def test_a_chat_that_cannot_be_archived_waits_all_the_same_and_says_why(world: World, copies: Copies) -> None:
    """A refusal for now is tried again, up to a day beyond its time; one for good is not. Nothing is kept in part."""
    first = await world.complete()
    await world.keeper.delete(ANN, first.id)
    copies.fault = ProviderBusy("Too many requests.", code="rate_limited")

    await world.keeper.finalize()
    waiting = await world.get(first.id)
    world.clock.advance(7 * DAY + 1)
    await world.keeper.finalize()

    assert "Too many requests." in str(waiting.generation and waiting.generation.hold.message)
    assert not await deleted_at_builder(world, first)
    world.clock.advance(DAY)
    copies.fault = ArchiveFault("It is too large.")
    await end_of_bin(world)
    assert await deleted_at_builder(world, first)
    assert await ChatArchives(world.first.context).list("default", 10) == ([], None)
    assert "too large" in str([row["data"] for row in await world.store.history("default", first.id)])


async def test_an_admin_deletes_at_once_and_the_chat_is_archived_before(world: World, copies: Copies) -> None:
    """Also what is in the bin; others wait. Without a bin, every deletion is such a one."""
    for in_bin in (False, True):
        prototype = await world.complete()
        if in_bin:
            await world.keeper.delete(ANN, prototype.id)
        with pytest.raises(NotAllowed):
            await world.keeper.delete(ANN, prototype.id, at_once=True)
        assert await world.keeper.delete(ADA, prototype.id, at_once=True) is None
        assert await deleted_at_builder(world, prototype)
    world.first.context.bin_time = timedelta(0)
    last = await world.complete()
    assert await world.keeper.delete(ANN, last.id) is None
    assert len((await ChatArchives(world.first.context).list("default", 10))[0]) == 3


async def test_a_prototype_without_a_chat_goes_at_once_and_a_follow_up_waits_in_the_bin(
    world: World, copies: Copies
) -> None:
    """Nothing was made of the one; the other's message is sent once, when it is taken back."""
    claimed = (await world.ensure("p-2")).prototype
    assert await world.keeper.delete(ANN, claimed.id) is None
    first = await world.complete()
    await world.keeper.iterate(ANN, first.id, "Make it blue", wait=0)
    await world.keeper.delete(ANN, first.id)

    await world.live(60)
    assert [message.content for message in world.chat.messages if message.role == "user"] == [PROMPT]
    await world.keeper.take_back(ANN, first.id)
    await world.live(60)

    assert [message.content for message in world.chat.messages if message.role == "user"][-1:] == ["Make it blue"]
    assert (await world.get(first.id)).state is State.READY


async def test_a_chat_that_another_prototype_names_stays_while_that_one_is_in_the_bin(
    world: World, copies: Copies
) -> None:
    """What waits in the bin counts as naming its chat, because it can be taken back."""
    first = await world.complete()
    await world.keeper.delete(ANN, first.id)
    assert await world.store.shared_chats(str(uuid4()), [str(first.chat_id)]) == {first.chat_id}
