"""What templates show, worded: cards, details, timelines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from protokeep.core.absence import NOT_VISIBLE
from protokeep.core.generation import Generation
from protokeep.core.prototype import SETTLED, UNFINISHED, Prototype, State, Status
from protokeep.core.state_labels import AT_REST, ATTENTION, IN_PROGRESS, STATE_WORDS
from protokeep.store.database import Row
from protokeep.store.gallery import VARIANTS, Card
from protokeep.web.pages import formatting

BUILDERS = {"v0": "v0"}
#: So much of a follow-up stands in the timeline.
MESSAGE_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Cover:
    """What stands where there is no picture: the same for a product every time."""

    hue: int
    layout: int
    initials: str
    words: str


@dataclass(frozen=True, slots=True)
class CardView:
    """A prototype in a list. `since` is set while it is being made."""

    id: str
    key: str
    product_id: str
    title: str
    product_url: str
    url: str
    open_url: str | None
    chat_url: str | None
    picture: str | None
    cover: Cover
    state: str
    label: str
    tone: str
    note: str | None
    since: datetime | None
    elapsed: str | None
    usual: str | None
    owner: str
    builder: str
    made_at: datetime
    age: str
    made_on: str
    variants: str | None
    is_current: bool
    in_progress: bool
    is_making: bool
    is_deleting: bool
    can_stop: bool
    credits: str | None
    needs_attention: bool
    failed: bool
    prompt: str | None

    @property
    def sentence(self) -> str:
        """What the live region says when it changes."""
        return f"{self.title}: {self.label}."


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline."""

    title: str
    note: str | None
    source: str
    at: datetime
    clock: str
    tone: str


def card_view(card: Card, now: datetime, usual: tuple[timedelta, timedelta] | None = None) -> CardView:
    """A card, worded."""
    prototype = card.prototype
    words = STATE_WORDS[prototype.state]
    title = card.product_name or prototype.product_id
    generation = prototype.generation
    in_progress = prototype.state in IN_PROGRESS
    began = generation.deletion_requested_at or generation.turn_at if generation else prototype.created_at
    took = None
    if in_progress:
        took = formatting.span(now - began)
    elif generation is not None and generation.settled_at is not None and prototype.status in SETTLED:
        took = formatting.span(generation.settled_at - generation.began_at)
    digest = formatting.digest_of(prototype.product_id, prototype.provider)
    seed = int(digest[:8], 16)
    best = prototype.project_url or (generation.links.web_url if generation else None)
    return CardView(
        id=prototype.id,
        key=digest,
        product_id=prototype.product_id,
        title=title,
        product_url=formatting.product_path(prototype.product_id),
        url=f"/prototypes/{prototype.id}",
        open_url=formatting.safe_link(best) if prototype.state in AT_REST else None,
        chat_url=formatting.safe_link(generation.links.chat_url) if generation else None,
        picture=picture_of(prototype),
        cover=Cover(
            seed % formatting.HUES,
            seed // formatting.HUES % formatting.LAYOUTS,
            formatting.initials_of(title),
            formatting.first_words(prototype.prompt),
        ),
        state=prototype.state.value,
        label=words.label,
        tone=words.tone,
        note=note_of(prototype, now),
        since=began if in_progress else None,
        elapsed=took,
        usual=formatting.usual_text(usual) if in_progress and prototype.state is not State.DELETING else None,
        owner=owner_of(prototype),
        builder=BUILDERS.get(prototype.provider, prototype.provider),
        made_at=prototype.created_at,
        age=formatting.ago(prototype.created_at, now),
        made_on=formatting.day(prototype.created_at, now),
        variants=_variants_text(card.variants),
        is_current=prototype.is_current,
        in_progress=in_progress,
        is_making=prototype.state in (State.QUEUED, State.MAKING),
        is_deleting=prototype.state is State.DELETING,
        can_stop=_can_stop(prototype),
        credits=formatting.credits_text(generation.credits if generation else None),
        needs_attention=prototype.state in ATTENTION,
        failed=prototype.state is State.FAILED,
        prompt=prototype.prompt,
    )


def picture_of(prototype: Prototype) -> str | None:
    """Where our own origin serves its picture; the address changes with the picture."""
    generation = prototype.generation
    if generation is not None and generation.picture_etag is not None:
        return f"/prototypes/{prototype.id}/picture?v={formatting.version_of(generation.picture_etag)}"
    return formatting.own_picture(prototype.thumbnail_url, prototype.image_url)


def _can_stop(prototype: Prototype) -> bool:
    generation = prototype.generation
    if (
        generation is None
        or prototype.chat_id is None
        or generation.follow_up_pending
        or generation.deletion_requested_at is not None
    ):
        return False
    return prototype.status in (*UNFINISHED, Status.TIMEOUT)


def owner_of(prototype: Prototype) -> str:
    """Who asked for it, as their token named them."""
    generation = prototype.generation
    return (generation.created_by if generation else None) or prototype.user_id or "somebody"


