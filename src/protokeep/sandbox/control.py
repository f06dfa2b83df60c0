"""`/_sandbox`: counters, knobs, reset, and the chats of all accounts. It needs no key, and never shows one."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .emulator import Emulator
from .http import Refusal, stamp
from .knobs import EditKind, FinishReason, UnknownKnob, as_json, explain
from .seeded.account import seed_account
from .seeded.requests import Profile
from .state import Api, Chat

_BODY_LIMIT = 1024 * 1024


class _BadRequest(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class _Seed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=200)]
    api: Api = "v1"
    chats: Annotated[int, Field(ge=1, le=20_000)] = 4000
    seed: int = 0
    also_in: Api | None = None
    profile: Profile = "mixed"


class Control:
    """The endpoints of `/_sandbox`."""

    def __init__(self, sandbox: Emulator) -> None:
        self._sandbox = sandbox

    def app(self) -> Starlette:
        """The ASGI app of these endpoints."""
        routes = [
            Route("/_sandbox/stats", self.show_stats, methods=["GET"]),
            Route("/_sandbox/knobs", self.show_knobs, methods=["GET"]),
            Route("/_sandbox/knobs", self.set_knobs, methods=["PATCH"]),
            Route("/_sandbox/reset", self.reset, methods=["POST"]),
            Route("/_sandbox/chats", self.show_chats, methods=["GET"]),
            Route("/_sandbox/chats/{chat_id}", self.delete, methods=["DELETE"]),
            Route("/_sandbox/chats/{chat_id}/finish", self.finish, methods=["POST"]),
            Route("/_sandbox/chats/{chat_id}/restore", self.restore, methods=["POST"]),
            Route("/_sandbox/chats/{chat_id}/edit", self.edit, methods=["POST"]),
            Route("/_sandbox/accounts", self.seed, methods=["POST"]),
            Route("/_sandbox/deletions", self.show_deletions, methods=["GET"]),
        ]
        return Starlette(routes=routes, exception_handlers={_BadRequest: _refuse})

    async def show_stats(self, _: Request) -> JSONResponse:
        """The counters."""
        return JSONResponse(self._sandbox.stats())

    async def show_knobs(self, _: Request) -> JSONResponse:
        """The knobs as they are set now."""
        return JSONResponse(as_json(self._sandbox.knobs))

    async def set_knobs(self, request: Request) -> JSONResponse:
        """Change some knobs; 422 for an unknown knob or value, which changes none."""
        try:
            return JSONResponse(as_json(self._sandbox.set_knobs(**await _object(request))))
        except UnknownKnob as error:
            raise _BadRequest(422, str(error)) from error

    async def reset(self, _: Request) -> JSONResponse:
        """Forget chats, accounts, hooks and counters."""
        self._sandbox.reset()
        return JSONResponse(self._sandbox.stats())

    async def show_chats(self, _: Request) -> JSONResponse:
        """Every chat of every account, deleted ones too."""
        now = self._sandbox.clock()
        return JSONResponse({"chats": [_row(chat, now) for chat in self._sandbox.chats.values()]})

    async def delete(self, request: Request) -> JSONResponse:
        """Delete a chat as a person on v0's site would."""
        chat = self._chat(request)
        self._sandbox.delete(chat.id)
        return JSONResponse(_row(chat, self._sandbox.clock()))

    async def finish(self, request: Request) -> JSONResponse:
        """End the running generation of a chat now; 409 if none runs."""
        chat = self._chat(request)
        outcome = (await _object(request)).get("outcome", "stop")
        if outcome not in get_args(FinishReason):
            raise _BadRequest(422, f"outcome: must be one of {', '.join(get_args(FinishReason))}")
        try:
            self._sandbox.finish(chat.id, outcome)
        except Refusal as refusal:
            raise _BadRequest(refusal.status, refusal.message) from refusal
        return JSONResponse(_row(chat, self._sandbox.clock()))

    async def restore(self, request: Request) -> JSONResponse:
        """Take a chat out of the trash; 409 if it is not in there."""
        chat = self._chat(request)
        try:
            self._sandbox.restore(chat.id)
        except Refusal as refusal:
            raise _BadRequest(refusal.status, refusal.message) from refusal
        return JSONResponse(_row(chat, self._sandbox.clock()))

    async def edit(self, request: Request) -> JSONResponse:
        """Edit a chat as another person would; 409 for a deleted one."""
        chat = self._chat(request)
        kinds: list[EditKind] = [one for one in get_args(EditKind) if one != "create"]
        given = (await _object(request)).get("kind")
        kind = next((one for one in kinds if one == given), None)
        if kind is None:
            raise _BadRequest(422, f"kind: must be one of {', '.join(kinds)}")
        if chat.deleted:
            raise _BadRequest(409, "the chat is deleted")
        self._sandbox.edit(chat.id, kind)
        return JSONResponse(_row(chat, self._sandbox.clock()))

    async def seed(self, request: Request) -> JSONResponse:
        """Load an account that is made from a seed: `key`, and what `seed_account` takes. Answers its labels."""
        try:
            wanted = _Seed.model_validate(await _object(request))
        except ValidationError as error:
            raise _BadRequest(422, explain(error)) from error
        seeded = seed_account(self._sandbox, **wanted.model_dump())
        labels = [asdict(label) for label in seeded.labels.values()]
        return JSONResponse({"products": [one._asdict() for one in seeded.products], "labels": labels})

    async def show_deletions(self, _: Request) -> JSONResponse:
        """How often clients asked to delete a chat, and how often that deleted it, by the chat's id."""
        deletions = self._sandbox.deletions
        return JSONResponse({"asked": dict(deletions.asked), "done": dict(deletions.done)})

    def _chat(self, request: Request) -> Chat:
        chat = self._sandbox.chats.get(request.path_params["chat_id"])
        if chat is None:
            raise _BadRequest(404, "no such chat")
        return chat


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"message": str(error)}, getattr(error, "status", 500))


async def _object(request: Request) -> dict[str, Any]:
    """The JSON object of a body; an empty body is an empty object."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _BODY_LIMIT:
            raise _BadRequest(413, "body: larger than 1 MiB")
    try:
        body = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        raise _BadRequest(422, "body: not JSON") from None
    if not isinstance(body, dict):
        raise _BadRequest(422, "body: not an object")
    return body


def _row(chat: Chat, now: datetime) -> dict[str, Any]:
    reply = chat.last_reply()
    ends_at = reply.generation.finish_at if reply is not None and reply.generation is not None else None
    return {
        "id": chat.id,
        "api": chat.api,
        "account": chat.account,
        "message": chat.message,
        "name": chat.name,
        "title": chat.title,
        "metadata": chat.metadata,
        "project_id": chat.project_id,
        "status": chat.status(now),
        "messages": [{"id": message.id, "role": message.role, "content": message.content} for message in chat.messages],
        "created_at": stamp(chat.created_at),
        "ends_at": None if ends_at is None else stamp(ends_at),
        "deleted": chat.deleted,
        "deleted_at": None if chat.deleted_at is None else stamp(chat.deleted_at),
    }
