"""The page of a product: its current prototype whole, its variants, what may become current, two side by side."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import replace

import pytest

from gallery_fixture import Scene, minutes, paint
from protokeep.core.principals import Role
from protokeep.core.prototype import Prototype, State
from protokeep.store.prototypes import Page
from web.test_page_actions import site  # noqa: F401 - a fixture
from web.test_pages import Site, hidden, principal

SHOP = Scene("shop", "Shop", "ana", "A red landing page for a bakery", State.READY, minutes(50))


async def variants(site: Site, *scenes: Scene) -> list[Prototype]:  # noqa: F811
    """The variants of shop, by number."""
    await paint(site.application, scenes)
    found, _ = await site.application.keeper.list(principal(), "shop", Page(20))
    return sorted(found, key=lambda one: one.created_at)


def words(text: str) -> str:
    """What a page says."""
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", text[text.index("<main") :]).split()))


def link_names(text: str) -> list[str]:
    """The accessible names of the links of a page's main part."""
    found = re.findall(r"<a ([^>]*)>(.*?)</a>", text[text.index("<main") : text.index("</main>")], re.DOTALL)
    named = [(re.search(r'aria-label="([^"]*)"', tag), inside) for tag, inside in found if "aria-hidden" not in tag]
    return [label[1] if label else words(f"<main>{inside}") for label, inside in named]


async def test_a_products_page_is_the_whole_page_of_its_current_variant(site: Site) -> None:  # noqa: F811
    """
    It can be changed, named and deleted there; variants are told apart by number, prompt and maker, and no two links
    have the same name.
    """
    first, second, third = await variants(
        site,
        SHOP,
        replace(SHOP, prompt="A blue one", owner="ben", ago=minutes(40), another=True),
        replace(SHOP, prompt="A green one", ago=minutes(30), another=True, asked=True),
    )
    browser = await site.signed_in(Role.ADMIN)

    page = await browser.get("/p/shop")

    assert page.status_code == 200
    for part in ("#3 Current Ready A green one", "#2 Ready A blue one ben", "Changes since 1", "Ask for a change"):
        assert part in words(page.text)
    assert f'action="/prototypes/{third.id}/messages"' in page.text
    assert f"/prototypes/{third.id}/delete" in page.text
    for path in ("/p/shop", f"/prototypes/{first.id}", f"/p/shop/compare?a={first.id}&b={second.id}"):
        names = Counter(link_names((await browser.get(path)).text))
        assert [name for name, number in names.items() if number > 1] == [], path


async def test_a_variant_that_is_not_current_says_so_and_is_made_current(site: Site) -> None:  # noqa: F811
    """
    A banner names the current one; one press changes it, and the page of the product shows it.
    """
    first, second = await variants(site, SHOP, replace(SHOP, ago=minutes(40), another=True))
    browser = await site.signed_in()
    page = await browser.get(f"/prototypes/{first.id}")
    assert "This is #1. #2 is the current variant" in words(page.text)

    shown = await browser.send(f"/prototypes/{first.id}/make-current", page)

    assert shown.url.path == "/p/shop"
    assert "#1 Current Ready" in words(shown.text)
    assert not (await site.application.keeper.get(principal(), second.id)).is_current


async def test_a_failed_variant_is_not_offered_as_current_and_refused(site: Site) -> None:  # noqa: F811
    """
    There is no button, and a form that is sent all the same changes nothing and says why.
    """
    failed, current = await variants(site, replace(SHOP, state=State.FAILED), replace(SHOP, ago=minutes(40)))
    browser = await site.signed_in()
    page = await browser.get(f"/prototypes/{failed.id}")
    assert "Make current" not in page.text

    refused = await browser.send(f"/prototypes/{failed.id}/make-current", page)

    assert refused.status_code == 409
    assert "It failed, so nobody could use it." in words(refused.text)
    assert (await site.application.keeper.get(principal(), current.id)).is_current


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ((State.READY,), "#1 becomes the current variant : everyone who asks for this product gets it."),
        ((State.FAILED,), "#1 becomes the current variant, and it has failed : the next request for this product"),
        ((), "It is the only variant. The next request for this product creates a new prototype."),
    ],
)
async def test_the_page_of_a_deletion_says_what_the_product_has_afterwards(
    site: Site,  # noqa: F811
    others: tuple[State, ...],
    says: str,
) -> None:
    """
    What it says is what comes: the deleted variant's successor is the current one, and listed.
    """
    before = [replace(SHOP, state=state, ago=minutes(60)) for state in others]
    *_, current = await variants(site, *before, replace(SHOP, another=State.READY in others))
    browser = await site.signed_in(Role.ADMIN)
    page = await browser.get(f"/prototypes/{current.id}/delete")
    assert says in words(page.text)

    await browser.send(f"/prototypes/{current.id}/delete", page)

    left, _ = await site.application.keeper.list(principal(), "shop", Page(20))
    if left and left[0].is_current:
        history = words((await browser.get(f"/prototypes/{left[0].id}")).text)
        assert "Became the current one, because the one before was deleted" in history
    assert [one.is_current for one in left if one.state is not State.DELETING] == [True] * len(others)
    assert ("data-current" in (await browser.get("/")).text) is bool(others)


