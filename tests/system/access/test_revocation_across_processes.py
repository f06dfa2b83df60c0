"""What one process revokes, another refuses within a second: two of them on one database, and one clock."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest

from protokeep.core.errors import DatabaseUnavailable
from protokeep.core.principals import Role
from protokeep.service.tokens import KNOWN_FOR
from protokeep.web import live
from world import Site, World, until

SECOND = 1.0
#: Whatever takes longer does not happen.
PATIENCE = 20.0


@dataclass
class Two:
    """Two servers of one installation, and an admin of it at the first."""

    here: Site
    there: Site
    admin: dict[str, str]


@pytest.fixture
async def two(world: World) -> AsyncIterator[Two]:
    """Each with connections, and a memory of tokens, of its own."""
    async with world.serving(real=False) as here, world.serving(real=False) as there:
        yield Two(here, there, {"Authorization": f"Bearer {await here.token(Role.ADMIN, 'root')}"})


async def allowed(site: Site, token: str) -> int:
    return (await site.http.get("/api/design/mockups/p-1", headers={"Authorization": f"Bearer {token}"})).status_code


@contextlib.asynccontextmanager
async def signed_in(site: Site, token: str) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"accept": "text/html"}
    async with httpx2.AsyncClient(base_url=site.url, headers=headers, transport=site.http._transport) as browser:
        signature = re.search(r'name="form_token" value="([^"]+)"', (await browser.get("/sign-in")).text)
        assert signature is not None
        fields = {"form_token": html.unescape(signature[1]), "token": token}
        assert (await browser.post("/sign-in", data=fields)).status_code == 303
        yield browser


async def test_a_revoked_token_is_refused_everywhere_within_a_second(world: World, two: Two) -> None:
    """
    However often the other process was asked right before, a second later it refuses.
    """
    token, kept = await two.here.tokens.create(Role.MAKER, user_id="bob")
    assert [await allowed(site, token) for site in (two.there, two.here, two.there)] == [200] * 3

    revoked = await two.here.http.delete(f"/api/design/tokens/{kept.id}", headers=two.admin)
    assert revoked.status_code == 204
    assert await allowed(two.here, token) == 401
    for _ in range(3):  # What it answers meanwhile is not known for longer.
        world.clock.advance(SECOND / 4)
        await allowed(two.there, token)
    world.clock.advance(SECOND / 4)

    assert KNOWN_FOR.total_seconds() <= SECOND
    assert await allowed(two.there, token) == 401


async def test_all_access_of_a_person_ends_everywhere(world: World, two: Two) -> None:
    """
    Tokens within a second, page sessions at once: these are read every time.
    """
    tokens = [await two.here.token(Role.MAKER, "bob") for _ in range(2)]
    assert [await allowed(two.there, token) for token in tokens] == [200, 200]
    async with signed_in(two.there, tokens[0]) as browser:
        assert (await browser.get("/settings")).status_code == 200
        body = {"user_id": "bob"}
        assert (await two.here.http.post("/api/design/people/revoke", json=body, headers=two.admin)).json() == {
            "tokens": 2,
            "sessions": 1,
        }
        assert (await browser.get("/settings")).status_code == 303

    world.clock.advance(SECOND)
    assert [await allowed(two.there, token) for token in tokens] == [401, 401]


async def test_a_session_of_a_revoked_token_ends_everywhere(two: Two) -> None:
    """
    Whoever signed in with it is out with it, in whichever process.
    """
    token, kept = await two.here.tokens.create(Role.MAKER, user_id="bob")
    async with signed_in(two.there, token) as browser:
        await two.here.http.delete(f"/api/design/tokens/{kept.id}", headers=two.admin)
        assert (await browser.get("/settings")).status_code == 303


class TestStreams:
    """An answer without an end does not outlive what opened it."""

    @pytest.fixture(autouse=True)
    def _asked_often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "ASK_SECONDS", 0.05)

    async def ends(self, stream: httpx2.Response) -> None:
        async with asyncio.timeout(PATIENCE):
            async for _ in stream.aiter_lines():
                pass

    async def test_a_stream_of_a_revoked_token_ends(self, world: World) -> None:
        async with world.serving() as there, world.serving(real=False) as here:
            token, kept = await here.tokens.create(Role.VIEWER, user_id="bob")
            bobs = {"Authorization": f"Bearer {token}"}
            async with there.http.stream("GET", "/api/design/events", headers=bobs) as stream:
                assert stream.status_code == 200
                await here.tokens.revoke("default", kept.id)
                world.clock.advance(SECOND)
                await self.ends(stream)

    async def test_a_stream_of_an_ended_session_ends(self, world: World) -> None:
        async with world.serving() as there, world.serving(real=False) as here:
            token = await here.token(Role.VIEWER, "bob")
            admin = {"Authorization": f"Bearer {await here.token(Role.ADMIN, 'root')}"}
            async with signed_in(there, token) as browser, browser.stream("GET", "/live") as stream:
                assert stream.status_code == 200
                await here.http.post("/api/design/people/revoke", json={"user_id": "bob"}, headers=admin)
                await self.ends(stream)

    async def test_streams_of_others_stay_even_without_the_database(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whoever counts hears on, also while the database cannot be asked.
        """
        async with world.serving() as site, site.http.stream("GET", "/api/design/events") as stream:
            lines = stream.aiter_lines()
            async with asyncio.timeout(PATIENCE):
                while await anext(lines) != "event: hello":
                    pass
                asked = 0

                async def broken(*_: object) -> None:
                    nonlocal asked
                    asked += 1
                    raise DatabaseUnavailable

                with monkeypatch.context() as patch:
                    patch.setattr(site.tokens, "check", broken)
                    await until(lambda: asked > 1)
                await site.create("p-1")
                while await anext(lines) != "event: change":
                    pass
