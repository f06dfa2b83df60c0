"""HTTP/1.1 of the adversary's v0: what a request asks for, and how an answer is written, whole or broken."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from adversary import wire
from adversary.chats import http_date
from adversary.knobs import Fault, Knobs, Operation

#: Between the bytes that arrive and the reset, so that they arrive.
BEFORE_RESET = 0.05
ENTERED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """One request, read to its end."""

    method: str
    target: str
    body: dict[str, Any]

    @cached_property
    def path(self) -> str:
        """The path, without the query."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's values by name."""
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def version(self) -> int:
        """Of the API: the first part of the path."""
        return 2 if self.path.startswith("/v2") else 1

    @property
    def path_parts(self) -> list[str]:
        """The parts of the path behind the version."""
        return [part for part in self.path.split("/") if part][1:]

    @property
    def page(self) -> int:
        """Which page of a list this is, from 0. Pages of v1 may overlap by some rows."""
        limit = int(self.query.get("limit", "20"))
        start = int(self.query.get("offset" if self.version == 1 else "cursor", "0"))
        return round(start / limit)

    @property
    def text(self) -> str | None:
        """The message of a create or a follow-up."""
        return self.body.get("message")

    @property
    def marker(self) -> str | None:
        """The marker of a create."""
        return (self.body.get("metadata") or {}).get("protokeep_marker")

    @cached_property
    def operation(self) -> Operation:
        """What kind of request it is, as the documents' paths say."""
        match self.method, self.path_parts:
            case "POST", ["chats"] | ["chats", "async"]:
                return Operation.CREATE
            case "GET", ["chats"]:
                return Operation.LIST
            case "GET" | "DELETE" | "PATCH", ["chats", _]:
                return {"GET": Operation.DETAIL, "DELETE": Operation.DELETE}.get(self.method, Operation.PATCH)
            case "POST", ["chats", _, "messages"] | ["chats", _, "messages", "async"]:
                return Operation.SEND
            case "POST", ["chats", _, "messages", _, "stop"]:
                return Operation.STOP
            case "GET", ["chats", _, "messages"]:
                return Operation.MESSAGES
            case "GET", ["chats", _, "messages", _]:
                return Operation.MESSAGE
            case _, ["hooks", *_]:
                return Operation.HOOKS
        return Operation.OTHER

    def refusal(self, allowed: set[str]) -> str | None:
        """Why the body is a 422; None: it is as the document says."""
        if not isinstance(self.body.get("message"), str) or not self.body["message"]:
            return "message is required"
        if more := set(self.body) - allowed:
            return f"unknown fields: {', '.join(sorted(more))}"
        metadata = self.body.get("metadata") or {}
        if any(len(key) > 40 or not isinstance(value, str) or len(value) > 500 for key, value in metadata.items()):
            return "metadata: keys have at most 40 characters, values are text of at most 500"
        return None

    def wanted_metadata(self) -> dict[str, str]:
        """The search by metadata, which only v2 has: `metadata[key]=value`."""
        found = {name[9:-1]: value for name, value in self.query.items() if name.startswith("metadata[")}
        return found if self.version == 2 else {}


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None: it has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    value = json.loads(raw) if raw else {}
    return Request(method, target, value if isinstance(value, dict) else {})


@dataclass(frozen=True)
class Answer:
    """A status and a JSON value; text is sent as it is."""

    status: int
    value: Any

    def changed(self, fault: Fault, version: int) -> Self:
        """What a fault makes of it."""
        status = self.status if fault.status is None else fault.status
        value = self.value
        if fault.raw is not None:
            value = fault.raw
        elif fault.status is not None:
            value = wire.error(version, status, "A fault of the adversary")
        if isinstance(value, dict):
            kept = {name: part for name, part in value.items() if name not in fault.without}
            value = {**kept, **fault.instead}
        return replace(self, status=status, value=value)

    async def write(self, writer: asyncio.StreamWriter, knobs: Knobs, fault: Fault | None = None) -> bool:
        """Write it, whole or as the fault says; False: the connection has been reset."""
        fault = fault or Fault()
        if fault.reset_unanswered:
            writer.transport.abort()
            return False
        body = self.value.encode() if isinstance(self.value, str) else json.dumps(self.value).encode()
        writer.write((ENTERED if fault.early_hints else b"") + self._head(knobs, fault, len(body)))
        if fault.reset_midway:
            writer.write(body[: len(body) // 2])
        elif fault.trickle:
            for byte in body:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(fault.trickle)
        else:
            writer.write(body)
        await writer.drain()
        if fault.reset_midway or fault.reset_after:
            await asyncio.sleep(BEFORE_RESET)
            writer.transport.abort()
            return False
        return True

    def _head(self, knobs: Knobs, fault: Fault, length: int) -> bytes:
        headers = {"Date": http_date(time.time(), knobs.clock_ahead), "Content-Type": "application/json"}
        if fault.retry_after_date is not None:
            headers["Retry-After"] = http_date(time.time() + fault.retry_after_date, knobs.clock_ahead)
        headers |= {**fault.headers, "Content-Length": str(length)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} X\r\n{lines}\r\n".encode()
