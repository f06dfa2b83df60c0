"""The state of the emulator, and what follows from it at a given time.

Nothing here runs by itself: whether a generation is finished is computed for the time of the question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from .knobs import FinishReason

Api = Literal["v1", "v2"]
APIS: tuple[Api, Api] = ("v1", "v2")
VersionStatus = Literal["pending", "completed", "failed"]

#: Finish reasons after which v1 shows a version. The others end in a message only.
_WITH_VERSION = ("stop", "error")

#: v0 API v1, DELETE /chats/{chatId}: a deleted chat is kept in the trash for so long.
TRASH_DAYS = 30


@dataclass(slots=True, eq=False)
class Generation:
    """The work behind one assistant message. `outcome` holds from `finish_at` on."""

    outcome: FinishReason
    finish_at: datetime
    version_id: str
    version_at: datetime  #: v1 shows the version from this time on
    stopped: bool = False
    announced: bool = False  #: `message.finished` was delivered

    def finish_reason(self, now: datetime) -> FinishReason | None:
        """v0 API v2, Message.finishReason; None while the generation runs."""
        return self.outcome if now >= self.finish_at else None

    @property
    def has_version(self) -> bool:
        """Whether v1 shows a version for the generation."""
        return self.stopped or self.outcome in _WITH_VERSION

    @property
    def succeeded(self) -> bool:
        """Whether its result can be opened."""
        return self.outcome == "stop" and not self.stopped


@dataclass(slots=True, eq=False)
class Message:
    """One message. An assistant's message has a generation."""

    id: str
    chat_id: str
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime
    sequence: int
    kind: str = "message"  #: v0 API v1, MessageDetail.type
    generation: Generation | None = None
    attachments: list[str] = field(default_factory=list)

    def finish_reason(self, now: datetime) -> FinishReason | None:
        """Why the generation ended; None while it runs, and for a user's message."""
        return self.generation.finish_reason(now) if self.generation else None

    def updated_at(self, now: datetime) -> datetime:
        """The time of the last change, as seen at `now`."""
        if self.generation is not None and now >= self.generation.finish_at:
            return max(self.created_at, self.generation.finish_at)
        return self.created_at