def note_of(prototype: Prototype, now: datetime) -> str | None:
    """Why it is where it is, and what happens next; None where there is nothing to say."""
    generation = prototype.generation
    state = prototype.state
    if generation is not None and generation.hold.code == "follow_up_refused" and state is not State.DELETING:
        return generation.hold.message
    if state in (State.READY, State.MAKING):
        return _lost_link(generation) if generation is not None else None
    if generation is None or state in (State.QUEUED, State.UNTRACKED):
        return STATE_WORDS[state].meaning if state is State.UNTRACKED else None
    if state is State.FAILED:
        return generation.error.message or "The builder gave no reason."
    if state is State.TIMED_OUT:
        return "It takes longer than it should. Still looking."
    if state is State.UNDECIDED:
        hidden = generation.hold.message if generation.hold.code == NOT_VISIBLE else None
        return hidden or STATE_WORDS[state].meaning
    reason = generation.hold.message or STATE_WORDS[state].meaning
    if (
        generation.submission.next_try_at is not None
        and state in (State.PARKED, State.DELETING)
        and generation.hold.message
    ):
        reason = f"{reason.rstrip('.')}. Trying again {formatting.until(generation.submission.next_try_at, now)}."
    return reason


def _lost_link(generation: Generation) -> str | None:
    if generation.links.broken_url is None or generation.links.demo_url is not None:
        return None
    left = " Open leads to what is left there." if generation.links.web_url or generation.links.chat_url else ""
    return f"Its preview no longer opens at the builder.{left}"


def _variants_text(number: int) -> str | None:
    if number <= 1:
        return None
    return f"{number}{'+' if number >= VARIANTS else ''} variants"


SOURCES = {
    "person": "by a person",
    "submit": "while submitting",
    "poll": "seen by polling",
    "hook": "told by the builder",
    "sweep": "found by recovery",
}


def timeline(rows: Sequence[Row], prototype: Prototype, now: datetime) -> list[Line]:
    """A prototype's history, oldest first. One that nobody tracked has one line."""
    if not rows:
        made = prototype.created_at
        return [
            Line(
                "Made before protokeep",
                None,
                "in the table",
                made,
                f"{formatting.day(made, now)}, {made:%H:%M}",
                "calm",
            )
        ]
    lines: list[Line] = []
    before = now
    asked = False
    for row in rows:
        asked = asked or row["kind"] == "asked"
        at = row["happened_at"]
        clock = f"{at:%H:%M:%S}" if at.date() == before.date() else f"{formatting.day(at, now)}, {at:%H:%M:%S}"
        line = _line(row, json.loads(row["data"]) if row["data"] else {}, prototype, clock, asked=asked)
        # Two statuses that read alike, such as accepted and in progress, are one line.
        if not (lines and row["kind"] == "status" and lines[-1].title == line.title):
            lines.append(line)
            before = at
    return lines


def _line(row: Row, data: dict[str, Any], prototype: Prototype, clock: str, *, asked: bool) -> Line:
    """`asked`: a follow-up was asked for before this line, or by it."""
    builder = BUILDERS.get(prototype.provider, prototype.provider)
    actor = row["actor"] or "somebody"
    kind = row["kind"]
    tone = "calm"
    note = data.get("message") or data.get("reason")
    if kind == "status":
        state = _state_of(data.get("state"), row["status"])
        words = STATE_WORDS[state]
        title, tone = ("Stopped", "calm") if data.get("code") == "stopped" else (words.label, words.tone)
    else:
        title, tone = {
            "claimed": (f"Asked for by {actor}", "calm"),
            "sent": (f"Sent to {builder}", "calm"),
            "accepted": (f"{builder} accepted it", "busy"),
            "asked": (f"{actor} asked for a change", "calm"),
            "continued": (f"{builder} took the message", "busy"),
            "adopted": _adopted(row["source"], builder, asked=asked),
            "parked": ("Parked", "warn"),
            "undecided": ("Undecided: the answer was lost", "warn"),
            "refused": (f"{builder} did not take the message", "warn") if asked else (f"{builder} refused it", "bad"),
            "deleting": (f"{actor} asked to delete it", "calm"),
            "deleted": ("Deleted", "calm"),
            "surplus": ("A second chat was found", "warn"),
        }.get(kind, (str(kind).replace("_", " ").capitalize(), "calm"))
    source = SOURCES.get(row["source"], str(row["source"]))
    note = formatting.first_words(str(note), MESSAGE_SHOWN) if note else None
    return Line(title, note, source, row["happened_at"], clock, tone)


def _adopted(source: str, builder: str, *, asked: bool) -> tuple[str, str]:
    """Found at the builder after a lost answer; or, in the first line of an older row, taken over."""
    if asked:
        return f"The message was found in the chat: {builder} has it", "busy"
    return (f"Found at {builder}", "busy") if source == "submit" else ("Taken over from before protokeep", "calm")


def _state_of(state: object, status: str | None) -> State:
    if isinstance(state, str) and state in list(State):
        return State(state)
    return {
        "in_progress": State.MAKING,
        "completed": State.READY,
        "failed": State.FAILED,
        "timeout": State.TIMED_OUT,
    }.get(status or "", State.QUEUED)
