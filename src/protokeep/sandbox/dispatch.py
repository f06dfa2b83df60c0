"""From a request to an answer or to whatever fault the knobs ask for."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from .http import Answer, Refusal, encode, http_date
from .knobs import AnswerRule, use_rule
from .routing import Call, Operation, Operations
from .state import Account, account_id

if TYPE_CHECKING:
    from .app import Sandbox

_BODY_LIMIT = 10 * 1024 * 1024
_LOOK_EVERY_SECONDS = 0.02  #: how often something held or a sync call looks whether it may go on
_TRICKLES = 16

Scope = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]


class HungUp(ConnectionResetError):
    """No answer: the connection is closed instead. Seen by a caller only where there is none to close."""


async def hang_up(receive: Any, send: Any) -> None:
    """Close the connection without a byte of an answer.

    uvicorn hands its request cycle's bound `send` to the app; the cycle knows the transport. ASGI itself has
    no way to say this: returning or raising before an answer becomes a 500. Elsewhere `HungUp` is raised.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise HungUp("the sandbox closes this connection without an answer")
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


class Dispatcher:
    """Answers for one API version."""

    def __init__(self, sandbox: Sandbox, operations: Operations) -> None:
        self._sandbox = sandbox
        self._operations = operations
        self._api = operations.api

    async def answer(self, scope: Scope, receive: Any, send: Any) -> None:
        """One request, one answer, or none."""
        sandbox = self._sandbox
        path: str = scope["path"][3:]
        headers = _headers(scope)
        query = dict(parse_qsl(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True))
        status, extra, body = 500, list[tuple[bytes, bytes]](), b""
        rule: AnswerRule | None = None
        try:
            found = self._operations.find(scope["method"], path)
            if found is not None:
                sandbox.backend.counts[self._api].calls[found[0].id] += 1
            if "scope" in query:
                sandbox.scopes[query["scope"]] += 1
            account = self._authorize(headers, query)
            if found is None:
                sandbox.not_emulated[f"{scope['method']} {scope['path']}"] += 1
                raise Refusal(404, f"The sandbox does not emulate {scope['method']} {scope['path']}")
            status, extra, body, rule = await self._act(found, account, headers, query, scope, receive)
        except Refusal as refusal:
            status, extra, body = refusal.status, refusal.headers(), encode(refusal.body(self._api))
        except HungUp:
            sandbox.statuses["dropped"] += 1
            await hang_up(receive, send)
            return
        try:
            await sandbox.pause(sandbox.knobs.slow_seconds)
            sandbox.statuses[str(status)] += 1
            await self._send(send, status, extra, body, rule)
        except HungUp:
            await hang_up(receive, send)

    def _authorize(self, headers: dict[bytes, bytes], query: dict[str, str]) -> Account:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Refusal(401, "Unauthorized: send Authorization: Bearer <key>")
        account = self._sandbox.backend.account(account_id(key.strip()), self._sandbox.clock())
        account.calls += 1
        if query.get("scope"):
            account.scopes[query["scope"]] = account.scopes.get(query["scope"], 0) + 1
        return account

    async def _act(
        self,
        found: tuple[Operation, dict[str, str]],
        account: Account,
        headers: dict[bytes, bytes],
        query: dict[str, str],
        scope: Scope,
        receive: Any,
    ) -> tuple[int, Headers, bytes, AnswerRule | None]:
        sandbox = self._sandbox
        operation, ids = found
        raw = await _read(receive, 413 if self._api == "v1" else 422)
        rule = self._before(operation)
        if rule is not None and not rule.acts:
            return 200, [], b"", rule
        if operation.creates:
            await self._hold(True, "before")
        now = sandbox.clock()
        call = Call(
            api=self._api,
            backend=sandbox.backend,
            knobs=sandbox.knobs,
            account=sandbox.backend.account(account.id, now),  # A reset while it was held forgot the account.
            now=now,
            ids=ids,
            query=query,
            base=f"{scope.get('scheme', 'http')}://{headers.get(b'host', b'127.0.0.1').decode('latin-1')}",
            content_type=headers.get(b"content-type", b"").decode("latin-1"),
            raw=raw,
        )
        done = operation.handler(call)
        answer = done if isinstance(done, Answer) else None
        if answer is not None:
            await self._wait(answer)
        self._after(operation)
        if operation.creates:
            await self._hold("after")
        call.now, call.knobs = sandbox.clock(), sandbox.knobs
        if answer is None:
            return 200, [], encode(done), rule
        return answer.status, [], encode(answer.render()), rule

    def _before(self, operation: Operation) -> AnswerRule | None:
        """Faults instead of acting; an answer rule that acts takes effect later."""
        knobs = self._sandbox.knobs
        fail = use_rule(knobs.fail_next, self._api, operation.id)
        if fail is not None:
            raise Refusal(fail.status, fail.message, fail.retry_after)
        if use_rule(knobs.drop_next, self._api, operation.id, lambda drop: not drop.acts) is not None:
            raise HungUp
        return use_rule(knobs.answer_next, self._api, operation.id)

    def _after(self, operation: Operation) -> None:
        """Faults after acting."""
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

    async def _hold(self, *when: bool | str) -> None:
        if self._sandbox.knobs.hold_creates not in when:
            return
        self._sandbox.held_requests += 1
        try:
            while self._sandbox.knobs.hold_creates in when:
                await self._sandbox.pause(_LOOK_EVERY_SECONDS)
        finally:
            self._sandbox.held_requests -= 1

    async def _wait(self, answer: Answer) -> None:
        sandbox = self._sandbox
        if answer.starts_generation:
            await sandbox.pause(sandbox.knobs.accept_seconds)
        if answer.wait_for is not None:
            while answer.wait_for.finish_reason(sandbox.clock()) is None:
                await sandbox.pause(_LOOK_EVERY_SECONDS)

    async def _send(self, send: Any, status: int, extra: Headers, body: bytes, rule: AnswerRule | None) -> None:
        content_type, step, pause = b"application/json", max(len(body), 1), 0.0
        if rule is not None:
            status, content_type = rule.status, rule.content_type.encode("latin-1")
            body = rule.body.encode("utf-8", "surrogatepass") * rule.repeat
            extra = [(name.lower().encode(), value.encode("latin-1")) for name, value in rule.headers.items()]
            pause = rule.trickle_seconds / _TRICKLES
            step = max(len(body) // _TRICKLES if pause else len(body), 1)
        date = http_date(self._sandbox.clock())
        length = str(len(body)).encode()
        base = [(b"content-type", content_type), (b"content-length", length), (b"date", date)]
        await send({"type": "http.response.start", "status": status, "headers": base + extra})
        for start in range(0, max(len(body), 1), step):
            await self._sandbox.pause(pause)
            more = start + step < len(body)
            await send({"type": "http.response.body", "body": body[start : start + step], "more_body": more})


def _headers(scope: Scope) -> dict[bytes, bytes]:
    wanted = (b"authorization", b"host", b"content-type")
    return {name: value for name, value in scope["headers"] if name in wanted}


async def _read(receive: Any, too_large: int) -> bytes:
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
