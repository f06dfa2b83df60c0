"""Knobs that a test sets while the emulator runs: time, outcomes and faults.

The names are the wire names of `PATCH /_sandbox/knobs`. Each use lowers a count (`drop_next_answers`, `times` of a
rule), so `GET /_sandbox/knobs` shows how many uses are left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

FinishReason = Literal["stop", "error", "tool-calls", "content-filter", "length", "other"]
ListOrder = Literal["newest", "oldest", "random", "favorites", "updated"]
EditKind = Literal["create", "delete", "rename", "favorite", "write", "share", "keep", "link"]
Hold = bool | Literal["before", "after"]

#: Ten years, so that every instant that is computed with it exists.
MAX_SECONDS = 10 * 365 * 86_400
#: The most bytes that a rule answers with.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
#: The most rules of one kind.
MAX_RULES = 1000

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]
Words = Annotated[str, Field(max_length=1000)]
#: The value of a header of an answer.
HeaderValue = Annotated[str, Field(max_length=1000, pattern=r"^[\t -~\x80-\xff]*$")]
HeaderName = Annotated[str, Field(max_length=100, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]


class UnknownKnob(ValueError):
    """A knob does not exist, or cannot have the value. The message names the knob."""


class Rule(BaseModel):
    """The requests that a fault applies to, and how often.

    `operation` is an operation id of v0's documents (`chats.createAsync`), of either version unless it starts
    with `v1:` or `v2:`; `*` stands for any run of characters. `times=None` means always. `after` requests that match,
    and that no earlier rule has taken, pass first.
    """

    model_config = ConfigDict(extra="forbid")

    operation: Annotated[str, Field(max_length=200)] = "*"
    times: Annotated[int, Field(ge=0)] | None = 1
    after: Annotated[int, Field(ge=0)] = 0

    def matches(self, api: str, operation: str) -> bool:
        """Whether the rule still applies and names this operation."""
        version, colon, pattern = self.operation.rpartition(":")
        return self.times != 0 and (not colon or version == api) and fnmatchcase(operation, pattern)


class FailRule(Rule):
    """Answer `status` in the version's error shape, with `Retry-After` when `retry_after` is given."""

    status: Annotated[int, Field(ge=400, le=599)] = 500
    retry_after: float | HeaderValue | None = None
    message: Words | None = None


class DropRule(Rule):
    """Close the connection without an answer: after acting, or (`acts=False`) instead of acting."""

    acts: bool = True


class AnswerRule(Rule):
    """Answer something that v0 would not: HTML, cut JSON, a redirect, ten megabytes, one byte at a time.

    The body is `body`, `repeat` times. With `trickle_seconds` it is sent in pieces over that time.
    """

    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: str = ""
    content_type: HeaderValue = "application/json"
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=100)] = {}
    acts: bool = False
    repeat: Annotated[int, Field(ge=1)] = 1
    trickle_seconds: Seconds = 0.0

    @model_validator(mode="after")
    def _bounded(self) -> AnswerRule:
        if 4 * len(self.body) * self.repeat > MAX_ANSWER_BYTES:  # A character has four bytes at most.
            raise ValueError(f"body, repeat: an answer has at most {MAX_ANSWER_BYTES // 4:,} characters")
        return self


class HideRule(BaseModel):
    """Hides chats that exist: reads, stops and deletions answer 404, and lists leave them out.

    `chat` is an id, or `*` for all chats. `until` is a time of the sandbox's clock; null: always. With `listed` lists
    show the chat all the same. With `messages_only` only a message that is read by its id is hidden.
    """

    model_config = ConfigDict(extra="forbid")

    chat: Annotated[str, Field(max_length=200)] = "*"
    until: AwareDatetime | None = None
    listed: bool = False
    messages_only: bool = False

    def hides(self, chat_id: str, now: datetime, view: Literal["chat", "message", "row"]) -> bool:
        """Whether the rule hides this chat, a message of it by its id, or its row in lists, at `now`."""
        named = self.chat in ("*", chat_id) and (view == "message" or not self.messages_only)
        return named and (self.until is None or now < self.until) and not (view == "row" and self.listed)


R = TypeVar("R", bound=Rule)


def use_rule(rules: list[R], api: str, operation: str, condition: Callable[[R], bool] = lambda _: True) -> R | None:
    """Use the first rule for this operation that meets `condition`. None: there is no such rule."""
    for rule in rules:
        if condition(rule) and rule.matches(api, operation):
            if rule.after > 0:
                rule.after -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    rules.remove(rule)
            return rule
    return None


