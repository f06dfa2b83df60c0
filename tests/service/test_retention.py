"""What is removed because it is old, and what stays however old it is."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest

from owner_schemas import run
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput
from protokeep.core.retention import RetentionPeriods
from protokeep.service import retention
from protokeep.service.retention import Retention
from protokeep.store import audit
from protokeep.store import retention as store_retention
from protokeep.store.sql import Statement, query
from tracked import generation_of
from world import ADA, ANN, EVE, World

DAYS = timedelta(days=1)
MONTH = RetentionPeriods(events=30 * DAYS, pictures=30 * DAYS, audit=30 * DAYS)


def of(world: World, periods: RetentionPeriods = MONTH) -> Retention:
    """The retention of one more process."""
    return Retention(world.first.context, periods)


async def kinds_by_prototype(world: World) -> dict[str, list[str]]:
    rows = await world.rows(
        "SELECT CAST(mockup_id AS text) AS id, kind FROM protokeep_events ORDER BY protokeep_events.id"
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row["kind"])
    return found


async def test_steps_of_old_histories_go_and_all_that_somebody_needs_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What people asked for, the last status, and that something was deleted outlive every step, in both workspaces; an
    unfinished or a young prototype loses nothing. A process that ends midway leaves the rest to the next one.
    """
    ended = await world.complete("p-1")
    await world.keeper.iterate(ANN, ended.id, "Make it blue", wait=0)
    await world.work()
    await world.live(30)
    deleted = await world.complete("p-2")
    await world.keeper.delete(ADA, deleted.id, at_once=True)
    unfinished = await world.complete("p-3", who=EVE)
    before = await kinds_by_prototype(world)
    newest = await world.rows(query("find_newest_event").text)
    world.clock.advance(31 * DAYS.total_seconds())
    young = await world.complete("p-4")
    await run(
        world.database_url,
        f"UPDATE protokeep_generations SET recovery_point = 'accepted' WHERE mockup_id = '{unfinished.id}'",
    )

    assert (await of(world, RetentionPeriods()).prune()).rows["events"] == 0
    expected = await of(world).prune(dry_run=True)
    monkeypatch.setattr(retention, "EVENTS_PER_STEP", 2)
    monkeypatch.setattr(retention, "STEPS_PER_PASS", 3)
    await of(world).run_if_due()  # Ends after three steps, as if it were killed.
    midway = sum(map(len, (await kinds_by_prototype(world)).values()))
    rest = await of(world).prune()
    after = await kinds_by_prototype(world)

    gone = sum(map(len, before.values())) - sum(len(after[id_]) for id_ in before)
    assert 0 < rest.rows["events"] < expected.rows["events"] == gone
    assert midway > sum(map(len, after.values()))
    assert after[ended.id] == ["claimed", "asked", before[ended.id][-1]]
    assert after[deleted.id][0] == "claimed"
    assert after[deleted.id][-1] == before[deleted.id][-1] == "deleted"
    assert await world.store.was_deleted(ANN.workspace_id, deleted.id)
    assert after[unfinished.id] == before[unfinished.id]
    assert len(after[young.id]) >= 4
    assert (await world.rows(query("find_newest_event").text))[0]["id"] >= newest[0]["id"]


