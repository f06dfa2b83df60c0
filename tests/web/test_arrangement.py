"""Tags, the archive, favourites, orders, saved views and several at once: over HTTP, and on the page without script."""

from __future__ import annotations

import csv
import json
import re
from typing import Any
from urllib.parse import quote

from gallery_fixture import Scene, minutes, paint
from people import EVE
from protokeep.core.principals import Role
from protokeep.core.prototype import State
from web.test_page_actions import site  # noqa: F401 - a fixture
from web.test_pages import Site, hidden, titles
from world import World, on_sqlite

AWKWARD = "a/b c?d&é"
SCENES = (
    Scene("zoo", "Zoo", "ana", "A page of animals", State.READY, minutes(50)),
    Scene("bakery", "bakery", "ben", "A page of bread", State.READY, minutes(40)),
    Scene("airline", "Airline", "ana", "A page of planes", State.FAILED, minutes(30)),
)


def words(text: str) -> str:
    """What a page says."""
    return " ".join(re.sub(r"<[^>]*>", " ", text[text.index("<main") :]).split())


@on_sqlite
async def test_products_are_arranged_over_the_api(world: World) -> None:
    """
    Whatever a product's id and a tag are made of. The answer is the prototype, streams and validators follow, and
    every cursor of every order leads on.
    """
    async with world.serving(real=False) as api:
        http, base = api.http, f"/api/design/mockups/{quote(AWKWARD, safe='')}"

        async def products(**params: Any) -> list[str]:
            found: list[str] = []
            while True:
                answer = (await http.get("/api/design/mockups", params={**params, "limit": 1})).json()
                found += [row["product_id"] for row in answer["mockups"]]
                if answer["next_cursor"] is None:
                    return found
                params["cursor"] = answer["next_cursor"]

        for name in (AWKWARD, "Zoo", "bakery"):
            await world.ensure(name, "a page")
            world.clock.advance(1)
        etag = (await http.get(base)).headers["etag"]
        tagged = await http.put(f"{base}/tags/{quote('50% / Über', safe='')}")
        assert (tagged.status_code, tagged.json()["tags"]) == (200, ["50% / über"])
        assert (await http.get(base)).headers["etag"] != etag
        assert (await http.get("/api/design/tags")).json() == {"tags": ["50% / über"]}
        assert await products(tag="50% / ÜBER") == [AWKWARD]
        archived = await http.put(f"{base}/archive")
        assert archived.json()["archived_at"] is not None
        assert await products() == ["bakery", "Zoo"]
        assert await products(archived="only") == [AWKWARD]
        assert (await http.put("/api/design/mockups/Zoo/favourite")).status_code == 204
        assert await products(favourite="true") == ["Zoo"]
        for sort, order in (("name", [AWKWARD, "bakery", "Zoo"]), ("updated", ["bakery", "Zoo", AWKWARD])):
            assert await products(archived="any", sort=sort) == order
            assert await products(archived="any", sort=sort, q="page") == order
        assert (await http.delete(f"{base}/archive")).json()["archived_at"] is None
        assert (await http.delete(f"{base}/tags/{quote('50% / über', safe='')}")).json()["tags"] == []
        assert (await http.delete("/api/design/mockups/Zoo/favourite")).status_code == 204
        assert await products(favourite="true") == []

        foreign = (await world.ensure("elsewhere", "a page", who=EVE)).prototype
        named = (await http.get("/api/design/mockups")).json()["mockups"][0]
        body = {"ids": [foreign.id, named["id"]], "action": "tag", "tags": ["One"]}
        answers = (await http.post("/api/design/several", json=body)).json()["results"]
        assert (answers[0]["problem"]["status"], answers[0]["prototype"]) == (404, None)
        assert (answers[1]["problem"], answers[1]["prototype"]["tags"]) == (None, ["one"])
        halves = json.dumps({"ids": [named["id"], "\ud800"], "action": "delete"})
        answer = await http.post("/api/design/several", content=halves, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["field"]) == (422, "ids")
        by_name = (await http.get("/api/design/mockups", params={"sort": "name", "limit": 1})).json()["next_cursor"]
        refused: list[tuple[str, dict[str, Any]]] = [
            ("sort", {"sort": "nonsense"}),
            ("archived", {"archived": "maybe"}),
            ("tag", {"tag": "a,b"}),
            ("tag", {"tag": "\x00"}),
            ("cursor", {"sort": "updated", "cursor": by_name}),
            ("cursor", {"cursor": by_name}),
            ("cursor", {"sort": "name", "cursor": "nonsense"}),
        ]
        for field, params in refused:
            answer = await http.get("/api/design/mockups", params=params)
            assert (answer.status_code, answer.json()["field"]) == (422, field), params
        for wrong in ({**body, "ids": []}, {**body, "ids": ["x"] * 101}, {**body, "tags": []}, {**body, "action": "x"}):
            assert (await http.post("/api/design/several", json=wrong)).status_code == 422
        assert (await http.put(f"{base}/tags/{'x' * 41}")).status_code == 422
        assert (await http.put("/api/design/mockups/nothing/archive")).status_code == 404


