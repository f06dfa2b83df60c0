"""A v0 whose lists lie: pinned chats first, rows that shift, pages that are cut, chats that nobody may read."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from protokeep.providers.base import Provider, Search
from providers.conftest import MARKS, none_known, provider_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: How a chat that cannot be read is answered.
POISON: dict[str, tuple[int, Any]] = {
    "private": (403, {"message": "private"}),
    "gone": (404, {"message": "no such chat"}),
    "failing": (500, {"message": "boom"}),
    "html": (200, "<html>"),
    "another": (200, {"id": "another-chat", "metadata": {}}),
    "without metadata": (200, {"id": "{id}"}),
    "metadata is a list": (200, {"id": "{id}", "metadata": []}),
    "too large": (200, '{"id": "' + "x" * (8 * 1024 * 1024) + '"}'),
}


@dataclass
class Chat:
    """A chat as lists and details show it. `row` replaces its row in lists."""

    id: str
    age: timedelta
    metadata: dict[str, str] = field(default_factory=dict)
    pinned: bool = False
    poison: str | None = None
    row: Any = None


@dataclass
class Lists:
    """Answers like v0 in one version, from a list in any order; `before_page` may change it while it is read."""

    version: int
    chats: list[Chat] = field(default_factory=list)
    order: str = "newest"
    filter_works: bool = True
    filter_finds_nothing: bool = False
    page_size: int = 100
    repeated_rows: int = 0
    before_page: Callable[[int], None] = lambda page: None
    fails: Callable[[int], tuple[int, Any] | None] = lambda page: None
    pages: int = 0
    read: Counter[str] = field(default_factory=Counter)

    def add(self, count: int, age: timedelta, **values: Any) -> list[Chat]:
        """So many more chats, a millisecond apart."""
        first = len(self.chats)
        more = [Chat(f"chat-{first + n}", age + timedelta(milliseconds=n), **values) for n in range(count)]
        self.chats += more
        return more

    def ours(self, age: timedelta = timedelta(0)) -> Chat:
        """The chat that carries the marks of the tests."""
        (chat,) = self.add(1, age, metadata=dict(MARKS))
        return chat

    async def find(self, provider: Provider | None = None, **values: Any) -> Search:
        """One search for the chat with the marks of the tests, made within the last five minutes."""
        mine = provider or self.provider()
        since = values.pop("since", NOW - timedelta(minutes=5))
        search = await mine.find([MARKS], sent_after=since, known=values.pop("known", none_known), **values)
        if provider is None:
            await mine.aclose()
        return search

    def provider(self) -> Provider:
        """An adapter that speaks to this v0."""
        return provider_of(self.version, transport=httpx2.MockTransport(self))

    def ordered(self) -> list[Chat]:
        """The chats as the list has them."""
        by_age = sorted(self.chats, key=lambda chat: chat.age)
        if self.order == "oldest":
            by_age.reverse()
        if self.order == "pinned":
            by_age.sort(key=lambda chat: not chat.pinned)
        if self.order == "stable":
            random.Random(7).shuffle(by_age)
        if self.order == "shuffled":
            random.Random(self.pages).shuffle(by_age)
        return by_age

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/chats"):
            return self._detail(request.url.path.rpartition("/")[2])
        self.before_page(self.pages)
        self.pages += 1
        if (failure := self.fails(self.pages)) is not None:
            return httpx2.Response(failure[0], json=failure[1])
        params = request.url.params
        filters = {name[9:-1]: value for name, value in params.items() if name.startswith("metadata[")}
        rows = self.ordered()
        if filters and self.filter_works:
            rows = [chat for chat in rows if filters.items() <= chat.metadata.items() and not self.filter_finds_nothing]
        start = int(params.get("offset", params.get("cursor", "0")))
        limit = min(int(params["limit"]), self.page_size)
        begin = max(start - self.repeated_rows, 0) if start else 0
        shown = [self._row(chat) for chat in rows[begin : begin + limit]]
        more = str(start + limit) if start + limit < len(rows) else None
        return httpx2.Response(200, json={"data": shown} if self.version == 1 else {"chats": shown, "cursor": more})

    def _row(self, chat: Chat) -> Any:
        if chat.row is not None:
            return chat.row
        created = (NOW - chat.age).isoformat().replace("+00:00", "Z")
        row = {"id": chat.id, "createdAt": created}
        return row if self.version == 1 else {**row, "metadata": chat.metadata}

    def _detail(self, chat_id: str) -> httpx2.Response:
        self.read[chat_id] += 1
        chat = next((chat for chat in self.chats if chat.id == chat_id), None)
        if chat is None:
            return httpx2.Response(404, json={"message": "no"})
        if chat.poison is not None:
            status, body = POISON[chat.poison]
            if isinstance(body, dict):
                return httpx2.Response(
                    status, json={k: v.replace("{id}", chat.id) if v == "{id}" else v for k, v in body.items()}
                )
            return httpx2.Response(status, content=body)
        return httpx2.Response(200, json={"id": chat.id, "metadata": chat.metadata, "messages": []})


def ids(search: Search) -> Sequence[str]:
    """The chats that a search found."""
    return [chat.chat_id for chat in search.chats]
