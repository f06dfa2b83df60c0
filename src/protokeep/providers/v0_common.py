"""The operations that both versions of v0's API offer in the same way, and what their answers have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import httpx2

from protokeep.core.errors import OutcomeUnknown, ProviderRejected
from protokeep.core.prototype import ObservedState
from protokeep.providers.base import Conversation, Image, MayBegin, Message, RegisteredHook
from protokeep.providers.images import MAX_BYTES, image_of
from protokeep.providers.v0_fields import id_of, instant, list_in, missing_id, prompt, segment, text
from protokeep.providers.v0_http import V0Config, V0Http, is_v0_host

#: The events that our hooks subscribe to: a message was begun (so hooks reach us), was finished, or its chat is gone.
HOOK_EVENTS = ("message.created", "message.finished", "chat.deleted")
#: Time limit of a read of one chat. A slower answer would hold up the polls of all other chats.
READ_TIMEOUT_SECONDS = 6.0
#: Hosts at which v0 serves pages and files; the last one serves previews only.
V0_HOSTS = ("v0.dev", "v0.app")
PREVIEW_HOSTS = (*V0_HOSTS, "vusercontent.net")

#: Longest names of hooks and roles, and longest times as text.
MAX_NAME = 200

#: The values of `finishReason` in both versions that say more than `stop`: state, our error code, words for people.
UNFINISHED_REASONS: Mapping[str, tuple[ObservedState, str, str]] = {
    "error": (ObservedState.BROKE, "builder_error", "v0 reported an error."),
    "content-filter": (ObservedState.BROKE, "content_filter", "v0's content filter stopped the generation."),
    "tool-calls": (ObservedState.WAITING, "waiting_for_answer", "v0 asked a question. Answer it to continue."),
    "length": (ObservedState.WAITING, "needs_a_look", "v0 stopped at its length limit. Look at the chat's page."),
    "other": (ObservedState.WAITING, "needs_a_look", "v0 stopped without saying why. Look at the chat's page."),
}


class V0Common:
    """One v0 account, without the operations in which the versions of the API differ."""

    name = "v0"
    label = "v0"
    api_version: int

    def __init__(self, config: V0Config, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._http = V0Http(config, self.api_version, transport)

    @property
    def _plain_hosts(self) -> Collection[str]:
        """The hosts whose links may be http: the configured ones, if they are reached so themselves."""
        return self._http.config.plain_hosts

    @property
    def calls(self) -> int:
        """Calls made since this object exists."""
        return self._http.calls

    def _may_call(self, calls: int | None) -> Callable[[], bool]:
        """A function that tells whether fewer than `calls` calls were made from now on; None: any number may be."""
        before = self.calls
        return lambda: calls is None or self.calls - before < calls

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def delete(self, chat_id: str) -> bool:
        """`DELETE /chats/{id}`; False for a 404."""
        return await self._delete(f"chats/{segment(chat_id)}")

    async def conversation(self, chat_id: str) -> Conversation:
        """The newest messages of a chat; each version reads them differently."""
        raise NotImplementedError

    async def cancel(self, chat_id: str, message_id: str | None, *, may_begin: MayBegin | None = None) -> bool:
        """`POST /chats/{id}/messages/{messageId}/stop`, for the newest answer if the message is unknown to v0.

        409 says that nothing was running; 404 proves nothing.
        """
        if message_id is not None:
            try:
                return await self._stop(chat_id, message_id, may_begin)
            except ProviderRejected as error:
                if error.status != 404:
                    raise
        conversation = await self.conversation(chat_id)
        newest = next((message.id for message in conversation.messages if message.role == "assistant"), None)
        if newest is None or newest == message_id:
            raise OutcomeUnknown("v0 does not show the chat's message at present.", code="not_visible", status=404)
        return await self._stop(chat_id, newest, may_begin)

    async def _stop(self, chat_id: str, message_id: str, may_begin: MayBegin | None) -> bool:
        try:
            path = f"chats/{segment(chat_id)}/messages/{segment(message_id)}/stop"
            await self._http.request("POST", path, nothing_made=(409,), may_begin=may_begin)
        except ProviderRejected as error:
            if error.status == 409:
                return False
            raise
        return True

    async def picture(self, address: str) -> Image | None:
        """v1's `screenshotUrl`, which needs the key: it is sent to v0's own hosts only, and along no redirect."""
        is_at_v0 = is_v0_host(self._http.config.root_url, *V0_HOSTS) and is_v0_host(address, *V0_HOSTS)
        if not (is_at_v0 or self._http.is_configured_host(address)):
            return None
        status, body = await self._http.fetch(address, MAX_BYTES)
        if status >= 500 or status in (404, 429):  # The picture may be there later.
            raise OutcomeUnknown(f"v0 answered {status} for a picture.", code="server_error", status=status)
        return image_of(body) if status == 200 else None

    async def opens(self, address: str) -> bool | None:
        """Whether a preview still answers; only v0's own hosts are asked, and without the key."""
        if not (self._http.is_configured_host(address) or is_v0_host(address, *PREVIEW_HOSTS)):
            return None
        status = await self._http.status_of(address)
        return None if status is None or status >= 500 or status == 429 else status not in (404, 410)

    async def hooks(self) -> list[RegisteredHook]:
        """`GET /hooks`: v1 answers a list object, v2 a bare array."""
        answer = await self._http.request("GET", "hooks")
        rows = list_in({"data": answer} if isinstance(answer, list) else answer, "data", "list of hooks")
        return [
            RegisteredHook(hook_id, text(row.get("name"), MAX_NAME) or "") for row in rows if (hook_id := id_of(row))
        ]

    async def add_hook(self, name: str, address: str) -> str:
        """`POST /hooks`, for every chat of the account."""
        body: dict[str, Any] = {"name": name, "events": list(HOOK_EVENTS), "url": address}
        if self.api_version == 2:
            body["chatId"] = None  # v2's document requires `chatId`, which may be null; v1's document allows no null.
        hook_id = id_of(await self._http.request("POST", "hooks", body=body))
        if hook_id is None:
            raise missing_id("the hook")
        return hook_id

    async def move_hook(self, hook_id: str, address: str) -> None:
        """`PATCH /hooks/{id}`."""
        await self._http.request("PATCH", f"hooks/{segment(hook_id)}", body={"url": address})

    async def remove_hook(self, hook_id: str) -> None:
        """`DELETE /hooks/{id}`; 404 counts as removed."""
        await self._delete(f"hooks/{segment(hook_id)}")

    async def _delete(self, path: str) -> bool:
        """Send a DELETE; False for a 404."""
        try:
            await self._http.request("DELETE", path)
        except ProviderRejected as error:
            if error.status != 404:
                raise
            return False
        return True


