"""The audit, page by page: each workspace its own, in one order, without gaps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.audit import Action, AuditEntry
from protokeep.store.audit import AuditRecord, AuditStore
from world import World


@pytest.fixture
async def audit(world: World) -> AuditStore:
    """Twelve entries: two workspaces, two people and two actions in turns, some at the same moment."""
    store = AuditStore(world.store.database)
    for number in range(12):
        at = world.clock.now + timedelta(seconds=number // 3)
        workspace = ("default", "elsewhere")[number % 2]
        actor, action = ("ann", "bob")[number // 2 % 2], (Action.CREATED, Action.DELETED)[number // 4 % 2]
        await store.add(AuditEntry(workspace, at, action, actor, subject=f"n-{number:02}"))
    return store


async def pages(audit: AuditStore, workspace: str = "default", limit: int = 2, **only: Any) -> list[AuditRecord]:
    """All entries, read a page at a time."""
    found: list[AuditRecord] = []
    after = None
    while page := await audit.list(workspace, limit, after=after, **only):
        assert len(page) <= limit
        found += page
        after = page[-1].entry.at, page[-1].id
    return found


@pytest.mark.parametrize("workspace", ["default", "elsewhere"])
@pytest.mark.parametrize("limit", [1, 2, 5, 20])
async def test_pages_hold_every_entry_of_the_workspace_once(audit: AuditStore, workspace: str, limit: int) -> None:
    """
    The pages together are the workspace's own entries, each once, newest first.
    """
    found = await pages(audit, workspace, limit)

    own = range(0, 12, 2) if workspace == "default" else range(1, 12, 2)
    assert sorted(one.entry.subject or "" for one in found) == [f"n-{number:02}" for number in own]
    assert {one.entry.workspace_id for one in found} == {workspace}
    order = [(one.entry.at, one.id) for one in found]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("limit", [1, 20])
async def test_filters_by_person_and_kind_hold_on_every_page(audit: AuditStore, limit: int) -> None:
    """
    What is asked for holds on every page.
    """
    ann = await pages(audit, limit=limit, actor="ann")
    deleted = await pages(audit, limit=limit, action="deleted")
    both = await pages(audit, limit=limit, actor="ann", action="deleted")

    assert {one.entry.subject for one in ann} == {"n-00", "n-04", "n-08"}
    assert {one.entry.subject for one in deleted} == {"n-04", "n-06"}
    assert {one.entry.subject for one in both} == {"n-04"}
