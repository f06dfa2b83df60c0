"""What both versions of v0's API have in common when whole accounts are read: rows as census chats, and the way back.

A list can hide a chat for as long as somebody works in the account: a chat that moves from the part that is still to
be read to the part that was read is on no page. So the first rows are remembered, and the list is read from its
beginning once more, down to a remembered row that did not move: what moved up stands above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from protokeep.core.census import PROMPT_KEPT, CensusChat
from protokeep.core.errors import ProviderRejected
from protokeep.core.foreign_text import one_line, visible
from protokeep.providers.base import Skipped
from protokeep.providers.v0_fields import (
    MAX_ENTRIES,
    MAX_ENTRY,
    id_of,
    identifier,
    instant,
    prompt,
    text,
)

#: Longer names are cut.
MAX_NAME = 500
#: Rows at the beginning of a list that are remembered. One of them has to stay unchanged while the list is read.
ANCHORS = 40
#: Remembered rows that may have changed in a list that counts as calm.
MAX_MOVED = 3
#: How often the beginning of a list is read once more.
MAX_ROUNDS = 6
#: Pages of one reading. A list of v2 that is longer has 500,000 chats.
MAX_ACCOUNT_PAGES = 5000
#: The beginning of the usage reports that are asked for: v0 did not exist before.
FIRST_USAGE = "2020-01-01T00:00:00.000Z"


@dataclass(slots=True)
class Reading:
    """How far a reading of a list is, as JSON values: another process can go on with it."""

    pages: int = 0
    idle: int = 0  #: pages in a row that showed nothing new
    round: int = 0  #: 0: the list is read to its end; later: its beginning is read once more
    round_pages: int = 0  #: pages of this later round
    found_old: bool = False  #: this later round showed a chat that is not younger than those of the first, and unmet
    moved: int = 0  #: remembered rows that changed, as this later round shows
    anchors: dict[str, str] = field(default_factory=dict)  #: by chat id: what the first rows told
    by_creation: bool = True  #: all rows so far came in the order of their creation, either way
    by_update: bool = True  #: all rows so far came in the order of their last change, newest first
    newest_first: bool | None = None  #: the direction of `by_creation`; None: no two rows showed it
    created: str | None = None  #: of the row before
    updated: str | None = None
    youngest: str | None = None  #: when the youngest chat of the first round was created

    @classmethod
    def of(cls, position: Mapping[str, Any] | None) -> Self:
        """The reading at a position that `as_position` made; None: a new reading."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in (position or {}).items() if name in known})

    def as_position(self) -> dict[str, Any]:
        """The reading as JSON values."""
        return asdict(self)

    def note(self, chats: Sequence[CensusChat]) -> None:
        """Take the rows of the next page of the first reading, in their order."""
        for chat in chats:
            if len(self.anchors) < ANCHORS and not chat.is_favorite:
                self.anchors[chat.chat_id] = _told(chat)
            self._note_order(chat.created_at, chat.updated_at)

    @property
    def moves_nothing(self) -> bool:
        """Whether the list is visibly in the order of creation, and not of changes, so that no row can move in it."""
        return self.by_creation and self.newest_first is not None and not self.by_update

    def note_again(self, chats: Sequence[CensusChat], seen: Collection[str]) -> None:
        """Take the rows of the next page of a later round; `seen` are the chats that were met before it."""
        self.round_pages += 1
        old = (chat.chat_id for chat in chats if (_as_text(chat.created_at) or "") <= (self.youngest or ""))
        self.found_old = self.found_old or is_new(old, seen)
        self.moved += sum(self.anchors.get(chat.chat_id, told) != told for chat in chats if (told := _told(chat)))

    def is_settled(self, chats: Sequence[CensusChat]) -> bool:
        """Whether a page of a later round shows a remembered row that did not change: no row below it has moved.

        In a list in which many rows change, rows may move twice: it is read to its end again.
        """
        is_calm = self.moved <= MAX_MOVED
        return not self.anchors or (is_calm and any(self.anchors.get(chat.chat_id) == _told(chat) for chat in chats))

    @property
    def needs_another_round(self) -> bool:
        """Whether rows may have moved while this later round was read: it took several pages, and found chats."""
        return self.round_pages > 1 and self.found_old

    def begin_round(self) -> bool:
        """Begin to read the list's beginning once more. False: that was done too often."""
        self.round += 1
        self.round_pages, self.found_old, self.moved, self.idle = 0, False, 0, 0
        return self.round <= MAX_ROUNDS

    def _note_order(self, created_at: datetime | None, updated_at: datetime | None) -> None:
        created, updated = _as_text(created_at), _as_text(updated_at)
        self.youngest = max(filter(None, (self.youngest, created)), default=None)
        if created is None or updated is None:
            self.by_creation = False
            return
        if self.created is not None and created != self.created:
            newest_first = created < self.created
            self.by_creation = self.by_creation and self.newest_first in (None, newest_first)
            self.newest_first = newest_first
        if self.updated is not None and updated > self.updated:
            self.by_update = False
        self.created, self.updated = created, updated


