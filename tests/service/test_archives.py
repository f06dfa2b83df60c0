"""Archives of chats: kept, checked, and made again once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from owner_schemas import run
from people import ADA, EVE
from protokeep.core.census import CensusChat, ChatContent
from protokeep.core.errors import ArchiveFault, NotFound, NotNow, OutcomeUnknown, ProviderBusy, ProviderError
from protokeep.providers.base import Image, RemoteChat
from protokeep.providers.census_port import ChatCopy
from protokeep.service.archives import ChatArchives
from world import ENVIRONMENT_ACCOUNT, Crash, World

WORKSPACE = "default"


def copy_of_chat(world: World, chat_id: str = "chat-1", **more: Any) -> ChatCopy:
    """A chat with everything that one can have."""
    chat = CensusChat(
        chat_id,
        1,
        ChatContent.FINISHED,
        name="Checkout",
        author_id="u1",
        created_at=world.clock(),
        updated_at=world.clock() + timedelta(microseconds=5),
        privacy="private",
        is_favorite=False,
        metadata={"a": "b"},
        web_url="https://v0.app/chat/1",
    )
    files = {"app/page.tsx": b"export default 1\r\n", "../x": bytes(range(256)), "b": b""}
    messages = ({"id": "m1", "role": "user", "content": "Make a checkout"}, {"id": "m2", "parts": [1, None]})
    return ChatCopy(chat, {"keep": "x"}, list(messages), {**files, **more}, Image("image/png", b"\x89PNG"))


class Builder:
    """Makes chats again; the next call raises `fault`, if there is one."""

    def __init__(self) -> None:
        self.made: list[tuple[ChatCopy, Mapping[str, str]]] = []
        self.fault: ProviderError | None = None

    async def make_again(self, copy: ChatCopy, metadata: Mapping[str, str]) -> RemoteChat:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        self.made.append((copy, metadata))
        return RemoteChat(f"new-{len(self.made)}")


async def test_a_chat_comes_back_as_it_was_and_only_to_its_workspace(world: World) -> None:
    """Every field, message and byte; a second archive of the same chat is the first one."""
    archives = ChatArchives(world.first.context)
    copy = copy_of_chat(world)

    made = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy)
    again = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy)
    changed = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world, new=b"1"))

    assert await archives.copy_of(WORKSPACE, made.id) == copy
    assert again == made
    assert changed.id != made.id
    assert {one.id for one in (await archives.list(WORKSPACE, 10))[0]} == {made.id, changed.id}
    for workspace, archive_id in (("other", made.id), (WORKSPACE, "x"), (WORKSPACE, made.id.upper())):
        with pytest.raises(NotFound):
            await archives.body(workspace, archive_id)


async def test_an_archive_that_is_not_as_it_was_made_is_no_archive(world: World) -> None:
    """Whatever changed the body: it is not restored from, and nothing may be deleted on its account."""
    archives, builder = ChatArchives(world.first.context), Builder()
    made = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world))
    other = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world, new=b"1"))
    # A whole archive, but not the one that was made.
    swap = f"UPDATE protokeep_archives SET body = (SELECT body FROM protokeep_archives WHERE id = '{other.id}')"
    await run(world.database_url, f"{swap} WHERE id = '{made.id}'")

    with pytest.raises(ArchiveFault):
        await archives.restore(WORKSPACE, made.id, builder, {})  # type: ignore[arg-type]
    assert builder.made == []


async def test_an_archive_is_restored_once_however_often_it_is_asked_for(world: World) -> None:
    """At once, again, after a refusal, after a lost answer, and by a process that died."""
    archives, builder = ChatArchives(world.first.context), Builder()
    provider: Any = builder
    made = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world))
    builder.fault = ProviderBusy("Later.", code="rate_limited")
    with pytest.raises(ProviderBusy):
        await archives.restore(WORKSPACE, made.id, provider, {})
    builder.fault = None

    answers = await asyncio.gather(
        *(archives.restore(WORKSPACE, made.id, provider, {"old": "chat-1"}) for _ in range(5)), return_exceptions=True
    )

    assert [one for one in answers if not isinstance(one, NotNow)] == [RemoteChat("new-1")]
    assert builder.made == [(copy_of_chat(world), {"old": "chat-1"})]
    assert (await archives.find(WORKSPACE, made.id)).restored_as == "new-1"

    lost = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world, "chat-2"))
    builder.fault = OutcomeUnknown("No answer.", code="no_answer")
    with pytest.raises(OutcomeUnknown):
        await archives.restore(WORKSPACE, lost.id, provider, {})
    builder.fault = None
    with pytest.raises(NotNow):
        await archives.restore(WORKSPACE, lost.id, provider, {})
    world.clock.advance(3601)
    world.first.crash_at("after_make_again")
    with pytest.raises(Crash):
        await archives.restore(WORKSPACE, lost.id, provider, {})
    with pytest.raises(NotNow):
        await archives.restore(WORKSPACE, lost.id, provider, {})
    assert len(builder.made) == 2


async def test_old_archives_are_removed_and_needed_or_young_ones_are_not(world: World) -> None:
    """An archive that a prototype in the bin has stays, however old it is."""
    archives = ChatArchives(world.first.context)
    prototype = await world.complete()
    needed, old = [
        await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world, chat)) for chat in ("chat-1", "chat-2")
    ]
    await run(world.database_url, f"UPDATE protokeep_generations SET archive_id = '{needed.id}'")
    with pytest.raises(NotNow, match="younger than a day"):
        await archives.remove(ADA, old.id)
    world.clock.advance(timedelta(days=400).total_seconds())
    young = await archives.make(WORKSPACE, ENVIRONMENT_ACCOUNT, copy_of_chat(world, "chat-3"))

    assert await archives.remove_older(EVE, timedelta(days=365)) == 0
    assert await archives.remove_older(ADA, timedelta(0)) == 1

    assert [one.id for one in (await archives.list(WORKSPACE, 10))[0]] == [young.id, needed.id]
    with pytest.raises(NotNow):
        await archives.remove(ADA, needed.id)
    await run(
        world.database_url, f"UPDATE protokeep_generations SET archive_id = NULL WHERE mockup_id = '{prototype.id}'"
    )
    assert (await archives.remove(ADA, needed.id)).chat_id == "chat-1"
