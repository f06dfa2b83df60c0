"""When the client asks again, and what it makes of strange answers. The server is a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from protokeep.client import (
    AsyncProtokeep,
    BuilderUnavailable,
    Change,
    KeyInFlight,
    NoAnswer,
    NotProtokeep,
    NotReady,
    Protokeep,
)
from protokeep.client.operations import MAX_TRIES

VIEW = {
    "id": "a",
    "product_id": "shop",
    "project_status": "pending",
    "state": "queued",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
    "reason": None,
    "something_new": 1,
}
ENSURED = {**VIEW, "is_existing": False, "decision": {"outcome": "created", "reason": "r", "prompt_differs": False}}


def ok(body: dict[str, Any]) -> httpx2.Response:
    """An answer."""
    return httpx2.Response(200, json=body)


def problem(status: int, kind: str, retry_after: str | None = None) -> httpx2.Response:
    """A refusal of protokeep's."""
    body = {"type": f"urn:protokeep:problem:{kind}", "title": "t", "status": status, "detail": "what to do"}
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": retry_after} if retry_after else {})
    return httpx2.Response(status, content=json.dumps(body), headers=headers)


class Script:
    """Answers one request after the other; an exception is a connection that breaks."""

    def __init__(self, *steps: httpx2.Response | type[Exception]) -> None:
        self.steps = list(steps)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, httpx2.Response):
            return step
        raise step("broken")

    def client(self) -> Protokeep:
        return Protokeep("http://test", "t", transport=httpx2.MockTransport(self))


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("protokeep.client.sync.time.sleep", slept.append)
    return slept


def test_a_repeated_create_keeps_its_key_and_two_creates_have_two(pauses: list[float]) -> None:
    """
    A create that is asked again carries the same idempotency key; two creates carry two.
    """
    script = Script(httpx2.ReadTimeout, httpx2.ConnectError, ok(ENSURED), ok(ENSURED))
    with script.client() as keep:
        keep.ensure("shop", "p")
        keep.ensure("shop", "p")

    keys = [request.headers["idempotency-key"] for request in script.requests]
    assert len(set(keys[:3])) == 1
    assert keys[2] != keys[3]
    assert len(pauses) == 2
    assert pauses[0] < pauses[1]


def test_tries_are_bounded_and_the_error_says_who_did_not_answer(pauses: list[float]) -> None:
    """
    After a few tries it gives up and says who did not answer.
    """
    script = Script(*[httpx2.ReadError] * 10)
    with script.client() as keep, pytest.raises(NoAnswer, match="http://test"):
        keep.status("shop")

    assert len(script.requests) == MAX_TRIES
    assert sum(pauses) < 3


@pytest.mark.parametrize(
    "passing",
    [
        problem(503, "not-ready", "2"),
        problem(409, "idempotency-key-in-flight", "2"),
        httpx2.Response(502, text="<html>bad gateway</html>"),
        httpx2.Response(503, text="busy", headers={"Retry-After": "2"}),
        httpx2.Response(429, text="slow down"),
    ],
)
def test_passing_trouble_is_asked_again_after_the_servers_pause(passing: httpx2.Response, pauses: list[float]) -> None:
    """
    What passes by itself is asked again, after the pause that the server names.
    """
    script = Script(passing, ok(ENSURED))
    with script.client() as keep:
        assert keep.ensure("shop", "p").id == "a"

    assert pauses[0] >= (2 if "retry-after" in passing.headers else 0.1)


@pytest.mark.parametrize(
    ("lasting", "error"),
    [
        (problem(503, "not-configured"), NotReady),
        (problem(503, "not-ready", "3600"), NotReady),
        (problem(409, "idempotency-key-in-flight"), KeyInFlight),
        (problem(502, "provider-rejected"), BuilderUnavailable),
        (httpx2.Response(200, text="<html>hello</html>"), NotProtokeep),
        (httpx2.Response(200, json={"id": "a"}), NotProtokeep),
        (httpx2.Response(200, json=[1]), NotProtokeep),
        (httpx2.Response(200, json={**VIEW, "created_at": "yesterday"}), NotProtokeep),
    ],
)
def test_lasting_trouble_is_told_at_once(lasting: httpx2.Response, error: type[Exception], pauses: list[float]) -> None:
    """
    What will not pass is told at once.
    """
    script = Script(lasting)
    with script.client() as keep, pytest.raises(error):
        keep.ensure("shop", "p")

    assert pauses == []


def test_wait_lives_through_a_restart_of_the_server() -> None:
    """
    A server that is away for a while does not end a `wait`.
    """
    done = {**VIEW, "project_status": "completed", "state": "ready"}
    script = Script(ok(VIEW), *[httpx2.ConnectError] * (MAX_TRIES + 1), ok(done))
    with script.client() as keep:
        assert keep.wait("shop", seconds=60).ready