async def test_a_variant_is_named_and_found_by_its_name(site: Site) -> None:  # noqa: F811
    """
    Its name stands wherever it stands beside others; a name that is too long is refused in words.
    """
    first, _ = await variants(site, SHOP, replace(SHOP, ago=minutes(40), another=True))
    browser = await site.signed_in()
    page = await browser.get(f"/prototypes/{first.id}")

    await browser.send(f"/prototypes/{first.id}/name", page, name="Dark <header>")
    refused = await browser.send(f"/prototypes/{first.id}/name", page, name="x" * 61)

    assert "#1 Ready Dark <header>" in words((await browser.get("/p/shop")).text)
    assert refused.status_code == 422
    assert "The name was not saved." in words(refused.text)


async def test_two_variants_stand_side_by_side_with_what_differs(site: Site) -> None:  # noqa: F811
    """
    What only one prompt says is marked; variants of two products, and of another workspace, are not compared.
    """
    first, second = await variants(
        site, SHOP, replace(SHOP, prompt="A <b>blue</b> landing page for a bakery", ago=minutes(40), another=True)
    )
    other = (await paint(site.application, (replace(SHOP, product_id="other"),)))["other"]
    browser = await site.signed_in()

    page = await browser.get(f"/p/shop/compare?a={first.id}&b={second.id}")

    assert "<mark> red</mark>" in page.text
    assert "<mark> &lt;b&gt;blue&lt;/b&gt;</mark>" in page.text
    assert (await browser.get(f"/p/shop/compare?a={first.id}&b={other.id}")).status_code == 404
    stranger = await site.signed_in(workspace="elsewhere")
    assert (await stranger.get(f"/p/shop/compare?a={first.id}&b={second.id}")).status_code == 404


async def test_a_question_is_answered_first(site: Site) -> None:  # noqa: F811
    """
    While the app builder waits, its question is what the page is about: the form stands first and leads to the chat.
    """
    (asking,) = await variants(site, replace(SHOP, state=State.WAITING))
    page = await (await site.signed_in()).get("/p/shop")

    assert "Answer v0's question" in words(page.text)
    assert page.text.index('id="change"') < page.text.index('id="picture"')
    assert hidden(page.text[page.text.index('id="change"') :])["form_token"]
    assert f'action="/prototypes/{asking.id}/messages"' in page.text


async def test_a_card_stops_and_retries_from_its_menu(site: Site) -> None:  # noqa: F811
    """
    Both are in the menus of the home page, where they can be carried out.
    """
    making = (await paint(site.application, (replace(SHOP, product_id="made", state=State.MAKING),)))["made"]
    failed = (await paint(site.application, (replace(SHOP, product_id="lost", state=State.FAILED),)))["lost"]
    home = (await (await site.signed_in()).get("/")).text

    assert f'action="/prototypes/{making.id}/stop"' in home
    assert f'action="/prototypes/{failed.id}/retry"' in home


async def test_the_app_builder_has_its_own_name_in_sentences_about_a_prototype(site: Site) -> None:  # noqa: F811
    """
    Somebody who looks at a prototype knows who makes it; only the general words of commands and tools do not.
    """
    await variants(site, replace(SHOP, state=State.UNDECIDED))
    page = words((await (await site.signed_in()).get("/p/shop")).text)

    assert "You can ask for changes once v0 has started." in page
    assert "the app builder has started" not in page
