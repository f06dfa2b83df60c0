"""The history of a prototype as people read it: its timeline, and what was asked since it was made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from protokeep.core.prototype import Prototype, State
from protokeep.core.state_labels import STATE_LABELS
from protokeep.store.sql import Row
from protokeep.web.pages import formatting
from protokeep.web.pages.presenters import builder_of

#: Longest message in the timeline.
MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One entry of a timeline."""

    title: str
    note: str | None
    source: str
    at: datetime
    clock: str
    tone: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A follow-up: its message, and the beginning of that in one line."""

    text: str
    words: str
    actor: str
    at: datetime
    age: str


def asked_since(events: Sequence[Row], now: datetime) -> list[Asked]:
    """What was asked since the prototype was made, newest first."""
    found = []
    for row in events:
        text = str(json.loads(row["data"] or "{}").get("message", "")) if row["kind"] == "asked" else ""
        if text:
            at, actor = row["happened_at"], row["actor"] or "A person"
            found.append(Asked(text, formatting.first_words(text), actor, at, formatting.ago(at, now)))
    return found[::-1]


#: How the source of an event reads.
SOURCES = {
    "person": "",
    "submit": "",
    "poll": "",
    "hook": "",
    "sweep": "recovered",
}


def timeline(events: Sequence[Row], prototype: Prototype, now: datetime) -> list[TimelineEntry]:
    """The history of a prototype, oldest first; one entry for a prototype without events."""
    if not events:
        created_at = prototype.created_at
        return [
            TimelineEntry(
                "Created before protokeep",
                None,
                "found in the table",
                created_at,
                f"{formatting.day(created_at, now)}, {created_at:%H:%M}",
                "calm",
            )
        ]
    entries: list[TimelineEntry] = []
    before = now
    in_follow_up = False
    times_sent = 0
    for row in events:
        in_follow_up = in_follow_up or row["kind"] == "asked"
        times_sent = 0 if row["kind"] in ("claimed", "asked") else times_sent + (row["kind"] == "sent")
        at = row["happened_at"]
        clock = f"{at:%H:%M:%S}" if at.date() == before.date() else f"{formatting.day(at, now)}, {at:%H:%M:%S}"
        data = json.loads(row["data"]) if row["data"] else {}
        entry = _entry(row, data, prototype, clock, in_follow_up=in_follow_up)
        if row["kind"] == "sent" and times_sent > 1:
            entry = replace(entry, title=f"Not found in {builder_of(prototype)}: sent again")
        # Two statuses with the same title, such as accepted and in progress, are one entry.
        if not (entries and row["kind"] == "status" and entries[-1].title == entry.title):
            entries.append(entry)
            before = at
    return entries


def _entry(row: Row, data: dict[str, Any], prototype: Prototype, clock: str, *, in_follow_up: bool) -> TimelineEntry:
    """The entry of one event; `in_follow_up`: a follow-up was asked for by this event, or before it."""
    if row["kind"] == "status":
        title, tone = _status_title(row, data)
    else:
        title, tone = _event_title(row, builder_of(prototype), in_follow_up=in_follow_up)
    source = SOURCES.get(row["source"], str(row["source"]))
    # Why it was made is told once, above the history; what was asked since is shown as a whole.
    note = None if row["kind"] == "claimed" else data.get("message") or data.get("reason") or data.get("name")
    note = formatting.first_words(str(note), MESSAGE_LENGTH) if note else None
    return TimelineEntry(title, note, source, row["happened_at"], clock, tone)


def _status_title(row: Row, data: dict[str, Any]) -> tuple[str, str]:
    """Title and tone of an event that moved the status."""
    if data.get("code") == "stopped":
        return STATE_LABELS[State.STOPPED].label, "calm"
    label = STATE_LABELS[_state_of(data.get("state"), row["status"])]
    return label.label, label.tone


def _event_title(row: Row, builder: str, *, in_follow_up: bool) -> tuple[str, str]:
    """Title and tone of any other event."""
    actor = row["actor"] or "A person"
    kind = str(row["kind"])
    return {
        "claimed": (f"Asked for by {actor}", "calm"),
        "sent": (f"Sent to {builder}", "calm"),
        "accepted": (f"{builder} accepted it", "busy"),
        "asked": (f"{actor} asked for a change", "calm"),
        "continued": (f"{builder} accepted the change", "busy"),
        "adopted": _adopted_title(row["source"], builder, in_follow_up=in_follow_up),
        "parked": ("Paused", "warn"),
        "undecided": ("Checking: the reply was lost", "warn"),
        "refused": (f"{builder} did not accept the change", "warn")
        if in_follow_up
        else (f"{builder} refused it", "bad"),
        "binned": (f"{actor} moved it to the bin", "calm"),
        "taken_back": (f"{actor} took it back", "calm"),
        "deleting": (
            "Its time in the bin is over" if row["source"] == "sweep" else f"{actor} asked to delete it",
            "calm",
        ),
        "deleted": ("Deleted", "calm"),
        "surplus": ("A second chat was found", "warn"),
        "made_current": (f"{actor} made it the current one", "calm"),
        "succeeded": ("Became the current one, because that was deleted", "calm"),
        "named": (f"{actor} named it", "calm"),
    }.get(kind, (kind.replace("_", " ").capitalize(), "calm"))


def _adopted_title(source: str, builder: str, *, in_follow_up: bool) -> tuple[str, str]:
    """Found at the app builder after a lost answer, or taken over from an older table."""
    if in_follow_up:
        return f"The change was found in the chat: {builder} has it", "busy"
    return (f"Found in {builder}", "busy") if source == "submit" else ("Adopted from before protokeep", "calm")


def _state_of(state: object, status: str | None) -> State:
    """The state of an event; older events have a status only."""
    if isinstance(state, str) and state in list(State):
        return State(state)
    return {
        "in_progress": State.MAKING,
        "completed": State.READY,
        "failed": State.FAILED,
        "timeout": State.TIMED_OUT,
    }.get(status or "", State.QUEUED)
