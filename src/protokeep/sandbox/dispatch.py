"""Answers requests of one API version, or injects the fault that a knob asks for."""

from __future__ import annotations

import inspect
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .emulator import Emulator, HungUp
from .http import Answer, Refusal, encode, http_date
from .knobs import AnswerRule, use_rule
from .routing import Call, Operation, Operations
from .state import Account, account_id

_BODY_LIMIT = 10 * 1024 * 1024
_CHECK_EVERY_SECONDS = 0.02  #: how often a held request or a sync call checks whether it may go on
_TRICKLES = 16  #: pieces in which a body trickles out

Scope = MutableMapping[str, Any]


async def hang_up(receive: Any, send: Any) -> None:
    """Close the connection without a byte of an answer.

    uvicorn passes its request cycle's bound `send` to the app, and the cycle knows the transport. ASGI itself cannot
    express this: returning or raising before an answer becomes a 500. With other servers `HungUp` is raised.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise HungUp("the sandbox closes this connection without an answer")
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass(slots=True)
class _Request:
    """The parts of an HTTP request that the emulator reads. `path` is below the version's prefix."""

    method: str
    path: str
    scheme: str
    headers: dict[bytes, bytes]
    query: dict[str, str]

    @classmethod
    def of(cls, scope: Scope) -> _Request:
        names = (b"authorization", b"host", b"content-type")
        return cls(
            scope["method"],
            scope["path"][3:],
            scope.get("scheme", "http"),
            {name: value for name, value in scope["headers"] if name in names},
            dict(parse_qsl(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)),
        )

    def header(self, name: bytes, default: bytes = b"") -> str:
        return self.headers.get(name, default).decode("latin-1")


@dataclass(slots=True)
class _Response:
    """What goes out. A body that trickles goes out in pieces over `trickle_seconds`."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = b"application/json"
    trickle_seconds: float = 0.0

    @classmethod
    def by_rule(cls, rule: AnswerRule) -> _Response:
        """The answer of a rule, instead of v0's."""
        return cls(
            rule.status,
            rule.body.encode("utf-8", "surrogatepass") * rule.repeat,
            [(name.lower().encode(), value.encode("latin-1")) for name, value in rule.headers.items()],
            rule.content_type.encode("latin-1"),
            rule.trickle_seconds,
        )


