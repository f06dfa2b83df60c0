"""The routes of changes, pictures and hooks, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from conformance.world import SECRET, World
from protokeep.core.principals import Role
from protokeep.service.hooks import Hooks
from protokeep.service.sessions import Sessions
from protokeep.service.tokens import Tokens
from protokeep.settings import Settings
from protokeep.store.sessions import SessionStore
from protokeep.store.tokens import TokenStore
from protokeep.web.app import create_app
from protokeep.wiring import Application
from world import AtOnce


class Site:
    """The application, and tokens for it."""

    def __init__(self, world: World, http: httpx2.AsyncClient, tokens: Tokens, hooks: Hooks) -> None:
        self.world = world
        self.http = http
        self.hooks = hooks
        self._tokens = tokens

    async def as_(self, role: Role, workspace: str = "default") -> dict[str, str]:
        """Headers of somebody of that role."""
        token, _ = await self._tokens.create(role, workspace_id=workspace)
        return {"Authorization": f"Bearer {token}"}

    async def ready(self) -> dict[str, Any]:
        """A finished prototype's view."""
        done = await self.world.done()
        self.world.clock.advance(60)
        answer = await self.http.get(f"/api/design/prototypes/{done.id}", headers=await self.as_(Role.VIEWER))
        view: dict[str, Any] = answer.json()
        return view


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    settings = Settings(_env_file=None, accept_wait_seconds=5)  # type: ignore[call-arg, unused-ignore]
    context = world.keeper.context
    context.queue = AtOnce(world.keeper)
    tokens = Tokens(TokenStore(context.store.database), SECRET, world.clock)
    sessions = Sessions(SessionStore(context.store.database), tokens, SECRET, world.clock)
    parts = Application(settings, world.keeper, tokens, sessions, world.hooks)
    app = create_app(settings, parts)
    app.state.parts = parts
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://protokeep") as http:
        yield Site(world, http, tokens, world.hooks)


async def test_follow_up(site: Site) -> None:
    """
    A maker sends a follow-up: 200 and in progress; the same key again changes nothing; viewers may not.
    """
    view = await site.ready()
    path = f"/api/design/prototypes/{view['id']}/messages"
    maker = {**await site.as_(Role.MAKER), "Idempotency-Key": "k-1"}

    answer = await site.http.post(path, json={"message": "Make it blue"}, headers=maker)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["project_status"], answer.json()["state"]) == ("in_progress", "making")
    assert answer.json()["v0_chat_id"] == view["v0_chat_id"]
    again = await site.http.post(path, json={"message": "Make it blue"}, headers=maker)
    assert again.status_code == 200
    other = await site.http.post(path, json={"message": "Make it red"}, headers=maker)
    assert (other.status_code, other.json()["type"]) == (422, "urn:protokeep:problem:idempotency-key-reused")
    busy = await site.http.post(path, json={"message": "Make it red"}, headers=await site.as_(Role.MAKER))
    assert (busy.status_code, busy.json()["type"]) == (409, "urn:protokeep:problem:not-now")
    assert (await site.http.post(path, json={"message": "x"}, headers=await site.as_(Role.VIEWER))).status_code == 403
    stranger = await site.as_(Role.ADMIN, "elsewhere")
    assert (await site.http.post(path, json={"message": "x"}, headers=stranger)).status_code == 404
    assert (await site.http.post(path, json={"text": "x"}, headers=maker)).status_code == 422
    assert (await site.http.post(path, json={"message": " "}, headers=await site.as_(Role.MAKER))).status_code == 422
    assert (await site.http.post(path, json={"message": "x"})).status_code == 401


async def test_stop(site: Site) -> None:
    """
    A maker stops what runs; it is failed with a reason.
    """
    made = (await site.world.made()).prototype
    path = f"/api/design/prototypes/{made.id}/stop"
    assert (await site.http.post(path, headers=await site.as_(Role.VIEWER))).status_code == 403
    answer = await site.http.post(path, headers=await site.as_(Role.MAKER))
    assert (answer.json()["project_status"], answer.json()["error"]["code"]) == ("failed", "stopped")


async def test_delete(site: Site) -> None:
    """
    An admin deletes: 204, again 204; makers may not, strangers see nothing; what v0 refuses is 202 and in sight.
    """
    view = await site.ready()
    path = f"/api/design/prototypes/{view['id']}"
    assert (await site.http.delete(path, headers=await site.as_(Role.MAKER))).status_code == 403
    assert (await site.http.delete(path, headers=await site.as_(Role.ADMIN, "elsewhere"))).status_code == 404
    site.world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 503}])
    admin = await site.as_(Role.ADMIN)
    waiting = await site.http.delete(path, headers=admin)
    assert (waiting.status_code, waiting.json()["state"]) == (202, "deleting")
    assert "503" in waiting.json()["reason"]["message"]
    assert (await site.http.delete(path, headers=admin)).status_code == 204
    assert (await site.http.delete(path, headers=admin)).status_code == 204
    assert (await site.http.get(path, headers=admin)).status_code == 404
    assert (await site.http.delete(f"{path[:-4]}0000", headers=admin)).status_code == 404


async def test_picture(site: Site) -> None:
    """
    The picture comes from our origin with its real type, cannot run anything, and is not sent twice.
    """
    view = await site.ready()
    path = f"/api/design/prototypes/{view['id']}/picture"
    viewer = await site.as_(Role.VIEWER)
    answer = await site.http.get(path, headers=viewer)
    if site.world.api_version == 2:
        assert (answer.status_code, view["thumbnail_url"]) == (404, None)
        return
    assert path == view["thumbnail_url"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await site.http.get(path, headers={**viewer, "If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await site.http.get(path)).status_code == 401
    assert (await site.http.get(path, headers=await site.as_(Role.VIEWER, "elsewhere"))).status_code == 404


async def test_hook_address(site: Site) -> None:
    """
    The secret address answers 204 whatever the body, up to the limit of every body; another address is 404.
    """
    await site.hooks.install()
    account = next(one for one in site.world.sandbox.backend.accounts.values() if one.hooks["v1"])
    path = "/" + next(iter(account.hooks["v1"].values())).url.split("/", 3)[3]
    made = (await site.world.made()).prototype
    bodies = [
        json.dumps({"chatId": made.chat_id, "event": "message.finished"}).encode(),
        b"",
        b"\xff",
        b"x" * (1024 * 1024),
        b'{"chatId": "' + b"y" * 60_000 + b'"}',
        b"[" * 50_000,
    ]
    for body in bodies:
        answer = await site.http.post(path, content=body)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await site.http.post(path, content=b"x" * (1024 * 1024 + 1))).status_code == 413
    assert (await site.http.post(path[:-1] + "_", content=bodies[0])).status_code == 404
    assert (await site.http.post("/hooks/v0/", content=bodies[0])).status_code == 404
    assert (await site.http.get(path)).status_code == 405
    await site.hooks.settled()


async def test_view_says_what_it_cost(site: Site) -> None:
    """
    `credits` is a number once it is done, and null before.
    """
    made = (await site.world.made("p-2")).prototype
    viewer = await site.as_(Role.VIEWER)
    assert (await site.http.get(f"/api/design/prototypes/{made.id}", headers=viewer)).json()["credits"] is None
    assert (await site.ready())["credits"] > 0
