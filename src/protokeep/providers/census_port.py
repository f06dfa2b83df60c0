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
    """Everything of a chat that can be read now. `chat` has the fingerprint that the list of its API version shows.

    `metadata` is the chat's, whether or not the list shows it; `chat` carries it, too. `messages` are in the order in
    which they were sent, in the app builder's own form. `files` are those of the newest version that has any: path to
    content, byte for byte.
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

        `position` is JSON, so that another process can go on; `seen` are the chats that this reading has met so far,
        none of an earlier reading. A page may show chats again. Raises `ProviderError`; the same page can be asked for
        again then.
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
        """A chat as it is now with its metadata, in one call, without messages, files and picture.

        Its `chat` has the fingerprint that the list would show. Raises `ProviderError`, with status 404 without a chat.
        """
        ...

    async def copy_chat(self, chat_id: str) -> ChatCopy:
        """A chat with messages, files and picture, in a few calls.

        Raises `ProviderError` if any part of it could not be read, or is too large to be kept.
        """
        ...

    async def make_again(self, copy: ChatCopy, metadata: Mapping[str, str]) -> RemoteChat:
        """Make a new, private chat from the files of a copy, with its name and `metadata`, without its history.

        Raises as `Provider.create`, and `ProviderRejected` with the code `nothing_to_make` for a copy without files.
        """
        ...


def with_census(provider: Provider | None) -> SupportsCensus | None:
    """`provider`, if its accounts can be read whole and cleaned up; otherwise None."""
    return provider if isinstance(provider, SupportsCensus) else None