@pytest.mark.parametrize("api_version", [1])  # v2 gives no pictures.
async def test_pictures_of_variants_go_and_the_current_ones_stay(world: World) -> None:
    """
    The picture of a variant that is not current is gone, and its prototype says so; what is current or in the bin, as
    anything in another workspace, keeps its own.
    """
    world.first.context.bin_time = 60 * DAYS
    older = await world.finish("p-1")
    current = await world.finish("p-1", create_new=True)
    binned = await world.finish("p-2")
    await world.keeper.delete(ANN, binned.id)
    elsewhere = await world.finish("p-1", who=EVE)
    pictured = {row["id"] for row in await world.rows("SELECT CAST(mockup_id AS text) AS id FROM protokeep_pictures")}
    assert [one.id in pictured for one in (older, current, binned, elsewhere)] == [True] * 4
    version = generation_of(await world.get(older.id)).version
    world.clock.advance(29 * DAYS.total_seconds())
    assert (await of(world).prune()).rows["pictures"] == 0
    world.clock.advance(2 * DAYS.total_seconds())

    await of(world).run_if_due()

    left = {row["id"] for row in await world.rows("SELECT CAST(mockup_id AS text) AS id FROM protokeep_pictures")}
    assert left == pictured - {older.id}
    generation = generation_of(await world.get(older.id))
    assert (generation.picture_etag, generation.version) == (None, version + 1)
    assert generation_of(await world.get(current.id)).picture_etag is not None


async def test_old_lines_of_the_audit_go_into_a_file_and_a_receipt_says_which(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Only lines that the file holds are removed; receipts of clean-ups stay; each workspace has a line that names range,
    file and digest; the audit refuses changes as before, also where the removal ends midway.
    """
    began = world.clock.now
    entries = [
        AuditEntry(who.workspace_id, began + timedelta(minutes=n), action, who.user_id, subject="x", data={"n": n})
        for n in range(5)
        for who in (ANN, EVE)
        for action in (Action.CREATED, Action.PLAN_ITEM)
    ]
    await world.first.context.audit.close()
    async with world.store.database.transaction() as connection:
        await audit.write(connection, *entries)
    world.clock.advance(31 * DAYS.total_seconds())
    file = tmp_path / "audit.jsonl"
    monkeypatch.setattr(retention, "AUDIT_PER_STEP", 3)

    with pytest.raises(InvalidInput, match="how old lines of the audit"):
        await of(world, RetentionPeriods()).prune(audit_to=file)
    assert (await of(world).prune(dry_run=True)).audit_lines == 10
    await of(world).prune()
    assert len(await world.rows("SELECT id FROM protokeep_audit")) == 20
    pruned = await of(world).prune(audit_to=file)

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert pruned.export is not None
    assert pruned.export.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [(line["workspace_id"], line["action"]) for line in lines] == (
        [("default", "created")] * 5 + [("elsewhere", "created")] * 5
    )
    left = await world.rows("SELECT workspace_id, action, data FROM protokeep_audit ORDER BY workspace_id, at")
    assert [row["action"] for row in left] == [*["plan_item"] * 5, "audit_removed"] * 2
    receipt = json.loads(left[5]["data"])
    assert (receipt["lines"], receipt["sha256"], receipt["file"]) == (5, pruned.export.sha256, str(file))
    assert (receipt["from"], receipt["to"]) == (began.isoformat(), (began + timedelta(minutes=4)).isoformat())
    with pytest.raises(InvalidInput, match="exists"):
        await of(world).prune(audit_to=file)
    for change in ("DELETE FROM protokeep_audit", "UPDATE protokeep_audit SET actor = 'x'"):
        with pytest.raises(Exception, match="append-only"):
            await run(world.database_url, change)


async def test_a_removal_from_the_audit_that_fails_midway_leaves_it_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A step is one transaction: an error after the lines are gone brings them back, and the triggers are on.
    """
    await world.store.retention.delete_audit([], [AuditEntry("default", world.clock.now, Action.CREATED, "ann")])
    ids = [row["id"] for row in await world.rows("SELECT id FROM protokeep_audit")]

    def broken(name: str) -> Statement:
        if name.startswith("refuse_audit_deletion"):
            raise RuntimeError("the process ends here")
        return query(name)

    monkeypatch.setattr(store_retention, "query", broken)
    with pytest.raises(RuntimeError):
        await world.store.retention.delete_audit(ids, [])

    assert [row["id"] for row in await world.rows("SELECT id FROM protokeep_audit")] == ids != []
    with pytest.raises(Exception, match="append-only"):
        await run(world.database_url, "DELETE FROM protokeep_audit")
