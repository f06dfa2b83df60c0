"""The bin and the archives of chats, over HTTP and on their pages."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.principals import Role
from world import Site, World

WEEK = timedelta(days=7)


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    """An application that lets what is deleted wait for a week."""
    async with world.serving(real=False) as served:
        served.node.context.bin_time = WEEK
        yield served


async def as_(site: Site, role: Role, workspace: str = "default") -> dict[str, str]:
    return {"Authorization": f"Bearer {await site.token(role, f'{role}-of-{workspace}', workspace_id=workspace)}"}


async def made(world: World, site: Site) -> dict[str, Any]:
    """A finished prototype of Ann's."""
    await site.create()
    await site.node.queue.finished()  # type: ignore[attr-defined]
    world.clock.advance(60)
    answer: dict[str, Any] = (await site.status()).json()
    return answer


async def test_what_is_deleted_is_in_the_bin_and_its_maker_takes_it_back(world: World, site: Site) -> None:
    """202 with the time of its end, twice; out of the lists, in the bin; back; others may look and not touch."""
    prototype = await made(world, site)
    path = f"/api/design/prototypes/{prototype['id']}"
    other = await as_(site, Role.MAKER)

    answers = [await site.http.delete(path) for _ in range(2)]
    listed = (await site.listed()).json()["mockups"]
    in_bin = (await site.http.get("/api/design/bin", headers=other)).json()
    refused = [(await site.http.post(f"{path}/restore", headers=other)).status_code]
    refused += [(await site.http.delete(path, params={"now": "true"})).status_code]
    strange = await as_(site, Role.ADMIN, "elsewhere")
    refused += [(await site.http.post(f"{path}/restore", headers=strange)).status_code]
    strangers = (await site.http.get("/api/design/bin", headers=strange)).json()["prototypes"]
    back = [(await site.http.post(f"{path}/restore")).json() for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    until = answers[0].json()["deletion_due_at"]
    assert [answer.json()["state"] for answer in answers] == ["in_bin", "in_bin"]
    assert answers[1].json()["reason"]["code"] == "in_bin"
    assert answers[1].json()["reason"]["next_try_at"] == until == in_bin["prototypes"][0]["deletion_due_at"]
    assert (listed, strangers) == ([], [])
    assert refused == [403, 403, 404]
    assert [(one["state"], one["is_current"], one["deletion_due_at"]) for one in back] == [("ready", True, None)] * 2
    assert (await site.status()).json()["id"] == prototype["id"]


async def test_an_admin_downloads_restores_and_removes_archives(world: World, site: Site) -> None:
    """A zip that no browser shows; one new chat; nothing for makers; a removal when it is old enough."""
    prototype = await made(world, site)
    admin, maker = await as_(site, Role.ADMIN), await as_(site, Role.MAKER)
    gone = await site.http.delete(f"/api/design/prototypes/{prototype['id']}", params={"now": "true"}, headers=admin)
    (archive,) = (await site.http.get("/api/design/archives", headers=admin)).json()["archives"]
    path = f"/api/design/archives/{archive['id']}"

    zipped = await site.http.get(path, headers=admin)
    restored = [await site.http.post(f"{path}/restore", headers=admin) for _ in range(2)]
    removals = [(await site.http.delete(path, headers=admin)).status_code]
    world.clock.advance(timedelta(days=366).total_seconds())
    admin, maker = await as_(site, Role.ADMIN), await as_(site, Role.MAKER)
    forbidden = [await site.http.request(method, path, headers=maker) for method in ("GET", "DELETE")]
    old = await site.http.delete("/api/design/archives", params={"older_than_days": 365}, headers=admin)
    removals += [(await site.http.delete(path, headers=admin)).status_code]

    assert gone.status_code == 204
    assert archive["prototype_id"] == prototype["id"]
    assert zipped.headers["content-disposition"].startswith("attachment;")
    assert zipped.headers["x-content-type-options"] == "nosniff"
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as files:
        assert json.loads(files.read("messages.json"))
        assert any(name.startswith("files/") for name in files.namelist())
    assert [answer.status_code for answer in restored] == [200, 409]
    assert restored[0].json()["prototype"]["product_id"] == prototype["product_id"]
    assert [answer.status_code for answer in forbidden] == [403, 403]
    assert old.json() == {"removed": 1}
    assert removals == [409, 404]
    audit = (await site.http.get("/api/design/audit", headers=admin)).json()["entries"]
    assert {"deleted", "restored", "archives_removed"} <= {line["action"] for line in audit}


async def test_the_page_of_the_bin_shows_until_when_and_takes_back_with_one_click(world: World, site: Site) -> None:
    """The delete page offers both ways; the bin lists what waits; one form takes it back."""
    prototype = await made(world, site)
    token = await site.token(Role.ADMIN, "ada")
    form = await site.http.get("/sign-in")
    signed = {"form_token": _form_token(form.text), "token": token}
    assert (await site.http.post("/sign-in", data=signed)).status_code == 303
    page = f"/prototypes/{prototype['id']}"

    asked = await site.http.get(f"{page}/delete")
    form_token = {"form_token": _form_token(asked.text)}
    deleted = await site.http.post(f"{page}/delete", data=form_token)
    in_bin, home, own = [(await site.http.get(path)).text for path in ("/bin", "/", page)]
    back = await site.http.post(f"{page}/restore", data=form_token)

    assert "Move to the bin" in asked.text
    assert "Delete now, for good" in asked.text
    assert (deleted.status_code, back.status_code) == (303, 303)
    assert f'action="{page}/restore"' in in_bin
    assert f'href="{page}/delete"' in in_bin
    assert "UTC" in in_bin
    assert prototype["id"] not in home
    assert "ada moved it to the bin" in own
    assert "Take it back" in own
    assert "The bin is empty" in (await site.http.get("/bin")).text
    assert prototype["id"] in (await site.http.get("/")).text


def _form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    return found[1].replace("&#34;", '"')
