"""Which pages of other origins a browser lets call which routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from system.access.route_policy import RULES
from world import Site, World, on_sqlite, settings_of

ORIGIN = "https://screens.example"
OTHERS = (
    "https://screens.example.evil.test",
    "http://screens.example",
    "https://screens.example:8443",
    "https://other.example",
    "null",
)
ALLOWED = "access-control-allow-origin"


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    """The application on a real port, which two origins may call."""
    async with world.serving(cors_origins=f"{ORIGIN}, http://localhost:5173") as served:
        yield served


def address_of(route: str) -> tuple[str, str]:
    """(method, an address of the route); any method is GET."""
    method, _, path = route.partition(" ")
    return "GET" if method == "*" else method, path.replace("{", "").replace("}", "").replace(":path", "")


async def preflight(site: Site, method: str, path: str, origin: str = ORIGIN, **headers: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Authorization": "", **headers}
    return await site.http.options(path, headers=asked)


@on_sqlite
async def test_every_route_of_the_api_and_no_other_may_be_called_from_a_named_origin(site: Site) -> None:
    """
    A preflight needs no token; pages, /mcp, hooks and health take none; no answer allows credentials.
    """
    for route in RULES:
        method, path = address_of(route)
        answer = await preflight(site, method, path)
        is_api = path.startswith("/api/")
        assert (answer.headers.get(ALLOWED) == ORIGIN) == is_api, route
        assert (answer.status_code == 200) == is_api, route
        assert "access-control-allow-credentials" not in answer.headers, route


@on_sqlite
async def test_other_origins_may_call_nothing(site: Site) -> None:
    """
    An origin counts by its scheme, host and port; what only looks like it is refused.
    """
    path = "/api/design/mockups/p-1"
    for origin in OTHERS:
        assert ALLOWED not in (await preflight(site, "GET", path, origin)).headers, origin
        assert ALLOWED not in (await site.http.get(path, headers={"Origin": origin})).headers, origin


@on_sqlite
async def test_a_page_of_a_named_origin_creates_and_reads_errors(site: Site, world: World) -> None:
    """
    What a browser asks before a create is allowed, and answers may be read, refusals too.
    """
    asked = "authorization,content-type,idempotency-key,prefer"
    before = await preflight(site, "POST", "/api/design/create-project", **{"Access-Control-Request-Headers": asked})
    made = await site.create(headers={"Origin": ORIGIN})
    listed = await site.http.get("/api/design/mockups/p-1", headers={"Origin": ORIGIN})
    refused = await site.http.get("/api/design/mockups/p-1", headers={"Origin": ORIGIN, "Authorization": ""})
    unknown = await site.create(headers={"Origin": "http://localhost:5173"}, colour="red")

    assert before.status_code == 200
    assert (made.status_code, made.headers[ALLOWED], world.chats_created) == (201, ORIGIN, 1)
    assert (listed.status_code, listed.headers[ALLOWED]) == (200, ORIGIN)
    assert "origin" in listed.headers["vary"].lower()
    assert "ETag" in listed.headers["access-control-expose-headers"]
    assert (refused.status_code, refused.headers[ALLOWED]) == (401, ORIGIN)
    assert (unknown.status_code, unknown.headers[ALLOWED]) == (422, "http://localhost:5173")


@on_sqlite
async def test_a_cookie_signs_nobody_in_at_the_api(site: Site) -> None:
    """
    A page that sends cookies along is nobody all the same.
    """
    form = await site.http.get("/sign-in", headers={"Authorization": "", "Origin": ORIGIN})
    cookies = {"Cookie": "protokeep_session=x", "Authorization": "", "Origin": ORIGIN}

    assert ALLOWED not in form.headers
    assert (await site.http.get("/api/design/mockups/p-1", headers=cookies)).status_code == 401


@on_sqlite
async def test_without_the_setting_no_origin_may_call(world: World) -> None:
    """
    Off by default: a preflight is a method that the address does not take.
    """
    async with world.serving(real=False) as plain:
        answer = await preflight(plain, "GET", "/api/design/mockups/p-1")
        listed = await plain.http.get("/api/design/mockups/p-1", headers={"Origin": ORIGIN})

    assert (answer.status_code, listed.status_code) == (405, 200)
    assert ALLOWED not in answer.headers
    assert ALLOWED not in listed.headers


@pytest.mark.parametrize(
    ("origins", "words"),
    [
        ("*", "name each one"),
        ("https://*.example.com", "name each one"),
        ("http://screens.example", "neither https nor on this machine"),
        ("http://127.0.0.1.evil.test", "neither https nor on this machine"),
        ("screens.example", "does not begin with https://"),
        ("null", "does not begin with https://"),
        ("file:///x", "does not begin with https://"),
        ("https://screens.example/", "Write it as https://screens.example"),
        ("https://screens.example/app", "Write it as https://screens.example"),
        ("https://Screens.example", "Write it as https://screens.example"),
        ("https://screens.example:443", "Write it as https://screens.example"),
        ("https://bücher.example", "Write it as https://xn--bcher-kva.example"),
        ("https://ann:secret@screens.example", "name and password"),
        ("https://a.example,https://b.example/", "Write it as https://b.example"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_at_start(origins: str, words: str) -> None:
    """
    The words say what to write; any origin at all cannot be named.
    """
    with pytest.raises(ValidationError, match=words) as caught:
        settings_of(cors_origins=origins)
    assert caught.value.errors()[0]["loc"] == ("cors_origins",)
    assert "secret" not in caught.value.errors()[0]["msg"]


def test_origins_on_loopback_may_be_http() -> None:
    """
    A developer's screens come from a port of the same machine.
    """
    origins = "http://localhost:5173,http://127.0.0.1:8080,http://[::1]:3000,https://screens.example:8443"

    assert settings_of(cors_origins=origins).origins == origins.split(",")
