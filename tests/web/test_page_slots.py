"""Pages of one workspace at the same time."""

from __future__ import annotations

import asyncio

from protokeep.web.page_slots import PageSlots


async def test_few_pages_of_a_workspace_are_made_at_a_time_and_another_ones_beside_them() -> None:
    """
    Two pages of a workspace are made at a time, whatever else it asks for; all of them in the end.
    """
    slots, making, done = PageSlots(), [], asyncio.Event()

    async def page(workspace_id: str) -> None:
        async with slots.of(workspace_id):
            making.append(workspace_id)
            await done.wait()

    tasks = [asyncio.ensure_future(page(workspace_id)) for workspace_id in [*["many"] * 9, "few"]]
    for _ in range(10):
        await asyncio.sleep(0)
    assert sorted(making) == ["few", "many", "many"]
    done.set()
    await asyncio.gather(*tasks)
    assert len(making) == 10
