"""The catalogue over HTTP, and "it exists already" in the API and on the form of the page."""

from __future__ import annotations

from typing import Any

from people import EVE
from protokeep.core.principals import Role
from web.test_pages import Site as Pages
from web.test_pages import hidden, site  # noqa: F401 - the pages' own server
from world import World


async def test_the_catalogue_lists_searches_filters_counts_and_pages(world: World) -> None:
    """
    One prototype stands for each product; nothing of another workspace is listed or counted.
    """
    async with world.serving(real=False) as api:
        await world.complete("bakery", "A red landing page", product_name="Old Town Bakery")
        await world.complete("bakery", "A green landing page", create_new=True)
        world.clock.advance(60)
        await world.ensure("airline", "A booking form for an AIRLINE's page")
        await world.ensure("bakery", "A landing page of somebody else's", who=EVE)

        async def ask(**params: Any) -> dict[str, Any]:
            answer = await api.http.get("/api/design/mockups", params=params)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        def products(answer: dict[str, Any]) -> list[str]:
            return [row["product_id"] for row in answer["mockups"]]

        everything = await ask(counts="true")
        assert products(everything) == ["airline", "bakery"]
        assert everything["mockups"][1]["prompt"] == "A green landing page"
        assert (everything["counts"]["ready"], everything["counts"]["queued"]) == (1, 1)
        assert everything["counts_are_whole"] is True
        assert products(await ask(sort="oldest")) == ["bakery", "airline"]
        assert products(await ask(q="page airline")) == ["airline"]
        assert products(await ask(q="OLD town")) == ["bakery"]
        assert products(await ask(state=["ready", "failed"])) == ["bakery"]
        assert products(await ask(q="page", state="failed")) == []
        assert products(await ask(person="bob")) == []
        assert products(await ask(mine="true", q="green")) == ["bakery"]
        assert products(await ask(product="airline", provider="v0")) == ["airline"]
        made_at = everything["mockups"][0]["created_at"]
        assert products(await ask(created_after=made_at)) == products(await ask(q="page", created_after=made_at))
        assert products(await ask(created_after=made_at)) == ["airline"]
        assert products(await ask(created_before=made_at, updated_after="2001-01-01T00:00:00")) == ["bakery"]
        first = await ask(limit=1, q="page")
        assert (products(first), first["counts"]) == (["airline"], None)
        rest = await ask(limit=1, q="page", cursor=first["next_cursor"])
        assert (products(rest), rest["next_cursor"]) == (["bakery"], None)

        again = await api.http.get("/api/design/mockups", params={"q": "page"})
        tag = {"If-None-Match": again.headers["etag"]}
        assert (await api.http.get("/api/design/mockups", params={"q": "page"}, headers=tag)).status_code == 304
        wrong_values: dict[str, Any] = {
            "state": "nonsense",
            "person": "\x00",
            "created_after": "soon",
            "cursor": "x",
            "limit": 0,
        }
        for wrong in ({name: value} for name, value in wrong_values.items()):
            assert (await api.http.get("/api/design/mockups", params=wrong)).status_code == 422, wrong


async def test_a_filter_that_cannot_be_used_is_named_as_callers_write_it(world: World) -> None:
    """A query has no places: which of the repeated values it was is no part of a name."""
    async with world.serving(real=False) as api:
        problem = (await api.http.get("/api/design/mockups", params={"state": "nonsense"})).json()

    assert (problem["field"], problem["detail"][:21]) == ("state", "state must be one of ")


async def test_similar_products_are_in_the_answer_or_in_a_problem(world: World) -> None:
    async with world.serving(real=False) as api:
        first = (await api.create("bakery-shop")).json()
        assert first["decision"]["similar"] == []
        second = (await api.create("Bakery Shop", "Something else")).json()
        assert second["decision"]["similar"] == [
            {
                "product_id": "bakery-shop",
                "name": None,
                "prototype_id": first["id"],
                "state": "making",
                "how": "id",
                "alike": 1.0,
                "reason": "Its id differs only in case, spaces, dashes or dots.",
            }
        ]
        api.node.context.asks_unclear_product = True
        refused = await api.create("BAKERY_SHOP", "And another")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:protokeep:problem:unclear-product")
        assert {one["product_id"] for one in refused.json()["similar"]} == {"bakery-shop", "Bakery Shop"}
        assert (await api.create("BAKERY_SHOP", "And another", product_is_new=True)).status_code in (201, 202)


async def test_the_form_says_what_exists_and_asks_before_it_makes(site: Pages) -> None:  # noqa: F811
    """
    Without script: the form comes back with a question, and goes on when the person says that it is another product.
    """
    ana = await site.signed_in()
    other = await site.signed_in(Role.MAKER, "eve", "elsewhere")
    fields = hidden((await ana.get("/new")).text)
    prompt = "A landing page for a bakery <b>with</b> a map and a form to order a cake"
    await ana.client.post("/new", data={**fields, "product_id": "bakery-shop", "prompt": prompt})

    asked = await ana.client.post("/new/similar", data={**fields, "product_id": "bakery-shop", "prompt": ""})
    assert "bakery-shop exists already" in asked.text
    near = await ana.client.post("/new/similar", data={**fields, "product_id": "cakes", "prompt": prompt + " soon"})
    assert "A similar prototype exists" in near.text
    assert "<b>with" not in near.text
    theirs = hidden((await other.get("/new")).text)
    assert (await other.client.post("/new/similar", data={**theirs, "product_id": "bakery-shop"})).text.strip() == ""
    assert (await ana.client.post("/new/similar", data={**fields, "product_id": "\u200b"})).text.strip() == ""
    assert (await ana.client.post("/new/similar", data={"product_id": "bakery-shop"})).status_code != 200

    again = hidden((await ana.get("/new")).text)
    question = await ana.client.post("/new", data={**again, "product_id": "Bakery Shop", "prompt": prompt})
    assert question.status_code == 409
    assert "Did you mean" in question.text
    assert "It is another product: create it" in question.text
    sure = {**hidden(question.text), "product_id": "Bakery Shop", "prompt": prompt}
    assert sure["different"] == "Bakery Shop"
    made = await ana.client.post("/new", data=sure)
    assert "/prototypes/" in str(made.url)


async def test_an_address_without_a_page_is_told_without_a_word_for_programs(site: Pages) -> None:  # noqa: F811
    """Somebody who mistyped an address reads what to do, and nothing about the API."""
    browser = await site.signed_in()

    missing = await browser.get("/no-such-page")

    assert (missing.status_code, "There is no page at this address." in missing.text) == (404, True)
    assert "/docs" not in missing.text