class Knobs(BaseModel):
    """Every knob with its default: a v0 without faults that generates for a few seconds."""

    model_config = ConfigDict(extra="forbid")

    # Time. `accept_seconds`, `slow_seconds` and `trickle_seconds` are real time; all others follow the sandbox's clock.
    generation_seconds: Seconds | tuple[Seconds, Seconds] = 8.0
    queue_seconds: Seconds = 0.0  #: v1: a generation has no version for so long
    accept_seconds: Seconds = 0.0  #: a request that starts a generation acts at once and is answered after this
    slow_seconds: Seconds = 0.0  #: delay of every answer
    list_delay_seconds: Seconds = 0.0  #: lists leave a new chat out for so long; reading it by id works
    read_delay_seconds: Seconds = 0.0  #: reading a new chat answers 404 for so long
    clock_skew_seconds: Annotated[float, Field(ge=-MAX_SECONDS, le=MAX_SECONDS)] = (
        0.0  #: added to every time in an answer
    )

    # Outcomes, drawn when a generation starts.
    finish_reason: FinishReason = "stop"
    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0  #: share of `stop` that becomes `error`

    # Faults.
    down: bool = False  #: every connection is closed, except those to /_sandbox
    hold_creates: Hold = False  #: creates wait: True or "before" until they act, "after" until they answer
    drop_next_answers: Annotated[int, Field(ge=0)] = 0  #: the next n creates act, and get no answer
    drop_every: Annotated[int, Field(ge=0)] = 0  #: every n-th create acts, and gets no answer; 0: none
    drop_next: Annotated[list[DropRule], Field(max_length=MAX_RULES)] = []
    fail_next: Annotated[list[FailRule], Field(max_length=MAX_RULES)] = []  #: the request does not act
    fail_after_acting: Annotated[list[FailRule], Field(max_length=MAX_RULES)] = []
    answer_next: Annotated[list[AnswerRule], Field(max_length=MAX_RULES)] = []
    hide: Annotated[list[HideRule], Field(max_length=MAX_RULES)] = []
    list_order: ListOrder = "newest"  #: v2 has no favorites, and lists the newest chats first then
    edit_every: Annotated[int, Field(ge=0)] = 0  #: before every n-th request of an account somebody edits a chat; 0: no
    edit_kinds: Annotated[list[EditKind], Field(min_length=1, max_length=MAX_RULES)] = list(get_args(EditKind))
    edit_seed: int = 0  #: draws which chat is edited, and how
    ignore_filter: bool = False  #: v2: lists ignore the metadata filter
    scopes: Annotated[list[Words], Field(max_length=MAX_RULES)] | None = (
        None  #: the scopes of v1 /user/scopes; None: every scope that a request has named
    )

    # Hooks.
    hooks_enabled: bool = True
    drop_hooks: Annotated[int, Field(ge=0)] = 0  #: the next n deliveries are lost
    duplicate_hooks: bool = False  #: every delivery is made twice

    @model_validator(mode="after")
    def _ordered(self) -> Knobs:
        if isinstance(self.generation_seconds, tuple) and self.generation_seconds[0] > self.generation_seconds[1]:
            raise ValueError("generation_seconds: low is greater than high")
        return self

    def hides(self, chat_id: str, now: datetime, view: Literal["chat", "message", "row"] = "chat") -> bool:
        """Whether any rule hides this chat, a message of it by its id, or its row in lists, at `now`."""
        return any(rule.hides(chat_id, now, view) for rule in self.hide)

    def changed(self, changes: dict[str, Any]) -> Knobs:
        """A copy with these changes. Raises `UnknownKnob`."""
        unknown = sorted(set(changes) - set(type(self).model_fields))
        if unknown:
            raise UnknownKnob(f"unknown knob: {', '.join(unknown)}")
        try:
            return type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise UnknownKnob(explain(error)) from error


def explain(error: ValidationError) -> str:
    """One line that tells which values are wrong, and why."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}" for problem in problems
    )


def as_json(knobs: Knobs) -> dict[str, Any]:
    """The knobs as `GET /_sandbox/knobs` shows them."""
    values: dict[str, Any] = json.loads(knobs.model_dump_json())
    return values
