"""The texts and links that templates show: cards and notes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from protokeep.core.generation import Generation
from protokeep.core.prototype import SETTLED, UNFINISHED, Prototype, State, Status
from protokeep.core.provider_keys import LOOKING_MESSAGE, NOT_IN_ACCOUNT_MESSAGE
from protokeep.core.reuse import usable
from protokeep.core.state_labels import AT_REST, IN_PROGRESS, STATE_LABELS
from protokeep.core.variants import cannot_be_current_because
from protokeep.store.gallery import VARIANTS, Card
from protokeep.web.pages import formatting

#: What people call the app builders.
BUILDERS = {"v0": "v0"}
#: States in which a card shows how long it usually takes.
USUAL_STATES = frozenset(IN_PROGRESS) - {State.DELETING}


@dataclass(frozen=True, slots=True)
class Cover:
    """The placeholder for a missing picture; always the same for a product."""

    hue: int
    layout: int
    initials: str
    words: str


@dataclass(frozen=True, slots=True)
class CardView:
    """A prototype as a card. `since` is set while it is in progress; `key` is the same for all of its product."""

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
    created_at: datetime
    age: str
    created_on: str
    variants: str | None
    is_current: bool
    in_progress: bool
    is_making: bool
    bin_until: str | None
    is_tracked: bool
    can_stop: bool
    credits: str | None
    failed: bool
    prompt: str | None
    is_late: bool
    number: str
    variant_name: str | None
    can_be_current: bool
    is_usable: bool
    compare_path: str
    tags: tuple[str, ...]
    is_archived: bool
    updated_at: datetime
    updated_age: str
    is_favourite: bool

    @property
    def variant_title(self) -> str:
        """Its number, and its name if it has one."""
        return f"{self.number} {self.variant_name}" if self.variant_name else self.number

    @property
    def is_waiting(self) -> bool:
        """Whether the app builder asked a question."""
        return self.state == State.WAITING

    @property
    def is_deleting(self) -> bool:
        """Whether its deletion is under way."""
        return self.state == State.DELETING

    @property
    def is_in_bin(self) -> bool:
        """Whether it was deleted, and can be taken back."""
        return self.state == State.IN_BIN

    @property
    def link_url(self) -> str:
        """What somebody who gets the link sees this prototype at."""
        return self.product_url if self.is_current else self.url

    @property
    def sentence(self) -> str:
        """What screen readers announce when the card changes."""
        return f"{self.title}: {self.label}."


def card_view(
    card: Card,
    now: datetime,
    usual: tuple[timedelta, timedelta] | None = None,
    favourites: Collection[str] = (),
) -> CardView:
    """The texts and links of a card.

    `usual` is the usual time until a prototype is ready, None without figures; `favourites` are the reader's products.
    """
    prototype = card.prototype
    title = card.product_name or prototype.product_id
    generation = prototype.generation
    digest = formatting.digest_of(prototype.product_id, prototype.provider)
    return CardView(
        id=prototype.id,
        key=digest,
        product_id=prototype.product_id,
        title=title,
        product_url=formatting.product_path(prototype.product_id),
        url=f"/prototypes/{prototype.id}",
        open_url=_open_url(prototype),
        chat_url=formatting.safe_link(generation.links.chat_url) if generation else None,
        picture=picture_of(prototype),
        cover=cover_of(digest, title, prototype.prompt),
        state=prototype.state.value,
        label=STATE_LABELS[prototype.state].label,
        tone=STATE_LABELS[prototype.state].tone,
        note=with_builders_name(note_of(prototype, now), prototype),
        since=_turn_at(prototype) if prototype.state in IN_PROGRESS else None,
        elapsed=_elapsed_text(prototype, now),
        usual=formatting.usual_text(usual) if prototype.state in USUAL_STATES else None,
        owner=owner_of(prototype),
        builder=builder_of(prototype),
        variants=_variants_text(card.variants),
        prompt=prototype.prompt,
        **_time_values(prototype, now),
        **_arrangement_values(prototype, favourites),
        **_variant_values(prototype, now, usual),
    )


def _time_values(prototype: Prototype, now: datetime) -> dict[str, Any]:
    """When it was made, and when it changed last."""
    return {
        "created_at": prototype.created_at,
        "age": formatting.ago(prototype.created_at, now),
        "created_on": formatting.on_day(prototype.created_at, now),
        "updated_at": prototype.updated_at,
        "updated_age": formatting.ago(prototype.updated_at, now),
    }


def _arrangement_values(prototype: Prototype, favourites: Collection[str]) -> dict[str, Any]:
    """How people have arranged the product."""
    return {
        "tags": prototype.tags,
        "is_archived": prototype.archived_at is not None,
        "is_favourite": prototype.product_id in favourites,
    }


def _variant_values(prototype: Prototype, now: datetime, usual: tuple[timedelta, timedelta] | None) -> dict[str, Any]:
    """What tells a variant from the product's others, and what can be done with it."""
    generation = prototype.generation
    return {
        "is_current": prototype.is_current,
        "in_progress": prototype.state in IN_PROGRESS,
        "is_tracked": generation is not None,
        "failed": prototype.state in (State.FAILED, State.STOPPED),
        "is_making": prototype.state in (State.QUEUED, State.MAKING),
        "is_late": _is_late(prototype, now, usual),
        "number": number_of(prototype),
        "variant_name": generation.variant_name if generation else None,
        "can_be_current": not prototype.is_current and cannot_be_current_because(prototype) is None,
        "is_usable": usable(prototype),
        "compare_path": formatting.compare_path(prototype.product_id),
        "can_stop": _can_stop(prototype),
        "credits": formatting.credits_text(generation.credits if generation else None),
        "bin_until": _bin_until(prototype, now),
    }


