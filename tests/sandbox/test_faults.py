"""What goes wrong on purpose, and that the emulator counts and remembers what it did."""

from __future__ import annotations

import asyncio
import socket
import sys

import httpx2
import pytest

from protokeep.sandbox import Knobs, Sandbox, UnknownKnob, running
from sandbox.conftest import V0
from sandbox.test_time import create_v1, create_v2
from world import Clock, until

CREATES = [
    ("/v1/chats", {"message": "x", "responseMode": "async"}),
    ("/v1/chats/init", {"type": "template", "templateId": "t"}),
    ("/v2/chats/async", {"message": "x"}),
    ("/v2/chats/from-files", {"files": [{"name": "n", "content": "c"}]}),
]


@pytest.mark.parametrize(("path", "body"), CREATES)
async def test_a_dropped_create_acts_and_answers_nothing(
    v0: V0, sandbox: Sandbox, path: str, body: dict[str, object]
) -> None:
    """
    The create acts, then the connection closes without a byte; the next ones are answered.
    """
    await v0.knobs(drop_next_answers=2)
    for created in (1, 2):
        with pytest.raises(httpx2.RemoteProtocolError):
            await v0.post(path, json=body)
        assert sandbox.chats_created == created
    assert (await v0.post(path, json=body)).is_success
    assert (await v0.post(path, json={"unknown": 1})).status_code == 422
    assert (await v0.get("/_sandbox/knobs")).json()["drop_next_answers"] == 0


async def test_drop_next_drops_any_operation_after_or_instead_of_acting(v0: V0, sandbox: Sandbox) -> None:
    """
    `drop_next` closes the connection of any operation, after acting or instead of it.
    """
    chat, _ = await create_v2(v0)
    await v0.knobs(drop_next=[{"operation": "v2:chats.delete", "acts": False}, {"operation": "chats.delete"}])
    for deleted in (0, 1):
        with pytest.raises(httpx2.RemoteProtocolError):
            await v0.delete(chat)
        assert sandbox.stats()["chats_deleted"] == deleted
    assert (await v0.delete(chat)).status_code == 404


@pytest.mark.parametrize("status", [401, 402, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504])
async def test_fail_next_answers_so_many_times_and_nothing_happens(v0: V0, sandbox: Sandbox, status: int) -> None:
    """
    `fail_next` answers in each version's error shape, so many times, and nothing happens.
    """
    rule = {"operation": "chats.create*", "status": status, "retry_after": 7, "times": 2}
    await v0.knobs(fail_next=[rule])
    for path, body in (CREATES[0], CREATES[2]):
        answer = await v0.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    assert sandbox.chats_created == 0
    assert (await v0.post("/v2/chats/async", json={"message": "x"})).status_code == 202
    assert sandbox.stats()["calls"]["chats.createAsync"] == 2


async def test_fail_next_lasts_without_times_and_may_name_one_version(v0: V0) -> None:
    """
    `times: null` lasts; a version in front of the id leaves the other version alone.
    """
    await v0.knobs(fail_next=[{"operation": "v1:*", "status": 503, "times": None}])
    for _ in range(3):
        answer = await v0.get("/v1/chats")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, False)
        assert answer.json()["error"]["type"] == "internal_server_error"
    assert (await v0.get("/v2/chats")).status_code == 200
    await v0.knobs(fail_next=[])
    assert (await v0.get("/v1/chats")).status_code == 200


async def test_fail_after_acting_answers_5xx_though_the_chat_was_made(v0: V0, sandbox: Sandbox) -> None:
    """
    `fail_after_acting` answers 5xx though the chat was made.
    """
    await v0.knobs(fail_after_acting=[{"operation": "chats.createAsync", "status": 500}])
    assert (await v0.post("/v2/chats/async", json={"message": "x"})).status_code == 500
    assert sandbox.chats_created == 1


