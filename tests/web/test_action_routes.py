"""The routes of follow-up, stop, delete, picture and hooks, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protokeep.core.principals import Role
from protokeep.service.hooks import Hooks
from world import SECRET, Site, World, both_versions

pytestmark = pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=10.0)
NOBODY = {"Authorization": ""}


async def as_(site: Site, role: Role, workspace: str = "default") -> dict[str, str]:
    """Headers of somebody of that role."""
    return {"Authorization": f"Bearer {await site.token(role, role.value, workspace_id=workspace)}"}


async def ready(world: World, site: Site) -> dict[str, Any]:
    """A finished prototype's view."""
    done = await world.finish()
    world.clock.advance(60)
    answer = await site.http.get(f"/api/design/prototypes/{done.id}", headers=await as_(site, Role.VIEWER))
    view: dict[str, Any] = answer.json()
    return view


@both_versions
async def test_a_maker_sends_a_follow_up_once_per_key_and_viewers_may_not(world: World, site: Site) -> None:
    """
    A maker sends a follow-up: 200 and in progress; the same key again changes nothing; viewers may not.
    """
    view = await ready(world, site)
    path = f"/api/design/prototypes/{view['id']}/messages"
    maker = {**await as_(site, Role.MAKER), "Idempotency-Key": "k-1"}

    answer = await site.http.post(path, json={"message": "Make it blue"}, headers=maker)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["project_status"], answer.json()["state"]) == ("in_progress", "making")
    assert answer.json()["v0_chat_id"] == view["v0_chat_id"]
    again = await site.http.post(path, json={"message": "Make it blue"}, headers=maker)
    assert again.status_code == 200
    other = await site.http.post(path, json={"message": "Make it red"}, headers=maker)
    assert (other.status_code, other.json()["type"]) == (422, "urn:protokeep:problem:idempotency-key-reused")
    busy = await site.http.post(path, json={"message": "Make it red"}, headers=await as_(site, Role.MAKER))
    assert (busy.status_code, busy.json()["type"]) == (409, "urn:protokeep:problem:not-now")
    assert (await site.http.post(path, json={"message": "x"}, headers=await as_(site, Role.VIEWER))).status_code == 403
    stranger = await as_(site, Role.ADMIN, "elsewhere")
    assert (await site.http.post(path, json={"message": "x"}, headers=stranger)).status_code == 404
    assert (await site.http.post(path, json={"text": "x"}, headers=maker)).status_code == 422
    assert (await site.http.post(path, json={"message": " "}, headers=await as_(site, Role.MAKER))).status_code == 422
    assert (await site.http.post(path, json={"message": "x"}, headers=NOBODY)).status_code == 401


@both_versions
async def test_a_maker_stops_what_runs_and_it_fails_with_that_reason(world: World, site: Site) -> None:
    """
    A maker stops what runs; it is failed with a reason.
    """
    made = await world.make()
    path = f"/api/design/prototypes/{made.id}/stop"
    assert (await site.http.post(path, headers=await as_(site, Role.VIEWER))).status_code == 403
    answer = await site.http.post(path, headers=await as_(site, Role.MAKER))
    assert (answer.json()["project_status"], answer.json()["error"]["code"]) == ("failed", "stopped")


@both_versions
async def test_an_admin_deletes_and_what_v0_refuses_is_202_and_in_sight(world: World, site: Site) -> None:
    """
    An admin deletes: 204, again 204; other makers may not, strangers see nothing; what v0 refuses is 202 and in sight.
    """
    view = await ready(world, site)
    path = f"/api/design/prototypes/{view['id']}"
    assert (await site.http.delete(path, headers=await as_(site, Role.MAKER))).status_code == 403
    assert (await site.http.delete(path, headers=await as_(site, Role.ADMIN, "elsewhere"))).status_code == 404
    world.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 503}])
    admin = await as_(site, Role.ADMIN)
    waiting = await site.http.delete(path, headers=admin)
    assert (waiting.status_code, waiting.json()["state"]) == (202, "deleting")
    assert "503" in waiting.json()["reason"]["message"]
    assert (await site.http.delete(path, headers=admin)).status_code == 204
    assert (await site.http.delete(path, headers=admin)).status_code == 204
    assert (await site.http.get(path, headers=admin)).status_code == 404
    assert (await site.http.delete(f"{path[:-4]}0000", headers=admin)).status_code == 404


@both_versions
async def test_the_picture_comes_from_our_origin_and_is_not_sent_twice(world: World, site: Site) -> None:
    """
    The picture comes from our origin with its real type, cannot run anything, and is not sent twice.
    """
    view = await ready(world, site)
    path = f"/api/design/prototypes/{view['id']}/picture"
    viewer = await as_(site, Role.VIEWER)
    answer = await site.http.get(path, headers=viewer)
    if world.api_version == 2:
        assert (answer.status_code, view["thumbnail_url"]) == (404, None)
        return
    assert path == view["thumbnail_url"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await site.http.get(path, headers={**viewer, "If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await site.http.get(path, headers=NOBODY)).status_code == 401
    assert (await site.http.get(path, headers=await as_(site, Role.VIEWER, "elsewhere"))).status_code == 404


@both_versions
async def test_the_secret_hook_address_answers_204_whatever_the_body(world: World, site: Site) -> None:
    """
    The secret address answers 204 whatever the body, up to the limit of every body; another address is 404.
    """
    await Hooks(site.node.context, SECRET, "http://127.0.0.1:9").install()
    account = next(one for one in world.sandbox.backend.accounts.values() if one.hooks["v1"])
    path = "/" + next(iter(account.hooks["v1"].values())).url.split("/", 3)[3]
    made = await world.make()
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


@both_versions
async def test_a_view_has_its_credits_once_it_is_done(world: World, site: Site) -> None:
    """
    `credits` is a number once it is done, and null before.
    """
    made = await world.make("p-2")
    viewer = await as_(site, Role.VIEWER)
    assert (await site.http.get(f"/api/design/prototypes/{made.id}", headers=viewer)).json()["credits"] is None
    assert (await ready(world, site))["credits"] > 0