def number_of(prototype: Prototype) -> str:
    """The number of a variant as people read it; a row from before protokeep may have none."""
    number = prototype.generation.variant if prototype.generation else None
    return "An older variant" if number is None else f"#{number}"


def _is_late(prototype: Prototype, now: datetime, usual: tuple[timedelta, timedelta] | None) -> bool:
    """Whether it has been in progress for longer than nearly all others were."""
    if usual is None or prototype.state not in (State.QUEUED, State.MAKING):
        return False
    return now - _turn_at(prototype) > usual[1]


def cover_of(digest: str, title: str, prompt: str | None) -> Cover:
    """The placeholder of what has this digest and title."""
    seed = int(digest[:8], 16)
    layout = seed // formatting.HUES % formatting.LAYOUTS
    return Cover(seed % formatting.HUES, layout, formatting.initials_of(title), formatting.first_words(prompt))


def _open_url(prototype: Prototype) -> str | None:
    """Where the prototype itself opens; None while it is being made."""
    if prototype.state not in AT_REST:
        return None
    web_url = prototype.generation.links.web_url if prototype.generation else None
    return formatting.safe_link(prototype.project_url or web_url)


def _turn_at(prototype: Prototype) -> datetime:
    """When the deletion, or else the turn that is being made, was asked for."""
    generation = prototype.generation
    if generation is None:
        return prototype.created_at
    return generation.deletion_requested_at or generation.turn_at


def _elapsed_text(prototype: Prototype, now: datetime) -> str | None:
    """How long the prototype has been in progress, or how long the last turn took; None: unknown."""
    if prototype.state in IN_PROGRESS:
        return formatting.span(now - _turn_at(prototype))
    generation = prototype.generation
    if (
        generation is None
        or prototype.status not in SETTLED
        or not generation.end_is_known
        or not generation.settled_at
    ):
        return None
    return formatting.span(generation.settled_at - generation.began_at)


def builder_of(prototype: Prototype) -> str:
    """What people call the app builder of a prototype."""
    return BUILDERS.get(prototype.provider, prototype.provider)


def with_builders_name(text: str | None, prototype: Prototype) -> str | None:
    """A sentence about the app builder, with what people call this one."""
    if text is None:
        return None
    name = builder_of(prototype)
    return text.replace("The app builder", name).replace("the app builder", name)


def picture_of(prototype: Prototype) -> str | None:
    """The picture's address on our own origin; None without a picture. The address changes with the picture."""
    generation = prototype.generation
    if generation is not None and generation.picture_etag is not None:
        return f"/prototypes/{prototype.id}/picture?v={formatting.version_of(generation.picture_etag)}"
    return formatting.own_picture(prototype.thumbnail_url, prototype.image_url)


def _bin_until(prototype: Prototype, now: datetime) -> str | None:
    """Until when it can be taken back; None: it is not in the bin."""
    due_at = prototype.generation.deletion_due_at if prototype.generation else None
    return None if due_at is None else f"{formatting.day(due_at, now)}, {due_at:%H:%M} UTC"


def _can_stop(prototype: Prototype) -> bool:
    generation = prototype.generation
    if generation is None or prototype.chat_id is None or generation.follow_up_pending or generation.is_unwanted:
        return False
    return prototype.status in (*UNFINISHED, Status.TIMEOUT)


def owner_of(prototype: Prototype) -> str:
    """Who asked for the prototype, as their token names them."""
    generation = prototype.generation
    return (generation.created_by if generation else None) or prototype.user_id or "Not known"


def note_of(prototype: Prototype, now: datetime) -> str | None:
    """Why the prototype is in its state, and what happens next; None: its label says it all."""
    generation = prototype.generation
    state = prototype.state
    if generation is not None and state is State.IN_BIN:
        return f"It can be taken back until {_bin_until(prototype, now)}. {generation.hold.message or ''}".strip()
    if generation is not None and generation.hold.code == "follow_up_refused" and state is not State.DELETING:
        return generation.hold.message
    if generation is not None and not generation.is_account_known and state is not State.DELETING:
        return NOT_IN_ACCOUNT_MESSAGE if generation.is_in_no_account else LOOKING_MESSAGE
    if state in (State.READY, State.MAKING):
        return _broken_link_note(generation) if generation is not None else None
    if generation is None or state in (State.QUEUED, State.UNTRACKED):
        return STATE_LABELS[state].meaning if state is State.UNTRACKED else None
    if state in (State.FAILED, State.STOPPED):
        return generation.error.message or "The app builder gave no reason."
    if state is State.TIMED_OUT:
        return (generation.hold.message if generation.awaiting_input else None) or STATE_LABELS[state].meaning
    if state is State.UNDECIDED:
        return generation.hold.message or STATE_LABELS[state].meaning
    reason = generation.hold.message or STATE_LABELS[state].meaning
    if (
        generation.submission.next_try_at is not None
        and state in (State.PARKED, State.DELETING)
        and generation.hold.message
    ):
        reason = f"{reason.rstrip('.')}. Next try {formatting.until(generation.submission.next_try_at, now)}."
    return reason


def _broken_link_note(generation: Generation) -> str | None:
    if generation.links.broken_url is None or generation.links.demo_url is not None:
        return None
    left = " Open leads to what is left of it." if generation.links.web_url or generation.links.chat_url else ""
    return f"Its preview no longer opens.{left}"


def _variants_text(number: int) -> str | None:
    if number <= 1:
        return None
    return f"{number}{'+' if number >= VARIANTS else ''} variants"
