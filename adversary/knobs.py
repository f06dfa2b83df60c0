"""The habits and faults that a scenario gives to the adversary's v0."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self


class Operation(StrEnum):
    """One kind of request, the same in both versions of the API."""

    CREATE = "create"
    LIST = "list"
    DETAIL = "detail"
    PATCH = "patch"
    DELETE = "delete"
    SEND = "send"
    STOP = "stop"
    MESSAGES = "messages"
    MESSAGE = "message"
    HOOKS = "hooks"
    OTHER = "other"


@dataclass(frozen=True)
class Fault:
    """What happens to one request. Without any field set, the request is answered as usual."""

    #: Whether the request has its effect. With `status` alone it has: the answer is a lie about what was done.
    act: bool = True
    #: Seconds before and after the effect.
    before: float = 0.0
    after: float = 0.0
    #: Another status; the body then is v0's error object, unless `raw` says otherwise.
    status: int | None = None
    #: The body, byte for byte.
    raw: str | None = None
    #: Fields that the body loses, and fields that it gets.
    without: tuple[str, ...] = ()
    instead: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    #: `Retry-After` as a date so many seconds from this server's own now.
    retry_after_date: float | None = None
    #: The connection is reset: before the request is read on, instead of the answer, in its middle, or after it.
    reset_unread: bool = False
    reset_unanswered: bool = False
    reset_midway: bool = False
    reset_after: bool = False
    #: 100 Continue and 103 Early Hints come first.
    early_hints: bool = False
    #: Seconds between single bytes of the body.
    trickle: float = 0.0


@dataclass
class Rule:
    """Which requests a fault happens to. Counters go down as the rule is used."""

    operation: Operation
    then: Fault
    #: So many requests; -1: all of them.
    times: int = 1
    #: So many requests pass first.
    skip: int = 0
    #: Every so many-th request; 1: each.
    every: int = 1
    #: The share of requests that are hit.
    share: float = 1.0
    #: Only requests whose path holds this text.
    holding: str = ""
    #: Only this page of a walk over a list, from 0.
    page: int | None = None
    seen: int = 0

    @classmethod
    def of(cls, value: dict[str, Any]) -> Self:
        """A rule from JSON, as the control routes take it."""
        then = Fault(**{**value.get("then", {}), "without": tuple(value.get("then", {}).get("without", ()))})
        return cls(**{**value, "operation": Operation(value["operation"]), "then": then})


@dataclass
class Knobs:
    """How this v0 behaves at present. All times are seconds."""

    generation_seconds: float = 2.0
    #: How long a create takes before it acts.
    create_seconds: float = 0.02
    list_seconds: float = 0.0
    detail_seconds: float = 0.0
    #: For so long a new chat is missing: from lists, from the search by metadata, from reads by id.
    list_lag: float = 0.0
    index_lag: float = 0.0
    read_lag: float = 0.0
    #: For so long a new message is missing from the list of messages.
    message_lag: float = 0.0
    #: For so long a deleted chat stays in lists.
    deleted_lag: float = 0.0
    #: Ages between which a chat is missing from lists.
    flicker: list[tuple[float, float]] = field(default_factory=list)
    #: `newest`, `oldest`, `random`, or `pinned`: favourites first, each part newest first.
    order: str = "newest"
    #: The search by metadata: `obeyed`, `ignored` (all chats come), or `empty` (none does).
    search: str = "obeyed"
    #: What becomes of a create's metadata: `kept`, `dropped`, or `capitals`.
    metadata: str = "kept"
    #: So many rows of a page come again on the next one.
    repeated_rows: int = 0
    #: Nothing can be seen: lists are empty, every read by id is a 404. Creates are taken.
    blackout: bool = False
    #: Chats that cannot be seen, by id.
    hidden: list[str] = field(default_factory=list)
    #: How far this server's clock is ahead.
    clock_ahead: float = 0.0
    #: Answers carry fields that no document names.
    unknown_fields: bool = False
    #: A completed version says `pending` every other second.
    flipping_status: bool = False
    #: Deliveries of hooks: `once`, `twice` (the second one late), or `off`.
    hooks: str = "once"
    rules: list[Rule] = field(default_factory=list)

    def turn(self, **values: Any) -> None:
        """Set knobs by name; a name that does not exist is refused."""
        names = {knob.name for knob in fields(self)}
        if unknown := set(values) - names:
            raise ValueError(f"no such knob: {', '.join(sorted(unknown))}")
        for name, value in values.items():
            setattr(self, name, value)
