"""What a test can turn while the emulator runs: time, outcomes and faults.

The names are the wire names of `PATCH /_sandbox/knobs`. A count (`drop_next_answers`, `times` of a rule)
goes down as it is used, so `GET /_sandbox/knobs` shows what is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

FinishReason = Literal["stop", "error", "tool-calls", "content-filter", "length", "other"]
ListOrder = Literal["newest", "oldest", "random", "favorites"]
Hold = bool | Literal["before", "after"]

Seconds = Annotated[float, Field(ge=0)]


class UnknownKnob(ValueError):
    """A knob that does not exist, or a value that it cannot take; the message names the knob."""


class Rule(BaseModel):
    """Which requests a fault applies to, and how often.

    `operation` is an operation id of v0's documents (`chats.createAsync`), of either version unless it starts
    with `v1:` or `v2:`; `*` stands for any run of characters. `times=None` means for ever.
    """

    model_config = ConfigDict(extra="forbid")

    operation: str = "*"
    times: Annotated[int, Field(ge=0)] | None = 1

    def matches(self, api: str, operation: str) -> bool:
        """Whether the rule still applies and names this operation."""
        version, colon, pattern = self.operation.rpartition(":")
        return self.times != 0 and (not colon or version == api) and fnmatchcase(operation, pattern)


class FailRule(Rule):
    """Answer `status` in the version's error shape, with `Retry-After` when `retry_after` is given."""

    status: Annotated[int, Field(ge=400, le=599)] = 500
    retry_after: float | str | None = None
    message: str | None = None


class DropRule(Rule):
    """Close the connection without an answer: after acting, or (`acts=False`) instead of acting."""

    acts: bool = True


class AnswerRule(Rule):
    """Answer something that is not v0's: HTML, cut JSON, a redirect, ten megabytes, one byte at a time.

    The body is `body` repeated `repeat` times. With `trickle_seconds` it goes out in pieces over that time.
    """

    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    acts: bool = False
    repeat: Annotated[int, Field(ge=1)] = 1
    trickle_seconds: Seconds = 0.0


class HideRule(BaseModel):
    """Chats that are there and that nobody sees: reads, stops and deletions answer 404, lists leave them out.

    `chat` is an id, `*` stands for all; `until` is an instant of the sandbox's clock (null: for ever). With `listed`
    lists show it all the same. With `messages_only` the chat and the list of its messages are shown, and only a message
    read by its id is not.
    """

    model_config = ConfigDict(extra="forbid")

    chat: str = "*"
    until: AwareDatetime | None = None
    listed: bool = False
    messages_only: bool = False

    def hides(self, chat_id: str, now: datetime, what: Literal["chat", "message", "row"]) -> bool:
        """Whether it hides this chat, its messages, or its row in lists, at `now`."""
        named = self.chat in ("*", chat_id) and (what == "message" or not self.messages_only)
        return named and (self.until is None or now < self.until) and not (what == "row" and self.listed)


R = TypeVar("R", bound=Rule)


def use_rule(rules: list[R], api: str, operation: str, such: Callable[[R], bool] = lambda _: True) -> R | None:
    """The first such rule for this operation, used once; None if there is none."""
    for rule in rules:
        if such(rule) and rule.matches(api, operation):
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    rules.remove(rule)
            return rule
    return None


class Knobs(BaseModel):
    """Every knob with its default: an obedient v0 that takes a few seconds to generate."""

    model_config = ConfigDict(extra="forbid")

    # Time. Generation and list delay follow the sandbox's clock; accept, slow and trickle are real seconds.
    generation_seconds: Seconds | tuple[Seconds, Seconds] = 8.0
    queue_seconds: Seconds = 0.0  #: v1: how long a generation has no version at all
    accept_seconds: Seconds = 0.0  #: what starts a generation acts at once and answers after this
    slow_seconds: Seconds = 0.0  #: every answer comes this much later
    list_delay_seconds: Seconds = 0.0  #: a new chat is missing from lists for so long; reading it by id works
    read_delay_seconds: Seconds = 0.0  #: a new chat reads as 404 for so long
    clock_skew_seconds: float = 0.0  #: added to every instant in an answer

    # Outcomes, drawn when a generation starts.
    finish_reason: FinishReason = "stop"
    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0  #: share of `stop` that becomes `error`

    # Faults.
    down: bool = False  #: every connection is closed, except those to /_sandbox
    hold_creates: Hold = False  #: creates wait: True or "before" until they act, "after" until they answer
    drop_next_answers: Annotated[int, Field(ge=0)] = 0  #: the next n creates act, then the connection closes
    drop_every: Annotated[int, Field(ge=0)] = 0  #: every n-th create acts, then the connection closes; 0: none
    drop_next: list[DropRule] = []
    fail_next: list[FailRule] = []  #: the request does not act
    fail_after_acting: list[FailRule] = []
    answer_next: list[AnswerRule] = []
    hide: list[HideRule] = []
    list_order: ListOrder = "newest"  #: v2 knows no favorites, and lists the newest first then
    ignore_filter: bool = False  #: v2: lists hold everybody's chats, whatever metadata was asked for
    scopes: list[str] | None = None  #: what v1 /user/scopes names; None means every scope that was asked with

    # Hooks.
    hooks_enabled: bool = True
    drop_hooks: Annotated[int, Field(ge=0)] = 0  #: the next n deliveries are lost
    duplicate_hooks: bool = False  #: every delivery is made twice

    @model_validator(mode="after")
    def _ordered(self) -> Knobs:
        if isinstance(self.generation_seconds, tuple) and self.generation_seconds[0] > self.generation_seconds[1]:
            raise ValueError("generation_seconds: low is greater than high")
        return self

    def hides(self, chat_id: str, now: datetime, what: Literal["chat", "message", "row"] = "chat") -> bool:
        """Whether nobody sees this chat, a message of it by its id, or its row in lists, at `now`."""
        return any(rule.hides(chat_id, now, what) for rule in self.hide)

    def changed(self, changes: dict[str, Any]) -> Knobs:
        """A copy with these changes. Raises `UnknownKnob`, and nothing has changed then."""
        unknown = sorted(set(changes) - set(type(self).model_fields))
        if unknown:
            raise UnknownKnob(f"unknown knob: {', '.join(unknown)}")
        try:
            return type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise UnknownKnob(explain(error)) from error


def explain(error: ValidationError) -> str:
    """One line that names what is wrong and where."""
    first = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['msg']}" for one in first[:5])


def as_json(knobs: Knobs) -> dict[str, Any]:
    """The knobs as `GET /_sandbox/knobs` shows them."""
    shown: dict[str, Any] = json.loads(knobs.model_dump_json())
    return shown
