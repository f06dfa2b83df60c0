"""Turns of workspaces on the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protokeep.core.errors import TooMany
from protokeep.web import turns as turns_module
from protokeep.web.turns import Turns
from waiting import until


async def test_requests_of_a_workspace_begin_one_per_round_and_another_ones_at_once() -> None:
    """
    A flood of one workspace lets another one's request begin in the same round; all of the flood begins in the end.
    """
    turns, began = Turns(), []

    async def request(workspace_id: str, name: str) -> None:
        await turns.begin(workspace_id)
        began.append(name)

    flood = [asyncio.ensure_future(request("many", f"m-{number}")) for number in range(50)]
    one = asyncio.ensure_future(request("few", "one"))
    await one
    assert began.index("one") <= 2
    await asyncio.gather(*flood)
    assert [name for name in began if name != "one"] == [f"m-{number}" for number in range(50)]
    await until(lambda: turns._lines == {})


async def test_a_flood_beside_another_workspace_leaves_half_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each round of a flood is followed by a pause as long as the round took; alone, a workspace has no pauses.
    """
    loop: Any = asyncio.get_running_loop()
    pauses: list[float] = []
    later = loop.call_later
    now, turns = [100.0], Turns()

    def call_later(seconds: float, *rest: Any) -> Any:
        pauses.append(seconds)
        return later(0, *rest)

    monkeypatch.setattr(loop, "time", lambda: now[0])
    monkeypatch.setattr(loop, "call_later", call_later)

    async def request(workspace_id: str) -> None:
        await turns.begin(workspace_id)
        now[0] += 0.25

    await asyncio.gather(*(request("many") for _ in range(5)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (turns._lines, pauses) == ({}, [])
    await asyncio.gather(request("few"), *(request("many") for _ in range(2)))
    assert pauses
    assert pauses[-1] == 0.25


async def test_a_request_that_is_cancelled_while_it_waits_holds_nobody_up() -> None:
    turns = Turns()
    await turns.begin("a")
    waiting = [asyncio.ensure_future(turns.begin("a")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting, return_exceptions=True)
        await turns.begin("a")


async def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "LINE", 2)
    turns = Turns()
    flood = [asyncio.ensure_future(turns.begin("many")) for _ in range(5)]
    results = await asyncio.gather(*flood, return_exceptions=True)
    assert [isinstance(result, TooMany) for result in results] == [False, False, False, True, True]


async def test_few_pages_of_a_workspace_are_made_at_a_time_and_another_ones_beside_them() -> None:
    turns, making, done = Turns(), [], asyncio.Event()

    async def page(workspace_id: str) -> None:
        async with turns.page(workspace_id):
            making.append(workspace_id)
            await done.wait()

    tasks = [asyncio.ensure_future(page(workspace_id)) for workspace_id in [*["many"] * 9, "few"]]
    for _ in range(10):
        await asyncio.sleep(0)
    assert sorted(making) == ["few", "many", "many"]
    done.set()
    await asyncio.gather(*tasks)
    assert len(making) == 10
