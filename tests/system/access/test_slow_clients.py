"""Clients that send slowly, or nothing, over real sockets: each is cut off, and nobody else is."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from processes import started
from protokeep.web.protocol import BoundedProtocol, RequestBounds
from protokeep.web.server import address_of, listen, serving
from waiting import until
from world import Site, World, on_sqlite

#: What the server is told to wait; long enough for a busy machine to send a whole request in.
SHORT = 1.0
#: What it is told where that is not tried.
LONG = 60.0
#: Between two bytes of a slow client.
PAUSE = 0.02
#: Whatever takes longer was not cut off.
PATIENCE = 20.0

HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@contextlib.asynccontextmanager
async def connected(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def dripped(site: Site, start: bytes, drop: bytes) -> bytes:
    """All that the server answers to one who sends `start`, and then `drop` again and again (b"": nothing)."""
    async with connected(site) as (reader, writer):

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                while drop:
                    writer.write(drop)
                    await writer.drain()
                    await asyncio.sleep(PAUSE)

        writer.write(start)
        dripping = asyncio.create_task(drip())
        answer = b""
        try:
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionError):
                    while part := await reader.read(65536):
                        answer += part
        finally:
            dripping.cancel()
        return answer


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """One answer whose length is told."""
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head + await reader.readexactly(length)


def post(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


@on_sqlite
class TestCutOff:
    @pytest.fixture
    async def site(self, world: World) -> AsyncIterator[Site]:
        async with world.serving(header_seconds=SHORT, body_seconds=SHORT) as served:
            yield served

    @pytest.mark.parametrize(
        ("start", "drop"),
        [
            (b"G", b""),
            (b"GET /", b"x"),
            (HEAD + b"x: ", b"y"),
            (HEAD, b"x: y\r\n"),
            (HEAD, b""),
            (post("/api/design/create-project", "Content-Length: 1000"), b" "),
            (post("/api/design/create-project", "Content-Length: 1000") + b"{", b""),
            (post("/api/design/create-project", "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
            (post("/sign-in", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 1000"), b"a"),
            (post("/hooks/v0/x", "Content-Length: 1000"), b"a"),
        ],
        ids=ascii,
    )
    async def test_a_head_or_body_that_does_not_end_in_time_is_408(
        self, site: Site, caplog: pytest.LogCaptureFixture, start: bytes, drop: bytes
    ) -> None:
        """
        A head or a body that does not end in time is answered with 408 and cut off; no error is logged.
        """
        with capture_logs() as logged:
            answer = await dripped(site, start, drop)

        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert answer.count(b"HTTP/1.1") == 1
        assert [line["event"] for line in logged if line["log_level"] != "info"] == []
        assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
        assert (await site.http.get("/livez")).status_code == 200

    async def test_a_connection_that_asks_for_nothing_is_closed(self, site: Site) -> None:
        """
        A connection that asks for nothing is closed without a word.
        """
        assert await dripped(site, b"", b"") == b""

    async def test_line_ends_keep_no_connection_open(self, site: Site) -> None:
        """
        Line ends keep no connection open after its request was answered.
        """
        answer = await dripped(site, HEAD + b"\r\n", b"\r\n")

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1") == 1

    async def test_a_body_sent_after_its_answer_keeps_no_connection_open(self, site: Site) -> None:
        """
        Nor does a body that is sent on and on after the answer to its head.
        """
        answer = await dripped(site, HEAD + b"Content-Length: 1000\r\n\r\n", b"x")

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1") == 1

    async def test_a_slow_second_request_is_cut_off_too(self, site: Site) -> None:
        """
        Whoever was quick once may not be slow afterwards.
        """
        async with connected(site) as (reader, writer):
            writer.write(HEAD + b"\r\n")
            assert (await answer_of(reader)).startswith(b"HTTP/1.1 200 ")
            writer.write(HEAD)
            async with asyncio.timeout(PATIENCE):
                assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    async def test_five_hundred_slow_clients_keep_nobody_from_being_served(self, site: Site) -> None:
        """
        Five hundred of them keep nobody from being served, and are gone together.
        """
        slow = [asyncio.create_task(dripped(site, HEAD, b"")) for _ in range(500)]
        assert (await site.http.get("/livez")).status_code == 200

        answers = await asyncio.gather(*slow)

        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}


async def test_the_program_itself_cuts_slow_clients_off(sqlite_url: str, tmp_path: Path) -> None:
    """
    The program itself is set so, on the event loop that it takes.
    """
    values = {"PROTOKEEP_DATABASE_URL": sqlite_url, "PROTOKEEP_HEADER_SECONDS": str(SHORT)}
    async with started(tmp_path, "serve", "--port", "0", **values) as serve:
        url = urlsplit((await serve.says(r"serving on (http://\S+)")).group(1))
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(HEAD)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


class TestUvicorn:
    """
    `BoundedProtocol` relies on internals of uvicorn that no documentation promises. An upgrade that changes them fails
    here, and has to be checked by hand against `uvicorn/protocols/http/httptools_impl.py`.
    """

    def test_it_calls_the_methods_that_are_overridden(self) -> None:
        overridden = {name: method for name, method in vars(BoundedProtocol).items() if not name.startswith("_")}
        del overridden["bounds"]
        assert set(overridden) == {
            "connection_made",
            "connection_lost",
            "on_message_begin",
            "on_headers_complete",
            "on_message_complete",
            "on_response_complete",
            "data_received",
            "pause_writing",
            "resume_writing",
        }
        for name, method in overridden.items():
            theirs = inspect.signature(getattr(HttpToolsProtocol, name))
            assert list(inspect.signature(method).parameters) == list(theirs.parameters), name

    async def test_it_has_the_attributes_that_are_read(self) -> None:
        config = Config(app=lambda scope: None, http=BoundedProtocol)
        config.load()
        protocol: Any = BoundedProtocol(config, ServerState(), {})
        assert protocol.cycle is None
        assert protocol.transport is None
        assert protocol.loop is asyncio.get_running_loop()
        protocol.connection_made(asyncio.Transport())
        assert protocol.flow.read_paused is False
        assert len(protocol.pipeline) == 0
        protocol.connection_lost(ConnectionError())
        attributes = set(inspect.signature(RequestResponseCycle).parameters) | set(
            re.findall(r"self\.(\w+)", inspect.getsource(RequestResponseCycle.__init__))
        )
        assert {"response_started", "response_complete", "disconnected", "message_event"} <= attributes

    def test_no_name_of_ours_hides_one_of_theirs(self) -> None:
        own = {name for name in vars(BoundedProtocol) if name.startswith("_") and not name.startswith("__")}
        source = inspect.getsource(HttpToolsProtocol)
        assert [name for name in own if re.search(rf"self\.{name}\b", source)] == []
        assert own & set(dir(HttpToolsProtocol)) == set()


@on_sqlite
class TestNotCutOff:
    async def test_a_long_stream_is_not_cut_off(self, world: World) -> None:
        """
        However long an answer takes, its connection stays: only what a client owes is counted.
        """
        async with (
            world.serving(header_seconds=SHORT, body_seconds=SHORT) as site,
            site.http.stream("GET", "/api/design/events") as stream,
            asyncio.timeout(PATIENCE),
        ):
            lines = stream.aiter_lines()
            while await anext(lines) != "event: hello":
                pass
            await asyncio.sleep(2 * SHORT)
            made = (await site.create("p-1")).json()
            seen: dict[str, Any] = {}
            while seen.get("id") != made["id"]:
                line = await anext(lines)
                seen = json.loads(line[6:]) if line.startswith("data: {") else {}

    async def test_a_stream_with_line_ends_is_not_cut_off(self, world: World) -> None:
        async with world.serving(header_seconds=SHORT, body_seconds=SHORT) as site, connected(site) as (reader, writer):
            token = site.http.headers["authorization"]
            writer.write(f"GET /api/design/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b"event: hello")
                writer.write(b"\r\n")
                await asyncio.sleep(2 * SHORT)
                await site.create("p-1")
                await reader.readuntil(b"event: change")

    async def test_requests_in_pieces_are_answered_as_ever(self, world: World) -> None:
        """
        A request in many packets, and several in one packet, are answered as ever.
        """
        body = json.dumps({"product_id": "p-1", "prompt": "x" * 50_000}).encode()
        async with world.serving(header_seconds=LONG, body_seconds=LONG) as site, connected(site) as (reader, writer):
            token = site.http.headers["authorization"]
            head = post(
                "/api/design/create-project",
                f"Authorization: {token}",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
            )
            for part in (head[:10], head[10:], body[:1], body[1:30_000], body[30_000:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(PAUSE)
            first = await answer_of(reader)
            writer.write(2 * (HEAD + b"\r\n"))
            others = [await answer_of(reader) for _ in range(2)]

        assert first.startswith((b"HTTP/1.1 201 ", b"HTTP/1.1 202 ")), first
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in others)

    async def test_a_form_that_is_broken_off_does_nothing(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        A form that is broken off does nothing, and is no error of ours.
        """
        start = post("/sign-in", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 1000") + b"a"
        with capture_logs() as logged:
            async with world.serving() as site:
                async with connected(site) as (_, writer):
                    writer.write(start)
                    await writer.drain()
                    await asyncio.sleep(PAUSE)
                assert (await site.http.get("/livez")).status_code == 200

        assert [line["event"] for line in logged if line["log_level"] != "info"] == []
        assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("taken", [False, True])
async def test_an_answer_that_is_not_taken_is_dropped_with_its_connection(*, taken: bool) -> None:
    """
    The rest of an answer waits in our memory: whoever takes none of it is cut off, and whoever takes it gets it whole.
    """
    body = b"x" * 30_000_000

    async def large(_request: Request) -> Response:
        return Response(body)

    app = Starlette(routes=[Route("/", large)])
    seconds = LONG if taken else 0.2
    bounds = RequestBounds(taking_seconds=seconds, taking_bytes_per_second=1e12)
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, bounds=bounds) as server:
        parts = urlsplit(address_of(listener))
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: bool(server.server_state.connections), seconds=PATIENCE)
        if not taken:
            await until(lambda: not server.server_state.connections, seconds=PATIENCE)
        got = 0
        with contextlib.suppress(ConnectionError):
            while got < len(body) and (piece := await reader.read(65536)):
                got += len(piece)
        assert (got >= len(body)) == taken
        writer.close()