async def test_a_product_is_tagged_archived_and_made_a_favourite_on_its_page(site: Site) -> None:  # noqa: F811
    """
    A viewer has favourites only; a maker's tags and archive are seen by all. A wrong tag is told, and nothing changes.
    """
    await paint(site.application, SCENES)
    maker, viewer = await site.signed_in(), await site.signed_in(Role.VIEWER, user="vera")
    home = await maker.get("/")
    zoo = re.search(r'data-of="([^"]+)"[^>]*data-link="/p/zoo"', home.text)
    assert zoo is not None
    path = f"/prototypes/{zoo[1]}"
    page = await viewer.get(path)
    assert ("Add to favourites" in page.text, "Save tags" in page.text, "Archive" in words(page.text)) == (
        True,
        False,
        False,
    )
    assert "Remove from favourites" in (await viewer.send(f"{path}/favourite", page, favourite="1")).text
    assert 'class="star"' in (await viewer.get("/")).text
    assert 'class="star"' not in (await maker.get("/")).text
    page = await maker.get(path)
    tagged = await maker.send(f"{path}/tags", page, tags=" Retail , spring  sale,,")
    assert 'value="retail, spring sale"' in tagged.text
    assert "retail, spring sale" in words((await viewer.get("/?tag=RETAIL")).text)
    refused = await maker.send(f"{path}/tags", page, tags="x" * 41)
    assert (refused.status_code, "A tag has 41 characters; at most 40 are taken." in refused.text) == (422, True)
    archived = await maker.send(f"{path}/archive", page, archived="1", next="/?archived=only")
    assert titles(archived.text) == ["Zoo"]
    assert titles((await viewer.get("/")).text) == ["Airline", "bakery"]
    menu = await maker.get(f"{path}/menu?next=//evil.example")
    assert ("Unarchive" in menu.text, 'name="next" value="/"' in menu.text) == (True, True)
    await maker.send(f"{path}/archive", page, archived="")
    assert titles((await viewer.get("/?sort=name")).text) == ["Airline", "bakery", "Zoo"]
    assert titles((await viewer.get("/?person=ben")).text) == ["bakery"]


