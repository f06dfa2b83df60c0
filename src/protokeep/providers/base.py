"""The port through which every app builder is reached: a small `Provider`, and optional parts that it may support.

A provider that implements `Provider` alone can create prototypes and follow them to their end. `SupportsFollowUps`,
`SupportsHooks` and `SupportsMedia` add messages, webhooks, and pictures with costs. Callers narrow a provider with
`with_follow_ups`, `with_hooks` and `with_media`, which return None where the part is not supported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from protokeep.core.adoption import ListedChat as ListedChat
from protokeep.core.conversation import Conversation as Conversation
from protokeep.core.conversation import Message as Message
from protokeep.core.errors import ProviderError
from protokeep.core.prototype import Observation

#: How far an app builder's clock may differ from ours. Chats are dated by the app builder.
CLOCK_SLACK = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do and its methods do not show. Declared, so that no call has to fail first."""

    batch_status: bool  #: one call reports the state of many chats
    metadata_search: bool  #: one call finds a chat by its metadata
    tracks_messages: bool = False  #: `message_id` names a message of the chat; False: it may name something else
    cost_reports: bool = False  #: costs are read with `SupportsMedia.costs`; False: observations carry them, or nothing


@dataclass(frozen=True, slots=True)
class RemoteChat:
    """A chat at the app builder: the answer to a create or a message, or a find of a search.

    `message_id` names the generation that was begun. `newest_message_id` is the newest message of the chat, if the
    answer names it. `metadata` is what we sent along, as the app builder reports it; empty if it does not.
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
    """One chat whose state is asked for.

    `message_id` None stands for the newest generation of the chat. `previous_message_id` and `baseline_message_id` name
    the version (or message) and the last message of earlier turns, which say nothing about this turn.
    """

    chat_id: str
    message_id: str | None
    created_at: datetime
    previous_message_id: str | None = None
    baseline_message_id: str | None = None
    thoroughly: bool = True  #: a second, heavier call may be made if the cheap call leaves the state open
    individually: bool = False  #: an old chat, which no list is searched for
    only_if_listed: bool = False  #: reported if a list shows the chat; no call is made for it


@dataclass(frozen=True, slots=True)
class PollResult:
    """The answers of one round of polls.

    Chats without an observation could not be read this time. `missing` are chats that the app builder does not know.
    `unreadable` says of single chats what was wrong with their answer. `retry_after` is set when the app builder asked
    for a pause (429). `problem` describes what is wrong with the whole account, for people; None: nothing is.
    """

    observations: Mapping[str, Observation] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    retry_after: timedelta | None = None
    problem: str | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture whose bytes were checked to be one."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RegisteredHook:
    """A webhook as the app builder lists it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A chat, or a row of a list, that a search could not read. Without an id, `chat_id` describes the row."""

    chat_id: str
    reason: str
    created_at: datetime | None = None

    def may_be_newer_than(self, since: datetime) -> bool:
        """Whether the chat may have been created after `since`. False only for a chat that is clearly older."""
        return self.created_at is None or self.created_at >= since - CLOCK_SLACK


@dataclass(frozen=True, slots=True)
class Search:
    """The chats that a search found, and how much of the account it saw.

    `ended`: the search read every row of the list, as far as a list can be trusted. `passed`: it stopped early, after
    the rows, newest first, had become older than it needs. `error` is what cut the search, if anything did.
    `continuation` makes `Provider.find` go on where this search stopped. A chat is absent only if a search was `whole`.
    """

    chats: Sequence[RemoteChat] = ()
    ended: bool = False
    passed: bool = False
    skipped: Sequence[Skipped] = ()
    error: ProviderError | None = None
    continuation: object | None = None

    @property
    def whole(self) -> bool:
        """Whether a chat that the search did not find is in no list at all."""
        return self.ended and not self.skipped

    def whole_since(self, since: datetime) -> bool:
        """Whether the search is whole for chats created after `since`: older chats that it skipped do not matter."""
        return self.ended and not any(skipped.may_be_newer_than(since) for skipped in self.skipped)

    @property
    def reached(self) -> bool:
        """Whether the search saw all recent chats, except for single skipped ones: nothing cut or refused it."""
        return self.ended or self.passed


#: Asked right before the first byte of a call that acts: False means that nothing may be sent any more.
MayBegin = Callable[[], bool]
#: Which of these chat ids have a row already. A search asks it, so that it does not read known chats again.
KnownChats = Callable[[Sequence[str]], Awaitable[set[str]]]


@runtime_checkable
class Provider(Protocol):
    """One account at one app builder, in one version of its API.

    A class that derives from this one inherits the methods that have a body here.
    """

    name: str  #: in rows, routes and settings
    label: str  #: for people
    api_version: int
    capabilities: Capabilities

    @property
    def calls(self) -> int:
        """Calls made since this object exists; the account's budget is charged with them."""
        ...

    async def create(
        self, prompt: str, metadata: Mapping[str, str], *, may_begin: MayBegin | None = None
    ) -> RemoteChat:
        """Begin one generation in a new chat that carries `metadata`. Answers before the generation is finished.

        Sends nothing and raises `ProviderUnreachable` if `may_begin` says no at the last moment. Raises
        `ProviderRejected`, `ProviderBusy` or `ProviderUnreachable` if certainly nothing was created, and
        `OutcomeUnknown` in every other case without an id. Never retries by itself.
        """
        ...

    async def find(
        self,
        filters: Sequence[Mapping[str, str]],
        *,
        sent_after: datetime,
        known: KnownChats,
        thorough: bool = True,
        calls: int | None = None,
        continuation: object | None = None,
    ) -> Search:
        """Find chats created after `sent_after` whose metadata matches one of `filters`, without the `known` ones.

        A `thorough` search reads the list to its end; any other search stops where chats become too old. It is cut
        after about `calls` calls; `continuation` of a search that was cut, or was not thorough, makes it go on there.
        Raises `ProviderError` if nothing could be read. Chats that were found before an error are returned.
        """
        ...

    async def observe(self, targets: Sequence[PollTarget]) -> PollResult:
        """Read the state of many chats, with as few calls as the app builder allows.

        Does not raise for single chats. A chat that was not asked about appears nowhere in the result.
        """
        ...

    async def delete(self, chat_id: str) -> bool:
        """Delete a chat at the app builder. False: it does not know the chat, which proves nothing."""
        ...

    def polling_cost(self, chats: int) -> int:
        """About how many calls it takes to observe that many chats."""
        return chats

    async def prompt_of(self, chat_id: str) -> str | None:
        """The prompt of a chat; None if the app builder does not tell it. Raises `ProviderError`."""
        return None

    async def recent_chats(self) -> Sequence[str]:
        """Ids of the newest chats that the account shows now, one page. Raises `ProviderError`.

        An empty answer is no proof of anything: a missing chat never counts as gone then.
        """
        return ()

    async def aclose(self) -> None:
        """Close the connections."""
        return None


