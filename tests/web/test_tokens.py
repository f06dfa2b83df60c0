"""Tokens and people over HTTP, and at the command line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from protokeep.core.errors import NotAllowed
from protokeep.core.principals import Principal, Role
from world import Site, World


async def admin(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'root')}"}


async def allowed(site: Site, token: str) -> int:
    response = await site.http.get("/api/design/mockups/p-1", headers={"Authorization": f"Bearer {token}"})
    return response.status_code


async def test_a_token_is_made_shown_once_listed_and_revoked(world: World, site: Site) -> None:
    headers = await admin(site)
    body: dict[str, Any] = {"user_id": "bob", "role": "viewer", "name": "laptop", "days": 7}
    made = await site.http.post("/api/design/tokens", json=body, headers=headers)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    token = made.json()
    assert token["token"].startswith(token["prefix"])
    assert datetime.fromisoformat(token["expires_at"]) == world.clock.now + timedelta(days=7)
    assert await allowed(site, token["token"]) == 200

    listed = await site.http.get("/api/design/tokens", headers=headers)
    assert token["token"] not in listed.text
    bobs = next(one for one in listed.json()["tokens"] if one["user_id"] == "bob")
    assert (bobs["prefix"], bobs["role"], bobs["last_used_at"] is not None) == (token["prefix"], "viewer", True)

    assert (await site.http.delete(f"/api/design/tokens/{token['id']}", headers=headers)).status_code == 204
    assert await allowed(site, token["token"]) == 401
    assert (await site.http.delete(f"/api/design/tokens/{token['id']}", headers=headers)).status_code == 404


async def test_a_token_that_expired_is_refused(world: World, site: Site) -> None:
    made = await site.http.post("/api/design/tokens", json={"days": 1}, headers=await admin(site))
    world.clock.advance(86_400)
    assert await allowed(site, made.json()["token"]) == 401


@pytest.mark.parametrize(
    "body", [{"role": "owner"}, {"days": 0}, {"name": "a\x00b"}, {"user_id": "\x07"}, {"workspace_id": "other"}]
)
async def test_a_token_of_unusable_values_is_not_made(site: Site, body: dict[str, Any]) -> None:
    assert (await site.http.post("/api/design/tokens", json=body, headers=await admin(site))).status_code == 422


@pytest.mark.parametrize("token_id", ["%00", "a b", "x" * 65, "%F0%9F%8C%99"])
async def test_a_malformed_token_id_is_not_found(site: Site, token_id: str) -> None:
    response = await site.http.delete(f"/api/design/tokens/{token_id}", headers=await admin(site))
    assert response.status_code == 422


async def test_a_token_is_never_of_a_role_above_its_makers(site: Site) -> None:
    maker = Principal("default", "ann", Role.MAKER, "t")
    with pytest.raises(NotAllowed):
        await site.tokens.create(Role.ADMIN, by=maker)
    _, token = await site.tokens.create(Role.VIEWER, by=maker, workspace_id="other")
    assert token.workspace_id == "default"


async def test_people_are_listed_and_their_access_revoked(world: World, site: Site) -> None:
    headers = await admin(site)
    tokens = [await site.token(Role.MAKER, "bob") for _ in range(2)]
    await site.http.post(
        "/api/design/create-project",
        json={"product_id": "p-1", "prompt": "A shop"},
        headers={"Authorization": f"Bearer {tokens[0]}"},
    )
    people = (await site.http.get("/api/design/people", headers=headers)).json()["people"]
    assert [(one["user_id"], one["tokens"], one["prototypes"]) for one in people] == [
        ("ann", 1, 0),
        ("bob", 2, 1),
        ("root", 1, 0),
    ]
    body = {"user_id": "bob"}
    revoked = await site.http.post("/api/design/people/revoke", json=body, headers=headers)
    assert revoked.json() == {"tokens": 2, "sessions": 0}
    assert [await allowed(site, token) for token in tokens] == [401, 401]
    again = await site.http.post("/api/design/people/revoke", json=body, headers=headers)
    assert again.json() == {"tokens": 0, "sessions": 0}


@pytest.mark.parametrize("path", ["tokens", "people", "audit", "keys"])
async def test_only_admins_manage_tokens_and_people(site: Site, path: str) -> None:
    for role, status in ((Role.VIEWER, 403), (Role.MAKER, 403), (Role.ADMIN, 200)):
        headers = {"Authorization": f"Bearer {await site.token(role)}"}
        assert (await site.http.get(f"/api/design/{path}", headers=headers)).status_code == status
