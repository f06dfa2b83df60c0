"""Who did what, from where: written down, read by admins, and not to be changed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.principals import Role
from protokeep.service import audit as auditing
from protokeep.service.audit import Audit
from protokeep.store.audit import AuditStore
from protokeep.store.sql import DatabaseError, Statement
from world import ANN, Site, World

SECRET_PROMPT = "the secret moon base"


async def lines(site: Site, **params: Any) -> list[dict[str, Any]]:
    await site.node.context.audit.flush()
    headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'auditor', workspace_id='default')}"}
    response = await site.http.get("/api/design/audit", params=params, headers=headers)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["entries"]
    return found


async def test_every_action_is_written_with_its_person_and_no_secret(world: World, site: Site) -> None:
    headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'root')}"}
    made = (await site.create("p-1", SECRET_PROMPT)).json()["id"]
    for _ in range(3):
        await site.create("p-1", SECRET_PROMPT)
    world.clock.advance(20)
    assert (await site.status()).json()["state"] == "ready"
    await site.http.post(f"/api/design/prototypes/{made}/messages", json={"message": SECRET_PROMPT})
    await site.http.post(f"/api/design/prototypes/{made}/stop")
    await site.http.delete(f"/api/design/prototypes/{made}", headers=headers)
    token = (await site.http.post("/api/design/tokens", json={"user_id": "bob"}, headers=headers)).json()
    await site.http.delete(f"/api/design/tokens/{token['id']}", headers=headers)
    await site.http.put("/api/design/keys", json={"key": "v1:team:abcdefgh"}, headers=headers)
    await site.http.delete("/api/design/keys", headers=headers)
    await site.http.post("/api/design/people/revoke", json={"user_id": "ann"}, headers=headers)

    found = await lines(site)
    actions = [one["action"] for one in found if one["actor"] in ("ann", "root")]
    about_prototypes = ["created", "reused", "asked", "stopped", "deleted"]
    about_access = ["token_created", "token_revoked", "key_set", "key_removed", "access_revoked"]
    assert sorted(actions) == sorted([*about_prototypes, *about_access])
    reused = next(one for one in found if one["action"] == "reused")
    assert (reused["subject"], reused["data"]["times"], reused["actor"]) == (made, 3, "ann")
    assert all(one["address"] == "127.0.0.1" for one in found if one["actor"] in ("ann", "root"))
    everything = repr(await world.rows("SELECT * FROM protokeep_audit"))
    assert SECRET_PROMPT not in everything
    assert token["token"] not in everything
    assert "v1:team:abcd" not in everything


async def test_the_audit_is_paged_and_filtered(site: Site) -> None:
    for n in range(5):
        await site.create(f"p-{n}")
    await lines(site)
    headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'auditor')}"}
    seen, cursor = [], None
    while True:
        params: dict[str, Any] = {"limit": 2, "action": "created", **({"cursor": cursor} if cursor else {})}
        page = (await site.http.get("/api/design/audit", params=params, headers=headers)).json()
        seen += [one["data"]["product_id"] for one in page["entries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == [f"p-{n}" for n in range(5)]
    assert await lines(site, actor="nobody") == []


async def test_only_admins_read_the_audit(site: Site) -> None:
    for role, status in ((Role.VIEWER, 403), (Role.MAKER, 403), (Role.ADMIN, 200)):
        headers = {"Authorization": f"Bearer {await site.token(role)}"}
        assert (await site.http.get("/api/design/audit", headers=headers)).status_code == status
    assert (await site.http.get("/api/design/audit", headers={"Authorization": ""})).status_code == 401


@pytest.mark.parametrize(
    "change",
    ["UPDATE protokeep_audit SET actor = 'nobody'", "DELETE FROM protokeep_audit", "TRUNCATE protokeep_audit"],
)
async def test_the_database_refuses_changes_of_the_audit(world: World, change: str) -> None:
    if world.first.database.is_sqlite and change.startswith("TRUNCATE"):
        pytest.skip("SQLite has no TRUNCATE")
    await world.ensure()
    with pytest.raises(DatabaseError, match="append-only"):
        async with world.first.database.transaction() as connection:
            await connection.execute(Statement(change))
    assert [row["actor"] for row in await world.rows("SELECT actor FROM protokeep_audit")] == ["ann"]


async def test_a_reuse_is_written_a_moment_later_without_a_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Reuse is written a moment later, all of a moment together, and at the stop at the latest.
    """
    monkeypatch.setattr(auditing, "FLUSH_SECONDS", 3600)
    await world.ensure()
    for _ in range(1000):
        await world.ensure()
    counted = "SELECT count(*) AS lines FROM protokeep_audit WHERE action = 'reused'"
    assert await world.rows(counted) == [{"lines": 0}]
    await asyncio.wait_for(world.first.context.audit.close(), 5)
    assert await world.rows(counted) == [{"lines": 1}]


async def test_lines_that_wait_are_flushed_by_themselves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "FLUSH_SECONDS", 0.01)
    audit = Audit(AuditStore(world.first.database))
    audit.note(AuditEntry.of(ANN, Action.REUSED, world.clock.now, "x"))
    for _ in range(500):
        if await world.rows("SELECT * FROM protokeep_audit"):
            break
        await asyncio.sleep(0.01)
    assert len(await world.rows("SELECT * FROM protokeep_audit")) == 1
    await audit.close()


async def test_too_many_waiting_lines_are_dropped_and_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A database that does not answer for long costs lines of reuse, and no memory without end.
    """
    monkeypatch.setattr(auditing, "WAITING_MAX", 3)
    audit = Audit(AuditStore(world.first.database))
    for n in range(5):
        audit.note(AuditEntry.of(ANN, Action.REUSED, world.clock.now, str(n)))
    await audit.close()
    assert len(await world.rows("SELECT * FROM protokeep_audit")) == 3