async def test_answer_next_sends_any_body_and_acts_first_if_asked(v0: V0, sandbox: Sandbox) -> None:
    """
    `answer_next` sends any body: HTML, cut JSON, a redirect, megabytes, slowly; acting first if asked.
    """
    v0.unchecked = True
    rules = [
        {"body": "<html>", "content_type": "text/html", "status": 502},
        {"body": '{"chatId": "a', "acts": True},
        {"status": 307, "headers": {"Location": "http://elsewhere.invalid/"}},
        {"body": "0123456789", "repeat": 1_000_000},
        {"body": "0123456789abcdefXY", "trickle_seconds": 0.05},
    ]
    await v0.knobs(answer_next=[{"operation": "chats.createAsync", **rule} for rule in rules])
    answers = [await v0.post("/v2/chats/async", json={"message": "x"}) for _ in rules]
    assert (answers[0].status_code, answers[0].text) == (502, "<html>")
    assert (answers[1].text, sandbox.chats_created) == ('{"chatId": "a', 1)
    assert (answers[2].status_code, answers[2].headers["location"]) == (307, "http://elsewhere.invalid/")
    assert len(answers[3].content) == 10_000_000
    assert (answers[4].text, answers[4].elapsed.total_seconds() > 0.04) == ("0123456789abcdefXY", True)


@pytest.mark.parametrize(("when", "made"), [(True, 0), ("before", 0), ("after", 1)])
async def test_a_held_create_waits_until_it_is_let_go(v0: V0, sandbox: Sandbox, when: bool | str, made: int) -> None:
    """
    A held create waits before it acts, or before it answers, until it is let go.
    """
    await v0.knobs(hold_creates=when)
    waiting = asyncio.create_task(v0.post("/v2/chats/async", json={"message": "x"}))
    await until(lambda: sandbox.held_requests > 0)
    assert sandbox.chats_created == made
    assert (await v0.get("/v2/chats")).status_code == 200
    await v0.knobs(hold_creates=False)
    assert (await waiting).status_code == 202
    assert (sandbox.chats_created, sandbox.held_requests) == (1, 0)


async def test_a_reset_forgets_everything_and_lets_held_creates_go(v0: V0, sandbox: Sandbox) -> None:
    """
    A reset forgets everything, puts the knobs back, and a create held meanwhile still works.
    """
    await create_v1(v0)
    await v0.knobs(hold_creates=True, failure_rate=1)
    waiting = asyncio.create_task(v0.post("/v2/chats/async", json={"message": "x"}))
    await until(lambda: sandbox.held_requests > 0)
    assert (await v0.post("/_sandbox/reset")).json()["chats_created"] == 0
    assert sandbox.knobs == Knobs(generation_seconds=10)
    assert (await waiting).status_code == 202
    assert list(sandbox.stats()["v2"].values()) == [1, 0, {}]
    assert (await v0.get("/v1/chats")).json()["data"] == []


async def test_slow_seconds_delays_answers_after_generations_have_begun(v0: V0) -> None:
    """
    `slow_seconds` delays every answer, `accept_seconds` what starts a generation, which has acted by then.
    """
    await v0.knobs(accept_seconds=5)
    assert (await v0.get("/v2/chats")).elapsed.total_seconds() < 5
    with pytest.raises(httpx2.ReadTimeout):
        await v0.post("/v2/chats/async", json={"message": "x"}, timeout=0.3)
    assert len((await v0.get("/v2/chats")).json()["chats"]) == 1
    await v0.knobs(slow_seconds=0.05)
    assert (await v0.get("/v2/chats")).elapsed.total_seconds() >= 0.05


async def test_while_down_every_connection_closes_but_the_control_api(v0: V0) -> None:
    """
    While down every connection closes; the control API stays.
    """
    await v0.knobs(down=True)
    for path in ("/v1/chats", "/v2/chats", "/"):
        with pytest.raises(httpx2.RemoteProtocolError):
            await v0.get(path)
    assert (await v0.get("/_sandbox/stats")).json()["calls"] == {}
    await v0.knobs(down=False)
    assert (await v0.get("/v1/chats")).status_code == 200


