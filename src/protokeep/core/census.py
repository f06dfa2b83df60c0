"""What a census knows of the chats of an account: each chat as its lists show it, what it is, and who has claimed it.

A census reads the lists of one account and writes nothing there. What a list did not tell stays None: it is not known.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

#: Prompts are compared and shown up to here.
PROMPT_KEPT = 20_000
#: A chat with this word in its name, or in a key or value of its metadata, is never deleted.
KEEP_WORD = "keep"


class ChatContent(StrEnum):
    """What a chat holds, as far as the account's lists tell it."""

    FINISHED = "finished"  #: its newest version is complete
    GENERATING = "generating"
    FAILED = "failed"  #: its newest version failed
    EMPTY = "empty"  #: it has no version
    UNTOLD = "untold"  #: the lists that show it do not tell (v2)
    UNREADABLE = "unreadable"  #: its row could not be read


#: What a chat that can stand for its group may hold.
USABLE = frozenset({ChatContent.FINISHED, ChatContent.UNTOLD})


class Claim(StrEnum):
    """Who has a claim to a chat."""

    OURS = "ours"  #: it is the chat of a prototype of this workspace
    SURPLUS = "surplus"  #: a second chat that was made for a prototype of this workspace
    LOST = "lost"  #: it carries a signed mark of this workspace, and no prototype has it
    FOREIGN = "foreign"  #: it belongs to another workspace or another installation of protokeep: nothing of it is shown
    NOBODY = "nobody"  #: no product has claimed it


@dataclass(frozen=True, slots=True)
class CensusChat:
    """One chat of an account as its lists show it. `api_version`: that of the list, which also reads and deletes it.

    Names, ids and addresses have passed the rules of `core.foreign_text`. `privacy` is the app builder's own word.
    """

    chat_id: str
    api_version: int
    content: ChatContent = ChatContent.UNTOLD
    name: str = ""
    author_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    privacy: str | None = None
    is_favorite: bool | None = None
    may_delete: bool | None = None
    project_id: str | None = None
    vercel_project_id: str | None = None
    version_id: str | None = None
    metadata: Mapping[str, str] | None = None
    web_url: str | None = None
    demo_url: str | None = None
    picture_url: str | None = None  #: the app builder's address of its picture, which needs the key

    @property
    def fingerprint(self) -> str:
        """A digest of what the list of its API version tells about changes: another one means that the chat changed.

        Metadata counts in v2 only, because v1's list does not show it.
        """
        metadata = sorted((self.metadata or {}).items()) if self.api_version >= 2 else None
        told = [
            self.updated_at.isoformat() if self.updated_at else None,
            self.version_id,
            self.content.value,
            self.name,
            self.privacy,
            self.is_favorite,
            self.project_id,
            self.vercel_project_id,
            metadata,
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def asks_to_be_kept(self) -> bool:
        """Whether somebody wrote `keep`, as a word of its own, into the chat's name or its metadata."""
        texts = [self.name, *(text for pair in (self.metadata or {}).items() for text in pair)]
        return any(KEEP_WORD in _words(text) for text in texts)


def _words(text: str) -> list[str]:
    """The words of a text, in whatever form of their letters they were written: full-width, or with soft hyphens."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = (letter for letter in plain if unicodedata.category(letter) != "Cf")
    return "".join(letter if letter.isalnum() else " " for letter in seen).split()


class ChatKind(StrEnum):
    """What a chat is within its group."""

    CURRENT = "current"  #: the chat in the product's slot
    VARIANT = "variant"  #: another chat that was made for the same product
    DUPLICATE = "duplicate"  #: the same request once more; the best chat of the group stays
    FAILED = "failed"
    EMPTY = "empty"
    FOREIGN = "foreign"
    UNDECIDED = "undecided"  #: it is still being generated, or cannot be read
    SINGLE = "single"  #: nothing is the same as it


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """A chat with what protokeep knows of it beside its list: claim, prompt, costs, group, pin, sightings."""

    chat: CensusChat
    claim: Claim = Claim.NOBODY
    prompt: str | None = None  #: its first message, up to `PROMPT_KEPT` characters; None: it was not read
    credits: float | None = None  #: what it has cost, as the app builder reports it
    group_id: str | None = None
    kind: ChatKind | None = None
    product_id: str | None = None  #: the product whose prototype it is, or that its group points to
    mockup_id: str | None = None  #: the prototype whose chat it is
    pinned_by: str | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    is_missing: bool = False  #: the newest whole census did not show it, or a plan deleted it


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """A product of the workspace that chats may have been made for. `prompts`: first messages of its prototypes."""

    product_id: str
    name: str | None = None
    prompts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ChatGroup:
    """Chats that are the same request, or one chat that something ties to a product.

    `confidence` is that of the weakest link that holds it together. `reasons` are sentences, strongest first.
    `product_id` None: nothing points to a product. `product_confidence` is how surely it is that product. `copies`: its
    parts of two chats or more that are held together by automatic confidence; one of each part is enough.
    """

    id: str
    chat_ids: tuple[str, ...]
    confidence: float
    reasons: tuple[str, ...]
    product_id: str | None = None
    product_confidence: float = 0.0
    copies: tuple[tuple[str, ...], ...] = ()


class CensusState(StrEnum):
    """How far a census is."""

    RUNNING = "running"
    PAUSED = "paused"  #: the app builder or the budget asks for a pause; it goes on by itself
    DONE = "done"
    FAILED = "failed"  #: it cannot go on without a person; `problem` says why
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Census:
    """One reading of an account.

    `is_whole`: it reads the lists to their ends; otherwise it stops where a page is wholly known and unchanged.
    `position` is where it goes on, as JSON values that the parts of the census understand.
    """

    id: str
    workspace_id: str
    account: str
    state: CensusState
    is_whole: bool
    requested_by: str
    started_at: datetime
    step_at: datetime | None = None  #: when its next step is due
    finished_at: datetime | None = None
    phase: str = ""  #: what is being read, for people
    position: Mapping[str, Any] = field(default_factory=dict)
    calls: int = 0
    chats: int = 0  #: chats that it has seen so far
    expected: int | None = None  #: chats that the census before it saw
    problem: str | None = None
    version: int = 0  #: grows with each change; guards writes