class Dispatcher:
    """Answers the requests of one API version."""

    def __init__(self, sandbox: Emulator, operations: Operations) -> None:
        self._sandbox = sandbox
        self._operations = operations
        self._api = operations.api

    async def answer(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, or close its connection."""
        sandbox = self._sandbox
        try:
            response = await self._response(_Request.of(scope), receive)
        except Refusal as refusal:
            response = _Response(refusal.status, encode(refusal.body(self._api)), refusal.headers())
        except HungUp:
            sandbox.statuses["dropped"] += 1
            await hang_up(receive, send)
            return
        try:
            await sandbox.pause(sandbox.knobs.slow_seconds)
            sandbox.statuses[str(response.status)] += 1
            await self._send(send, response)
        except HungUp:
            await hang_up(receive, send)

    async def _response(self, request: _Request, receive: Any) -> _Response:
        sandbox = self._sandbox
        found = self._operations.find(request.method, request.path)
        if found is not None:
            sandbox.backend.counts[self._api].calls[found[0].id] += 1
        if "scope" in request.query:
            sandbox.scopes[request.query["scope"]] += 1
        account = self._authorize(request)
        if found is None:
            name = f"{request.method} /{self._api}{request.path}"
            sandbox.not_emulated[name] += 1
            raise Refusal(404, f"The sandbox does not emulate {name}")
        operation, ids = found
        self._note(operation, ids.get("chatId"), account)
        raw = await _read(receive, 413 if self._api == "v1" else 422)
        rule = self._fault_before(operation)
        if rule is not None and not rule.acts:
            return _Response.by_rule(rule)
        response = await self._act(operation, account, ids, request, raw)
        return _Response.by_rule(rule) if rule is not None else response

    def _note(self, operation: Operation, chat_id: str | None, account: Account) -> None:
        """Write the request down, and let other people edit chats before it acts."""
        sandbox = self._sandbox
        request = sandbox.backend.note_request(self._api, operation.id, chat_id)
        if sandbox.before_request is not None:
            sandbox.before_request(request)
        sandbox.people.before_request(account, self._api, sandbox.clock(), sandbox.knobs)

    def _authorize(self, request: _Request) -> Account:
        scheme, _, key = request.header(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Refusal(401, "Unauthorized: send Authorization: Bearer <key>")
        account = self._sandbox.backend.account(account_id(key.strip()), self._sandbox.clock())
        account.calls += 1
        if scope := request.query.get("scope"):
            account.scopes[scope] = account.scopes.get(scope, 0) + 1
        return account

    async def _act(
        self, operation: Operation, account: Account, ids: dict[str, str], request: _Request, raw: bytes
    ) -> _Response:
        """Execute an operation with the waits and faults that the knobs ask for."""
        sandbox = self._sandbox
        if operation.creates:
            await self._hold(True, "before")
        now = sandbox.clock()
        call = Call(
            api=self._api,
            backend=sandbox.backend,
            knobs=sandbox.knobs,
            account=sandbox.backend.account(account.id, now),  # A reset during the hold has forgotten the account.
            now=now,
            ids=ids,
            query=request.query,
            base=f"{request.scheme}://{request.header(b'host', b'127.0.0.1')}",
            content_type=request.header(b"content-type"),
            raw=raw,
        )
        result = operation.handler(call)
        if inspect.isawaitable(result):
            result = await result
        answer = result if isinstance(result, Answer) else Answer(lambda: result)
        await self._wait(answer)
        self._fault_after(operation)
        if operation.creates:
            await self._hold("after")
        call.now, call.knobs = sandbox.clock(), sandbox.knobs
        rendered = answer.render()
        body = rendered if isinstance(rendered, bytes) else encode(rendered)
        return _Response(answer.status, body, content_type=answer.content_type)

    def _fault_before(self, operation: Operation) -> AnswerRule | None:
        """Fail instead of acting, if a knob says so. Returns the rule that replaces the answer; None: v0's answer."""
        knobs = self._sandbox.knobs
        fail = use_rule(knobs.fail_next, self._api, operation.id)
        if fail is not None:
            raise Refusal(fail.status, fail.message, fail.retry_after)
        if use_rule(knobs.drop_next, self._api, operation.id, lambda drop: not drop.acts) is not None:
            raise HungUp
        return use_rule(knobs.answer_next, self._api, operation.id)

    def _fault_after(self, operation: Operation) -> None:
        """Fail after acting, if a knob says so."""
        knobs = self._sandbox.knobs
        if operation.creates and knobs.drop_next_answers > 0:
            knobs.drop_next_answers -= 1
            raise HungUp
        if operation.creates and knobs.drop_every and self._sandbox.chats_created % knobs.drop_every == 0:
            raise HungUp
        if use_rule(knobs.drop_next, self._api, operation.id, lambda drop: drop.acts) is not None:
            raise HungUp
        fail = use_rule(knobs.fail_after_acting, self._api, operation.id)
        if fail is not None:
            raise Refusal(fail.status, fail.message, fail.retry_after)

    async def _hold(self, *values: bool | str) -> None:
        """Wait while the knob `hold_creates` has one of these values."""
        if self._sandbox.knobs.hold_creates not in values:
            return
        self._sandbox.held_requests += 1
        try:
            while self._sandbox.knobs.hold_creates in values:
                await self._sandbox.pause(_CHECK_EVERY_SECONDS)
        finally:
            self._sandbox.held_requests -= 1

    async def _wait(self, answer: Answer) -> None:
        """Wait until it is time to answer: a sync call answers when its generation has ended."""
        sandbox = self._sandbox
        if answer.starts_generation:
            await sandbox.pause(sandbox.knobs.accept_seconds)
        if answer.wait_for is not None:
            while answer.wait_for.finish_reason(sandbox.clock()) is None:
                await sandbox.pause(_CHECK_EVERY_SECONDS)

    async def _send(self, send: Any, response: _Response) -> None:
        body, pause = response.body, response.trickle_seconds / _TRICKLES
        step = max(len(body) // _TRICKLES if pause else len(body), 1)
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", str(len(body)).encode()),
            (b"date", http_date(self._sandbox.clock())),
        ]
        start = {"type": "http.response.start", "status": response.status, "headers": headers + response.headers}
        await send(start)
        for offset in range(0, max(len(body), 1), step):
            await self._sandbox.pause(pause)
            part, more = body[offset : offset + step], offset + step < len(body)
            await send({"type": "http.response.body", "body": part, "more_body": more})


async def _read(receive: Any, too_large: int) -> bytes:
    """The body of a request. Refuses with the status `too_large` a body of more than 10 MiB."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        body += message.get("body", b"")
        if len(body) > _BODY_LIMIT:
            raise Refusal(too_large, "The body is larger than 10 MiB")
        if not message.get("more_body", False):
            return bytes(body)
