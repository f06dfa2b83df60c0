"""What is true at the end: the rows of the database against the chats that the emulated v0 counted."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

ROWS = """
SELECT m.id, m.product_id, m.v0_chat_id AS chat_id, m.project_status AS status, g.recovery_point, g.hold_code,
       g.outcome_unknown, g.marker
FROM design_mockups m JOIN protokeep_generations g ON g.mockup_id = m.id
"""
EVENTS = "SELECT mockup_id, kind, status, data, at FROM protokeep_events ORDER BY id"
SURPLUS = "SELECT chat_id FROM protokeep_surplus_chats"
FORWARD = {"pending": 0, "in_progress": 1, "timeout": 2, "completed": 3, "failed": 4}


async def fetch(database_url: str, sql: str) -> list[dict[str, Any]]:
    """All rows of a statement, on either database."""
    if database_url.startswith("sqlite:///"):
        with sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=30) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]
    connection_pg = await asyncpg.connect(database_url)
    try:
        return [dict(row) for row in await connection_pg.fetch(sql)]
    finally:
        await connection_pg.close()


@dataclass
class Verdict:
    """What was found; empty violations mean that every promise held."""

    rows: int = 0
    chats: int = 0
    unsettled: int = 0
    duplicates: int = 0
    unknown_chats: int = 0
    violations: list[str] = field(default_factory=list)
    #: Seconds from sending a create whose answer was lost until its chat was in its row.
    adopted_after: list[float] = field(default_factory=list)


async def judge(database_url: str, chats: list[dict[str, Any]], expected: dict[str, int]) -> Verdict:
    """Hold rows and chats against each other. `expected`: product -> generations that were asked for."""
    rows = await fetch(database_url, ROWS)
    surplus = {row["chat_id"] for row in await fetch(database_url, SURPLUS)}
    events = await fetch(database_url, EVENTS)
    verdict = Verdict(rows=len(rows), chats=len(chats))
    known = {row["chat_id"] for row in rows if row["chat_id"]}
    per_marker = Counter(chat["metadata"].get("protokeep_marker") for chat in chats)
    per_product = Counter(chat["metadata"].get("protokeep_product") for chat in chats)
    for marker, count in per_marker.items():
        if count > 1:
            verdict.duplicates += count - 1
            verdict.violations.append(f"{count} chats carry {_history_of(marker, chats, events)}")
    for product, wanted in expected.items():
        if per_product[product] != wanted:
            verdict.violations.append(f"{product}: {per_product[product]} chats, {wanted} were asked for")
    for chat in chats:
        if chat["id"] not in known and chat["id"] not in surplus:
            verdict.unknown_chats += 1
            verdict.violations.append(f"chat {chat['id']} is in no row")
    _judge_rows(rows, verdict)
    _judge_history(rows, events, verdict)
    return verdict


def _judge_rows(rows: list[dict[str, Any]], verdict: Verdict) -> None:
    """No chat is in two rows, and every row is settled."""
    for chat_id, count in Counter(row["chat_id"] for row in rows if row["chat_id"]).items():
        if count > 1:
            verdict.violations.append(f"chat {chat_id} is in {count} rows")
    for row in rows:
        if row["recovery_point"] != "settled":
            verdict.unsettled += 1
            verdict.violations.append(f"row {row['id']} of {row['product_id']} is {row['recovery_point']}")


def _history_of(marker: str | None, chats: list[dict[str, Any]], events: list[dict[str, Any]]) -> str:
    """The chats of a marker and the events of its row, for a report."""
    created = sorted(
        f"{chat['id']} at {chat.get('created_at')}"
        for chat in chats
        if chat["metadata"].get("protokeep_marker") == marker
    )
    history = [
        f"{event['at']} {event['kind']} {event['data'] or ''}" for event in events if str(event["mockup_id"]) == marker
    ]
    return f"the marker {marker}: {created}, and the events of its row are {history}"


def _judge_history(rows: list[dict[str, Any]], events: list[dict[str, Any]], verdict: Verdict) -> None:
    """The log replays to the table, no status moved backwards, and how long lost answers took."""
    last: dict[str, str] = {}
    sent: dict[str, datetime] = {}
    for event in events:
        mockup_id = str(event["mockup_id"])
        status = event["status"]
        if status is not None:
            before = last.get(mockup_id, "pending")
            if FORWARD[status] < FORWARD[before]:
                verdict.violations.append(f"row {mockup_id} went from {before} to {status}")
            last[mockup_id] = status
        at = event["at"] if isinstance(event["at"], datetime) else datetime.fromisoformat(event["at"])
        if event["kind"] == "sent":
            sent[mockup_id] = at
        if event["kind"] == "adopted" and mockup_id in sent:
            verdict.adopted_after.append((at - sent[mockup_id]).total_seconds())
    for row in rows:
        if last.get(str(row["id"]), "pending") != row["status"]:
            verdict.violations.append(f"row {row['id']} is {row['status']}, its events say {last.get(str(row['id']))}")


def quiet(rows: list[dict[str, Any]]) -> bool:
    """Whether nothing is under way any more."""
    return all(row["recovery_point"] == "settled" for row in rows)


def as_line(figures: dict[str, Any]) -> str:
    """One line of figures."""
    return json.dumps(figures, separators=(", ", ": "))