def newest_first(rows: Sequence[Any], *, listed_newest_first: bool = False) -> list[dict[str, Any]]:
    """Message rows with an id, newest first by their own times; rows of the same time in the order of the list.

    `listed_newest_first` gives the order of the list where the times do not show it.
    """
    messages = [row for row in rows if id_of(row)]
    times = [_time_of(row) for row in messages]
    if times and times[0] != times[-1]:
        listed_newest_first = times[0] > times[-1]
    ordered = messages if listed_newest_first else messages[::-1]
    return sorted(ordered, key=_time_of, reverse=True)


def _time_of(row: Mapping[str, Any]) -> str:
    return text(row.get("createdAt"), MAX_NAME) or ""


def message_of(row: Mapping[str, Any]) -> Message:
    """A message row of either version. Raises `OutcomeUnknown` if it may be any message of the user's."""
    message_id, role, content = id_of(row), row.get("role"), row.get("content")
    if message_id is None or not isinstance(role, str) or (role == "user" and not isinstance(content, str)):
        raise unreadable_message()
    return Message(
        message_id, role[:MAX_NAME], content if isinstance(content, str) else "", instant(row.get("createdAt"))
    )


def unreadable_message() -> OutcomeUnknown:
    """The error for a conversation that may hold messages which cannot be seen."""
    return OutcomeUnknown("A message of v0's chat could not be read.", code="bad_answer")


def oldest_prompt(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The text of the oldest user message among rows that come newest first; None if there is none."""
    prompts = [row for row in messages if row.get("role") == "user"]
    return prompt(prompts[-1].get("content")) if prompts else None
