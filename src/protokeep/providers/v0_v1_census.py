"""The accounts of v0's API v1 (v0's openapi.v1.json), read whole, copied and made again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from protokeep.core.census import CensusChat, ChatContent
from protokeep.core.errors import OutcomeUnknown, ProviderError
from protokeep.providers.base import Image, RemoteChat
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
from protokeep.providers.v0_fields import amount, id_of, identifier, link, list_in, segment, text
from protokeep.providers.v0_files import (
    MAX_ARCHIVE_BYTES,
    FileSet,
    bytes_of_text,
    files_in_zip,
    inline,
    rows_of_files,
    texts_of,
    zip_url_of,
)
from protokeep.providers.v0_http import TOO_LARGE, V0Config
from protokeep.providers.v0_v1_list import ChatList
from protokeep.providers.v0_v1_observations import chat_of_detail
from protokeep.providers.v0_walks import MAX_REPEATED, MAX_STEPS_BACK, PAGE, ids_of

#: Rows that two pages share. Fewer than in a search, because a reading steps back where two pages do not join.
OVERLAP = 5
#: Rows that a page begins with, and that have to be known and in their order, so that it joins the page before.
JOINING = 2
#: Rows that are remembered, so that pages join after a reading has stepped back as far as it may.
TAIL = 7 * PAGE
#: Rows of one page of the usage report, of a chat's messages, and the pages of messages that are read.
USAGE_PAGE, MESSAGES_PAGE, MAX_MESSAGE_PAGES = 150, 150, 10
#: Versions of a chat among which the newest completed one is searched.
VERSIONS_PAGE = 150
#: What the status of a version says.
_CONTENT = {
    "pending": ChatContent.GENERATING,
    "completed": ChatContent.FINISHED,
    "failed": ChatContent.FAILED,
}


@dataclass(slots=True)
class OffsetReading(Reading):
    """A reading page after page by offset. `tail` are the rows that it read last, in the order of the list."""

    offset: int = 0
    overlap: int = 0  #: rows that the next page shares with the page before, if no row moves meanwhile
    steps_back: int = 0  #: in a row
    tail: list[str] = field(default_factory=list)

    def joins(self, ids: Sequence[str]) -> bool:
        """Whether a page continues the rows that were read, so that no row was missed between the two."""
        if self.offset == 0 or not self.tail:
            return True
        first = [self.tail.index(chat_id) for chat_id in ids[: min(JOINING, self.overlap)] if chat_id in self.tail]
        return len(first) == min(JOINING, self.overlap) and first == sorted(first)

    def step_back(self) -> bool:
        """Go on a page further up, because rows went away or moved. False: that did not help before."""
        self.steps_back += 1
        self.offset = max(self.offset - self.steps_back * (PAGE - OVERLAP), 0)
        self.overlap = JOINING
        return self.steps_back <= MAX_STEPS_BACK

    def is_end(self, page: Sequence[Any], ids: Sequence[str]) -> bool:
        """Whether a page shows that the list has no more rows: it is short, and ends where the page before ended."""
        ends_there = ids[-1] == self.tail[-1] if ids and self.tail else not ids
        return len(page) < PAGE and ends_there

    def go_on(self, page: Sequence[Any], ids: Sequence[str], *, is_new: bool) -> None:
        """Go on behind a page."""
        self.steps_back = 0
        self.idle = 0 if is_new else self.idle + 1
        shown = set(ids)
        self.tail = [*(chat_id for chat_id in self.tail if chat_id not in shown), *ids][-TAIL:]
        self.overlap = min(OVERLAP, (len(page) + 1) // 2)
        self.offset += len(page) - self.overlap

    def begin_round(self) -> bool:
        self.offset, self.overlap, self.tail = 0, 0, []
        return Reading.begin_round(self)


class V0V1Census(V0Common):
    """What API v1 does for censuses and clean-ups. Its lists tell status, favourites and projects, and no metadata.

    The order of `GET /chats` is not documented, and its offsets shift with every change.
    """

    api_version = 1

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(config, transport)
        self._list = ChatList(self._http)

    async def read_account(self, position: Mapping[str, Any] | None, seen: Collection[str]) -> AccountPage:
        """`GET /chats`, 60 rows a page that share 5; its beginning is read once more at the end.

        A page that does not join the page before makes it step back. A row that is too large costs some calls more.
        """
        reading = OffsetReading.of(position)
        page = await self._list.page(reading.offset)
        chats = [chat for row in page if (chat := self._census_chat(row)) is not None]
        unreadable = [skipped_row(row) for row in page if id_of(row) is None]
        reading.pages += 1
        is_broken, position = _next_position(reading, page, chats, seen)
        return AccountPage(chats, unreadable, position, is_broken)

    async def project_names(self) -> Mapping[str, str]:
        """`GET /projects`: all projects in one answer."""
        answer = await self._http.request("GET", "projects")
        rows = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise OutcomeUnknown("v0's list of projects could not be read.", code="bad_answer")
        return {project_id: name for row in rows if (project_id := id_of(row)) and (name := name_in(row, "name"))}

    async def costs_page(self, position: str | None) -> CostsPage:
        """`GET /reports/usage`, 150 records a page. An empty page is not the end."""
        params: dict[str, str | int] = {"limit": USAGE_PAGE, "startDate": FIRST_USAGE}
        if position is not None:
            params["cursor"] = position
        page = await self._http.request("GET", "reports/usage", params=params)
        credits: dict[str, float] = {}
        for row in list_in(page, "data", "report of usage"):
            cost = amount(row.get("totalCost")) if isinstance(row, dict) else None
            chat_id = identifier(row.get("chatId")) if isinstance(row, dict) else None
            if chat_id is not None and cost is not None:
                credits[chat_id] = round(credits.get(chat_id, 0.0) + cost, 6)
        cursor = _next_cursor(page)
        return CostsPage(credits, cursor if cursor != position else None)

    async def first_prompt(self, chat_id: str) -> str | None:
        """`GET /chats/{chatId}/messages`: newest first, so the first prompt is on the last page."""
        params: dict[str, str | int] = {"limit": MESSAGES_PAGE}
        prompt = None
        for _ in range(MAX_MESSAGE_PAGES):
            page = await self._http.request("GET", f"chats/{segment(chat_id)}/messages", params=params)
            rows = list_in(page, "data", "list of messages")
            prompt = first_prompt_in(newest_first(rows, listed_newest_first=True)) or prompt
            cursor = _next_cursor(page)
            if cursor is None:
                return prompt
            params["cursor"] = cursor
        raise OutcomeUnknown("The chat has too many messages to find its first one.", code=TOO_LARGE)

    async def read_chat(self, chat_id: str) -> ChatCopy:
        """`GET /chats/{chatId}`: a ChatDetail has all that its row in the list has."""
        return self._copy_of(await self._detail(chat_id), chat_id)

    async def copy_chat(self, chat_id: str) -> ChatCopy:
        """`GET /chats/{chatId}`, and for a completed version `/versions/{versionId}/download` and its picture.

        The detail shows files as text only, so an archive is downloaded: it holds pictures and fonts as they are. If
        the newest version failed, the files of the newest completed one are kept. The chat itself is read once more
        at the end, so that it tells of any change before.
        """
        detail = await self._detail(chat_id)
        copy = self._copy_of(detail, chat_id)
        rows = detail.get("messages")
        if not isinstance(rows, list) or len(ids_of(rows)) < len(rows):
            raise unreadable_message()
        files = _files_told(detail)
        version_id = await self._version_with_files(copy.chat, messages=len(rows))
        if version_id is not None:
            path = f"chats/{segment(chat_id)}/versions/{segment(version_id)}/download"
            files |= files_in_zip(await self._http.download(path, MAX_ARCHIVE_BYTES, {"format": "zip"}))
        picture = await self._picture(copy.chat)
        read = await self.read_chat(chat_id)
        return ChatCopy(read.chat, read.metadata, newest_first(rows)[::-1], files, picture)

    async def make_again(self, copy: ChatCopy, metadata: Mapping[str, str]) -> RemoteChat:
        """`POST /chats/init` takes texts as they are; a ZIP archive, of any files, "base64-encoded" or by an address.

        The document wants a `uri` of the archive, so it travels as a `data:` address, which needs no server of ours.
        The new chat is private and belongs to no project.
        """
        if not copy.files:
            raise nothing_to_make()
        texts = texts_of(copy.files)
        body: dict[str, Any] = {"metadata": dict(metadata), "chatPrivacy": "private"}
        if copy.chat.name:
            body["name"] = copy.chat.name
        if texts is not None:
            body |= {"type": "files", "files": inline(texts)}
        else:
            body |= {"type": "zip", "zip": {"url": zip_url_of(copy.files)}}
        answer = await self._http.request("POST", "chats/init", body=body)
        return chat_of_detail(answer, metadata, "the chat that is made again", self._plain_hosts)

    async def _detail(self, chat_id: str) -> dict[str, Any]:
        detail = await self._http.request("GET", f"chats/{segment(chat_id)}")
        if id_of(detail) != chat_id:
            raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
        found: dict[str, Any] = detail
        return found

    def _copy_of(self, detail: dict[str, Any], chat_id: str) -> ChatCopy:
        """The chat that a ChatDetail shows, with what only the detail tells: metadata, and who may write."""
        chat, metadata = self._census_chat(detail), metadata_in(detail)
        if chat is None or metadata is None:
            raise OutcomeUnknown("v0's chat has metadata that could not be read.", code="bad_answer")
        may_delete = flag_in(detail.get("permissions"), "write")
        return ChatCopy(replace(chat, metadata=metadata, may_delete=may_delete), metadata)

    async def _version_with_files(self, chat: CensusChat, *, messages: int) -> str | None:
        """The newest completed version of a chat, by `GET /chats/{chatId}/versions` if it is not the newest of all.

        None: there is none. A chat of one request and one answer has no other version.
        """
        if chat.content is ChatContent.FINISHED or chat.version_id is None or messages <= 2:
            return chat.version_id if chat.content is ChatContent.FINISHED else None
        params: dict[str, str | int] = {"limit": VERSIONS_PAGE}
        page = await self._http.request("GET", f"chats/{segment(chat.chat_id)}/versions", params=params)
        rows = [row for row in list_in(page, "data", "list of versions") if id_of(row)]
        return next((id_of(row) for row in newest_first(rows, listed_newest_first=True) if _is_completed(row)), None)

    async def _picture(self, chat: CensusChat) -> Image | None:
        """The picture of a chat; None if there is none now."""
        if chat.picture_url is None:
            return None
        try:
            return await self.picture(chat.picture_url)
        except ProviderError as error:
            if error.status != 404:
                raise
            return None

    def _census_chat(self, row: Any) -> CensusChat | None:
        """A ChatSummary, or a ChatDetail, as the census knows it; None: it has no id."""
        chat_id = id_of(row)
        if chat_id is None:
            return None
        told = row.get("latestVersion")
        version: Mapping[str, Any] = told if isinstance(told, dict) else {}
        content = ChatContent.EMPTY if told is None else _CONTENT.get(str(version.get("status")), ChatContent.UNTOLD)
        return CensusChat(
            chat_id,
            self.api_version,
            content,
            name=name_in(row, "name", "title"),
            is_favorite=flag_in(row, "favorite"),
            project_id=identifier(row.get("projectId")),
            version_id=id_of(version),
            web_url=link(row.get("webUrl"), self._plain_hosts),
            demo_url=link(version.get("demoUrl"), self._plain_hosts),
            picture_url=link(version.get("screenshotUrl"), self._plain_hosts) if _is_completed(version) else None,
            **common_fields(row),
        )


def _next_position(
    reading: OffsetReading, page: Sequence[Any], chats: Sequence[CensusChat], seen: Collection[str]
) -> tuple[bool, dict[str, Any] | None]:
    """Whether the reading is broken, and where it goes on behind a page; None: it has ended."""
    ids = [chat.chat_id for chat in chats]
    if not reading.joins(ids):
        return _position(reading, reading.step_back())
    if reading.round:
        reading.note_again(chats, seen)
    else:
        reading.note(chats)
    if reading.is_end(page, ids) or (reading.round and reading.is_settled(chats)):
        is_over = not reading.needs_another_round if reading.round else reading.offset == 0
        return (False, None) if is_over else _position(reading, reading.begin_round())
    reading.go_on(page, ids, is_new=is_new(ids, () if reading.round else seen, reading.tail))
    return _position(reading, reading.idle < MAX_REPEATED and reading.pages < MAX_ACCOUNT_PAGES)


def _position(reading: OffsetReading, goes_on: bool) -> tuple[bool, dict[str, Any] | None]:
    return not goes_on, reading.as_position() if goes_on else None


def _is_completed(version: Mapping[str, Any]) -> bool:
    return version.get("status") == "completed"


def _files_told(detail: Mapping[str, Any]) -> dict[str, bytes]:
    """The files that a ChatDetail's newest version shows."""
    version = detail.get("latestVersion")
    rows = version.get("files") if isinstance(version, dict) else None
    found = FileSet()
    for row in rows_of_files(rows if isinstance(rows, list) else []):
        found.add(row.get("name"), bytes_of_text(row.get("content")))
    return found.files


def _next_cursor(page: Mapping[str, Any]) -> str | None:
    """The cursor of the next page in v1's `pagination`; None: there is no next page."""
    pagination = page.get("pagination")
    if not isinstance(pagination, dict) or not pagination.get("hasMore"):
        return None
    return text(pagination.get("nextCursor"))
