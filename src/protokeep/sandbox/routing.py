"""One request on its way to a handler, and the table that handlers are found in."""

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
from .state import Account, Api, Chat, Message

M = TypeVar("M", bound=BaseModel)

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(slots=True)
class Call:
    """Everything a handler may look at. `base` is the address under which the client found us."""

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
        """The body as that model. Refuses with 422 whatever the document does not allow."""
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
        """The chat in the path. Refuses with 404, also what the knobs hide, and with 403 one that is somebody's own."""
        chat = self.backend.find_chat(self.account, self.api, self.ids["chatId"])
        readable_at = chat.created_at + timedelta(seconds=self.knobs.read_delay_seconds)
        if self.now < readable_at or self.knobs.hides(chat.id, self.now):
            raise Refusal(404, "Chat not found")
        if chat.forbidden:
            raise Refusal(403, "This chat is private")
        return chat

    def message(self, chat: Chat) -> Message:
        """The message of the chat that is in the path. Refuses with 404, also what the knobs hide."""
        message = chat.find_message(self.ids["messageId"])
        if message is None or self.knobs.hides(chat.id, self.now, "message"):
            raise Refusal(404, "Message not found")
        return message

    def stamp(self, instant: datetime) -> str:
        """An instant as the answer shows it."""
        skew = self.knobs.clock_skew_seconds
        return stamp(instant + timedelta(seconds=skew) if skew else instant)


#: Returns what goes out as JSON with status 200, or an `Answer`; refuses by raising `Refusal`.
Handler = Callable[[Call], Any]


class Operation(NamedTuple):
    """One operation of v0's documents."""

    id: str
    method: str
    path: tuple[str, ...]
    handler: Handler
    creates: bool


class Operations:
    """The operations of one API version. Literal segments win over `{ids}`."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.all: list[Operation] = []
        self._index: dict[tuple[str, int], list[Operation]] = {}

    def on(self, method: str, path: str, operation: str, *, creates: bool = False) -> Callable[[Handler], Handler]:
        """Register a handler by the method, path and operation id of the document."""

        def register(handler: Handler) -> Handler:
            parts = tuple(path.strip("/").split("/"))
            found = Operation(operation, method, parts, handler, creates)
            self.all.append(found)
            rivals = self._index.setdefault((method, len(parts)), [])
            rivals.append(found)
            rivals.sort(key=lambda one: [part.startswith("{") for part in one.path])
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation at a path below the version's prefix, with the ids in it."""
        parts = path.strip("/").split("/")
        for operation in self._index.get((method, len(parts)), ()):
            ids: dict[str, str] = {}
            for wanted, part in zip(operation.path, parts, strict=True):
                if wanted[0] == "{" and part:
                    ids[wanted[1:-1]] = part
                elif wanted != part:
                    break
            else:
                return operation, ids
        return None