@dataclass(slots=True, frozen=True)
class Version:
    """One state of the generated code, as v1 shows it."""

    id: str
    status: VersionStatus
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, eq=False)
class Chat:
    """One chat of one account in one API version. `account` is a hash, never the key."""

    id: str
    api: Api
    account: str
    message: str
    created_at: datetime
    changed_at: datetime
    listed_at: datetime  #: lists show the chat from this time on
    sequence: int
    privacy: str = "private"
    name: str | None = None
    title: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    project_id: str | None = None
    favorite: bool = False
    forbidden: bool = False  #: a team-mate's private chat: listed, but reading it is refused
    writable: bool = True  #: whether the key may change and delete the chat
    author_id: str | None = None  #: who made the chat; None is the account's own user
    vercel_project_id: str | None = None
    also_in: Api | None = None  #: the other version, where a key sees the chat in both
    files: dict[str, str | bytes] = field(default_factory=dict)
    initial_version_id: str | None = None  #: of a chat that was begun from files, which has no generation
    messages: list[Message] = field(default_factory=list)
    deleted: bool = False
    deleted_at: datetime | None = None

    @property
    def shuffled(self) -> str:
        """A position that does not depend on the age, and is the same on every page."""
        return hashlib.blake2b(self.id.encode(), digest_size=8).hexdigest()

    @property
    def apis(self) -> tuple[Api, ...]:
        """The API versions that show the chat."""
        return (self.api,) if self.also_in is None else (self.api, self.also_in)

    @property
    def shown_name(self) -> str | None:
        """The name that a person gave it, or else the title that v0 made."""
        return self.name or self.title

    def is_in_trash(self, now: datetime) -> bool:
        """Whether the chat is deleted, and a person could still take it back."""
        return self.deleted_at is not None and now < self.deleted_at + timedelta(days=TRASH_DAYS)

    def find_message(self, message_id: str) -> Message | None:
        """The message of that id, or None."""
        return next((message for message in self.messages if message.id == message_id), None)

    def last_reply(self) -> Message | None:
        """The newest assistant message, or None."""
        return next((message for message in reversed(self.messages) if message.role == "assistant"), None)

    def updated_at(self, now: datetime) -> datetime:
        """The time of the last change, as seen at `now`. The end of a generation changes its chat."""
        return max([self.changed_at, *(message.updated_at(now) for message in self.messages[-2:])])

    def last_touched(self, now: datetime) -> str:
        """A position by the time of the last change, as seen at `now`; chats of the same time keep one order."""
        return f"{self.updated_at(now).timestamp():020.6f}-{self.sequence:09d}"

    def versions(self, now: datetime) -> Iterator[Version]:
        """The versions that exist at `now`, newest first."""
        for message in reversed(self.messages):
            generation = message.generation
            if generation is None or not generation.has_version or now < generation.version_at:
                continue
            status: VersionStatus = "pending"
            if now >= generation.finish_at:
                status = "completed" if generation.succeeded else "failed"
            yield Version(generation.version_id, status, message.created_at, message.updated_at(now))
        if self.initial_version_id is not None:
            yield Version(self.initial_version_id, "completed", self.created_at, self.created_at)

    def latest_version(self, now: datetime) -> Version | None:
        """v0 API v1, ChatSummary.latestVersion; None before the first one exists."""
        return next(self.versions(now), None)

    def preview_ready(self, now: datetime) -> bool:
        """Whether there is a preview: a generation has succeeded, or the chat was begun from files."""
        return self.initial_version_id is not None or any(
            message.generation is not None and message.generation.succeeded and now >= message.generation.finish_at
            for message in self.messages
        )

    def status(self, now: datetime) -> str:
        """The status for people: pending, completed, failed, waiting or stopped."""
        reply = self.last_reply()
        if reply is None or reply.generation is None:
            return "completed" if self.initial_version_id else "pending"
        if (reason := reply.finish_reason(now)) is None:
            return "pending"
        if reply.generation.stopped:
            return "stopped"
        return {"stop": "completed", "tool-calls": "waiting"}.get(reason, "failed")


@dataclass(slots=True, eq=False)
class Project:
    """v0 API v1, ProjectDetail."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    privacy: str = "private"
    description: str | None = None
    instructions: str | None = None
    vercel_project_id: str | None = None


@dataclass(slots=True, eq=False)
class Hook:
    """v0 API v1 HookDetail, v2 Webhook. Without `chat_id` it hears of every chat of the account in its version."""

    id: str
    name: str
    events: list[str]
    url: str
    created_at: datetime
    chat_id: str | None = None

    def hears(self, event: str, chat_id: str) -> bool:
        """Whether the hook subscribes to this event of this chat."""
        return event in self.events and self.chat_id in (None, chat_id)


@dataclass(slots=True, eq=False)
class Account:
    """Everything of one key. As at v0, neither API version shows the chats of the other."""

    id: str
    created_at: datetime
    chats: dict[Api, dict[str, Chat]] = field(default_factory=lambda: {"v1": {}, "v2": {}})
    hooks: dict[Api, dict[str, Hook]] = field(default_factory=lambda: {"v1": {}, "v2": {}})
    projects: dict[str, Project] = field(default_factory=dict)
    scopes: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    @property
    def user_id(self) -> str:
        """The one user of the account."""
        return f"user_{self.id}"


def account_id(key: str) -> str:
    """A short hash of a key, which names an account without revealing the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def end_now(generation: Generation, outcome: FinishReason, now: datetime, *, stopped: bool = False) -> None:
    """End a running generation early. v0 does not document the finish reason of a stopped one; here it is `other`."""
    generation.outcome = outcome
    generation.finish_at = now
    generation.version_at = min(generation.version_at, now)
    generation.stopped = stopped


def after(now: datetime, seconds: float) -> datetime:
    """`now` and so many seconds."""
    return now + timedelta(seconds=seconds)
