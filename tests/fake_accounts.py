"""An account at an app builder, in memory: it is read, copied and deleted like a real one, and counts what was done.

It is quick, so that thousands of cases run in seconds. Faults are given one at a time, or by a function of the call.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from protokeep.core.census import CensusChat, ChatContent, ChatKind, Claim
from protokeep.core.errors import ProviderError, ProviderRejected
from protokeep.providers.base import Capabilities, KnownChats, MayBegin, PollResult, PollTarget, RemoteChat, Search
from protokeep.providers.census_port import AccountPage, ChatCopy, CostsPage
from protokeep.store.sql import Statement, query
from protokeep.store.store import Store

WORKSPACE = "default"
#: Whether the call with this name for this chat meets a fault: before it acts (True as second value: after it acted).
Fault = Callable[[str, str], tuple[ProviderError, bool] | None]


@dataclass
class FakeAccount:
    """Implements `SupportsCensus` over a dictionary of chats."""

    name: str = "v0"
    label: str = "v0"
    api_version: int = 2
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(True, True))
    chats: dict[str, CensusChat] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Every chat that a deletion removed, with the number of deletions that did something.
    removed: Counter[str] = field(default_factory=Counter)
    made: list[str] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault = lambda call, chat_id: None
    calls: int = 0
    #: Called before a deletion acts: what another one did at that very moment.
    before_delete: Callable[[str], None] = lambda chat_id: None

    def _call(self, call: str, chat_id: str = "", act: Callable[[], Any] = lambda: None) -> Any:
        self.calls += 1
        self.log.append((call, chat_id))
        found = self.fault(call, chat_id)
        if found is None:
            return act()
        error, has_acted = found
        if has_acted:
            act()
        raise error

    def _chat(self, chat_id: str) -> CensusChat:
        if chat_id not in self.chats:
            raise ProviderRejected("There is no such chat (404).", code="refused", status=404)
        return self.chats[chat_id]

    async def read_account(self, position: Mapping[str, Any] | None, seen: Collection[str]) -> AccountPage:
        return AccountPage(list(self._call("list", act=self.chats.copy().values)))

    async def project_names(self) -> Mapping[str, str]:
        return {}

    async def costs_page(self, position: str | None) -> CostsPage:
        return CostsPage()

    async def first_prompt(self, chat_id: str) -> str | None:
        return None

    async def read_chat(self, chat_id: str) -> ChatCopy:
        chat: CensusChat = self._call("read", chat_id, lambda: self._chat(chat_id))
        return ChatCopy(chat, self.metadata.get(chat_id, {}))

    async def copy_chat(self, chat_id: str) -> ChatCopy:
        chat: CensusChat = self._call("copy", chat_id, lambda: self._chat(chat_id))
        messages = ({"id": "m", "role": "user", "content": f"Make {chat_id}"},)
        return ChatCopy(chat, self.metadata.get(chat_id, {}), messages, self.files.get(chat_id, {}))

    async def make_again(self, copy: ChatCopy, metadata: Mapping[str, str]) -> RemoteChat:
        chat_id = f"again-{uuid4().hex[:12]}"

        def make() -> None:
            self.made.append(copy.chat.chat_id)
            self.chats[chat_id] = replace(copy.chat, chat_id=chat_id)
            self.files[chat_id] = dict(copy.files)
            self.metadata[chat_id] = dict(metadata)

        self._call("make", copy.chat.chat_id, make)
        return RemoteChat(chat_id)

    async def delete(self, chat_id: str) -> bool:
        self.before_delete(chat_id)

        def remove() -> bool:
            if chat_id not in self.chats:
                return False
            del self.chats[chat_id]
            self.removed[chat_id] += 1
            return True

        return bool(self._call("delete", chat_id, remove))

    async def recent_chats(self) -> Sequence[str]:
        return list(self._call("recent", act=lambda: list(self.chats)[-50:]))

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
        self._call("find")
        found = [
            RemoteChat(chat_id, metadata=marks)
            for chat_id, marks in self.metadata.items()
            if chat_id in self.chats and any(wanted.items() <= marks.items() for wanted in filters)
        ]
        return Search(found, ended=True)

    async def create(
        self, prompt: str, metadata: Mapping[str, str], *, may_begin: MayBegin | None = None
    ) -> RemoteChat:
        raise NotImplementedError

    async def observe(self, targets: Sequence[PollTarget]) -> PollResult:
        return PollResult()

    def polling_cost(self, chats: int) -> int:
        return chats

    async def prompt_of(self, chat_id: str) -> str | None:
        return None

    async def aclose(self) -> None:
        return None

    # -- what people do there ----------------------------------------------------------------------------------

    def add(self, chat_id: str, now: datetime, **more: Any) -> CensusChat:
        """One more chat, 200 days old, finished and private unless `more` says something else."""
        old = now - timedelta(days=200)
        told: dict[str, Any] = {
            "content": ChatContent.FINISHED,
            "name": f"Name of {chat_id}",
            "author_id": "ann",
            "created_at": old,
            "updated_at": old,
            "privacy": PRIVATE,
            "is_favorite": False,
            "may_delete": True,
            "version_id": "v1",
        }
        chat = CensusChat(chat_id, self.api_version, **{**told, **more})
        self.chats[chat_id] = chat
        self.files[chat_id] = {"app/page.tsx": chat_id.encode(), "b": bytes(range(256))}
        return chat

    def edit(self, chat_id: str, **more: Any) -> None:
        """Somebody changes a chat."""
        self.chats[chat_id] = replace(self.chats[chat_id], **more)


PRIVATE = "private"


async def save_census(
    store: Store,
    account: str,
    chats: Sequence[CensusChat],
    now: datetime,
    *,
    workspace: str = WORKSPACE,
    kinds: Mapping[str, ChatKind] | None = None,
    groups: Mapping[str, str] | None = None,
    claims: Mapping[str, Claim] | None = None,
    credits: float | None = 2.0,
) -> None:
    """Writes what a finished census of these chats would have found."""
    census_id = uuid4().hex
    census = Statement(
        "INSERT INTO protokeep_censuses (id, workspace_id, account, state, is_whole, requested_by, started_at,"
        " finished_at) VALUES (:id, :workspace_id, :account, 'done', true, 'ada', :now, :now)"
    )
    names = (
        *("workspace_id", "account", "chat_id", "api_version", "content", "claim", "kind", "name", "author_id"),
        *("created_at", "updated_at", "privacy", "is_favorite", "may_delete", "project_id", "vercel_project_id"),
        *("version_id", "metadata", "fingerprint", "credits", "group_id", "first_census_id", "last_census_id"),
        *("first_seen_at", "last_seen_at", "walk"),
    )
    upsert = Statement(
        f"INSERT INTO protokeep_census_chats ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"
        " ON CONFLICT (workspace_id, account, chat_id) DO UPDATE SET last_seen_at = excluded.last_seen_at,"
        " last_census_id = excluded.last_census_id, fingerprint = excluded.fingerprint"
    )
    rows = [
        {
            **{name: getattr(chat, name) for name in names if hasattr(chat, name)},
            "workspace_id": workspace,
            "account": account,
            "content": chat.content.value,
            "claim": (claims or {}).get(chat.chat_id, Claim.NOBODY).value,
            "kind": kind.value if (kind := (kinds or {}).get(chat.chat_id)) else None,
            "metadata": json.dumps(dict(chat.metadata)) if chat.metadata is not None else None,
            "credits": credits,
            "group_id": (groups or {}).get(chat.chat_id),
            "first_census_id": census_id,
            "last_census_id": census_id,
            "walk": "",
            "first_seen_at": now,
            "last_seen_at": now,
        }
        for chat in chats
    ]
    async with store.database.transaction() as connection:
        await connection.execute(census, {"id": census_id, "workspace_id": workspace, "account": account, "now": now})
        await connection.execute_many(upsert, rows)


async def pin(store: Store, account: str, chat_id: str, now: datetime, *, workspace: str = WORKSPACE) -> None:
    """Somebody pins a chat."""
    values = {
        "workspace_id": workspace,
        "account": account,
        "chat_id": chat_id,
        "pinned_by": "bob",
        "pinned_at": now,
        "reason": None,
    }
    async with store.database.transaction() as connection:
        await connection.execute(query("save_pin_of_restored"), values)
