"""The API of censuses: who may do what, pages that show each chat once, and files that run nothing."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from censuses import AT_ONCE, Censuses, old_account
from foreign_chats import plant
from protokeep.core.principals import Role
from protokeep.service import census_groups
from world import Site, World, on_sqlite

pytestmark = pytest.mark.world(timing=AT_ONCE)
PATH = "/api/design/census"


@pytest.fixture
async def censuses(world: World, site: Site, monkeypatch: pytest.MonkeyPatch) -> Censuses:
    """The censuses of the process that serves the site."""
    monkeypatch.setattr(census_groups, "MOST_PROMPTS", 5)
    return Censuses(world, site.node)


async def _as(site: Site, role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {await site.token(role, user_id=role.value)}"}


async def test_a_census_from_its_begin_to_an_adoption(world: World, site: Site, censuses: Censuses) -> None:
    """
    An admin begins it, everybody sees how far it is and what it found, pins and exports, and an admin adopts.
    """
    old_account(world, 90)
    admin, viewer = await _as(site, Role.ADMIN), await _as(site, Role.VIEWER)

    async def get(path: str, **params: str | bool) -> httpx2.Response:
        answer = await site.http.get(f"{PATH}{path}", params=params, headers=viewer)
        assert answer.status_code == 200, answer.text
        return answer

    assert (await get("")).json()["census"] is None
    begun = await site.http.post(PATH, json={}, headers=admin)
    again = await site.http.post(PATH, json={"whole": True}, headers=admin)
    assert (begun.status_code, again.json()["id"]) == (202, begun.json()["id"])
    await censuses.finish()
    done = (await get("")).json()["census"]
    assert (done["state"], done["chats"], done["requested_by"]) == ("done", 90, "admin")

    summary = (await get("/summary")).json()
    assert summary["total"]["chats"] == summary["by_claim"]["nobody"]["chats"] == 90
    assert sum(one["chats"] for one in summary["by_age"].values()) == 90
    assert summary["needless"]["empty"]["reason"] == "Nothing was ever made in it."
    groups = (await get("/groups", unclaimed=True)).json()["groups"]
    assert groups[0]["members"] == len((await get("/chats", group_id=groups[0]["group_id"])).json()["chats"]) > 1

    chat = (await get("/chats", content="finished")).json()["chats"][0]
    pin = f"{PATH}/pins/{chat['chat_id']}"
    pinned = await site.http.put(pin, json={"reason": "for the board"}, headers=viewer)
    assert (pinned.json()["pinned_by"], pinned.json()["pin_reason"]) == ("viewer", "for the board")
    assert [one["chat_id"] for one in (await get("/chats", pinned=True)).json()["chats"]] == [chat["chat_id"]]
    assert (await site.http.delete(pin, headers=viewer)).json()["pinned_by"] is None
    unknown = await site.http.put(f"{PATH}/pins/nothing", headers=viewer)
    assert (unknown.status_code, "census/chats" in unknown.json()["detail"]) == (404, True)

    adoption = {"product_id": "shop", "group_id": groups[0]["group_id"], "product_name": "Shop"}
    assert (await site.http.post(f"{PATH}/adopt", json=adoption)).status_code == 403
    adopted = (await site.http.post(f"{PATH}/adopt", json=adoption, headers=admin)).json()
    assert {one["outcome"] for one in adopted["adopted"]} == {"adopted"}
    assert len(adopted["adopted"]) + len(adopted["refused"]) + adopted["left"] == groups[0]["members"]
    assert (await get("/chats", product_id="shop", claim="ours")).json()["chats"]
    audited = await world.rows("SELECT action, actor FROM protokeep_audit WHERE action LIKE '%pin%'")
    assert sorted((row["action"], row["actor"]) for row in audited) == [("pinned", "viewer"), ("unpinned", "viewer")]


@pytest.mark.parametrize("sort", ["created", "updated", "name", "credits"])
async def test_pages_show_each_chat_once_in_every_order(
    world: World, site: Site, censuses: Censuses, sort: str
) -> None:
    """
    Pages of seven show every chat once, in order; a cursor of another order, or a made-up one, is refused.
    """
    old = old_account(world, 45)
    await censuses.run()
    found, cursor, last, pages = list[dict[str, Any]](), "", "", 0
    while pages == 0 or cursor:
        params: dict[str, str | int] = {"sort": sort, "limit": 7, **({"cursor": cursor} if cursor else {})}
        page = (await site.http.get(f"{PATH}/chats", params=params)).json()
        found += page["chats"]
        last, cursor, pages = cursor or last, page["next_cursor"], pages + 1

    assert sorted(chat["chat_id"] for chat in found) == sorted(old.chats)
    column = {"created": "created_at", "updated": "updated_at"}.get(sort, sort)
    keys = [chat[column] for chat in found if chat[column] is not None]
    if sort != "name":
        assert keys == sorted(keys, reverse=True)
    other = "name" if sort != "name" else "credits"
    for bad in ({"sort": other, "cursor": last}, {"sort": sort, "cursor": "WzEsMiwzXQ"}, {"sort": sort, "cursor": "é"}):
        refused = await site.http.get(f"{PATH}/chats", params=bad)
        assert (refused.status_code, refused.json()["field"]) == (422, "cursor")


@on_sqlite
async def test_exports_hold_everything_and_no_formula(world: World, site: Site, censuses: Censuses) -> None:
    """
    CSV and JSON name the same chats; a name that a spreadsheet would take for a formula has an apostrophe before it.
    """
    chats = plant(world, timedelta(days=2), count=520)
    for chat, name in zip(chats, ("=1+1", "+x", "-x", "@x", 'plain, "quoted"'), strict=False):
        world.sandbox.backend.change_chat(chat, world.clock.elsewhere(), {"name": name})
    await censuses.run()

    written = (await site.http.get(f"{PATH}/export")).text
    as_json = (await site.http.get(f"{PATH}/export", params={"format": "json"})).json()["chats"]
    rows = {row["chat_id"]: row for row in csv.DictReader(io.StringIO(written))}

    assert sorted(rows) == sorted(chat["chat_id"] for chat in as_json) == sorted(chat.id for chat in chats)
    names = [rows[chat.id]["name"] for chat in chats[:5]]
    assert names == ["'=1+1", "'+x", "'-x", "'@x", 'plain, "quoted"']


@on_sqlite
async def test_the_words_of_a_search_are_words_and_no_patterns(world: World, site: Site, censuses: Censuses) -> None:
    """
    A search finds names and prompts by their words; signs of patterns stand for themselves.
    """
    one, other = plant(world, timedelta(days=2), count=2)
    world.sandbox.backend.change_chat(one, world.clock.elsewhere(), {"name": "Rate 100% of bakeries"})
    world.sandbox.backend.change_chat(other, world.clock.elsewhere(), {"name": "Rate 1000 bakeries"})
    await censuses.run()

    async def found(text: str) -> set[str]:
        answer = await site.http.get(f"{PATH}/chats", params={"q": text})
        return {chat["chat_id"] for chat in answer.json()["chats"]}

    assert await found("bakeries RATE") == {one.id, other.id}
    assert await found("100%") == {one.id}
    assert await found(other.id) == {other.id}
    assert await found("nothing") == set()
