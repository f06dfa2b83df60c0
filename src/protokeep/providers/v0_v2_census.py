"""The accounts of v0's API v2 (v0's openapi.v2.json), read whole, copied and made again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from protokeep.core.census import CensusChat
from protokeep.core.errors import OutcomeUnknown, ProviderRejected
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.base import RemoteChat
from protokeep.providers.census_port import AccountPage, ChatCopy, CostsPage
from protokeep.providers.v0_census import (
    FIRST_USAGE,
    MAX_ACCOUNT_PAGES,
    Reading,
    common_fields,
    first_prompt_in,
    flag_in,
    is_new,
    metadata_in,
    name_in,
    nothing_to_make,
    skipped_row,
)
from protokeep.providers.v0_common import V0Common, newest_first, unreadable_message
from protokeep.providers.v0_fields import amount, id_of, identifier, instant, link, list_in, missing_id, segment, text
from protokeep.providers.v0_files import (
    MAX_ARCHIVE_BYTES,
    FileSet,
    bytes_of_base64,
    bytes_of_text,
    files_in_zip,
    inline,
    rows_of_files,
    texts_of,
    zip_url_of,
)
from protokeep.providers.v0_http import TOO_LARGE
from protokeep.providers.v0_v2_list import page_of, sized_page
from protokeep.providers.v0_walks import MAX_REPEATED, ids_of

#: Rows of one page of the usage events.
EVENTS_PAGE = 100
#: Messages of one chat that are read.
MAX_MESSAGES = 2000
#: Files that `POST /chats/from-files` takes.
MAX_INLINE_FILES = 20
#: Statuses by which v0 refuses a cursor, because it has forgotten it or never knew it.
CURSOR_REFUSED = (400, 404, 410, 422)


@dataclass(slots=True)
class CursorReading(Reading):
    """A reading page after page by cursor. `cursors` are short digests of those that were followed."""

    cursor: str | None = None
    cursors: list[str] = field(default_factory=list)

    def follow(self, cursor: str) -> bool:
        """Go on at a cursor. False: it was followed before."""
        digest = hashlib.sha256(cursor.encode()).hexdigest()[:12]
        is_first = digest not in self.cursors
        self.cursor = cursor
        self.cursors.append(digest)
        return is_first

    def begin_again(self) -> None:
        """Go on at the beginning of the list."""
        self.is_again, self.idle, self.cursor, self.cursors = True, 0, None, []


class V0V2Census(V0Common):
    """What API v2 does for censuses and clean-ups. Its lists tell neither status nor favourites, and know no projects.

    The order of `GET /chats` is not documented.
    """

    api_version = 2

    async def read_account(self, position: Mapping[str, Any] | None, seen: Collection[str]) -> AccountPage:
        """`GET /chats`, 100 rows a page. The beginning is read again where the list is not seen to keep its order."""
        reading = CursorReading.of(position)
        try:
            page = await page_of(self._http, {}, reading.cursor)
        except ProviderRejected as error:
            if reading.cursor is None or error.status not in CURSOR_REFUSED:
                raise
            return AccountPage(is_broken=True)
        rows = page["chats"]
        chats = [chat for row in rows if (chat := self._census_chat(row)) is not None]
        readable = {chat.chat_id for chat in chats}
        unreadable = [skipped_row(row) for row in rows if id_of(row) not in readable]
        reading.pages += 1
        reading.idle = 0 if reading.is_again or is_new(ids_of(rows), seen) else reading.idle + 1
        if not reading.is_again:
            reading.note(chats)
        is_broken, position = _next_position(reading, page, chats)
        return AccountPage(chats, unreadable, position, is_broken)

    async def project_names(self) -> Mapping[str, str]:
        """Nothing: v2 has no projects."""
        return {}

    async def costs_page(self, position: str | None) -> CostsPage:
        """`GET /usage/events`, 100 records a page. Without `start` it would begin seven days ago."""
        params: dict[str, str | int] = {"limit": EVENTS_PAGE}
        params |= {"start": FIRST_USAGE} if position is None else {"cursor": position}
        page = await self._http.request("GET", "usage/events", params=params)
        credits: dict[str, float] = {}
        for row in list_in(page, "data", "list of usage events"):
            cost = row.get("creditsCost") if isinstance(row, dict) else None
            charged = amount(cost.get("charged", cost.get("total"))) if isinstance(cost, dict) else None
            chat_id = identifier(row.get("chatId")) if isinstance(row, dict) else None
            if chat_id is not None and charged is not None:
                credits[chat_id] = round(credits.get(chat_id, 0.0) + charged, 6)
        pagination = page.get("pagination")
        cursor = text(pagination.get("cursor")) if isinstance(pagination, dict) else None
        return CostsPage(credits, cursor if cursor != position else None)

    async def first_prompt(self, chat_id: str) -> str | None:
        """`GET /chats/{chatId}/messages`: newest first, so the first prompt is on the last page."""
        prompt = None
        async for rows in self._message_pages(chat_id):
            prompt = first_prompt_in(newest_first(rows, listed_newest_first=True)) or prompt
        return prompt

    async def read_chat(self, chat_id: str) -> ChatCopy:
        """`GET /chats/{chatId}`: a Chat, as lists have it."""
        row = await self._http.request("GET", f"chats/{segment(chat_id)}")
        chat = self._census_chat(row)
        if chat is None or chat.chat_id != chat_id:
            raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
        return ChatCopy(chat, chat.metadata or {})

    async def copy_chat(self, chat_id: str) -> ChatCopy:
        """`GET /chats/{chatId}/messages`, `/files` and the chat itself last, so that it tells of any change before."""
        messages: dict[str, dict[str, Any]] = {}
        async for rows in self._message_pages(chat_id):
            messages.update({row["id"]: row for row in rows if row["id"] not in messages})
        files = await self._files(chat_id)
        read = await self.read_chat(chat_id)
        sent = newest_first(list(messages.values()), listed_newest_first=True)[::-1]
        return ChatCopy(read.chat, read.metadata, sent, files)

    async def make_again(self, copy: ChatCopy, metadata: Mapping[str, str]) -> RemoteChat:
        """`POST /chats/from-files` takes 1-20 files of UTF-8 text; `POST /chats/from-zip` any others, by an address.

        The document wants a `uri` of the archive; a `data:` address is one, and needs no server of ours. It says no
        word on whether v0 follows it. The new chat has no generation, and is private.
        """
        if not copy.files:
            raise nothing_to_make()
        texts = texts_of(copy.files)
        body: dict[str, Any] = {"metadata": dict(metadata), "privacy": "private"}
        if copy.chat.name:
            body["title"] = copy.chat.name
        if texts is not None and len(texts) <= MAX_INLINE_FILES:
            path, body["files"] = "chats/from-files", inline(texts)
        else:
            path, body["url"] = "chats/from-zip", zip_url_of(copy.files)
        answer = await self._http.request("POST", path, body=body)
        chat = answer.get("chat") if isinstance(answer, dict) else None
        chat_id = id_of(chat)
        if not isinstance(chat, dict) or chat_id is None:
            raise missing_id("the chat that is made again")
        observation = Observation(ObservedState.FINISHED, chat_url=self._chat_url(chat_id))
        return RemoteChat(
            chat_id, metadata=metadata, created_at=instant(chat.get("createdAt")), observation=observation
        )

    def _chat_url(self, chat_id: str) -> str:
        return f"{self._http.config.web_url}/chat/{segment(chat_id)}"

    def _census_chat(self, row: Any) -> CensusChat | None:
        """A Chat as the census knows it; None: it has no id, or its metadata cannot be read."""
        chat_id = id_of(row)
        metadata = metadata_in(row) if chat_id is not None else None
        if chat_id is None or metadata is None:
            return None
        return CensusChat(
            chat_id,
            self.api_version,
            name=name_in(row, "title"),
            may_delete=flag_in(row, "writePermission"),
            metadata=metadata,
            web_url=link(self._chat_url(chat_id), self._plain_hosts),
            **common_fields(row),
        )

    async def _message_pages(self, chat_id: str) -> AsyncIterator[list[dict[str, Any]]]:
        """The messages of a chat, newest first, page after page to the last. Raises `ProviderError`."""
        cursor: str | None = None
        count, cursors = 0, set[str]()
        while True:
            page = await sized_page(self._http, f"chats/{segment(chat_id)}/messages", {}, cursor, "messages")
            rows = page["messages"]
            count += len(rows)
            if len(ids_of(rows)) < len(rows):
                raise unreadable_message()
            if count > MAX_MESSAGES:
                raise OutcomeUnknown(f"The chat has more than {MAX_MESSAGES:,} messages.", code=TOO_LARGE)
            yield rows
            if "cursor" in page and page["cursor"] is None:
                return
            cursor = text(page.get("cursor"))
            if cursor is None or cursor in cursors or not rows:
                raise OutcomeUnknown("v0's list of messages could not be read to its end.", code="bad_answer")
            cursors.add(cursor)

    async def _files(self, chat_id: str) -> dict[str, bytes]:
        """`GET /chats/{chatId}/files`: text, and base64 where a file is none; else `/files/download`, a ZIP archive.

        The first tells how each file is encoded; the second is for files that are too large for it.
        """
        path = f"chats/{segment(chat_id)}/files"
        try:
            answer = await self._http.request("GET", path)
        except OutcomeUnknown as error:
            if error.code != TOO_LARGE:
                raise
            return files_in_zip(await self._http.download(f"{path}/download", MAX_ARCHIVE_BYTES))
        rows = answer.get("files") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise OutcomeUnknown("v0's files of a chat could not be read.", code="bad_answer")
        found = FileSet()
        for row in rows_of_files(rows):
            decode = {"utf8": bytes_of_text, "base64": bytes_of_base64}.get(str(row.get("encoding")))
            if decode is None:
                raise OutcomeUnknown("v0's chat has a file in an encoding that is not known here.", code="bad_answer")
            found.add(row.get("path"), decode(row.get("content")))
        return found.files


def _next_position(
    reading: CursorReading, page: Mapping[str, Any], chats: list[CensusChat]
) -> tuple[bool, dict[str, Any] | None]:
    """Whether the reading is broken, and where it goes on; None: it has ended."""
    if reading.is_again and reading.meets_anchor(chats):
        return False, None
    if "cursor" in page and page["cursor"] is None:
        if reading.is_again or reading.pages == 1 or reading.moves_nothing:
            return False, None
        reading.begin_again()
        return False, reading.as_position()
    cursor = text(page.get("cursor"))
    if cursor is None or not reading.follow(cursor):
        return True, None
    if reading.idle >= MAX_REPEATED or reading.pages >= MAX_ACCOUNT_PAGES:
        return True, None
    return False, reading.as_position()
