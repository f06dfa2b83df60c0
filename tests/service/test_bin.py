"""The bin: what people delete waits there, its chat is archived, and it can be taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from people import ADA, ANN, BOB
from protokeep.core.census import CensusChat, ChatContent
from protokeep.core.errors import ArchiveFault, NotAllowed, NotFound, NotNow, ProviderBusy, ProviderError
from protokeep.core.prototype import Prototype, State
from protokeep.providers.base import RemoteChat
from protokeep.providers.census_port import ChatCopy
from protokeep.service.archives import ChatArchives
from world import Crash, World

DAY = 86_400.0
WEEK = timedelta(days=7)


class Copies:
    """The copies that a builder gives out of its chats; `fault` is raised instead of the next ones."""

    def __init__(self) -> None:
        self.fault: ProviderError | ArchiveFault | None = None
        self.copied: list[str] = []
        self.edits = 0


def copying(world: World) -> Copies:
    """Let every process's builder give out copies, and put what is deleted into the bin for a week."""
    copies = Copies()

    async def read_chat(_self: Any, chat_id: str) -> ChatCopy:
        if copies.fault is not None:
            raise copies.fault
        if world.sandbox.chats[chat_id].deleted:
            raise ProviderError("There is no such chat.", code="not_found", status=404)
        return ChatCopy(CensusChat(chat_id, world.api_version, ChatContent.FINISHED, f"edit {copies.edits}"))

    async def copy_chat(self: Any, chat_id: str) -> ChatCopy:
        chat = (await read_chat(self, chat_id)).chat
        copies.copied.append(chat_id)
        return ChatCopy(chat, {}, [{"content": "Hello"}], {"a.ts": chat_id.encode(), "../b": b"\x00"})

    async def other(self: Any, *_: Any) -> Any:
        raise NotImplementedError

    parts = {"read_chat": read_chat, "copy_chat": copy_chat}
    unused = ("read_account", "project_names", "costs_page", "first_prompt", "make_again")
    for node in world.nodes:
        node.context.bin_time = WEEK
        for provider in node.context.providers._own_providers.values():
            if "copy_chat" not in type(provider).__dict__:
                names = {**dict.fromkeys(unused, other), **parts}
                provider.__class__ = type("Copying", (type(provider),), names)  # type: ignore[assignment]
    return copies


async def deleted_at_builder(world: World, prototype: Prototype) -> bool:
    return world.sandbox.chats[str(prototype.chat_id)].deleted


async def end_of_bin(world: World) -> None:
    """Let the time in the bin pass, and all that follows it."""
    world.clock.advance(7 * DAY + 1)
    for _ in range(3):
        await world.keeper.finalize()
        world.clock.advance(400)


async def test_what_is_deleted_waits_with_its_chat_and_blocks_nothing(world: World) -> None:
    """It is in no list and in no slot; the next create makes another one; deleting again tells until when."""
    copies = copying(world)
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
    world: World, slot_is_taken: bool
) -> None:
    """Nothing of it is lost, its chat is not touched, and whoever has the slot keeps it."""
    copying(world)
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


async def test_after_its_time_it_goes_once_and_its_archive_stays(world: World) -> None:
    """The archive is of the chat as it was at the end, not as it was when somebody deleted it."""
    copies = copying(world)
    first = await world.complete()
    await world.keeper.delete(ANN, first.id)
    await world.keeper.finalize()
    copies.edits += 1

    await end_of_bin(world)

    assert await deleted_at_builder(world, first)
    assert world.calls("chats.delete") == 1
    assert await world.store.get_unscoped(first.id) is None
    archives = ChatArchives(world.first.context)
    newest, _ = (await archives.list("default", 10))[0]
    copy = await archives.copy_of("default", newest.id)
    assert copy.chat.name == "edit 1"
    assert copy.files == {"a.ts": str(first.chat_id).encode(), "../b": b"\x00"}
    assert (newest.mockup_id, newest.product_id) == (first.id, "p-1")
    history = await world.store.history("default", first.id)
    assert [row["kind"] for row in history][-3:] == ["binned", "deleting", "deleted"]
    with pytest.raises(NotFound):
        await world.keeper.take_back(ANN, first.id)
    assert await world.keeper.delete(ANN, first.id) is None


POINTS = ["after_put", "after_copy", "after_archive", "after_archived", "after_bin", "after_take_back"]


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_that_dies_at_any_step_loses_nothing_and_deletes_nothing_early(world: World, point: str) -> None:
    """Another process goes on: the chat is archived before it goes, goes once, and only after its time."""
    copies = copying(world)
    first = await world.complete()
    world.first.crash_at(point)
    with pytest.raises(Crash):
        await world.keeper.delete(ANN, first.id)
        await world.keeper.finalize()
        world.clock.advance(3 * DAY)
        await world.keeper.take_back(ANN, first.id)
    node = await world.node()
    for name in vars(world.first.context.providers)["_own_providers"]:
        node.context.providers._own_providers[name] = world.first.context.providers._own_providers[name]
    node.context.bin_time = WEEK
    world.nodes.reverse()

    await world.keeper.finalize()
    assert not await deleted_at_builder(world, first)
    if point == "after_take_back":
        assert (await world.get(first.id)).state is State.READY
        await world.keeper.delete(ANN, first.id)
    await end_of_bin(world)

    assert await world.store.get_unscoped(first.id) is None
    assert world.calls("chats.delete") == 1
    archives, _ = await ChatArchives(node.context).list("default", 10)
    assert {one.chat_id for one in archives} == {first.chat_id}
    assert len(copies.copied) <= 4


async def test_a_chat_that_cannot_be_archived_waits_all_the_same_and_says_why(world: World) -> None:
    """A refusal for now is tried again, up to a day beyond its time; one for good is not. Nothing is kept in part."""
    copies = copying(world)
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


async def test_an_admin_deletes_at_once_and_the_chat_is_archived_before(world: World) -> None:
    """Also what is in the bin; others wait. Without a bin, every deletion is such a one."""
    copying(world)
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


async def test_a_prototype_without_a_chat_goes_at_once_and_a_follow_up_waits_in_the_bin(world: World) -> None:
    """Nothing was made of the one; the other's message is sent once, when it is taken back."""
    copying(world)
    claimed = (await world.ensure("p-2")).prototype
    assert await world.keeper.delete(ANN, claimed.id) is None
    first = await world.complete()
    await world.keeper.iterate(ANN, first.id, "Make it blue", wait=0)
    await world.keeper.delete(ANN, first.id)

    await world.live(60)
    assert world.calls("chats.sendMessage", "messages.send", "messages.create", "messages.createAsync") == 0
    await world.keeper.take_back(ANN, first.id)
    await world.live(60)

    assert [message.text for message in world.chat.messages if message.role == "user"][-1:] == ["Make it blue"]
    assert (await world.get(first.id)).state is State.READY


async def test_a_chat_that_another_prototype_names_stays_while_that_one_is_in_the_bin(world: World) -> None:
    """What waits in the bin counts as naming its chat, because it can be taken back."""
    copying(world)
    first = await world.complete()
    await world.keeper.delete(ANN, first.id)
    assert await world.store.shared_chats("another", [str(first.chat_id)]) == {first.chat_id}
    assert RemoteChat(str(first.chat_id)).chat_id == first.chat_id
