"""The request as handlers see it, and the table of the handlers of one API version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from .backend import Backend
from .forms import decode_form
from .http import Refusal, stamp
from .knobs import Knobs, explain
from .state import Account, Api, Chat, Hook, Message

M = TypeVar("M", bound=BaseModel)

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(slots=True)
class Call:
    """A request for a handler. `base` is the address under which the client reached the sandbox."""

    api: Api
    backend: Backend
    knobs: Knobs
    account: Account
    now: datetime
    ids: dict[str, str]
    query: dict[str, str]
    base: str
    content_type: str
    raw: bytes

    def read(self, model: type[M]) -> M:
        """The body as that model. Refuses with 422 a body that v0's document does not allow."""
        kind = self.content_type.partition(";")[0].strip().lower()
        try:
            if self.api == "v2" and kind in _FORMS:
                return model.model_validate(decode_form(self.content_type, self.raw))
            if kind != "application/json":
                raise Refusal(422, f"content-type: {kind or 'missing'} is not accepted here")
            return model.model_validate_json(self.raw, strict=True)
        except ValidationError as error:
            raise Refusal(422, explain(error)) from None
        except ValueError as error:
            raise Refusal(422, f"body: {error}") from None

    def chat(self) -> Chat:
        """The chat in the path. Refuses with 404 (an unknown or hidden chat) or 403 (a team-mate's private chat)."""
        chat = self.backend.find_chat(self.account, self.api, self.ids["chatId"])
        readable_at = chat.created_at + timedelta(seconds=self.knobs.read_delay_seconds)
        if self.now < readable_at or self.knobs.hides(chat.id, self.now):
            raise Refusal(404, "Chat not found")
        if chat.forbidden:
            raise Refusal(403, "This chat is private")
        return chat

    def writable_chat(self) -> Chat:
        """The chat in the path, to change it. Refuses with 403 one that the key may only read."""
        chat = self.chat()
        if not chat.writable:
            raise Refusal(403, "You may not edit this chat")
        return chat

    def author_of(self, chat: Chat) -> str:
        """The id of the user who made the chat."""
        return chat.author_id or self.account.user_id

    def message(self, chat: Chat) -> Message:
        """The message in the path. Refuses with 404 an unknown or hidden message."""
        message = chat.find_message(self.ids["messageId"])
        if message is None or self.knobs.hides(chat.id, self.now, "message"):
            raise Refusal(404, "Message not found")
        return message

    def hook(self) -> Hook:
        """The hook in the path. Refuses with 404 an unknown hook."""
        hook = self.account.hooks[self.api].get(self.ids["hookId"])
        if hook is None:
            raise Refusal(404, "Hook not found")
        return hook

    def stamp(self, instant: datetime) -> str:
        """A time as the answer shows it."""
        skew = self.knobs.clock_skew_seconds
        return stamp(instant + timedelta(seconds=skew) if skew else instant)


#: Returns a value to send as JSON with status 200, or an `Answer`, or an awaitable of either. Raises `Refusal`.
Handler = Callable[[Call], Any]


class Operation(NamedTuple):
    """An operation of v0's documents."""

    id: str
    method: str
    path: tuple[str, ...]
    handler: Handler
    creates: bool


class Operations:
    """The operations of one API version. A literal segment wins over `{an id}`."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.all: list[Operation] = []
        self._index: dict[tuple[str, int], list[Operation]] = {}

    def on(self, method: str, path: str, operation: str, *, creates: bool = False) -> Callable[[Handler], Handler]:
        """Register a handler by the method, path and operation id of the document."""

        def register(handler: Handler) -> Handler:
            parts = tuple(path.strip("/").split("/"))
            registered = Operation(operation, method, parts, handler, creates)
            self.all.append(registered)
            candidates = self._index.setdefault((method, len(parts)), [])
            candidates.append(registered)
            candidates.sort(key=lambda candidate: [part.startswith("{") for part in candidate.path])
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation at a path below the version's prefix, with the ids in it."""
        parts = path.strip("/").split("/")
        for operation in self._index.get((method, len(parts)), ()):
            ids: dict[str, str] = {}
            for expected, part in zip(operation.path, parts, strict=True):
                if expected[0] == "{" and part:
                    ids[expected[1:-1]] = part
                elif expected != part:
                    break
            else:
                return operation, ids
        return None