async def test_requests_that_are_sent_before_the_answers_are_bounded() -> None:
    """
    One connection does not fill the memory with requests that wait: beyond a number of them it is closed.
    """
    started = 0

    async def counted(_request: Request) -> Response:
        nonlocal started
        started += 1
        return Response("done")

    app = Starlette(routes=[Route("/livez", counted)])
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, bounds=RequestBounds(max_waiting=8)):
        parts = urlsplit(address_of(listener))
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(3):  # As many as may wait, and the one under way.
            writer.write(9 * (HEAD + b"\r\n"))
            answers = [await answer_of(reader) for _ in range(9)]
            assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
        writer.write(5000 * (HEAD + b"\r\n"))
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
        writer.close()
        assert started <= 3 * 9 + 1


async def test_a_client_that_leaves_ends_the_request_under_way_whatever_it_sent_after_it() -> None:
    """
    A stream ends when its client leaves, even if the client sent another request behind it.
    """
    events: list[str] = []

    async def streaming(request: Request) -> Response:
        events.append("begun")
        while (await request.receive())["type"] != "http.disconnect":
            pass
        events.append("ended")
        return Response("too late")

    app = Starlette(routes=[Route("/stream", streaming), Route("/livez", streaming)])
    listener = listen("127.0.0.1", 0)
    with capture_logs() as logged:
        async with serving(app, listener):
            parts = urlsplit(address_of(listener))
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" + 3 * (HEAD + b"\r\n"))
            await until(lambda: "begun" in events, seconds=PATIENCE)
            writer.close()
            await until(lambda: "ended" in events, seconds=PATIENCE)
    assert events == ["begun", "ended"]
    assert [line["event"] for line in logged if line["log_level"] == "error"] == []
