"""The adversary's v0: both versions of its API on raw sockets, from v0's documents and from nothing of protokeep's.

It is a second opinion beside `protokeep sandbox`: what both authors took for granted, only one of them may have. A
scenario runs it in its own event loop and turns its knobs; `python -m adversary.v0 PORT` runs it alone, with controls:

    PATCH /_control            {"blackout": true, "rules": [{"operation": "create", "then": {"status": 500}}]}
    POST  /_control/plant      {"count": 3, "age": 60, "poison": "403"}
    GET   /_control            the knobs, how many requests came, and every chat
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from adversary import wire
from adversary.chats import Account, Chat, http_date
from adversary.knobs import Fault, Knobs, Operation, Rule
from adversary.requests import Answer, Request, read_request

#: Requests that are remembered, for the judge and for a person who wonders.
REMEMBERED = 20_000
USUAL = Fault()


@dataclass
class Seen:
    """One request, what it was for, and how it was answered."""

    at: float
    operation: Operation
    path: str
    text: str | None = None
    marker: str | None = None
    chat_id: str | None = None
    status: int | None = None


class V0:
    """The server. Its `knobs` and its `account` may be changed at any moment."""

    def __init__(self) -> None:
        self.knobs = Knobs()
        self.account = Account(self.knobs)
        self.calls: Counter[str] = Counter()
        self.history: list[Seen] = []
        self.url = ""
        self.hooks: list[str] = []
        self._dice = random.Random(11)
        self._server: asyncio.Server | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", port, limit=2**22, backlog=500)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        """Close every connection and end."""
        for task in list(self._background):
            task.cancel()
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    def fail(self, operation: Operation, then: Fault, **which: Any) -> None:
        """Add a rule: this happens to the next request of its kind, or to those that `which` says."""
        self.knobs.rules.append(Rule(operation, then, **which))

    def calls_of(self, *operations: Operation) -> int:
        """How many requests of these kinds came; none named: of all kinds."""
        return sum(count for name, count in self.calls.items() if not operations or name in operations)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                if request.path.startswith("/_control"):
                    await Answer(200, self._control(request)).write(writer, self.knobs)
                elif not await self._serve(request, writer):
                    return
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            with contextlib.suppress(ConnectionError, RuntimeError):
                writer.close()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request with its fault; False ends the connection."""
        fault = self._fault_for(request)
        seen = Seen(time.time(), request.operation, request.target, request.text, request.marker)
        self.calls[request.operation] += 1
        self.history.append(seen)
        del self.history[:-REMEMBERED]
        if fault.reset_unread:
            writer.transport.abort()
            return False
        slow = {Operation.CREATE: self.knobs.create_seconds, Operation.LIST: self.knobs.list_seconds}
        slow[Operation.DETAIL] = self.knobs.detail_seconds
        await asyncio.sleep(fault.before + slow.get(request.operation, 0.0))
        status, value, chat = self._act(request) if fault.act else (200, None, None)
        seen.chat_id = chat.id if chat else None
        await asyncio.sleep(fault.after)
        answer = Answer(status, value).changed(fault, request.version)
        seen.status = answer.status
        return await answer.write(writer, self.knobs, fault)

    def _fault_for(self, request: Request) -> Fault:
        for rule in self.knobs.rules:
            if rule.operation != request.operation or rule.times == 0 or rule.holding not in request.target:
                continue
            if rule.page is not None and rule.page != request.page:
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            rule.seen += 1
            if rule.seen % rule.every or self._dice.random() >= rule.share:
                continue
            rule.times -= rule.times > 0
            return rule.then
        return USUAL

    def _act(self, request: Request) -> tuple[int, Any, Chat | None]:
        """The ordinary answer, and the chat that it is about."""
        match request.operation:
            case Operation.CREATE:
                return self._create(request)
            case Operation.LIST:
                return 200, self._list(request), None
            case Operation.HOOKS:
                return 200, self._hooks(request), None
            case Operation.OTHER:
                return self._other(request)
        chat = self.account.readable(unquote(request.path_parts[1]))
        if chat is None:
            return 404, wire.error(request.version, 404, "Chat not found"), None
        status, value = self._act_on(request, chat)
        return status, value, chat

    def _create(self, request: Request) -> tuple[int, Any, Chat | None]:
        if refusal := request.refusal(wire.CREATE_FIELDS[request.version]):
            return 422, wire.error(request.version, 422, refusal), None
        metadata = request.body.get("metadata") or {}
        chat = self.account.create(request.body["message"], metadata, request.version)
        self._deliver_hook("chat.created", chat, 0.0)
        self._deliver_hook("message.finished", chat, self.knobs.generation_seconds + 0.05)
        if request.version == 1:
            return 200, wire.detail(chat, self.knobs, 1), chat
        return 202, {"chatId": chat.id, "messageId": chat.messages[-1].id}, chat

    def _list(self, request: Request) -> Any:
        rows = self.account.listed(request.wanted_metadata())
        limit = int(request.query.get("limit", "20"))
        start = int(request.query.get("offset" if request.version == 1 else "cursor", "0"))
        page = rows[max(start - self.knobs.repeated_rows, 0) : start + limit - self.knobs.repeated_rows * (start > 0)]
        shown = [wire.row(chat, self.knobs, request.version) for chat in page]
        if request.version == 1:
            return {"object": "list", "data": shown}
        return {"chats": shown, "cursor": str(start + limit) if start + limit < len(rows) else None}

    def _act_on(self, request: Request, chat: Chat) -> tuple[int, Any]:
        version = request.version
        match request.operation:
            case Operation.DETAIL if chat.poison:
                return wire.poisoned(chat, self.knobs, version)
            case Operation.DETAIL | Operation.PATCH:
                return 200, wire.detail(chat, self.knobs, version)
            case Operation.DELETE:
                chat.deleted_at = time.time()
                gone = {"id": chat.id, "object": "chat", "deleted": True}
                return 200, gone if version == 1 else {"chatId": chat.id}
            case Operation.SEND:
                return self._send(request, chat)
            case Operation.MESSAGES:
                limit = int(request.query.get("limit", "20"))
                return 200, wire.messages(chat, self.knobs, version, limit)
        message = chat.message(unquote(request.path_parts[3]))
        if message is None:
            return 404, wire.error(version, 404, "Message not found")
        if request.operation == Operation.MESSAGE:
            return 200, wire.message(chat, message, self.knobs, version)
        if message.finish_reason is not None:
            return 409, wire.error(version, 409, "The message is not being generated")
        message.stopped = True
        return 200, {"success": True}

    def _send(self, request: Request, chat: Chat) -> tuple[int, Any]:
        if refusal := request.refusal(wire.SEND_FIELDS[request.version]):
            return 422, wire.error(request.version, 422, refusal)
        answer = self.account.add_message(chat, request.body["message"])
        self._deliver_hook("message.finished", chat, self.knobs.generation_seconds + 0.05)
        if request.version == 1:
            return 200, wire.detail(chat, self.knobs, 1)
        return 202, {"messageId": answer.id}

    def _hooks(self, request: Request) -> Any:
        if request.method == "POST":
            self.hooks.append(str(request.body["url"]))
            return {"id": self.account.new_id("h"), "object": "hook", "name": request.body.get("name")}
        if request.method == "GET":
            return {"object": "list", "data": []} if request.version == 1 else []
        return {}

    def _other(self, request: Request) -> tuple[int, Any, None]:
        if request.path_parts[:1] == ["user"]:
            return 200, {"id": "u1", "object": "user"}, None
        if request.path_parts[:1] == ["reports"]:
            return 200, {"object": "list", "data": [], "pagination": {"hasMore": False}}, None
        return 404, wire.error(request.version, 404, "No such path"), None

    def _deliver_hook(self, event: str, chat: Chat, seconds: float) -> None:
        """Deliver a hook, once or twice."""
        if self.knobs.hooks == "off":
            return
        late = [seconds, seconds + self._dice.uniform(0.5, 4)] if self.knobs.hooks == "twice" else [seconds]
        for url in self.hooks:
            for after in late:
                task = asyncio.ensure_future(_deliver(url, event, chat.id, after))
                self._background.add(task)
                task.add_done_callback(self._background.discard)

    def _control(self, request: Request) -> Any:
        if request.method == "PATCH":
            values = dict(request.body)
            if "rules" in values:
                values["rules"] = [Rule.of(rule) for rule in values["rules"]]
            self.knobs.turn(**values)
        elif request.method == "POST":
            return {"ids": [chat.id for chat in self.account.plant(**request.body)]}
        chats = [asdict(chat) for chat in self.account.ours()]
        return {"knobs": asdict(self.knobs), "calls": dict(self.calls), "chats": chats}


async def _deliver(url: str, event: str, chat_id: str, after: float) -> None:
    """One delivery of a hook; nobody hears whether it arrived."""
    await asyncio.sleep(after)
    target = urlsplit(url)
    body = json.dumps({"event": event, "data": {"chatId": chat_id}}).encode()
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: {len(body)}\r\n"
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode() + body)
        await asyncio.wait_for(reader.read(200), 5)
        writer.close()


async def _forever(port: int) -> None:
    v0 = await V0().start(port)
    sys.stdout.write(f"The adversary's v0 listens at {v0.url}\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_forever(int(sys.argv[1])))

__all__ = ["V0", "Seen", "http_date"]
