"""The server acts and its answer is lost: what the error says, and that repeating as it says does nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from client.test_operations import ENSURED, VIEW, Script, ok, problem
from live_server import Demo
from lossy_server import INSTEAD, Lossy, lossy
from protokeep.client import (
    AsyncProtokeep,
    ClientError,
    NoAnswer,
    NotAuthenticated,
    NotProtokeep,
    Protokeep,
    Prototype,
)
from protokeep.client.operations import MAX_TRIES

WORDS = "Make it blue"
how = pytest.mark.parametrize("how", INSTEAD)
CREATES, MESSAGES = "POST /api/design/create-project", "POST .*/messages"


@pytest.fixture
def way(served: Demo) -> Iterator[Lossy]:
    """The way to the server that loses answers when told to."""
    with lossy(served.url) as way:
        yield way


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's pauses are short."""
    monkeypatch.setattr("protokeep.client.operations.FIRST_PAUSE", 0.001)


def ready(served: Demo) -> Prototype:
    """A prototype that can be changed."""
    with Protokeep(served.url, served.token) as keep:
        keep.ensure("shop", "A landing page")
        served.finish()
        return keep.wait("shop", seconds=20)


@how
def test_create_new_repeated_with_the_errors_key_makes_no_other(served: Demo, way: Lossy, how: str) -> None:
    """
    With the error's key it is the one that was made; without, as the error says, it would be another.
    """
    with Protokeep(way.url, served.token) as keep:
        with way.losing(CREATES, how), pytest.raises(ClientError) as caught:
            keep.ensure("shop", "A landing page", create_new=True)
        error = caught.value
        again = keep.ensure("shop", "A landing page", create_new=True, idempotency_key=error.idempotency_key)
        assert served.chats_created == 1
        other = keep.ensure("shop", "A landing page", create_new=True)

    assert error.may_have_acted
    assert repr(error.idempotency_key) in error.advice
    assert "with another key another one is made." in error.advice
    assert again.decision.outcome == "replayed"
    assert other.id != again.id
    assert len(set(way.keys()[:-1])) == 1
    assert served.chats_created == 2


@how
async def test_the_asynchronous_client_keeps_its_keys_the_same_way(served: Demo, way: Lossy, how: str) -> None:
    """
    The asynchronous client keeps its keys the same way, for creates and for follow-ups.
    """
    before = await asyncio.to_thread(ready, served)
    async with AsyncProtokeep(way.url, served.token) as keep:
        with way.losing(f"{CREATES}|{MESSAGES}", how):
            with pytest.raises(ClientError) as prototype:
                await keep.ensure("bakery", "A landing page", create_new=True)
            with pytest.raises(ClientError) as sent:
                await keep.iterate(before.id, WORDS)
        await keep.ensure("bakery", "A landing page", create_new=True, idempotency_key=prototype.value.idempotency_key)
        await keep.iterate(before.id, WORDS, idempotency_key=sent.value.idempotency_key)

    assert (prototype.value.may_have_acted, sent.value.may_have_acted) == (True, True)
    assert served.chats_created == 2
    assert served.messages(WORDS) == 1


@how
def test_a_follow_up_repeated_with_the_errors_key_is_sent_once(served: Demo, way: Lossy, how: str) -> None:
    """
    With the error's key the message is sent once.
    """
    before = ready(served)
    with Protokeep(way.url, served.token) as keep:
        with way.losing(MESSAGES, how), pytest.raises(ClientError) as caught:
            keep.iterate(before.id, WORDS)
        after = keep.iterate(before.id, WORDS, idempotency_key=caught.value.idempotency_key)

    assert repr(caught.value.idempotency_key) in caught.value.advice
    assert after.state == "making"
    assert served.messages(WORDS) == 1


def test_a_create_repeated_after_a_deletion_makes_nothing_with_its_key(served: Demo, way: Lossy) -> None:
    """
    A create is repeated after somebody deleted what it made: with its key nothing is made, without it another one.
    """
    with Protokeep(way.url, served.token) as keep, Protokeep(served.url, served.admin_token) as admin:
        with way.losing(CREATES), pytest.raises(NoAnswer, match="was deleted meanwhile") as caught:
            keep.ensure("shop", "A landing page")
        admin.delete(keep.status("shop").id, now=True)
        with pytest.raises(ClientError, match="has been deleted"):
            keep.ensure("shop", "A landing page", idempotency_key=caught.value.idempotency_key)

    assert served.chats_created == 1


def test_a_stop_whose_answer_was_lost_is_not_repeated(served: Demo, way: Lossy) -> None:
    """
    A stop whose answer was lost is sent once: another would stop what somebody has begun meanwhile.
    """
    with Protokeep(way.url, served.token) as keep:
        prototype = keep.ensure("shop", "A landing page")
        with way.losing("/stop"), pytest.raises(NoAnswer, match="Look at it first") as caught:
            keep.stop(prototype.id)

        assert sum("/stop" in head for head in way.heads) == 1
        assert caught.value.may_have_acted
        assert caught.value.idempotency_key is None
        assert keep.get(prototype.id).state == "stopped"


def test_a_delete_whose_answer_was_lost_is_repeated(served: Demo, way: Lossy) -> None:
    """
    Deleting an id again deletes nothing else.
    """
    with Protokeep(way.url, served.admin_token) as keep:
        prototype = keep.ensure("shop", "A landing page")
        with way.losing("DELETE"), pytest.raises(NoAnswer, match="same id again is safe") as caught:
            keep.delete(prototype.id, now=True)
        assert keep.delete(prototype.id, now=True) is None

    assert caught.value.may_have_acted
    assert [chat["deleted"] for chat in served.chats()] == [True]