async def test_filters_columns_and_views_are_addresses(site: Site) -> None:  # noqa: F811
    """
    A search keeps the other filters; a saved view is a link, nobody else's, that a person renames or removes. The
    file has what the list has, and no cell of it is calculated.
    """
    await paint(site.application, (*SCENES, Scene("=cmd", "=1+1", "ana", "A page", State.READY, minutes(20))))
    ana, ben = await site.signed_in(), await site.signed_in(user="ben")
    listed = await ana.get("/?person=ana&sort=name&view=table&columns=tags,nonsense,id")
    assert titles(listed.text) == ["=1+1", "Airline", "Zoo"]
    assert 'class="chosen-columns has-tags has-id"' in listed.text
    kept = {"person": "ana", "sort": "name", "view": "table", "columns": "tags,id"}
    assert kept.items() <= hidden(listed.text.split('role="search"')[1]).items()
    form = await ana.get("/filters?" + "&".join(f"{name}={value}" for name, value in kept.items()))
    assert ('value="ana" selected' in form.text, 'value="ben"' in form.text) == (True, True)
    chosen = await ana.get("/?view=table&columns=&column=id&column=person")
    assert 'class="chosen-columns has-person has-id"' in chosen.text
    assert 'class="chosen-columns "' in (await ana.get("/?view=table&columns=")).text

    save = await ana.get("/views?person=ana&sort=name&select=1&cursor=x")
    saved = await ana.send("/views", save, name="  My   own ")
    assert titles(saved.text) == ["=1+1", "Airline", "Zoo"]
    link = '<a class="clear" href="/?person=ana&amp;sort=name">My own</a>'
    assert link in (await ana.get("/")).text
    assert "My own" not in (await ben.get("/")).text
    refused = await ana.send("/views", save, name="x" * 61)
    assert (refused.status_code, "at most 60 are taken" in refused.text) == (422, True)
    await ben.send(
        "/views/remove",
        await ben.get("/views"),
        form_token=hidden((await ben.get("/settings")).text)["form_token"],
        name="My own",
    )
    assert link in (await ana.get("/")).text
    assert "My own" not in (await ana.send("/views/remove", await ana.get("/views"), name="My own")).text

    table = list(csv.DictReader((await ana.get("/list.csv?person=ana&sort=name")).text.splitlines()))
    assert [row["name"] for row in table] == ["'=1+1", "Airline", "Zoo"]
    assert [row["state"] for row in table] == ["ready", "failed", "ready"]
    for odd in (
        "/?tag=a,b&person=%00&sort=x&archived=y&columns=&favourite=0",
        "/filters?person=%00",
        "/?sort=name&tag=%ff",
    ):
        assert (await ana.get(odd)).status_code == 200


async def test_several_cards_are_chosen_and_changed_at_once(site: Site) -> None:  # noqa: F811
    """
    Boxes of a plain form lead to a page that tags, archives and brings back; a deletion is confirmed first, by an
    admin, and each card is answered on its own.
    """
    await paint(site.application, SCENES)
    maker, admin = await site.signed_in(), await site.signed_in(Role.ADMIN, user="ada")
    assert "Choose Zoo" not in (await maker.get("/")).text
    selecting = await maker.get("/?select=1&sort=name")
    ids = re.findall(r'name="id" value="([^"]+)" form="chosen"', selecting.text)
    assert len(ids) == 3
    address = "/chosen?next=/%3Fsort=name&" + "&".join(f"id={one}" for one in ids[:2])
    page = await maker.get(address)
    assert "2 chosen Airline #1 · Failed · ana bakery" in words(page.text)
    assert "Delete…" not in page.text
    done = await maker.send("/chosen", page, do="tag", tags="Retail, spring", next="/?sort=name")
    assert "Airline : Tagged bakery : Tagged" in words(done.text)
    assert 'href="/?sort=name">Back to the list' in done.text
    assert titles((await maker.get("/?tag=spring&sort=name")).text) == ["Airline", "bakery"]
    assert "Write at least one tag." in (await maker.send("/chosen", page, do="untag", tags=" ,")).text
    await maker.send("/chosen", page, do="archive")
    assert titles((await maker.get("/")).text) == ["Zoo"]
    await maker.send("/chosen", page, do="unarchive")
    assert (await maker.get("/chosen/delete?id=" + ids[0])).status_code == 403
    assert (await maker.send("/chosen/delete", page)).status_code == 403

    confirm = await admin.get("/chosen/delete?" + "&".join(f"id={one}" for one in ids[:2]))
    assert "Delete 2 prototypes?" in confirm.text
    deleted = await admin.send("/chosen/delete", confirm)
    assert "Airline : In the bin bakery : In the bin" in words(deleted.text)
    assert titles((await admin.get("/")).text) == ["Zoo"]
    for empty in ("/chosen", "/chosen?id=nonsense", "/chosen?" + "&".join(f"id={one}" for one in range(101))):
        assert (await maker.get(empty)).status_code == 422