@runtime_checkable
class SupportsFollowUps(Provider, Protocol):
    """A provider that takes further messages into a chat, and can stop a generation."""

    async def send(self, chat_id: str, message: str, *, may_begin: MayBegin | None = None) -> RemoteChat:
        """Send a message into a chat. Answers before the generation that it begins is finished.

        `may_begin` and errors are as with `create`. The result has no metadata, because messages carry none.
        """
        ...

    async def conversation(self, chat_id: str) -> Conversation:
        """The newest messages of a chat. Raises `ProviderError`, with status 404 if the chat is not there."""
        ...

    async def cancel(self, chat_id: str, message_id: str | None, *, may_begin: MayBegin | None = None) -> bool:
        """Stop the generation of a chat, if `may_begin` still allows it at the last moment. False: none was running.

        Raises `ProviderError`, with status 404 if the app builder does not show the chat or its message.
        """
        ...


@runtime_checkable
class SupportsHooks(Provider, Protocol):
    """A provider that calls an address of ours when a generation begins or ends."""

    async def hooks(self) -> list[RegisteredHook]:
        """The hooks of this account."""
        ...

    async def add_hook(self, name: str, address: str) -> str:
        """Register `address` for every chat of the account. Returns the id of the hook."""
        ...

    async def move_hook(self, hook_id: str, address: str) -> None:
        """Let a hook call another address from now on."""
        ...

    async def remove_hook(self, hook_id: str) -> None:
        """Remove a hook. A hook that is not there counts as removed."""
        ...


@runtime_checkable
class SupportsMedia(Provider, Protocol):
    """A provider that hands out pictures, costs and previews of finished prototypes."""

    async def picture(self, address: str) -> Image | None:
        """The picture at an address that an observation named; None if there is none that may be shown.

        Raises `ProviderError` if the picture may be there later.
        """
        ...

    async def costs(self, chats: Sequence[str], *, since: datetime) -> Mapping[str, float]:
        """Credits that these chats used since `since`, by chat id. Chats that no report names are left out."""
        ...

    async def opens(self, address: str) -> bool | None:
        """Whether a preview still opens; None if that cannot be told. The key is not sent along."""
        ...


@dataclass(frozen=True, slots=True)
class Listing:
    """The chats that a list of an account showed. `whole`: all of it was read that was asked for."""

    chats: Sequence[ListedChat] = ()
    whole: bool = False


@runtime_checkable
class SupportsListing(Provider, Protocol):
    """A provider whose list shows chats that we did not make, with their states."""

    async def list_chats(self, chat_ids: Collection[str], *, since: datetime | None, calls: int | None) -> Listing:
        """The account's chats, read until all `chat_ids` were met, or all that may be as young as `since`.

        Cut after about `calls` calls. Raises `ProviderError`.
        """
        ...

    async def chats_of_project(self, project_id: str) -> Sequence[ListedChat]:
        """The chats of a project, newest first; none if the account does not show it. Raises `ProviderError`."""
        ...


def with_listing(provider: Provider | None) -> SupportsListing | None:
    """`provider`, if its list shows states of chats; otherwise None."""
    return provider if isinstance(provider, SupportsListing) else None


def with_follow_ups(provider: Provider | None) -> SupportsFollowUps | None:
    """`provider`, if it takes follow-up messages; otherwise None."""
    return provider if isinstance(provider, SupportsFollowUps) else None


def with_hooks(provider: Provider | None) -> SupportsHooks | None:
    """`provider`, if it has hooks; otherwise None."""
    return provider if isinstance(provider, SupportsHooks) else None


def with_media(provider: Provider | None) -> SupportsMedia | None:
    """`provider`, if it hands out pictures, costs and previews; otherwise None."""
    return provider if isinstance(provider, SupportsMedia) else None
