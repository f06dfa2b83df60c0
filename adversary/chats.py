"""What the adversary's v0 holds: chats, their messages, and which of them can be seen when."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adversary.knobs import Knobs

LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass
class Message:
    """A message of a person, or the assistant's answer to it."""

    id: str
    role: str
    content: str
    at: float
    #: When the answer is finished.
    ends_at: float = 0.0
    stopped: bool = False

    @property
    def finish_reason(self) -> str | None:
        """None while the answer is being generated, and for what a person said."""
        if self.role == "user":
            return None
        return "stop" if self.stopped or time.time() >= self.ends_at else None


@dataclass
class Chat:
    """One chat of the account, of protokeep's making or of somebody else's."""

    id: str
    number: int
    created_at: float
    version: int
    #: What lists and reads show, and what the create carried.
    metadata: dict[str, Any]
    sent_metadata: dict[str, Any]
    foreign: bool = False
    pinned: bool = False
    #: How a read of it fails: `403`, `500`, `oversized`, `malformed`, `not_json`; empty: it does not.
    poison: str = ""
    #: Fields that its rows and details show in place of the true ones.
    shown: dict[str, Any] = field(default_factory=dict)
    deleted_at: float | None = None
    messages: list[Message] = field(default_factory=list)
    versions: list[tuple[str, Message]] = field(default_factory=list)

    def age(self) -> float:
        """Seconds since it was created."""
        return time.time() - self.created_at

    def user_texts(self) -> list[str]:
        """What people said in it, in order."""
        return [message.content for message in self.messages if message.role == "user"]

    def product(self) -> str | None:
        """The product that the create named."""
        product = self.sent_metadata.get("protokeep_product")
        return str(product) if product is not None else None

    def message(self, message_id: str) -> Message | None:
        """One message by its id."""
        return next((message for message in self.messages if message.id == message_id), None)


class Account:
    """All chats that one key sees. The knobs decide what is visible at a moment."""

    def __init__(self, knobs: Knobs, seed: int = 7) -> None:
        self.knobs = knobs
        self.chats: dict[str, Chat] = {}
        self._dice = random.Random(seed)
        self._made = 0

    def ours(self) -> list[Chat]:
        """The chats that protokeep's creates made."""
        return [chat for chat in self.chats.values() if not chat.foreign]

    def new_id(self, prefix: str = "") -> str:
        """An id as v0's look like."""
        return prefix + "".join(self._dice.choices(LETTERS, k=11))

    def create(self, message: str, metadata: dict[str, Any], version: int) -> Chat:
        """Make a chat, as `POST /chats` does."""
        kept = {"dropped": {}, "capitals": {key: str(value).upper() for key, value in metadata.items()}}
        return self._add(message, kept.get(self.knobs.metadata, dict(metadata)), dict(metadata), version, time.time())

    def plant(self, count: int = 1, *, age: float = 60.0, version: int = 2, **about: Any) -> list[Chat]:
        """Put chats of somebody else into the account. `about`: metadata, poison, pinned, shown, message."""
        planted = []
        metadata = about.pop("metadata", {})
        message = about.pop("message", "somebody else's")
        for number in range(count):
            chat = self._add(message, metadata, metadata, version, time.time() - age + number * 0.001)
            chat.foreign = True
            chat.messages[-1].ends_at = chat.created_at
            for name, value in about.items():
                setattr(chat, name, value)
            planted.append(chat)
        return planted

    def add_message(self, chat: Chat, text: str, at: float | None = None) -> Message:
        """Add a person's message and the assistant's answer, which is returned."""
        at = time.time() if at is None else at
        answer = Message(self.new_id("m"), "assistant", "done", at + 0.001, ends_at=at + self.knobs.generation_seconds)
        chat.messages += [Message(self.new_id("m"), "user", text, at), answer]
        chat.versions.append((self.new_id("b"), answer))
        return answer

    def readable(self, chat_id: str) -> Chat | None:
        """The chat, if a read by its id finds it now."""
        chat = self.chats.get(chat_id)
        if chat is None or chat.deleted_at is not None or self.knobs.blackout or chat_id in self.knobs.hidden:
            return None
        return chat if chat.foreign or chat.age() >= self.knobs.read_lag else None

    def listed(self, filters: dict[str, str]) -> list[Chat]:
        """What a list shows now, in its order. `filters`: the search by metadata."""
        if self.knobs.blackout or (filters and self.knobs.search == "empty"):
            return []
        lag = self.knobs.index_lag if filters else self.knobs.list_lag
        shown: Iterable[Chat] = (chat for chat in self.chats.values() if self._is_listed(chat, lag))
        if filters and self.knobs.search == "obeyed":
            shown = (chat for chat in shown if all(chat.metadata.get(key) == value for key, value in filters.items()))
        return self._ordered(list(shown))

    def _add(
        self, message: str, metadata: dict[str, Any], sent: dict[str, Any], version: int, created_at: float
    ) -> Chat:
        self._made += 1
        chat = Chat(self.new_id(), self._made, created_at, version, metadata, sent)
        self.chats[chat.id] = chat
        self.add_message(chat, message, created_at)
        return chat

    def _is_listed(self, chat: Chat, lag: float) -> bool:
        if chat.id in self.knobs.hidden:
            return False
        if chat.deleted_at is not None and time.time() - chat.deleted_at >= self.knobs.deleted_lag:
            return False
        if chat.foreign:
            return True
        return chat.age() >= lag and not any(since <= chat.age() < until for since, until in self.knobs.flicker)

    def _ordered(self, chats: list[Chat]) -> list[Chat]:
        if self.knobs.order == "oldest":
            return sorted(chats, key=lambda chat: chat.number)
        if self.knobs.order == "random":
            self._dice.shuffle(chats)
            return chats
        if self.knobs.order == "pinned":
            return sorted(chats, key=lambda chat: (not chat.pinned, -chat.number))
        return sorted(chats, key=lambda chat: -chat.number)


def instant(at: float, ahead: float = 0.0) -> str:
    """A moment as v0 writes it: UTC, milliseconds, ending in Z."""
    return datetime.fromtimestamp(at + ahead, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def http_date(at: float, ahead: float = 0.0) -> str:
    """A moment as HTTP's headers write it."""
    return datetime.fromtimestamp(at + ahead, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
