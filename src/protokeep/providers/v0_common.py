"""What both versions of v0's API do in the same way: delete, stop, hooks, and looking at files and previews."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderRejected
from protokeep.providers.base import Conversation, Image, MayBegin, Message, RegisteredHook
from protokeep.providers.images import MAX_BYTES, image_of
from protokeep.providers.v0_http import V0Config, V0Http, instant, is_v0_host, no_id, segment, text

#: What a hook of ours hears: that something began (so hooks reach us), ended, or is gone.
HOOK_EVENTS = ("message.created", "message.finished", "chat.deleted")
#: One look at one chat. An answer that trickles in for longer holds up the looks at all others.
LOOK_PATIENCE = 6.0
#: Where v0 serves pages, files, and (the last) previews.
V0_HOSTS = ("v0.dev", "v0.app")
PREVIEW_HOSTS = (*V0_HOSTS, "vusercontent.net")


class V0Common:
    """One v0 account in one version of its API, but for what the versions do differently."""

    name = "v0"
    api_version: int

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._http = V0Http(config, self.api_version, transport)

    @property
    def calls(self) -> int:
        """Calls made since this object exists."""
        return self._http.calls

    def _may_call(self, calls: int | None) -> Callable[[], bool]:
        """Whether another call may be made, out of so many from now on."""
        before = self.calls
        return lambda: calls is None or self.calls - before < calls

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def delete(self, chat_id: str) -> bool:
        """`DELETE /chats/{id}`; False for a 404."""
        return await self._removed(f"chats/{segment(chat_id)}")

    async def conversation(self, chat_id: str) -> Conversation:
        """What was said lately; the versions read it differently."""
        raise NotImplementedError

    async def cancel(self, chat_id: str, message_id: str | None, *, may_begin: MayBegin | None = None) -> bool:
        """`POST /chats/{id}/messages/{messageId}/stop`; 409 says that nothing was running, 404 says nothing."""
        if message_id is not None:
            try:
                return await self._stopped(chat_id, message_id, may_begin)
            except ProviderRejected as error:
                if error.status != 404:
                    raise
        newest = next(
            (said.id for said in (await self.conversation(chat_id)).messages if said.role == "assistant"), None
        )
        if newest is None or newest == message_id:
            raise OutcomeUnknown("v0 does not show the chat's message at present.", code="not_visible", status=404)
        return await self._stopped(chat_id, newest, may_begin)

    async def _stopped(self, chat_id: str, message_id: str, may_begin: MayBegin | None) -> bool:
        try:
            path = f"chats/{segment(chat_id)}/messages/{segment(message_id)}/stop"
            await self._http.request("POST", path, nothing_made=(409,), may_begin=may_begin)
        except ProviderRejected as error:
            if error.status == 409:
                return False
            raise
        return True

    async def picture(self, address: str) -> Image | None:
        """v1's `screenshotUrl`, which needs the key: sent to v0 only, never along a redirect."""
        own = is_v0_host(self._http.config.root_url, *V0_HOSTS) and is_v0_host(address, *V0_HOSTS)
        if not (own or self._http.is_our_host(address)):
            return None
        status, body = await self._http.fetch(address, MAX_BYTES)
        if status >= 500 or status in (404, 429):  # One that is not there now may yet be.
            raise OutcomeUnknown(f"v0 answered {status} for a picture.", code="server_error", status=status)
        return image_of(body) if status == 200 else None

    async def opens(self, address: str) -> bool | None:
        """Whether a preview still answers; only v0's own hosts are asked, and without the key."""
        if not (self._http.is_our_host(address) or is_v0_host(address, *PREVIEW_HOSTS)):
            return None
        status = await self._http.status_of(address)
        return None if status is None or status >= 500 or status == 429 else status not in (404, 410)

    async def hooks(self) -> list[RegisteredHook]:
        """`GET /hooks`: v1 wraps the rows in a list object, v2 answers the bare array."""
        answer = await self._http.request("GET", "hooks")
        rows = answer.get("data") if isinstance(answer, dict) else answer
        if not isinstance(rows, list):
            raise OutcomeUnknown("v0's list of hooks could not be read.", code="bad_answer")
        return [
            RegisteredHook(hook_id, text(row.get("name")) or "")
            for row in rows
            if isinstance(row, dict) and (hook_id := text(row.get("id"), 200))
        ]

    async def add_hook(self, name: str, address: str) -> str:
        """`POST /hooks`, for every chat of the account."""
        body: dict[str, Any] = {"name": name, "events": list(HOOK_EVENTS), "url": address}
        if self.api_version == 2:
            body["chatId"] = None  # v2's document requires it, and lets it be null; v1's allows no null.
        answer = await self._http.request("POST", "hooks", body=body)
        if not isinstance(answer, dict) or not (hook_id := text(answer.get("id"), 200)):
            raise no_id("the hook")
        return hook_id

    async def move_hook(self, hook_id: str, address: str) -> None:
        """`PATCH /hooks/{id}`."""
        await self._http.request("PATCH", f"hooks/{segment(hook_id)}", body={"url": address})

    async def remove_hook(self, hook_id: str) -> None:
        """`DELETE /hooks/{id}`; 404 counts as removed."""
        await self._removed(f"hooks/{segment(hook_id)}")

    async def _removed(self, path: str) -> bool:
        try:
            await self._http.request("DELETE", path)
        except ProviderRejected as error:
            if error.status != 404:
                raise
            return False
        return True


def chat_ids(rows: object) -> list[str]:
    """The ids of a list's rows. Raises `OutcomeUnknown` where it is no list."""
    if not isinstance(rows, list):
        raise OutcomeUnknown("v0's list of chats could not be read.", code="bad_answer")
    return [chat_id for row in rows if isinstance(row, dict) and (chat_id := text(row.get("id"), 200))]


def newest_first(rows: Sequence[Any], *, listed_newest_first: bool = False) -> list[dict[str, Any]]:
    """Message rows, newest first by their own times; those of one instant in the order in which they are listed.

    `listed_newest_first` says how they are listed where their times do not tell.
    """
    kept = [row for row in rows if isinstance(row, dict) and text(row.get("id"), 200)]
    times = [str(row.get("createdAt", "")) for row in kept]
    if times and times[0] != times[-1]:
        listed_newest_first = times[0] > times[-1]
    ordered = kept if listed_newest_first else kept[::-1]
    return sorted(ordered, key=lambda row: str(row.get("createdAt", "")), reverse=True)


def message_of(row: Mapping[str, Any]) -> Message:
    """A message row of either version."""
    content = row.get("content")
    return Message(
        row["id"], str(row.get("role")), content if isinstance(content, str) else "", instant(row.get("createdAt"))
    )