def _told(chat: CensusChat) -> str:
    return chat.fingerprint[:12]


def _as_text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment else None


def is_new(ids: Iterable[str], seen: Collection[str], met: Collection[str] = ()) -> bool:
    """Whether any of the ids of a page was not met before."""
    return any(chat_id not in seen and chat_id not in met for chat_id in ids)


def skipped_row(row: Any) -> Skipped:
    """A row that cannot be read, described for people."""
    created = instant(row.get("createdAt")) if isinstance(row, dict) else None
    chat_id = id_of(row)
    if chat_id is not None:
        return Skipped(chat_id, "Its metadata could not be read.", created)
    if row is None:
        return Skipped("(a row that is too large)", "Its row in the list was too large to be read.", created)
    return Skipped("(a row without an id)", "Its row in the list could not be read.", created)


def name_in(row: Mapping[str, Any], *keys: str) -> str:
    """The first name of a row that is one, as one line that can be shown; empty without any."""
    names = (one_line(value, MAX_NAME) for key in keys if isinstance(value := row.get(key), str))
    return next((name for name in names if name), "")


def word_in(row: Mapping[str, Any], key: str) -> str | None:
    """A short word of v0's, such as `private`, that can be shown; None: there is none."""
    value = text(row.get(key), 50)
    return one_line(value) if value else None


def flag_in(row: Any, key: str) -> bool | None:
    """A value that is true or false; None: it is neither."""
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, bool) else None


def metadata_in(row: Mapping[str, Any]) -> dict[str, str] | None:
    """All metadata of a chat, whoever wrote it; None: it cannot be read."""
    metadata = row.get("metadata")
    if not isinstance(metadata, dict):
        return None
    entries = [(key, value) for key, value in metadata.items() if text(key, MAX_ENTRY) and text(value, MAX_ENTRY)]
    return dict(entries[:MAX_ENTRIES])


def common_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a census chat that both versions name in the same way."""
    return {
        "author_id": identifier(row.get("authorId")),
        "created_at": instant(row.get("createdAt")),
        "updated_at": instant(row.get("updatedAt")),
        "privacy": word_in(row, "privacy"),
        "vercel_project_id": identifier(row.get("vercelProjectId")),
    }


def first_prompt_in(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The oldest message of a person among rows that come newest first, cut to `PROMPT_KEPT` characters.

    None: there is none. A prompt that we could have sent comes as we keep it, so that the two can be compared.
    """
    written = [row.get("content") for row in messages if row.get("role") == "user"]
    oldest = written[-1] if written else None
    if not isinstance(oldest, str):
        return None
    return (prompt(oldest) or visible(oldest[: 2 * PROMPT_KEPT]).strip())[:PROMPT_KEPT] or None


def nothing_to_make() -> ProviderRejected:
    """The error for a copy without files: v0 makes no chat of nothing, and nothing was sent."""
    return ProviderRejected(
        "The copy holds no files, so no chat can be made from it. Its messages stay readable in the copy.",
        code="nothing_to_make",
    )
