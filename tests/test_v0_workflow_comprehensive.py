"""The specification's comprehensive test, told as a story; one test is one chapter.

A product team asks for a v0 prototype of its product. Everything here goes over HTTP, to protokeep and from protokeep
to an emulated v0 that counts what it makes. The story is told four times: with version 1 and version 2 of v0's API, on
SQLite and on PostgreSQL. Time passes only when the story says so.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from world import Site, World

PRODUCT = "123"
PROMPT = "A landing page for a bakery"
MINUTES = 60


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def api_version(request: pytest.FixtureRequest) -> int:
    """The story is told for each version of v0's API."""
    return int(request.param)


async def create_project(site: Site, **changes: Any) -> dict[str, Any]:
    """`POST /api/design/create-project`, as in the specification's examples."""
    answer = await site.create(PRODUCT, **{"provider": "v0", "prompt": PROMPT, **changes})
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    assert answer.status_code == (200 if found["is_existing"] else 201)
    return found


async def mockups(site: Site) -> list[dict[str, Any]]:
    """`GET /api/design/mockups/{product_id}`."""
    found: list[dict[str, Any]] = (await site.listed(PRODUCT)).json()["mockups"]
    return found


async def check_status(site: Site) -> dict[str, Any]:
    """`GET /api/design/mockups/{product_id}/status?provider=v0`."""
    answer = await site.status(PRODUCT)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_duplicate_prevention(site: Site, world: World) -> None:
    """
    Chapter 1. However often somebody navigates back and generates, the product keeps its one prototype.
    """
    first = await create_project(site)
    assert first["is_existing"] is False
    assert first["v0_chat_id"] == world.chat.id
    assert first["project_status"] in ("pending", "in_progress")

    for _ in range(3):
        again = await create_project(site, create_new=False)
        assert again["is_existing"] is True
        assert (again["id"], again["v0_chat_id"]) == (first["id"], first["v0_chat_id"])

    everybody = await asyncio.gather(*(create_project(site) for _ in range(10)))
    assert {one["id"] for one in everybody} == {first["id"]}

    assert world.chats_created == 1
    assert [one["id"] for one in await mockups(site)] == [first["id"]]


async def test_status_polling(site: Site, world: World) -> None:
    """
    Chapter 2. Polled every 3 seconds, the status goes from pending over in_progress to completed, and never back.
    """
    await create_project(site)
    seen: list[str] = []
    while not seen or seen[-1] != "completed":
        world.clock.advance(3)
        seen.append((await check_status(site))["project_status"])
        assert len(seen) < 10

    order = ["pending", "in_progress", "completed"]
    assert [order.index(one) for one in seen] == sorted(order.index(one) for one in seen)
    assert "in_progress" in seen

    ready = await check_status(site)
    assert ready["project_url"] in (ready["demo_url"], ready["web_url"], ready["chat_url"])
    assert (await site.http.get(ready["project_url"])).status_code == 200
    assert (await mockups(site))[0]["project_status"] == "completed"


async def test_an_address_does_not_make_it_completed(site: Site, world: World) -> None:
    """
    Chapter 2, continued. v0 names an address from the first moment; that alone completes nothing.
    """
    await create_project(site)
    world.clock.advance(3)

    early = await check_status(site)

    assert early["project_url"]
    assert early["project_status"] == "in_progress"


async def test_a_failure_is_told(site: Site, world: World) -> None:
    """
    Chapter 2, continued. When v0 gives up, the status is failed and says why; the next request makes a new one.
    """
    world.sandbox.set_knobs(finish_reason="error")
    first = await create_project(site)
    world.clock.advance(12)

    told = await check_status(site)
    assert told["project_status"] == "failed"
    assert told["error"]["message"]

    world.sandbox.set_knobs(finish_reason="stop")
    second = await create_project(site)
    assert (second["is_existing"], second["decision"]["outcome"]) == (False, "replaced")
    assert [one["id"] for one in await mockups(site)] == [second["id"], first["id"]]
    assert world.chats_created == 2


