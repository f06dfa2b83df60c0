"""The judge: the database's rows against what the adversary's v0 holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adversary.chats import Chat
from adversary.databases import Database
from adversary.report import Report
from adversary.v0 import V0

#: How many there may be: exactly so many, or from so many to so many.
Expected = int | tuple[int, int]

ROWS = """
SELECT m.id, m.product_id, m.v0_chat_id AS chat_id, m.project_status AS status, g.error_code, g.recovery_point,
       g.outcome_unknown, g.hold_code, g.next_poll_at, g.deletion_requested_at, g.state
FROM design_mockups m JOIN protokeep_generations g ON g.mockup_id = m.id
"""
EVENTS = "SELECT mockup_id, kind, status FROM protokeep_events ORDER BY id"
SURPLUS = "SELECT chat_id FROM protokeep_surplus_chats"
UNSETTLED = "SELECT count(*) AS n FROM protokeep_generations WHERE recovery_point <> 'settled'"
FORWARD = {"pending": 0, "in_progress": 1, "timeout": 2, "completed": 3, "failed": 4}
#: A person's follow-up sets a prototype back to the beginning on purpose; an adopted row begins where it is found.
BEGINS_ANEW = ("continued", "asked", "adopted")


@dataclass(frozen=True)
class Evidence:
    """All that there is at the end of a scenario."""

    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    surplus: set[str]
    chats: list[Chat]

    def history(self, mockup_id: object) -> str:
        """What happened to a row, in order."""
        kinds = [event["kind"] for event in self.events if str(event["mockup_id"]) == str(mockup_id)]
        return f"{str(mockup_id)[:8]} {'/'.join(kinds)}"

    @property
    def chats_in_rows(self) -> set[str]:
        """Chats that are in a row."""
        return {row["chat_id"] for row in self.rows if row["chat_id"]}


async def judge(
    database: Database,
    v0: V0,
    report: Report,
    *,
    creates: Mapping[str, Expected] | None = None,
    messages: Mapping[str, Expected] | None = None,
) -> Evidence:
    """Note every broken promise. `creates`: product -> chats asked for; `messages`: text -> follow-ups asked for."""
    evidence = Evidence(
        await database.rows(ROWS),
        await database.rows(EVENTS),
        {row["chat_id"] for row in await database.rows(SURPLUS)},
        v0.account.ours(),
    )
    _judge_chats(evidence, creates or {}, report)
    _judge_messages(evidence, messages or {}, report)
    _judge_history(evidence, report)
    for row in evidence.rows:
        _judge_row(row, v0, report)
    report.note(rows=len(evidence.rows), chats=len(evidence.chats), calls=v0.calls_of())
    return evidence


def _judge_chats(evidence: Evidence, creates: Mapping[str, Expected], report: Report) -> None:
    """As many chats as creates, one for each marker, and every one of them is known."""
    markers = Counter(chat.sent_metadata.get("protokeep_marker") for chat in evidence.chats)
    for marker, count in markers.items():
        history = evidence.history(marker)
        report.expect(count == 1, "made_twice", f"{count} chats carry the marker {marker}: {history}")
    products = Counter(chat.product() for chat in evidence.chats)
    for product, expected in creates.items():
        history = "; ".join(evidence.history(row["id"]) for row in evidence.rows if row["product_id"] == product)
        count = products[product]
        report.expect(_within(count, expected), "creates", f"{product}: {count} for {expected} ({history})")
    for chat in evidence.chats:
        known = chat.id in evidence.chats_in_rows or chat.id in evidence.surplus or chat.deleted_at is not None
        report.expect(known, "in_no_row", f"chat {chat.id} of {chat.product()}")
    for chat_id, count in Counter(row["chat_id"] for row in evidence.rows if row["chat_id"]).items():
        rows = [row["id"] for row in evidence.rows if row["chat_id"] == chat_id]
        history = "; ".join(evidence.history(row) for row in rows)
        report.expect(count == 1, "chat_in_two_rows", f"{chat_id} is in {count} rows: {history}")
    for chat_id in evidence.surplus & evidence.chats_in_rows:
        report.expect(False, "own_chat_as_surplus", chat_id)


def _judge_messages(evidence: Evidence, messages: Mapping[str, Expected], report: Report) -> None:
    said = Counter(text for chat in evidence.chats for text in chat.user_texts()[1:])
    for text, expected in messages.items():
        report.expect(_within(said[text], expected), "follow_ups", f"{text!r}: {said[text]} at v0 for {expected}")


def _judge_history(evidence: Evidence, report: Report) -> None:
    """No status went backwards, and the events tell what the rows say."""
    last: dict[str, str] = {}
    for event in evidence.events:
        mockup_id = str(event["mockup_id"])
        status = event["status"]
        if status is None:
            continue
        before = last.get(mockup_id, "pending")
        forward = FORWARD[status] >= FORWARD[before] or event["kind"] in (*BEGINS_ANEW, "revived", "visible")
        report.expect(forward, "backwards", f"{mockup_id} went from {before} to {status} ({event['kind']})")
        last[mockup_id] = status
    for row in evidence.rows:
        replayed = last.get(str(row["id"]), "pending")
        same = replayed == row["status"]
        report.expect(same, "events_differ", f"{row['product_id']} is {row['status']}, events: {replayed}")


def _judge_row(row: dict[str, Any], v0: V0, report: Report) -> None:
    """Nothing rests without a reason, and nothing is said of a chat that is not so."""
    product = row["product_id"]
    if row["recovery_point"] in ("claimed", "sent"):
        reason = row["outcome_unknown"] or row["hold_code"]
        report.expect(bool(reason), "rests", f"{product} is {row['recovery_point']}")
    if row["recovery_point"] == "accepted" and not row["deletion_requested_at"]:
        report.expect(row["next_poll_at"] is not None, "rests", f"{product} is accepted, and no look is due")
    report.expect(row["status"] != "timeout", "false_timeout", f"{product}: no scenario lasts that long")
    chat = v0.account.chats.get(row["chat_id"])
    if chat is None or chat.deleted_at is not None:
        return
    finished = chat.messages[-1].finish_reason is not None
    if row["status"] == "failed" and row["error_code"] != "stopped":
        report.expect(False, "false_failed", f"{product} is {row['error_code']}, its chat is alive")
    if row["status"] == "completed":
        report.expect(finished, "false_completed", f"{product}: v0 has not finished")


def _within(count: int, expected: Expected) -> bool:
    least, most = expected if isinstance(expected, tuple) else (expected, expected)
    return least <= count <= most
