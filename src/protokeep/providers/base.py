"""The port every app builder is reached through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from protokeep.core.prototype import Observation


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a builder can do, declared rather than discovered by failing."""

    batch_status: bool  #: one call reports the state of many chats
    metadata_search: bool  #: a chat can be found by its marker in one call
    hooks: bool
    delete: bool
    cancel: bool
    picture: bool
    cost: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A chat the builder has: what a create answered, or what a look-up found.

    `marks` are the metadata entries we sent along, as the builder reports them (empty where it does not).
    """

    chat_id: str
    message_id: str | None = None
    project_id: str | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    observation: Observation | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """One chat to look at."""

    chat_id: str
    message_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Looked:
    """What a round of looks brought.

    Chats missing from `observations` could not be read this time. `missing` are those the builder does not know.
    `retry_after` is set when the builder asked for a pause (429); `trouble` says in words what went wrong, if
    anything did.
    """

    observations: Mapping[str, Observation] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    retry_after: timedelta | None = None
    trouble: str | None = None


#: Which of these chat ids are in a row already; asked while looking, so that known ones are not read again.
Known = Callable[[Sequence[str]], Awaitable[set[str]]]


class Provider(Protocol):
    """One account at one app builder, in one API version."""

    name: str
    api_version: int
    capabilities: Capabilities

    async def create(self, prompt: str, marks: Mapping[str, str]) -> Made:
        """Begin one generation that carries `marks` as metadata; answers before it is finished.

        Raises `ProviderRejected`, `ProviderBusy` or `ProviderUnreachable` when certainly nothing was made, and
        `OutcomeUnknown` in every other case without an id. Never retries by itself.
        """
        ...

    async def observe(self, watched: Sequence[Watched]) -> Looked:
        """Look at many chats with as few calls as the builder allows. Does not raise for single chats."""
        ...

    async def find(self, marks: Mapping[str, str], *, sent_after: datetime, known: Known) -> list[Made]:
        """Chats of this account that carry all of `marks`, made after `sent_after`, known ones left out.

        An empty list means that none is listed *now*; lists may lag. Raises `ProviderError` when it could not look.
        """
        ...

    async def prompt_of(self, chat_id: str) -> str | None:
        """What a chat was asked for, as far as the builder still tells; None when it does not."""
        ...

    async def delete(self, chat_id: str) -> None:
        """Delete a chat at the builder. One that is not there counts as deleted."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
