"""`/_sandbox`: what tests and other tools see and turn. No key is needed, and none is ever shown."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .http import Refusal, stamp
from .knobs import FinishReason, UnknownKnob, as_json
from .state import Chat

if TYPE_CHECKING:
    from datetime import datetime

    from .app import Sandbox

Endpoint = Callable[[Request], Awaitable[JSONResponse]]


class _Bad(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def control_app(sandbox: Sandbox) -> Starlette:
    """Stats, knobs, reset, and chats as seen from above every account."""

    async def stats(_: Request) -> JSONResponse:
        return JSONResponse(sandbox.stats())

    async def show_knobs(_: Request) -> JSONResponse:
        return JSONResponse(as_json(sandbox.knobs))

    async def set_knobs(request: Request) -> JSONResponse:
        try:
            return JSONResponse(as_json(sandbox.set_knobs(**await _object(request))))
        except UnknownKnob as error:
            raise _Bad(422, str(error)) from error

    async def reset(_: Request) -> JSONResponse:
        sandbox.reset()
        return JSONResponse(sandbox.stats())

    async def chats(_: Request) -> JSONResponse:
        now = sandbox.clock()
        return JSONResponse({"chats": [_row(chat, now) for chat in sandbox.chats.values()]})

    async def delete(request: Request) -> JSONResponse:
        chat = _chat(request)
        sandbox.delete(chat.id)
        return JSONResponse(_row(chat, sandbox.clock()))

    async def finish(request: Request) -> JSONResponse:
        chat = _chat(request)
        outcome = (await _object(request)).get("outcome", "stop")
        if outcome not in get_args(FinishReason):
            raise _Bad(422, f"outcome: must be one of {', '.join(get_args(FinishReason))}")
        try:
            sandbox.finish(chat.id, outcome)
        except Refusal as refusal:
            raise _Bad(refusal.status, refusal.message) from refusal
        return JSONResponse(_row(chat, sandbox.clock()))

    def _chat(request: Request) -> Chat:
        found = sandbox.chats.get(request.path_params["chat_id"])
        if found is None:
            raise _Bad(404, "no such chat")
        return found

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": str(error)}, getattr(error, "status", 500))

    routes = [
        Route("/_sandbox/stats", stats, methods=["GET"]),
        Route("/_sandbox/knobs", show_knobs, methods=["GET"]),
        Route("/_sandbox/knobs", set_knobs, methods=["PATCH"]),
        Route("/_sandbox/reset", reset, methods=["POST"]),
        Route("/_sandbox/chats", chats, methods=["GET"]),
        Route("/_sandbox/chats/{chat_id}", delete, methods=["DELETE"]),
        Route("/_sandbox/chats/{chat_id}/finish", finish, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={_Bad: refuse})


async def _object(request: Request) -> dict[str, Any]:
    raw = await request.body()
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        raise _Bad(422, "body: not JSON") from None
    if not isinstance(found, dict):
        raise _Bad(422, "body: not an object")
    return found


def _row(chat: Chat, now: datetime) -> dict[str, Any]:
    reply = chat.last_reply()
    ended = reply.generation.finish_at if reply is not None and reply.generation is not None else None
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
        "messages": [{"id": one.id, "role": one.role, "content": one.content} for one in chat.messages],
        "created_at": stamp(chat.created_at),
        "ends_at": None if ended is None else stamp(ended),
        "deleted": chat.deleted,
        "deleted_at": None if chat.deleted_at is None else stamp(chat.deleted_at),
    }
