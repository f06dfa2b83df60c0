"""Two workspaces on one installation: nothing of the one can be told from the other."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import httpx2
import pytest

from owner_schemas import run
from protokeep.core.errors import InvalidInput
from protokeep.core.principals import Principal, Role
from protokeep.core.shares import Shares
from protokeep.service.gallery import Gallery, Search
from protokeep.store.gallery import Card
from protokeep.web.broadcast import Broadcast, Topic
from world import PROMPT, Site, World, on_sqlite, settings_of, until

UNKNOWN = str(uuid.UUID(int=7))


class Somebody:
    """An admin of a workspace, as a program."""

    def __init__(self, site: Site, token: str) -> None:
        self.token = token
        self._site = site

    async def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}", **request.pop("headers", {})}
        return await self._site.http.request(method, path, headers=headers, **request)

    async def make(self, product: str = "p-1", **more: Any) -> dict[str, Any]:
        headers = more.pop("headers", {})
        body = {"product_id": product, "prompt": PROMPT, **more}
        response = await self.ask("POST", "/api/design/create-project", json=body, headers=headers)
        assert response.status_code in (200, 201), response.text
        found: dict[str, Any] = response.json()
        return found


@pytest.fixture
async def ours(site: Site) -> Somebody:
    return Somebody(site, await site.token(Role.ADMIN, "ann", workspace_id="default"))


@pytest.fixture
async def theirs(site: Site) -> Somebody:
    return Somebody(site, await site.token(Role.ADMIN, "ann", workspace_id="other"))


def told(response: httpx2.Response, prototype_id: str) -> Any:
    """An answer without what differs between any two requests."""
    body = json.loads(response.text.replace(prototype_id, "ID")) if response.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("x-request-id", "content-length", "date")
    }
    return response.status_code, body, headers


#: Everything that takes a prototype's id.
BY_ID = [
    ("GET", "/api/design/prototypes/{id}", {}),
    ("GET", "/api/design/prototypes/{id}/picture", {}),
    ("POST", "/api/design/prototypes/{id}/messages", {"json": {"message": "bigger"}}),
    ("POST", "/api/design/prototypes/{id}/stop", {}),
    ("DELETE", "/api/design/prototypes/{id}", {}),
]


@pytest.mark.parametrize(("method", "path", "request_"), BY_ID, ids=[f"{m} {p}" for m, p, _ in BY_ID])
async def test_another_workspaces_id_is_answered_as_an_unknown_one(
    world: World, site: Site, ours: Somebody, theirs: Somebody, method: str, path: str, request_: dict[str, Any]
) -> None:
    """
    The answer to another workspace's id is the answer to an id that nobody has, to the byte.
    """
    made = (await ours.make())["id"]
    world.clock.advance(20)
    await world.sweep()

    answers = [await theirs.ask(method, path.format(id=one), **request_) for one in (made, UNKNOWN)]

    assert told(answers[0], made) == told(answers[1], UNKNOWN)
    assert answers[0].status_code == 404
    assert (await ours.ask("GET", f"/api/design/prototypes/{made}")).status_code == 200
    assert len(world.sandbox.chats) == 1


async def test_a_deleted_id_of_another_workspace_is_unknown_too(
    world: World, site: Site, ours: Somebody, theirs: Somebody
) -> None:
    made = (await ours.make())["id"]
    world.clock.advance(20)
    assert (await ours.ask("DELETE", f"/api/design/prototypes/{made}")).status_code == 204
    assert (await ours.ask("DELETE", f"/api/design/prototypes/{made}")).status_code == 204
    assert (await theirs.ask("DELETE", f"/api/design/prototypes/{made}")).status_code == 404


async def test_the_same_product_id_in_two_workspaces_is_two_products(
    world: World, site: Site, ours: Somebody, theirs: Somebody
) -> None:
    first, second = await ours.make(product_name="Shop"), await theirs.make()

    assert first["id"] != second["id"]
    assert not second["is_existing"]
    assert world.chats_created == 2
    for who, mine in ((ours, first), (theirs, second)):
        listed = (await who.ask("GET", "/api/design/mockups/p-1")).json()["mockups"]
        assert [one["id"] for one in listed] == [mine["id"]]
        assert (await who.ask("GET", "/api/design/mockups/p-1/status")).json()["id"] == mine["id"]
        assert (await who.make())["id"] == mine["id"]


async def test_lists_status_and_cursors_stay_in_their_workspace(site: Site, ours: Somebody, theirs: Somebody) -> None:
    for _ in range(3):
        await ours.make(create_new=True)
    page = (await ours.ask("GET", "/api/design/mockups/p-1?limit=1")).json()

    with_our_cursor = await theirs.ask("GET", f"/api/design/mockups/p-1?cursor={page['next_cursor']}")
    assert with_our_cursor.json() == {"mockups": [], "next_cursor": None}
    empty = await theirs.ask("GET", "/api/design/mockups/nobodys")
    assert told(await theirs.ask("GET", "/api/design/mockups/p-1"), "p-1") == told(empty, "nobodys")
    statuses = [await theirs.ask("GET", f"/api/design/mockups/{product}/status") for product in ("p-1", "p-9")]
    assert told(statuses[0], "p-1") == told(statuses[1], "p-9")


async def test_a_validator_of_one_workspace_is_not_confirmed_to_another(
    site: Site, ours: Somebody, theirs: Somebody
) -> None:
    """
    A validator of the one workspace is not confirmed to the other.
    """
    await ours.make()
    await theirs.make()
    for path in ("/api/design/mockups/p-1", "/api/design/mockups/p-1/status"):
        etag = (await ours.ask("GET", path)).headers["etag"]
        assert (await ours.ask("GET", path, headers={"If-None-Match": etag})).status_code == 304
        assert (await theirs.ask("GET", path, headers={"If-None-Match": etag})).status_code == 200


async def test_the_same_idempotency_key_in_two_workspaces_is_two_keys(
    world: World, site: Site, ours: Somebody, theirs: Somebody
) -> None:
    """
    The same key of the same person's name in two workspaces is two keys.
    """
    key = {"Idempotency-Key": "k-1"}
    first = await ours.make(headers=key)
    second = await theirs.make(product="p-2", headers=key)
    assert first["id"] != second["id"]
    assert world.chats_created == 2


async def test_events_are_neither_told_nor_counted_across_workspaces(world: World) -> None:
    """
    What happens in the one is neither told to the other nor counted in the ids of its events.
    """
    bus, gallery = world.first.context.bus, Gallery(world.first.context)
    broadcast = Broadcast(bus, gallery.card, Shares(10, 30))

    async def encode(card: Card) -> dict[str, str]:
        return {"id": card.prototype.id}

    broadcast.add_encoder("api", encode)
    async with broadcast.running():
        await asyncio.sleep(0)  # It hears from here on.
        start, topic = broadcast.newest_id("default"), Topic("default", "api")
        before = await broadcast.replay(Topic("other", "api"), None)
        made = await world.make()
        await until(lambda: broadcast.newest_id("default") != start)

        assert made.id in str(await broadcast.replay(topic, start))
        assert await broadcast.replay(Topic("other", "api"), None) == before
        assert made.id not in str(await broadcast.replay(Topic("other", "api"), start))


async def test_pages_count_and_show_their_own_workspace(site: Site, ours: Somebody, theirs: Somebody) -> None:
    await ours.make("secret-product", product_name="Project Moon")
    gallery = Gallery(site.node.context)
    eve = Principal("other", "ann", Role.ADMIN, "")
    front = await gallery.home_page(eve, 10)
    assert sum(front.counts.values()) == 0
    assert await gallery.recent_products(eve) == []
    assert await gallery.product_name(eve, "secret-product") is None
    found, counts = await gallery.find(eve, Search(text="moon"), 10)
    assert (found.cards, sum(counts.of.values())) == ([], 0)


async def test_an_older_row_is_not_hidden_by_another_workspace(world: World) -> None:
    """
    An older row of an adopted table is shown to its workspace, though another one has a newer of the same product id.
    """
    await run(
        world.database_url,
        "INSERT INTO design_mockups (id, product_id, user_id, provider, created_at) "
        f"VALUES ('{UNKNOWN}', 'p-1', 'u', 'v0', '2025-01-01T00:00:00.000000Z')",
    )
    eve = Principal("other", "eve", Role.MAKER, "")
    await world.ensure(who=eve)
    gallery = Gallery(world.first.context)
    ann = Principal("default", "ann", Role.MAKER, "")
    assert sum((await gallery.home_page(ann, 10)).counts.values()) == 1
    assert sum((await gallery.home_page(eve, 10)).counts.values()) == 1


async def test_a_hook_address_says_nothing_of_workspaces(world: World, site: Site, ours: Somebody) -> None:
    """
    A hook's address says nothing of workspaces: to one that is not ours the answer is 404.
    """
    await ours.make()
    for provider in ("v0", "unknown"):
        assert (await site.http.post(f"/hooks/{provider}/guessed", json={"object": {}})).status_code == 404


async def test_tokens_people_audit_and_keys_stay_in_their_workspace(
    site: Site, ours: Somebody, theirs: Somebody
) -> None:
    await ours.make()
    made = (await ours.ask("POST", "/api/design/tokens", json={"user_id": "bob", "role": "maker"})).json()
    invited = (await ours.ask("POST", "/api/design/invitations", json={})).json()
    assert (await ours.ask("PUT", "/api/design/keys", json={"key": "v1:team:abcdefgh"})).status_code == 200

    assert [one["user_id"] for one in (await theirs.ask("GET", "/api/design/tokens")).json()["tokens"]] == ["ann"]
    assert (await theirs.ask("GET", "/api/design/keys")).json() == {"keys": []}
    assert (await theirs.ask("DELETE", "/api/design/keys")).status_code == 404
    people = (await theirs.ask("GET", "/api/design/people")).json()["people"]
    assert [(one["user_id"], one["prototypes"]) for one in people] == [("ann", 0)]
    lines = (await theirs.ask("GET", "/api/design/audit")).json()["entries"]
    assert [line["action"] for line in lines] == ["token_created"]
    answers = [await theirs.ask("DELETE", f"/api/design/tokens/{one}") for one in (made["id"], "0" * 32)]
    assert told(answers[0], made["id"]) == told(answers[1], "0" * 32)
    assert (await theirs.ask("GET", "/api/design/invitations")).json() == {"invitations": []}
    answers = [await theirs.ask("DELETE", f"/api/design/invitations/{one}") for one in (invited["id"], "0" * 64)]
    assert told(answers[0], invited["id"]) == told(answers[1], "0" * 64)
    assert len((await ours.ask("GET", "/api/design/invitations")).json()["invitations"]) == 1
    revoked = await theirs.ask("POST", "/api/design/people/revoke", json={"user_id": "bob"})
    assert revoked.json() == {"tokens": 0, "sessions": 0}
    still = await site.http.get("/api/design/mockups/p-1", headers={"Authorization": f"Bearer {made['token']}"})
    assert still.status_code == 200


@on_sqlite
async def test_the_assistants_tools_see_their_tokens_workspace_only(world: World) -> None:
    """
    The tools ask as whoever holds the token: another workspace's prototype is not there.
    """
    async with world.serving() as site:
        ours = Somebody(site, await site.token(Role.MAKER, workspace_id="default"))
        made = (await ours.make())["id"]
        headers = {
            "Authorization": f"Bearer {await site.token(Role.MAKER, workspace_id='other')}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-06-18",
        }
        answers = []
        for one in (made, UNKNOWN):
            call = {"name": "get_prototype", "arguments": {"prototype_id": one}}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            response = await site.http.post("/mcp", json=body, headers=headers)
            assert response.status_code == 200, response.text
            answers.append(response.text.replace(one, "ID"))
        assert answers[0] == answers[1]
        assert "There is no prototype ID" in answers[0]


async def test_a_malformed_workspace_id_is_refused(site: Site) -> None:
    for bad in ("", "a b", "../x", "x" * 65, "a:b", "-x"):
        with pytest.raises(InvalidInput):
            await site.token(workspace_id=bad)


def test_the_environments_key_serves_the_default_workspace_only() -> None:
    assert settings_of().environment_key_serves("default")
    assert not settings_of().environment_key_serves("other")
    assert settings_of(environment_key_for="*").environment_key_serves("other")
    assert settings_of(environment_key_for="a, b").environment_key_serves("b")
