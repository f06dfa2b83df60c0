"""Paging: every chat once, in either order, while others come and go; and quick with thousands."""

from __future__ import annotations

from typing import Any

import pytest

from protokeep.sandbox import Sandbox
from sandbox.conftest import V0
from sandbox.test_time import create_v1, create_v2
from world import Clock


async def walk_v1(v0: V0, limit: int = 60) -> list[str]:
    """Every id, page after page."""
    found: list[str] = []
    while True:
        rows = (await v0.get("/v1/chats", params={"limit": limit, "offset": len(found)})).json()["data"]
        found += [row["id"] for row in rows]
        if len(rows) < limit:
            return found


async def walk_v2(v0: V0, limit: int = 100, query: dict[str, str] | None = None) -> list[str]:
    """Every id, page after page."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await v0.get("/v2/chats", params={"limit": limit, **(query or {}), **cursor})).json()
        found += [row["id"] for row in answer["chats"]]
        if answer["cursor"] is None:
            return found
        cursor = {"cursor": answer["cursor"]}


@pytest.mark.parametrize("order", ["newest", "oldest", "random", "updated"])
async def test_pages_of_any_order_hold_every_chat_once(v0: V0, sandbox: Sandbox, order: str) -> None:
    """
    Pages of any order hold every chat exactly once.
    """
    for _ in range(7):
        await create_v1(v0)
        await create_v2(v0)
    await v0.knobs(list_order=order)
    for walk, api in ((walk_v1, "v1"), (walk_v2, "v2")):
        chats = [chat.id for chat in sandbox.chats.values() if chat.api == api]
        found = await walk(v0, 3)
        assert sorted(found) == sorted(chats)
        if order != "random":
            assert found == (chats if order == "oldest" else chats[::-1])  # Nobody has changed one since.
        assert await walk(v0, 7) == found


async def test_a_v2_cursor_survives_creates_and_deletes(v0: V0) -> None:
    """
    A page of v2 goes on at the right place though chats were made and deleted meanwhile.
    """
    chats = [(await create_v2(v0))[0].rpartition("/")[2] for _ in range(6)]
    first = (await v0.get("/v2/chats?limit=2")).json()
    assert [row["id"] for row in first["chats"]] == [chats[5], chats[4]]
    await create_v2(v0)
    await v0.delete(f"/v2/chats/{chats[4]}")
    second = (await v0.get(f"/v2/chats?limit=2&cursor={first['cursor']}")).json()
    assert [row["id"] for row in second["chats"]] == [chats[3], chats[2]]


async def test_messages_come_newest_first_and_every_one_once(v0: V0, clock: Clock) -> None:
    """
    Messages come newest first, and every one once.
    """
    remote_chat = await create_v1(v0)
    chat, _ = await create_v2(v0)
    for _ in range(2):
        clock.advance(10)
        await v0.post(f"/v1/chats/{remote_chat['id']}/messages", json={"message": "more", "responseMode": "async"})
        await v0.post(f"{chat}/messages/async", json={"message": "more"})

    rows: list[dict[str, Any]] = []
    path = f"/v1/chats/{remote_chat['id']}/messages?limit=4"
    while path:
        page = (await v0.get(path)).json()
        rows += page["data"]
        path = page["pagination"].get("nextUrl", "")
    assert (len({row["id"] for row in rows}), len(rows)) == (6, 6)
    assert [row["role"] for row in rows[:2]] == ["assistant", "user"]

    first = (await v0.get(f"{chat}/messages?limit=4")).json()
    rest = (await v0.get(f"{chat}/messages?limit=4&cursor={first['cursor']}")).json()
    ids = {row["id"] for row in first["messages"] + rest["messages"]}
    assert (len(ids), rest["cursor"]) == (6, None)
    assert (await v0.get(f"/v2/chats?cursor={first['cursor']}")).status_code == 422


async def test_a_metadata_filter_matches_all_pairs_by_their_present_values(v0: V0) -> None:
    """
    All pairs must match; a changed pair is found by its new value only.
    """
    chat, _ = await create_v2(v0, metadata={"a": "1", "b": "2"})
    await create_v2(v0, metadata={"a": "1"})
    assert len(await walk_v2(v0, query={"metadata[a]": "1"})) == 2
    assert len(await walk_v2(v0, query={"metadata[a]": "1", "metadata[b]": "2"})) == 1
    await v0.patch(chat, json={"metadata": {"b": "3", "a": None}})
    assert await walk_v2(v0, query={"metadata[b]": "2"}) == []
    assert len(await walk_v2(v0, query={"metadata[b]": "3"})) == 1
    assert await walk_v2(v0, query={"authorId": "somebody"}) == []


async def test_the_path_may_begin_with_api_v2(v0: V0) -> None:
    """
    Clients that write /api/v2 in front of the path reach the same API.
    """
    chat, _ = await create_v2(v0)
    assert (await v0.get(f"/api{chat}")).json() == (await v0.get(chat)).json()


async def test_lists_of_5000_chats_are_right_to_the_last_page(v0: V0, sandbox: Sandbox, clock: Clock) -> None:
    """
    With 5,000 chats in each version, lists and searches are right to the last page.
    """
    await create_v1(v0)
    (account,) = sandbox.backend.accounts.values()
    for api in ("v1", "v2"):
        for index in range(5000):
            tag = {"tag": str(index)}
            chat = sandbox.backend.create_chat(account, api, clock(), sandbox.knobs, message="m", metadata=tag)
            sandbox.backend.add_turn(chat, clock(), sandbox.knobs, "m")
    v0.unchecked = True
    assert len((await v0.get("/v1/chats?offset=4900")).json()["data"]) == 60
    assert len((await v0.get("/v1/chats?offset=4980")).json()["data"]) == 21
    assert len((await v0.get("/v2/chats?metadata[tag]=17")).json()["chats"]) == 1