@pytest.mark.parametrize(
    ("steps", "acted"),
    [
        ([httpx2.ReadTimeout] * MAX_TRIES, True),
        ([httpx2.WriteError] * MAX_TRIES, True),
        ([httpx2.ConnectError] * MAX_TRIES, False),
        ([httpx2.ProxyError] * MAX_TRIES, False),
        ([httpx2.UnsupportedProtocol] * MAX_TRIES, False),
        ([httpx2.ReadTimeout, *[httpx2.ConnectError] * MAX_TRIES], True),
        ([httpx2.ReadTimeout, problem(401, "not-authenticated")], True),
        ([httpx2.Response(502, text="<h1>"), problem(422, "invalid-input")], True),
        ([problem(401, "not-authenticated")], False),
        ([problem(422, "invalid-input")], False),
        ([problem(429, "cap-reached", "3600")], False),
        ([problem(503, "not-configured")], False),
        ([problem(503, "not-migrated")], False),
        ([problem(503, "not-ready")], True),
        ([problem(500, "unexpected")], True),
        ([problem(409, "idempotency-key-in-flight")], True),
        ([problem(409, "not-now")], False),
        ([httpx2.Response(404, text="<h1>")], False),
        ([httpx2.Response(302, headers={"location": "/x"})], True),
        ([httpx2.Response(308, headers={"location": "/x"})], False),
        ([httpx2.Response(200, text="<h1>")], True),
        ([httpx2.Response(200, json={"id": "a"})], True),
        ([httpx2.Response(200, json=[1])], True),
    ],
)
@pytest.mark.parametrize("call", ["ensure", "iterate"])
def test_an_error_of_the_second_try_still_says_what_the_first_may_have_done(
    steps: list[httpx2.Response | type[Exception]], acted: bool, call: str
) -> None:
    """
    What a first try may have done is not undone by the answer to the second. The key is there either way.
    """
    script = Script(*steps)
    with script.client() as keep, pytest.raises(ClientError) as caught:
        keep.ensure("shop", "p") if call == "ensure" else keep.iterate("a", WORDS)
    error = caught.value

    assert error.may_have_acted is acted
    assert {request.headers["idempotency-key"] for request in script.requests} == {error.idempotency_key}
    assert bool(acted or isinstance(error, NoAnswer)) is bool(error.advice)
    if isinstance(error, NoAnswer):
        assert str(error) == f"{error.reason} {error.advice}"
        assert acted or error.advice == "Nothing was sent, so asking again is safe."


def test_the_callers_own_key_is_named_in_the_error() -> None:
    """
    The key that the caller gave is the one that the error names.
    """
    script = Script(*[httpx2.ReadTimeout] * MAX_TRIES)
    with script.client() as keep, pytest.raises(NoAnswer, match="idempotency_key='mine'") as caught:
        keep.ensure("shop", "p", idempotency_key="mine")

    assert caught.value.idempotency_key == "mine"


def test_a_lost_answer_to_a_read_may_always_be_asked_again() -> None:
    """
    What only reads may be asked again, whatever came of it.
    """
    script = Script(*[httpx2.ReadTimeout] * MAX_TRIES, problem(500, "unexpected"), httpx2.Response(200, text="<h1>"))
    with script.client() as keep:
        with pytest.raises(NoAnswer, match="Asking again is safe: it changes nothing") as silent:
            keep.status("shop")
        with pytest.raises(ClientError) as failed:
            keep.get("a")
        with pytest.raises(NotProtokeep) as strange:
            keep.page("shop")

    for error in (silent.value, failed.value, strange.value):
        assert (error.may_have_acted, error.idempotency_key) == (False, None)


def test_a_second_create_has_a_key_of_its_own() -> None:
    """
    A second wish for the same carries a key of its own.
    """
    script = Script(ok(ENSURED), ok(ENSURED), ok(VIEW), ok(VIEW))
    with script.client() as keep:
        keep.ensure("shop", "p")
        keep.ensure("shop", "p")
        keep.iterate("a", WORDS)
        keep.iterate("a", WORDS)

    assert len({request.headers["idempotency-key"] for request in script.requests}) == 4


def test_an_error_keeps_its_words_beside_the_advice_to_retry() -> None:
    """
    An error with words of its own keeps them; what asking again does stands beside them.
    """
    script = Script(httpx2.ReadTimeout, problem(401, "not-authenticated"))
    with script.client() as keep, pytest.raises(NotAuthenticated) as caught:
        keep.iterate("a", WORDS)

    assert (str(caught.value), caught.value.reason) == ("what to do", "what to do")
    assert "It may have been sent." in caught.value.advice


@pytest.mark.parametrize("address", ["localhost:8400", "ftp://x", "http://", "http://[::1", "http://x:99999", "//x"])
def test_an_address_that_cannot_be_called_names_its_variable(address: str) -> None:
    """
    They are told at once, with the variable's name.
    """
    with pytest.raises(NotProtokeep, match="PROTOKEEP_URL"):
        Protokeep(address, "t")


def test_a_host_that_cannot_be_looked_up_is_nobody_there() -> None:
    """
    A name that no name server takes is nobody there, not a stack trace.
    """
    with Protokeep("http://a..b", "t") as keep, pytest.raises(NoAnswer, match="Nothing was sent"):
        keep.ensure("shop", "p")
