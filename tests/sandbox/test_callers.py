"""The emulator asks for no key of its own: only programs and pages of this machine reach it, under allowed names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from protokeep.sandbox import Sandbox, running
from sandbox.conftest import V0
from world import Clock

PATHS = ("/_sandbox/stats", "/v1/user", "/v2/chats", "/")


async def statuses(url: str, host: str) -> set[int]:
    """How all parts of the emulator answer a request with that Host."""
    async with httpx2.AsyncClient(base_url=url, headers={"host": host}, trust_env=False) as http:
        return {(await http.get(path, headers={"authorization": "Bearer key"})).status_code for path in PATHS}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8500", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", ""]
)
async def test_a_name_that_was_pointed_at_this_machine_is_refused(url: str, host: str) -> None:
    """
    A page whose owner points its name at 127.0.0.1 reaches neither the controls, nor v0's APIs, nor the pages.
    """
    assert await statuses(url, host) <= {400, 421}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8500", "[::1]", "[::1]:8500"])
async def test_names_of_this_machine_are_answered(url: str, host: str) -> None:
    """
    Under loopback names, with a port or without one, everything is there.
    """
    assert 421 not in await statuses(url, host)


async def test_other_names_are_answered_where_they_are_allowed(clock: Clock) -> None:
    """
    A container reaches the emulator under the name that it was given, and under any name where any is allowed.
    """
    async with running(Sandbox(clock, allowed_hosts=["V0.internal"])) as url:
        assert 421 not in await statuses(url, "v0.internal:8500")
        assert await statuses(url, "evil.example") == {421}
    async with running(Sandbox(clock, allowed_hosts=["*"])) as url:
        assert 421 not in await statuses(url, "evil.example")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
    ids=lambda headers: "-".join(headers.values()),
)
async def test_a_page_of_another_site_turns_nothing(v0: V0, sandbox: Sandbox, headers: dict[str, str]) -> None:
    """
    What a browser sends for a page of another site resets nothing, turns no knob and reads no prompt.
    """
    await v0.post("/v2/chats/async", json={"message": "Hello"})
    refused = [
        await v0.post("/_sandbox/reset", headers=headers),
        await v0.patch("/_sandbox/knobs", json={"down": True}, headers=headers),
        await v0.get("/_sandbox/chats", headers=headers),
    ]

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert "Hello" not in refused[2].text
    assert (sandbox.chats_created, sandbox.knobs.down) == (1, False)


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_our_own_page_and_a_typed_address_reach_the_controls(v0: V0, url: str, site: str) -> None:
    """
    A browser's requests from the emulator's own origin, and an address that somebody types, are answered.
    """
    headers = {"sec-fetch-site": site, **({"origin": url} if site == "same-origin" else {})}

    assert (await v0.get("/_sandbox/stats", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"answer_next": [{"body": "x", "repeat": 10**9}]},
        {"answer_next": [{"body": "x" * 1000, "repeat": 20_000}]},
        {"answer_next": [{"headers": {"a": "b\r\nc: d"}}]},
        {"answer_next": [{"content_type": "text/\u2603"}]},
        {"answer_next": [{}] * 1001},
        {"fail_next": [{"operation": "*" * 201}]},
        {"fail_next": [{"retry_after": "\u2603"}]},
        {"drop_next": [{}] * 1001},
        {"hide": [{}] * 1001},
        {"generation_seconds": 1e300},
        {"slow_seconds": "inf"},
        {"clock_skew_seconds": -1e300},
        {"scopes": ["x"] * 1001},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_knob_beyond_its_bounds_changes_nothing(v0: V0, sandbox: Sandbox, changes: dict[str, object]) -> None:
    """
    Knobs that would take memory or time without a bound, or that no answer can carry, are refused.
    """
    before = sandbox.knobs.model_copy(deep=True)

    assert (await v0.patch("/_sandbox/knobs", json=changes)).status_code == 422
    assert sandbox.knobs == before


async def test_a_body_without_an_end_is_refused(v0: V0) -> None:
    """
    The controls read at most a mebibyte, however the body is sent, and no nesting without a bound.
    """

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    whole = await v0.patch("/_sandbox/knobs", content=b" " * (1024 * 1024 + 1))
    parts = await v0.patch("/_sandbox/knobs", content=endless())
    nested = await v0.patch("/_sandbox/knobs", content=b"[" * 500_000)

    assert [answer.status_code for answer in (whole, parts, nested)] == [413, 413, 422]
