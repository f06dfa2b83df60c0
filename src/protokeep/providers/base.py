"""The port every app builder is reached through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from protokeep.core.conversation import Conversation as Conversation
from protokeep.core.conversation import Message as Message
from protokeep.core.errors import ProviderError
from protokeep.core.prototype import Observation

#: How far a builder's clock may be from ours: it dates chats by its own.
CLOCK_SLACK = timedelta(hours=2)


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
class RemoteChat:
    """A chat the builder has: what a create answered, or what a look-up found.

    `metadata` are the metadata entries we sent along, as the builder reports them (empty where it does not).
    `newest_message_id` is the newest message of the chat, where the answer names it.
    """

    chat_id: str
    message_id: str | None = None
    project_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    observation: Observation | None = None
    newest_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class PollTarget:
    """One chat to look at.

    `message_id` None: whatever is newest there. `previous_message_id` and `baseline_message_id` are the version (or
    message) and the last message of earlier turns, which say nothing about this one. `thoroughly`: a second, heavier
    call may be made where the cheap one cannot tell. `individually`: it is an old one, not to be searched for in lists.
    `only_if_listed`: it is told of when a list shows it, and no call is made for it.
    """

    chat_id: str
    message_id: str | None
    created_at: datetime
    previous_message_id: str | None = None
    baseline_message_id: str | None = None
    thoroughly: bool = True
    individually: bool = False
    only_if_listed: bool = False


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a round of looks brought.

    Chats missing from `observations` could not be read this time. `missing` are those the builder does not know;
    `unread` says of single chats what was wrong with their answer. `retry_after` is set when the builder asked for a
    pause (429); `trouble` says in words what is wrong with the account as a whole, if anything is.
    """

    observations: Mapping[str, Observation] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    retry_after: timedelta | None = None
    problem: str | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that was checked to be one."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RegisteredHook:
    """A hook that is registered at the builder."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A chat, or a row of a list, that a search could not read. `chat_id` says where it stood if it has no id."""

    chat_id: str
    reason: str
    created_at: datetime | None = None

    def may_be_of(self, since: datetime) -> bool:
        """Whether it may have been made after `since`; only a chat that is clearly older cannot."""
        return self.created_at is None or self.created_at >= since - CLOCK_SLACK


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for chats brought, and how much it saw.

    `ended`: it met every row of the list, as far as a list can be trusted. `passed`: it stopped early, where rows that
    came newest first had become older than the search needs. `error` is what cut it, if anything did; `rest` is where
    another search goes on, for `Provider.find`. A chat counts as absent only after a search that was `whole`.
    """

    chats: Sequence[RemoteChat] = ()
    ended: bool = False
    passed: bool = False
    skipped: Sequence[Skipped] = ()
    error: ProviderError | None = None
    rest: object | None = None

    @property
    def whole(self) -> bool:
        """Whether a chat that it did not find was in no list at all."""
        return self.ended and not self.skipped

    def whole_since(self, since: datetime) -> bool:
        """The same for a chat that was made after `since`: what was skipped and is older does not matter."""
        return self.ended and not any(one.may_be_of(since) for one in self.skipped)

    @property
    def reached(self) -> bool:
        """Whether it was neither cut nor refused: it saw all that is recent, but perhaps for single chats."""
        return self.ended or self.passed


#: Whether a call that acts may still begin, asked right before its first byte leaves.
MayBegin = Callable[[], bool]
#: Which of these chat ids are in a row already; asked while looking, so that known ones are not read again.
Known = Callable[[Sequence[str]], Awaitable[set[str]]]


class Provider(Protocol):
    """One account at one app builder, in one API version."""

    name: str
    api_version: int
    capabilities: Capabilities

    @property
    def calls(self) -> int:
        """How many calls were made since this object exists, for the account's budget."""
        ...

    async def create(self, prompt: str, marks: Mapping[str, str], *, may_begin: MayBegin | None = None) -> RemoteChat:
        """Begin one generation that carries `metadata` as metadata; answers before it is finished.

        When `may_begin` says no at the last moment, nothing is sent, and `ProviderUnreachable` is raised. Raises
        `ProviderRejected`, `ProviderBusy` or `ProviderUnreachable` when certainly nothing was made, and
        `OutcomeUnknown` in every other case without an id. Never retries by itself.
        """
        ...

    async def observe(self, watched: Sequence[PollTarget], *, calls: int | None = None) -> PollResult:
        """Look at many chats with as few calls as the builder allows, and with no more than about `calls`.

        Does not raise for single chats; what no call was left for is in no part of the answer.
        """
        ...

    def polling_cost(self, chats: int) -> int:
        """About how many calls it takes to look at so many chats."""
        ...

    async def find(
        self,
        wanted: Sequence[Mapping[str, str]],
        *,
        sent_after: datetime,
        known: Known,
        thorough: bool = True,
        calls: int | None = None,
        rest: object | None = None,
    ) -> Search:
        """Chats of this account, made after `sent_after`, that carry all marks of one of `wanted`, without known ones.

        A `thorough` search goes to the end of the list; another one stops where chats become too old. It is cut after
        about so many `calls`; `rest` of a search that was cut, or that was not thorough, makes this one go on there.
        Raises `ProviderError` when it could not look at all; what was found before an error is never lost.
        """
        ...

    async def prompt_of(self, chat_id: str) -> str | None:
        """What a chat was asked for, as far as the builder still tells; None when it does not."""
        ...

    async def delete(self, chat_id: str) -> bool:
        """Delete a chat at the builder. False: it says that there is none, which is no proof of it."""
        ...

    async def recent_chats(self) -> list[str]:
        """Ids of chats that the account shows now, one page of the newest. Raises `ProviderError`."""
        ...

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        """Send a follow-up message into a chat; answers before what it begins is finished.

        `may_begin` and what is raised are as with `create`. Its marks are empty: messages carry none.
        """
        ...

    async def conversation(self, chat_id: str) -> Conversation:
        """What was said in a chat lately. Raises `ProviderError`, with status 404 for a chat that is not there."""
        ...

    async def cancel(self, chat_id: str, message_id: str | None, *, may_begin: MayBegin | None = None) -> bool:
        """Stop what a chat is generating, if `may_begin` still says so at the last moment. False: nothing was running.

        Raises `ProviderError`, with status 404 where the builder does not show the chat or its message.
        """
        ...

    async def picture(self, address: str) -> Image | None:
        """The picture at an address that an observation named. None: there is none that may be shown."""
        ...

    async def costs(self, chats: Sequence[str], *, since: datetime) -> Mapping[str, float]:
        """Credits spent on chats, those of them that the builder tells about; used since `since`."""
        ...

    async def opens(self, address: str) -> bool | None:
        """Whether a preview still opens; None: it cannot be told. The key is not sent along."""
        ...

    async def hooks(self) -> list[RegisteredHook]:
        """The hooks of this account."""
        ...

    async def add_hook(self, name: str, address: str) -> str:
        """Let the builder call `address` whenever something begins or ends. The id of the hook."""
        ...

    async def move_hook(self, hook_id: str, address: str) -> None:
        """Let a hook call another address from now on."""
        ...

    async def remove_hook(self, hook_id: str) -> None:
        """Call no more. One that is not there counts as removed."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
