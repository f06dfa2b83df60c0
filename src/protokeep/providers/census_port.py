"""The optional part of the port that reads whole accounts, copies chats before their deletion, and makes them again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from protokeep.core.census import CensusChat
from protokeep.providers.base import Image, Provider, RemoteChat, Skipped


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Some chats of an account's list. `position` makes `read_account` go on behind them; None: the list has ended.

    `is_broken`: rows may have been missed between two pages, so that the list has to be read again from its beginning.
    """

    chats: Sequence[CensusChat] = ()
    unreadable: Sequence[Skipped] = ()
    position: Mapping[str, Any] | None = None
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class CostsPage:
    """Credits by chat id, as one page of the usage report names them; a chat may be on several pages."""

    credits: Mapping[str, float] = field(default_factory=dict)
    position: str | None = None


@dataclass(frozen=True, slots=True)
class ChatCopy:
    """Everything of a chat that can be read now. `chat` is as the list of this API version shows it.

    `metadata` is the chat's, whether or not the list shows it. `messages` are in the order in which they were sent, in
    the app builder's own form. `files` are those of the newest version: path to content.
    """

    chat: CensusChat
    metadata: Mapping[str, str] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    picture: Image | None = None


@runtime_checkable
class SupportsCensus(Provider, Protocol):
    """A provider whose accounts can be read whole, chat by chat, and cleaned up."""

    async def read_account(self, position: Mapping[str, Any] | None, seen: Collection[str]) -> AccountPage:
        """The next page of the account's whole list; `position` None: the first. One call, rarely two.

        `position` is JSON, so that another process can go on; `seen` are the chats that this reading has met so far.
        Raises `ProviderError`.
        """
        ...

    async def project_names(self) -> Mapping[str, str]:
        """The names of the account's projects by their ids; empty where there are none. Raises `ProviderError`."""
        ...

    async def costs_page(self, position: str | None) -> CostsPage:
        """A page of what the account's chats have cost; `position` None: the first. Raises `ProviderError`."""
        ...

    async def first_prompt(self, chat_id: str) -> str | None:
        """The first message of a chat; None if it has none. Raises `ProviderError`, with status 404 without a chat."""
        ...

    async def read_chat(self, chat_id: str) -> ChatCopy:
        """A chat as it is now, without messages, files and picture where they need calls of their own.

        Its `chat` has the fingerprint that the list would show. Raises `ProviderError`, with status 404 without a chat.
        """
        ...

    async def copy_chat(self, chat_id: str) -> ChatCopy:
        """A chat with messages, files and picture. Raises `ProviderError` if any part of it could not be read."""
        ...

    async def make_again(self, copy: ChatCopy, metadata: Mapping[str, str]) -> RemoteChat:
        """Make a new chat from the files of a copy, with its name and `metadata`. Its history is not carried over.

        Raises as `Provider.create`.
        """
        ...


def with_census(provider: Provider | None) -> SupportsCensus | None:
    """`provider`, if its accounts can be read whole and cleaned up; otherwise None."""
    return provider if isinstance(provider, SupportsCensus) else None