def test_wait_asks_a_server_that_holds_nothing_once_a_second(pauses: list[float]) -> None:
    """
    A server with too many waits answers at once: it is not asked again at once.
    """
    done = {**VIEW, "project_status": "completed", "state": "ready"}
    script = Script(*[ok(VIEW)] * 4, ok(done))
    with script.client() as keep:
        assert keep.wait("shop", seconds=60).ready

    assert len(script.requests) == 5
    assert [0.5 < pause <= 1 for pause in pauses] == [True] * 3


def test_any_product_id_is_one_segment_of_the_path() -> None:
    """
    Any product id is one segment of the path.
    """
    script = Script(ok(VIEW))
    with script.client() as keep:
        keep.status("a/../b?c=ä")

    assert script.requests[0].url.raw_path.startswith(b"/api/design/mockups/a%2F..%2Fb%3Fc%3D%C3%A4/status")


STREAM = (
    ": hello\n\n"
    'id: 7\nevent: change\ndata: {"id": "a", "product_id": "shop",\ndata:  "state": "making"}\n\n'
    'event: other\ndata: {}\n\nevent: prototype\ndata: {"broken\n\n'
    'id: 8\r\nevent: prototype\r\ndata: {"id": "b", "product_id": "bakery", "state": "ready"}\r\n\r\n'
)
MORE = 'id: 9\nevent: prototype\ndata: {"id": "a", "product_id": "shop", "state": "ready"}\n\n'


def stream(text: str) -> httpx2.Response:
    """A stream that ends."""
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def taken(changes: Iterator[Change], enough: Callable[[list[Change]], bool]) -> list[Change]:
    """Changes until there are enough."""
    found: list[Change] = []
    for change in changes:
        found.append(change)
        if enough(found):
            break
    return found


def test_a_stream_goes_on_from_the_last_event_id() -> None:
    """
    A stream that ends is opened again with the last id; strange events are passed over.
    """
    script = Script(stream(STREAM), httpx2.ReadError, stream(MORE))
    with script.client() as keep:
        changes = taken(keep.events(), lambda seen: len(seen) == 3)

    assert [(one.product_id, one.state) for one in changes] == [
        ("shop", "making"),
        ("bakery", "ready"),
        ("shop", "ready"),
    ]
    assert [request.headers.get("last-event-id") for request in script.requests] == [None, "8", "8"]


def test_a_stream_of_named_products_begins_with_how_they_stand() -> None:
    """
    Only the products that are asked for are told of, from how they stand at first.
    """
    script = Script(stream(STREAM), ok(VIEW), stream(MORE))
    with script.client() as keep:
        changes = taken(keep.events("shop"), lambda seen: len(seen) == 3)

    assert [(one.product_id, one.state) for one in changes] == [
        ("shop", "queued"),
        ("shop", "making"),
        ("shop", "ready"),
    ]
    assert script.requests[0].url.params["product_id"] == "shop"


def test_products_are_read_again_when_the_server_forgot_events() -> None:
    """
    When the server no longer knows what was missed, the named products are read again; a deleted one is told.
    """
    forgotten = "id: 1\nevent: resync\ndata: {}\n\n"
    gone = 'id: 2\nevent: gone\ndata: {"id": "a", "product_id": "shop"}\n\n'
    script = Script(stream(": hello\n\n"), ok(VIEW), stream(forgotten + gone), ok({**VIEW, "state": "making"}))
    with script.client() as keep:
        changes = taken(keep.events("shop"), lambda seen: len(seen) == 3)

    assert [one.state for one in changes] == ["queued", "making", "gone"]


async def test_the_asynchronous_client_reads_the_same_stream() -> None:
    """
    The asynchronous client reads the same stream.
    """
    transport = httpx2.MockTransport(Script(stream(STREAM), ok({**VIEW, "product_id": "bakery"})))
    async with AsyncProtokeep("http://test", "t", transport=transport) as keep:
        async for change in keep.events("bakery"):
            if change.state == "ready":
                assert change.event_id == "8"
                break


def test_a_stream_that_breaks_again_and_again_ends_with_an_error() -> None:
    """
    A stream that breaks again and again ends with an error.
    """
    script = Script(*[httpx2.ConnectError] * 20)
    with script.client() as keep, pytest.raises(NoAnswer):
        next(keep.events())


def test_a_follow_up_carries_an_idempotency_key() -> None:
    """
    A follow-up message carries an idempotency key, given or its own.
    """
    script = Script(ok(VIEW), ok(VIEW))
    with script.client() as keep:
        keep.iterate("a", "Make it blue")
        keep.iterate("a", "Make it blue", idempotency_key="mine")

    assert [request.url.path for request in script.requests] == ["/api/design/prototypes/a/messages"] * 2
    assert json.loads(script.requests[0].content) == {"message": "Make it blue"}
    assert script.requests[0].headers["idempotency-key"]
    assert script.requests[1].headers["idempotency-key"] == "mine"