async def test_checking_the_status_creates_nothing(site: Site, world: World) -> None:
    """
    Chapter 3. Asking for a status makes no project: not where there is none, and not later either.
    """
    assert (await site.status(PRODUCT)).status_code == 404
    assert await mockups(site) == []
    assert world.chats_created == 0

    await create_project(site)
    for _ in range(20):
        world.clock.advance(3)
        await check_status(site)
    assert world.chats_created == 1

    calls = world.calls()
    viewers = await asyncio.gather(*(check_status(site) for _ in range(20)))
    assert {one["project_status"] for one in viewers} == {"completed"}
    assert world.calls() == calls


async def followed(site: Site, world: World, seconds: int) -> None:
    """Time passes while protokeep looks at what is being made."""
    for _ in range(seconds // 15):
        world.clock.advance(15)
        await site.node.sweep()


async def test_a_stale_project_times_out_and_may_finish_late(site: Site, world: World) -> None:
    """
    Chapter 4. After ten minutes of polling it is `timeout`. It is still the product's prototype, and v0 may yet finish.
    """
    world.sandbox.set_knobs(generation_seconds=20 * MINUTES)
    first = await create_project(site)

    await followed(site, world, 9 * MINUTES)
    assert (await check_status(site))["project_status"] == "in_progress"
    await followed(site, world, 1 * MINUTES)
    timed_out = await check_status(site)
    assert (timed_out["project_status"], timed_out["error"]["code"]) == ("timeout", "timeout")

    assert (await create_project(site))["id"] == first["id"]
    world.clock.advance(10 * MINUTES)
    assert (await check_status(site))["project_status"] == "completed"
    assert world.chats_created == 1


async def test_a_stale_project_that_v0_deleted(site: Site, world: World) -> None:
    """
    Chapter 4, continued. A project that is gone at v0 is found out, and replaced by the next request.
    """
    world.sandbox.set_knobs(generation_seconds=60 * MINUTES)
    first = await create_project(site)
    await site.create("124")
    await followed(site, world, 9 * MINUTES)
    world.sandbox.delete(first["v0_chat_id"])

    await followed(site, world, 1 * MINUTES)
    unseen = await check_status(site)
    # It may be v0's lists that lag, or an incident; away for minutes, while others are there, is gone.
    assert (unseen["project_status"], unseen["state"]) == ("in_progress", "not_visible")
    assert (await create_project(site))["id"] == first["id"]
    await followed(site, world, 20 * MINUTES)
    gone = await check_status(site)
    assert (gone["project_status"], gone["error"]["code"]) == ("failed", "gone")

    second = await create_project(site)
    assert second["id"] != first["id"]
    assert second["decision"]["outcome"] == "replaced"


async def test_create_new(site: Site, world: World) -> None:
    """
    Chapter 5. Another one is made when somebody asks for it on purpose; both are listed, newest first.
    """
    first = await create_project(site)
    world.clock.advance(60)

    second = await create_project(site, create_new=True)

    assert second["is_existing"] is False
    assert second["v0_chat_id"] != first["v0_chat_id"]
    listed = await mockups(site)
    assert [one["id"] for one in listed] == [second["id"], first["id"]]
    assert [one["created_at"] for one in listed] == sorted((one["created_at"] for one in listed), reverse=True)
    assert (await check_status(site))["id"] == second["id"]
    assert (await create_project(site))["id"] == second["id"]
    assert world.chats_created == 2


async def test_what_v0_was_told(site: Site, world: World) -> None:
    """
    Epilogue. Every request to v0 named the scope, and what it made can be traced back to us.
    """
    await create_project(site)
    world.clock.advance(12)
    await check_status(site)

    stats = world.sandbox.stats()
    assert stats["scopes"] == {"mckinsey": world.calls()}
    assert stats["not_emulated"] == {}
    assert world.chat.api == f"v{world.api_version}"
    assert world.chat.metadata["protokeep_product"] == PRODUCT