async def test_calls_are_counted_by_operation_and_scopes_recorded(v0: V0, nobody: V0) -> None:
    """
    Calls count by operation id, summed and per version, refused ones too; scopes are recorded.
    """
    await create_v1(v0)
    chat, _ = await create_v2(v0)
    await v0.delete(chat)
    await v0.get("/v1/chats?scope=team&whatever=1")
    await v0.get("/v2/chats?scope=team")
    await nobody.get("/v2/chats?scope=mine")
    await v0.post("/v2/chats", json={})
    await v0.get("/v2/mcp-servers")
    await v0.knobs(drop_next_answers=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        await v0.post("/v2/chats/async", json={"message": "x"})

    stats = (await v0.get("/_sandbox/stats")).json()

    assert (stats["chats_created"], stats["chats_deleted"]) == (3, 1)
    assert stats["v1"] == {"chats_created": 1, "chats_deleted": 0, "calls": {"chats.create": 1, "chats.find": 1}}
    calls = {"chats.createAsync": 2, "chats.delete": 1, "chats.list": 2, "chats.create": 1}
    assert stats["v2"] == {"chats_created": 2, "chats_deleted": 1, "calls": calls}
    assert stats["calls"] == {**calls, "chats.create": 2, "chats.find": 1}
    assert stats["scopes"] == {"team": 2, "mine": 1}
    assert stats["not_emulated"] == {"GET /v2/mcp-servers": 1}
    assert stats["statuses"] == {"200": 4, "202": 1, "401": 1, "422": 1, "404": 1, "dropped": 1}


async def test_an_unknown_knob_or_a_wrong_value_is_refused_by_name(v0: V0, sandbox: Sandbox) -> None:
    """
    An unknown knob or a wrong value is refused by name, and nothing changes.
    """
    before = (await v0.get("/_sandbox/knobs")).json()
    for changes, named in (
        ({"speed": 1, "failure_rate": 1}, "speed"),
        ({"failure_rate": 2}, "failure_rate"),
        ({"generation_seconds": [3, 1]}, "generation_seconds"),
        ({"fail_next": [{"operation": "x", "state": 1}]}, "state"),
        ({"finish_reason": "done"}, "finish_reason"),
    ):
        answer = await v0.patch("/_sandbox/knobs", json=changes)
        assert (answer.status_code, named in answer.json()["message"]) == (422, True)
    assert (await v0.patch("/_sandbox/knobs", content=b"[")).status_code == 422
    assert (await v0.patch("/_sandbox/knobs", content=b"[]")).status_code == 422
    assert (await v0.get("/_sandbox/knobs")).json() == before
    with pytest.raises(UnknownKnob, match="speed"):
        sandbox.set_knobs(speed=1)


async def test_a_stopped_emulator_comes_back_with_its_state(clock: Clock) -> None:
    """
    Stopping waits for no create that is held and no open connection; the state is there when it is back.
    """
    sandbox = Sandbox(clock, Knobs(hold_creates="after", slow_seconds=0))
    async with httpx2.AsyncClient(headers={"authorization": "Bearer k"}, trust_env=False) as http:
        async with running(sandbox) as url:
            await http.get(f"{url}/v2/chats")
            held = asyncio.create_task(http.post(f"{url}/v2/chats/async", json={"message": "x"}))
            await until(lambda: sandbox.held_requests > 0)
        with pytest.raises(httpx2.TransportError):
            await held
        with pytest.raises(httpx2.ConnectError):
            await http.get(f"{url}/v2/chats")
        sandbox.set_knobs(hold_creates=False)
        async with running(sandbox, port=int(url.rpartition(":")[2])) as again:
            assert again == url
            assert len((await http.get(f"{url}/v2/chats")).json()["chats"]) == 1


async def test_hundreds_of_creates_at_once_succeed_once_each(v0: V0, sandbox: Sandbox) -> None:
    """
    Hundreds of creates at once all succeed, each once.
    """
    v0.unchecked = True
    answers = await asyncio.gather(
        *(v0.post("/v2/chats/async", json={"message": f"{index}"}, timeout=30) for index in range(300))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert sandbox.chats_created == len({answer.json()["chatId"] for answer in answers}) == 300


async def test_the_emulator_listens_on_loopback_and_stops_quietly() -> None:
    """
    Alone, it listens on loopback, and ends without a word when told to.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from protokeep.sandbox import serve; serve(port={port})"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, stderr=pipe)
    async with httpx2.AsyncClient(trust_env=False) as http:
        async with asyncio.timeout(20):
            while True:
                try:
                    await http.get(f"http://127.0.0.1:{port}/_sandbox/stats")
                    break
                except httpx2.ConnectError:
                    await asyncio.sleep(0.05)
        process.terminate()
        assert await asyncio.wait_for(process.communicate(), 20) == (b"", b"")


async def test_drop_every_loses_the_answer_of_every_nth_create(v0: V0, sandbox: Sandbox) -> None:
    """
    With `drop_every` the n-th, 2n-th .. create acts, and its answer never comes.
    """
    await v0.knobs(drop_every=3)
    for number in range(1, 8):
        if number % 3:
            assert (await v0.post("/v2/chats/async", json={"message": "x"})).is_success
        else:
            with pytest.raises(httpx2.RemoteProtocolError):
                await v0.post("/v2/chats/async", json={"message": "x"})

    assert sandbox.chats_created == 7
