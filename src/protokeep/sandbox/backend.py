"""The operations of the emulator: the only place that changes its state."""

from __future__ import annotations

import random
import string
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from .http import Refusal
from .knobs import FinishReason, Knobs
from .state import APIS, Account, Api, Chat, Generation, Hook, Message, after, end_now
from .usage_log import Usage, UsageLog

_ALPHABET = string.ascii_letters + string.digits

#: Called with the account, the event, the chat and the message of the event. Beside v0's own events there is
#: `message.started`, after which `message.finished` is due when the generation ends.
Listener = Callable[[Account, str, Chat, Message | None], None]


#: The most requests that are remembered, so that a sandbox may run for months.
_REMEMBERED = 200_000


class Request(NamedTuple):
    """One request of a client with a key. Numbers go up by one in the order of arrival."""

    number: int
    api: Api
    operation: str
    chat_id: str | None


@dataclass(slots=True)
class Deletions:
    """How often clients asked to delete a chat, and how often that deleted it, by the chat's id."""

    asked: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Count:
    """The counters of one API version since the start or the last reset."""

    created: int = 0
    deleted: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The wire shape of `GET /_sandbox/stats`."""
        return {"chats_created": self.created, "chats_deleted": self.deleted, "calls": dict(self.calls)}


class Backend:
    """Accounts, chats and counters. Every method takes `now`, because there is no clock in here."""

    def __init__(self, rng: random.Random, on_event: Listener) -> None:
        self._rng = rng
        self._listener = on_event
        self._sequence = 0
        self._changes = 0  #: of messages and chats, so that the usage logs know when to count again
        self._usage: dict[tuple[str, Api], UsageLog] = {}
        self.accounts: dict[str, Account] = {}
        self.chats: dict[str, Chat] = {}
        self.counts: Mapping[Api, Count] = {api: Count() for api in APIS}
        self.deletions = Deletions()
        self.requests: deque[Request] = deque(maxlen=_REMEMBERED)
        self.requests_made = 0

    def account(self, identity: str, now: datetime) -> Account:
        """The account of that id (`account_id` of a key), created if it is new: every key has an account."""
        account = self.accounts.get(identity)
        if account is None:
            account = self.accounts[identity] = Account(identity, now)
        return account

    def new_id(self, length: int = 11, prefix: str = "") -> str:
        """An id such as v0's: letters and digits."""
        return prefix + "".join(self._rng.choices(_ALPHABET, k=length))

    def create_chat(
        self, account: Account, api: Api, now: datetime, knobs: Knobs, *, message: str = "", **values: Any
    ) -> Chat:
        """Create a chat without messages. Lists show it after the delay that is set now."""
        listed_at = after(now, knobs.list_delay_seconds)
        chat = Chat(self.new_id(), api, account.id, message, now, now, listed_at, self._next(), **values)
        self.chats[chat.id] = chat
        account.chats[api][chat.id] = chat
        self.counts[api].created += 1
        self._on_event(account, "chat.created", chat, None)
        return chat

    def take_chats(self, account: Account, chats: Iterable[Chat]) -> None:
        """Put chats that exist already into an account, in the order of their creation, without an event or a count."""
        for chat in chats:
            chat.sequence = self._next()
            self.chats[chat.id] = chat
            for api in chat.apis:
                account.chats[api][chat.id] = chat
        self._changes += 1

    def find_chat(self, account: Account, api: Api, chat_id: str) -> Chat:
        """The account's chat of that id. Refuses (404) a chat that is deleted, or of another account or version."""
        chat = account.chats[api].get(chat_id)
        if chat is None:
            raise Refusal(404, "Chat not found")
        return chat

    def delete_chat(self, chat: Chat, now: datetime, *, by_client: bool = False) -> None:
        """Move a chat to the trash, for every reader at once. Its record stays, marked as deleted."""
        account = self.accounts[chat.account]
        for api in chat.apis:
            account.chats[api].pop(chat.id, None)
        chat.deleted = True
        chat.deleted_at = now
        self.counts[chat.api].deleted += 1
        if by_client:
            self.deletions.done[chat.id] += 1
        self._on_event(account, "chat.deleted", chat, None)

    def restore_chat(self, chat: Chat, now: datetime) -> None:
        """Take a chat out of the trash, to its old place in lists. Refuses (409) a chat that is not in there."""
        if not chat.is_in_trash(now):
            raise Refusal(409, "The chat is not in the trash")
        account = self.accounts[chat.account]
        chat.deleted, chat.deleted_at = False, None
        for api in chat.apis:
            chats = sorted([*account.chats[api].values(), chat], key=lambda one: one.sequence)
            account.chats[api] = {one.id: one for one in chats}
        self._on_event(account, "chat.updated", chat, None)

    def add_turn(
        self,
        chat: Chat,
        now: datetime,
        knobs: Knobs,
        text: str,
        *,
        kind: str = "message",
        attachments: list[str] | None = None,
    ) -> Message:
        """Add a user's message and the assistant's answer, whose generation starts now. Returns the answer."""
        self._add(
            chat,
            Message(self.new_id(22), chat.id, "user", text, now, self._next(), kind, None, attachments or []),
        )
        outcome = self._outcome(knobs)
        if kind != "message" and outcome == "tool-calls":
            outcome = "stop"  # The knob must not make the assistant ask again after every answer.
        seconds = knobs.generation_seconds
        duration = self._rng.uniform(*seconds) if isinstance(seconds, tuple) else seconds
        version_at = after(now, min(knobs.queue_seconds, duration))
        generation = Generation(outcome, after(now, duration), self.new_id(11), version_at)
        reply = Message(self.new_id(22), chat.id, "assistant", "", now, self._next(), generation=generation)
        self._add(chat, reply)
        chat.changed_at = max(chat.changed_at, now)
        return reply

    def resolve(self, chat: Chat, now: datetime, knobs: Knobs, text: str, kind: str) -> Message:
        """Answer the question that the chat waits for. Refuses with 409 if the newest message asks none."""
        newest = chat.messages[-1] if chat.messages else None
        if newest is None or newest.finish_reason(now) != "tool-calls":
            raise Refusal(409, "The latest message is not waiting for an answer")
        return self.add_turn(chat, now, knobs, text, kind=kind)

    def stop(self, chat: Chat, message_id: str, now: datetime) -> Message:
        """Stop a running generation. Refuses with 409 if it does not run."""
        message = chat.find_message(message_id)
        if message is None:
            raise Refusal(404, "Message not found")
        if message.generation is None or message.finish_reason(now) is not None:
            raise Refusal(409, "The message is not being generated")
        self.end(chat, message, "other", now, stopped=True)
        return message

    def end(self, chat: Chat, message: Message, outcome: FinishReason, now: datetime, *, stopped: bool = False) -> None:
        """End the generation of a message now; `message.finished` follows."""
        if message.generation is not None:
            end_now(message.generation, outcome, now, stopped=stopped)
            chat.changed_at = max(chat.changed_at, now)
            self._on_event(self.accounts[chat.account], "message.started", chat, message)

    def change_chat(self, chat: Chat, now: datetime, changes: dict[str, Any]) -> None:
        """Change name, privacy and metadata. A null value removes its key, null metadata removes all keys."""
        metadata = changes.pop("metadata", {})
        if metadata is None:
            chat.metadata = {}
        else:
            merged: dict[str, str | None] = {**chat.metadata, **metadata}
            chat.metadata = {key: value for key, value in merged.items() if value is not None}
        for field_name, value in changes.items():
            setattr(chat, "name" if chat.api == "v1" and field_name == "title" else field_name, value)
        chat.changed_at = max(chat.changed_at, now)
        self._on_event(self.accounts[chat.account], "chat.updated", chat, None)

    def add_hook(self, account: Account, api: Api, hook: Hook) -> None:
        """Register a hook. It also hears of running generations when they end."""
        account.hooks[api][hook.id] = hook
        for chat in account.chats[api].values():
            for message in chat.messages:
                if message.generation is not None and not message.generation.announced:
                    self._on_event(account, "message.started", chat, message)

    def note_request(self, api: Api, operation: str, chat_id: str | None) -> Request:
        """Write a request down before it acts."""
        self.requests_made += 1
        request = Request(self.requests_made, api, operation, chat_id)
        self.requests.append(request)
        if operation == "chats.delete" and chat_id is not None:
            self.deletions.asked[chat_id] += 1
        return request

    def usage(self, account: Account, api: Api, now: datetime) -> list[Usage]:
        """The finished generations of an account in one API version, newest first; those of deleted chats stay."""
        log = self._usage.setdefault((account.id, api), UsageLog())
        chats = (chat for chat in self.chats.values() if chat.account == account.id and api in chat.apis)
        return log.rows(chats, self._changes, now)

    def _on_event(self, account: Account, event: str, chat: Chat, message: Message | None) -> None:
        self._changes += 1
        self._listener(account, event, chat, message)

    def _add(self, chat: Chat, message: Message) -> None:
        chat.messages.append(message)
        account = self.accounts[chat.account]
        self._on_event(account, "message.created", chat, message)
        if message.generation is not None:
            self._on_event(account, "message.started", chat, message)

    def _outcome(self, knobs: Knobs) -> FinishReason:
        if knobs.finish_reason == "stop" and self._rng.random() < knobs.failure_rate:
            return "error"
        return knobs.finish_reason

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
