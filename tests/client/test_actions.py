"""Follow-ups, stop and delete by both clients, against a served protokeep."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from live_server import Demo, demo
from protokeep.client import AsyncProtokeep, KeyReused, NotAllowed, NotNow, Protokeep, Prototype, deleted

WORDS = "Make it blue"


def ready(served: Demo) -> Prototype:
    """A prototype that can be changed."""
    with Protokeep(served.url, served.token) as keep:
        keep.ensure("shop", "A landing page")
        served.finish()
        return keep.wait("shop", seconds=20)


def test_a_follow_up_changes_the_same_chat_and_gets_ready_again(served: Demo) -> None:
    """
    A follow-up makes it unfinished again, in the chat that is there; then it is ready once more.
    """
    before = ready(served)
    with Protokeep(served.url, served.token) as keep:
        making = keep.iterate(before.id, WORDS)
        with pytest.raises(NotNow, match="still being generated"):
            keep.iterate(before.id, "And green")
        served.finish()
        after = keep.wait("shop", seconds=20)
        detail = keep.get(before.id)

    assert (making.id, making.state, making.finished, making.ready) == (before.id, "making", False, False)
    assert (after.id, after.v0_chat_id, after.state) == (before.id, before.v0_chat_id, "ready")
    assert [line.data["message"] for line in detail.history if line.kind == "asked" and line.data] == [WORDS]
    assert served.messages(WORDS) == 1
    assert served.chats_created == 1


async def test_twenty_requests_at_once_with_one_key_send_one_message(served: Demo) -> None:
    """
    Twenty coroutines and twenty threads that ask with one key send one message; other words are refused.
    """
    before = await asyncio.to_thread(ready, served)

    def ask(_: int) -> Prototype:
        with Protokeep(served.url, served.token) as keep:
            return keep.iterate(before.id, WORDS, idempotency_key="mine")

    async with AsyncProtokeep(served.url, served.token) as keep:
        with ThreadPoolExecutor(20) as threads:
            blocking = [asyncio.wrap_future(threads.submit(ask, number)) for number in range(20)]
            mine = (keep.iterate(before.id, WORDS, idempotency_key="mine") for _ in range(20))
            prototypes = await asyncio.gather(*mine, *blocking)
        with pytest.raises(KeyReused):
            await keep.iterate(before.id, "Make it red", idempotency_key="mine")

    assert {one.id for one in prototypes} == {before.id}
    assert served.messages(WORDS) == 1


async def test_a_repeated_follow_up_after_a_lost_connection_sends_nothing_twice(served: Demo) -> None:
    """
    Whoever loses the connection and asks again with the same key sends nothing twice.
    """
    before = await asyncio.to_thread(ready, served)
    served.turn(accept_seconds=0.2)
    address = httpx2.URL(served.url)
    body = json.dumps({"message": WORDS})
    head = (
        f"POST /api/design/prototypes/{before.id}/messages HTTP/1.1\r\nHost: {address.host}\r\n"
        f"Authorization: Bearer {served.token}\r\nContent-Type: application/json\r\nIdempotency-Key: mine\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for delay in (0.0, 0.002, 0.01, 0.05):
        _, writer = await asyncio.open_connection(address.host, address.port or 80)
        writer.write((head + body).encode())
        await writer.drain()
        await asyncio.sleep(delay)
        writer.transport.abort()

    async with AsyncProtokeep(served.url, served.token) as keep:
        after = await keep.iterate(before.id, WORDS, idempotency_key="mine")

    assert after.id == before.id
    async with asyncio.timeout(10):
        while not served.messages(WORDS):  # noqa: ASYNC110 - another thread does it
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert served.messages(WORDS) == 1


@pytest.mark.parametrize("token", ["token", "admin_token"], ids=["its maker", "an admin"])
async def test_a_running_prototype_is_stopped_and_its_maker_or_an_admin_deletes_it(tmp_path: Path, token: str) -> None:
    """
    What is being made is stopped; a viewer may not delete, and deleting again is no error. Without a bin it is at once.
    """
    with demo(tmp_path, bin_days=0) as served:
        async with AsyncProtokeep(served.url, served.token) as keep:
            prototype = await keep.ensure("shop", "A landing page")
            stopped = await keep.stop(prototype.id)
            again = await keep.stop(prototype.id)
        async with AsyncProtokeep(served.url, served.viewer_token) as keep:
            with pytest.raises(NotAllowed):
                await keep.delete(prototype.id)
        async with AsyncProtokeep(served.url, getattr(served, token)) as keep:
            left = [await keep.delete(prototype.id) for _ in range(2)]
        is_gone = [chat["deleted"] for chat in served.chats()]

    assert stopped.error is not None
    assert (stopped.state, stopped.error.code, again.state) == ("stopped", "stopped", "stopped")
    assert (left, is_gone) == ([None, None], [True])


async def test_what_is_in_the_bin_is_listed_and_taken_back(served: Demo) -> None:
    """
    Both clients delete into the bin, where deleting again changes nothing; its maker takes it back.
    """
    with Protokeep(served.url, served.token) as keep:
        prototype = keep.ensure("shop", "A landing page")
        served.wait_for_chats()
        binned = [keep.delete(prototype.id) for _ in range(2)]
        listed, has_more = keep.run(deleted.list_bin(1))
    async with AsyncProtokeep(served.url, served.token) as keep_async:
        back = await keep_async.take_back(prototype.id)
        left, _ = await keep_async.run(deleted.list_bin())
    async with AsyncProtokeep(served.url, served.admin_token) as admin:
        archives, _ = await admin.run(deleted.list_archives())

    assert [one.state for one in binned if one is not None] == ["in_bin", "in_bin"]
    assert ([one.id for one in listed], has_more) == ([prototype.id], False)
    assert (back.id, back.is_current, list(left), list(archives)) == (prototype.id, True, [], [])
    assert [chat["deleted"] for chat in served.chats()] == [False]


async def test_a_variant_is_made_current_and_named_over_the_api(served: Demo) -> None:
    """
    A maker makes a variant current and names it; a viewer may do neither.
    """
    async with AsyncProtokeep(served.url, served.token) as keep:
        first = await keep.ensure("shop", "A landing page")
        second = await keep.ensure("shop", "A blue one", create_new=True)
        made = await keep.make_current(first.id)
        named = await keep.name_variant(first.id, "Dark header")
        nameless = await keep.name_variant(first.id, None)
        before = await keep.get(second.id)
    async with AsyncProtokeep(served.url, served.viewer_token) as keep:
        with pytest.raises(NotAllowed):
            await keep.make_current(second.id)

    assert (made.is_current, made.variant, before.is_current, before.variant) == (True, 1, False, 2)
    assert (named.variant_name, nameless.variant_name) == ("Dark header", None)


async def test_products_are_arranged_over_the_api_by_both_clients(served: Demo) -> None:
    """
    Tags, archive, favourites, and several at once, of which one is refused. A viewer has favourites only.
    """
    async with AsyncProtokeep(served.url, served.token) as keep:
        shop = await keep.ensure("shop/é", "A landing page")
        tagged = await keep.set_tag("shop/é", "50% / Über")
        await keep.set_favourite("shop/é")
        archived = await keep.set_archived("shop/é")
        listed = [one.id async for one in keep.search(tag="50% / über", favourite=True, archived="only", sort="name")]
        results = await keep.several([shop.id, "nonsense"], "untag", ["50% / über"])
    with Protokeep(served.url, served.token) as again:
        back = again.set_archived("shop/é", archived=False)
        again.set_favourite("shop/é", favourite=False)
        left = list(again.search(favourite=True))
        refused = again.several(["nonsense"], "delete")
    async with AsyncProtokeep(served.url, served.viewer_token) as keep:
        await keep.set_favourite("shop/é")
        with pytest.raises(NotAllowed):
            await keep.set_tag("shop/é", "mine")

    assert (tagged.tags, archived.archived_at is not None, listed) == (("50% / über",), True, [shop.id])
    assert [(one.problem is None, one.prototype.tags if one.prototype else None) for one in results] == [
        (True, ()),
        (False, None),
    ]
    assert (back.archived_at, left) == (None, [])
    assert [one.problem["status"] for one in refused if one.problem] == [404]
