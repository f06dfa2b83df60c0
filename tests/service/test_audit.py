"""What is written into the audit at once, what a moment later, and what becomes a number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import DatabaseUnavailable
from protokeep.core.principals import Principal, Role
from protokeep.service.audit import Audit
from protokeep.store.audit import AuditStore
from world import World

ADMIN = Principal("default", "root", Role.ADMIN, "")


class Seconds:
    """A clock of one's own."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def audit(world: World, seconds: Seconds) -> Audit:
    return Audit(AuditStore(world.store.database), seconds)


@pytest.fixture
def entry(world: World) -> AuditEntry:
    return AuditEntry("default", world.clock.now, Action.REUSED, "ann", "t-1", "10.0.0.1", "id-1")


async def told(audit: Audit) -> list[tuple[str, int]]:
    """(subject, times) of what is written."""
    found, _ = await audit.list(ADMIN, 99)
    return sorted((str(one.entry.subject), int(one.entry.data.get("times", 1))) for one in found)


async def test_entries_that_differ_in_time_only_become_one_line(audit: Audit, entry: AuditEntry) -> None:
    """
    What is the same but for its time becomes one line with a number; what differs in anything stays apart.
    """
    for one in (entry, entry, replace(entry, subject="id-2"), replace(entry, actor="bob"), entry):
        audit.note(one)
    assert await told(audit) == []

    await audit.flush()

    assert await told(audit) == [("id-1", 1), ("id-1", 3), ("id-2", 1)]
    await audit.flush()
    assert len(await told(audit)) == 3
    audit.note(entry)
    await audit.close()
    assert len(await told(audit)) == 4


async def test_a_change_is_audited_when_it_is_told(audit: Audit, entry: AuditEntry) -> None:
    """
    What changed something stands when the change is told.
    """
    await audit.add(entry)
    assert await told(audit) == [("id-1", 1)]


async def test_entries_wait_while_the_database_is_away(
    audit: Audit, entry: AuditEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    While the database is away lines wait, with those that come meanwhile, and are written once.
    """

    async def away(*_: Any) -> None:
        raise DatabaseUnavailable

    audit.note(entry)
    with monkeypatch.context() as patch:
        patch.setattr(AuditStore, "add", away)
        await audit.flush()
        audit.note(replace(entry, subject="id-2"))
        await audit.flush()
    await audit.flush()

    assert await told(audit) == [("id-1", 1), ("id-2", 1)]
    await audit.close()


async def test_what_comes_while_a_line_cannot_be_written_is_counted_with_it(
    audit: Audit, entry: AuditEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The same thing happens again while the database is asked in vain: the line tells of all of them.
    """

    async def away(*_: Any) -> None:
        audit.note(entry)
        raise DatabaseUnavailable

    audit.note(entry)
    audit.note(entry)
    with monkeypatch.context() as patch:
        patch.setattr(AuditStore, "add", away)
        await audit.flush()
    await audit.flush()

    assert await told(audit) == [("id-1", 3)]
    await audit.close()


async def test_an_entry_that_the_database_refuses_takes_no_other_along(audit: Audit, entry: AuditEntry) -> None:
    """
    One entry cannot be stored: the others of the same moment are, and later ones, too.
    """
    for one in (entry, replace(entry, subject="\ud800"), replace(entry, subject="id-2")):
        audit.note(one)

    await audit.flush()
    audit.note(replace(entry, subject="id-3"))
    await audit.flush()

    assert await told(audit) == [("id-1", 1), ("id-2", 1), ("id-3", 1)]
    await audit.close()


async def test_a_flood_of_failed_sign_ins_is_one_line_and_a_number(
    audit: Audit, entry: AuditEntry, seconds: Seconds
) -> None:
    """
    Of those who are not let in the first of a kind is told, and how many more came when the minute is over.
    """
    refusal = replace(entry, action=Action.SIGN_IN_FAILED, actor="", data={"reason": "token_unknown"})
    for _ in range(5):
        audit.note_failed_sign_in(refusal)
    await audit.flush()
    assert await told(audit) == [("id-1", 1)]

    seconds.now = 59.9
    await audit.flush()
    assert await told(audit) == [("id-1", 1)]
    seconds.now = 60
    await audit.flush()
    assert await told(audit) == [("id-1", 1), ("id-1", 4)]
    audit.note_failed_sign_in(refusal)
    await audit.close()
    assert await told(audit) == [("id-1", 1), ("id-1", 1), ("id-1", 4)]


async def test_a_page_says_what_the_next_one_comes_after(audit: Audit, entry: AuditEntry, world: World) -> None:
    """
    A page says what the next one comes after, and the last one says that it is.
    """
    for number in range(4):
        await audit.add(replace(entry, at=world.clock.advance(1), subject=f"id-{number}"))
    await audit.add(replace(entry, workspace_id="elsewhere"))

    first, after = await audit.list(ADMIN, 2)
    second, end = await audit.list(ADMIN, 2, after=after)

    assert [one.entry.subject for one in (*first, *second)] == ["id-3", "id-2", "id-1", "id-0"]
    assert (after is not None, end) == (True, None)
    assert len((await audit.list(ADMIN, 9, actor="ann"))[0]) == 4
    assert (await audit.list(ADMIN, 9, action="created")) == ([], None)
