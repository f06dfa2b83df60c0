"""The way back after a deletion for good: a new chat from an archive."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from people import ADA, ANN, EVE
from protokeep.core.errors import NotFound, NotNow
from protokeep.core.prototype import State
from protokeep.sandbox.state import Chat
from protokeep.service.archives import ChatArchives
from protokeep.service.restoring import ChatRestorer
from world import Crash, World, every_version_and_database

pytestmark = every_version_and_database
ODD: dict[str, str | bytes] = {"app/Ünï code.tsx": "export default 'é'\r\n", "b.ts": "1\r\n"}


def contents(chat: Chat) -> dict[str, bytes]:
    """The files of a chat as bytes."""
    return {path: body.encode() if isinstance(body, str) else body for path, body in chat.files.items()}


async def deleted_for_good(world: World) -> tuple[Chat, str]:
    """The chat of a prototype that was deleted at once, with files of its own, and its archive's id."""
    first = await world.complete()
    chat = world.sandbox.chats[str(first.chat_id)]
    chat.files.update(ODD)
    assert await world.keeper.delete(ADA, first.id, at_once=True) is None
    assert chat.deleted
    (archive,) = (await ChatArchives(world.first.context).list("default", 10))[0]
    return chat, archive.id


@pytest.mark.parametrize("slot_is_taken", [False, True])
async def test_a_restored_chat_has_the_same_bytes_and_is_its_products_prototype(
    world: World, slot_is_taken: bool
) -> None:
    """It takes the product's slot if that is free; asked for again, it is not made a second time."""
    old, archive_id = await deleted_for_good(world)
    other = await world.complete() if slot_is_taken else None
    restorer = ChatRestorer(world.first.context)
    with pytest.raises(NotFound):
        await restorer.restore(EVE, archive_id)

    answers = await asyncio.gather(*(restorer.restore(ADA, archive_id) for _ in range(3)), return_exceptions=True)
    await world.work()
    await world.live(30)

    (made,) = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [type(answer) for answer in answers if answer is not made] == [NotNow, NotNow]
    new = world.sandbox.chats[made.chat_id]
    assert contents(new) == contents(old)
    assert new.metadata["protokeep_restored_from"] == old.id
    assert made.prototype is not None
    restored = await world.get(made.prototype.id)
    assert restored.state is State.READY
    assert restored.product_id == "p-1"
    assert (await world.status()).id == (other.id if other else restored.id)
    assert await world.orphans() == set()


async def test_a_restoring_process_that_dies_leaves_one_chat_and_one_prototype(world: World) -> None:
    """The chat is found by its mark, takes nobody's slot, and the next try finds what was made."""
    _, archive_id = await deleted_for_good(world)
    other = await world.complete()
    made_before = world.chats_created
    world.first.crash_at("after_make_again")
    with pytest.raises(Crash):
        await ChatRestorer(world.first.context).restore(ADA, archive_id)
    world.first.crash_at(None)
    assert len(await world.orphans()) == 1

    for _ in range(3):
        world.clock.advance(timedelta(minutes=20).total_seconds())
        await world.keeper.reconcile()
        await world.sweep()
    world.clock.advance(60)
    again = await ChatRestorer(world.first.context).restore(ADA, archive_id)

    assert await world.orphans() == set()
    assert world.chats_created <= made_before + 1
    assert again.prototype is not None
    assert again.archive.restored_as == again.chat_id == again.prototype.chat_id
    assert (await world.status(who=ANN)).id == other.id
