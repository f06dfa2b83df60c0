"""Order for many in a real browser: by keys alone, without script, at 320 px, and under axe."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from gallery_fixture import paint
from protokeep.core.principals import Principal, Role
from system.browser.conftest import Site, Windows

ALL_COLUMNS = "state,person,made,updated,took,variants,tags,provider,credits,id"

#: What the element with the focus is called.
FOCUSED = """(() => {
  const at = document.activeElement;
  return [at.getAttribute("aria-label"), at.labels?.[0]?.innerText, at.innerText].map((text) => text?.trim());
})()"""


def names(page: Page) -> list[str]:
    """The cards of the page, in order."""
    return page.locator(".card .go").all_inner_texts()


def press_until(page: Page, key: str, name: str, most: int = 60) -> None:
    """Press a key until something with this name, or this text, has the focus."""
    for _ in range(most):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        if name in focused:
            return
    raise AssertionError(f"{name} never had the focus")


def test_a_card_is_made_a_favourite_and_archived_by_keys_alone(still: Site, windows: Windows) -> None:
    """
    Its menu reads what can be done when it opens; the star stays when a live event draws the card anew; the filter
    panel leads to the archive, from where the card comes back.
    """
    made = still.call(paint(still.application))
    page = windows.signed_in(still)
    card = page.locator(f".card[data-of='{made['bakery'].id}']")
    title = card.locator(".go").inner_text()
    press_until(page, "Tab", f"Actions for {title}", 120)
    page.keyboard.press("Enter")
    expect(card.get_by_role("button", name="Add to favourites")).to_be_visible()
    press_until(page, "Tab", "Add to favourites")
    page.keyboard.press("Enter")
    expect(card.get_by_role("img", name="Favourite")).to_be_visible()

    keeper = still.application.keeper
    ben = Principal("default", "ben", Role.MAKER, "")
    still.call(keeper.arrangement.change_tags(ben, made["bakery"], add=["retail"]))
    expect(card.locator(".meta")).to_contain_text("retail")
    expect(card.get_by_role("img", name="Favourite")).to_be_visible()
    press_until(page, "Tab", f"Actions for {title}", 120)
    page.keyboard.press("Enter")
    expect(card.get_by_role("button", name="Archive")).to_be_visible()
    press_until(page, "Tab", "Archive")
    page.keyboard.press("Enter")
    expect(card).to_have_count(0)

    page.keyboard.press("/")
    press_until(page, "Tab", "Filter")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Archive", exact=True)).to_be_visible()
    page.get_by_label("Archive", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    press_until(page, "Tab", "Apply")
    page.keyboard.press("Enter")
    page.wait_for_url("**archived=only*")
    assert names(page) == [title]
    expect(page.get_by_text("Archived", exact=True)).to_be_visible()


def test_several_are_chosen_tagged_and_deleted_without_script(still: Site, windows: Windows) -> None:
    """
    The whole way as plain forms: filters, a saved view, boxes, tags, columns, a deletion with its question.
    """
    still.call(paint(still.application))
    page = windows.signed_in(still, Role.ADMIN, java_script_enabled=False)
    page.get_by_text("Filter", exact=True).click()
    page.get_by_role("link", name="All filters").click()
    page.get_by_label("Sort").select_option("By name")
    page.get_by_label("Asked for by").select_option("ben")
    page.get_by_role("button", name="Apply").click()
    shown = names(page)
    assert shown == sorted(shown, key=str.lower)
    page.get_by_role("link", name="Save view").click()
    page.get_by_label("Name").fill("Ben's")
    page.get_by_role("button", name="Save view").click()
    page.get_by_role("link", name="Select", exact=True).click()
    for title in shown[:2]:
        page.get_by_label(f"Choose {title}").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Tags").fill("Spring, Retail")
    page.get_by_role("button", name="Add these tags").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    assert names(page) == shown
    page.get_by_role("link", name="Table").click()
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Owner").uncheck()
    page.get_by_label("Tags").check()
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("td.c-tags").first).to_have_text("retail, spring")
    expect(page.locator("td.c-person").first).to_be_hidden()
    page.goto(still.url)
    page.get_by_role("link", name="Ben's").click()
    page.get_by_role("link", name="Select", exact=True).click()
    page.get_by_label(f"Choose {shown[0]}").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("heading", name="Delete 1 prototype?")).to_be_visible()
    page.get_by_role("button", name="Put them into the bin").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    assert shown[0] not in names(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_everything_fits_into_320_px(still: Site, windows: Windows, theme: Any) -> None:
    """
    The new pages and states of the list, in either theme. All boxes are checked at once with script.
    """
    made = still.call(paint(still.application))
    page = windows.signed_in(still, Role.ADMIN, color_scheme=theme, reduced_motion="reduce")
    ids = "&".join(f"id={one.id}" for one in list(made.values())[:3])
    found: list[str] = []

    def look(name: str) -> None:
        expect(page.locator("h1")).to_be_visible()
        for violation in Axe().run(page).response["violations"]:
            nodes = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
            found.append(f"{name}: {violation['id']}: {nodes}")
        page.set_viewport_size({"width": 320, "height": 700})
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            found.append(f"{name}: {width} px wide")
        page.set_viewport_size({"width": 1440, "height": 900})

    for path in (
        "/?select=1",
        f"/?view=table&select=1&columns={ALL_COLUMNS}&sort=name",
        f"/?view=table&columns={ALL_COLUMNS}",
        "/filters?person=ben",
        "/views?person=ben",
        f"/chosen?{ids}",
        f"/chosen/delete?{ids}",
    ):
        page.goto(still.url + path)
        look(path)
    page.goto(f"{still.url}/chosen?{ids}")
    page.get_by_role("button", name="Unarchive").click()
    expect(page.get_by_role("heading", name="done")).to_be_visible()
    look("what was done")
    page.set_viewport_size({"width": 320, "height": 700})
    page.goto(f"{still.url}/?view=table&select=1")
    for title in names(page)[:3]:
        expect(page.get_by_label(f"Choose {title}")).to_be_visible()
    assert page.locator("tbody th").first.bounding_box()["width"] > 150  # type: ignore[index]
    page.get_by_text("Columns", exact=True).click()
    expect(page.get_by_role("button", name="Show these")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{still.url}/?select=1")
    page.get_by_label("All on this page").check()
    expect(page.locator("[data-count]")).to_have_text(f"{page.locator('.pick input').count()} chosen")
    page.goto(still.url)
    page.get_by_text("Filter", exact=True).click()
    expect(page.get_by_label("Sort")).to_be_visible()
    look("filter panel")
    assert found == []
