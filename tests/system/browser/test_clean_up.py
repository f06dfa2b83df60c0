"""The clean-up in a real browser: from a scan to a deletion without script, by keys, at 320 px, and under axe."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from clean_up_steps import Steps
from protokeep.core.principals import Principal, Role
from protokeep.sandbox import seed_account
from system.browser.conftest import Site, Windows

ANA = Principal("default", "ana", Role.ADMIN, "")
LONG = "A very long name that nobody has ever cut " * 5


@pytest.fixture
def old(make_site: Callable[..., Site]) -> Site:
    """A server on which nothing happens by itself, with an old account of sixty chats."""
    site = make_site(jobs=False, api_version=1)
    seed_account(site.sandbox, "k", chats=60, seed=4)
    for chat in site.sandbox.chats.values():
        chat.forbidden = False  # A chat that the key may not read pauses a plan.
    return site


def draft_of(site: Site) -> str:
    """The address of a draft of everything."""
    return f"/clean-up/plans/{site.call(site.application.plans.propose(ANA, 'default')).id}"


def send(page: Page, name: str | re.Pattern[str]) -> None:
    """Press a button by the keyboard, and wait for what it leads to."""
    button = page.get_by_role("button", name=name).first
    button.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_an_account_is_cleaned_up_without_script_and_by_keys_alone(old: Site, windows: Windows) -> None:
    """
    Scan, look at what is the same, adopt, plan, approve, apply: forms and links do all of it, by the keyboard.
    """
    steps = Steps(old.application)
    page = windows.signed_in(old, Role.ADMIN, java_script_enabled=False)
    page.locator(".who summary").press("Enter")
    page.get_by_role("link", name="Clean-up").press("Enter")
    send(page, "Scan the account")
    expect(page.get_by_role("progressbar", name="Progress of the scan")).to_be_visible()
    old.call(steps.run())
    page.get_by_role("link", name="Look again").press("Enter")
    expect(page.get_by_role("heading", name="60 chats. Nothing seems to need")).to_be_visible()

    page.get_by_role("link", name="Groups", exact=True).press("Enter")
    page.get_by_role("link", name=re.compile("^Adopt ")).first.press("Enter")
    page.get_by_label("Product", exact=True).fill("shop")
    send(page, "Adopt")
    expect(page.get_by_role("status").first).to_contain_text("adopted into shop")

    page.get_by_role("link", name="Chats", exact=True).press("Enter")
    page.get_by_role("checkbox", name=re.compile("^Choose ")).nth(3).press("Space")
    send(page, "Plan their removal…")
    expect(page.get_by_text("1 chat chosen.")).to_be_visible()
    page.get_by_role("link", name="Plans", exact=True).press("Enter")
    page.get_by_role("link", name="Create a plan…").press("Enter")
    page.get_by_label("Name of your workspace").fill("default")
    send(page, "Create the draft")
    expect(page.get_by_text("This is a draft and deletes nothing.")).to_be_visible()
    kept = page.locator("tr", has=page.get_by_role("button", name=re.compile("^Pin "))).first
    keeps = str(kept.locator("form").get_attribute("action")).split("/")[3]
    send(page, re.compile("^Pin "))
    expect(page.get_by_text("Pinned by ana").first).to_be_visible()
    page.get_by_label("write the name of your workspace").fill("default")
    send(page, "Approve")
    send(page, "Apply: delete after the grace period")
    assert not any(chat.deleted for chat in old.sandbox.chats.values())

    steps.put_forward(timedelta(days=15))
    old.call(steps.run())
    page.get_by_role("link", name="Look again").press("Enter")
    expect(page.get_by_text("It is done.")).to_be_visible()
    assert any(chat.deleted for chat in old.sandbox.chats.values())
    assert not old.sandbox.chats[keeps].deleted
    send(page, re.compile("^Take .* back"))
    expect(page.get_by_text("Being restored").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_everything_fits_into_320_px(old: Site, windows: Windows, theme: Any) -> None:
    """
    axe finds nothing on any page in either theme, and no page is wider than 320 px, whatever the names are.
    """
    chat = next(iter(old.sandbox.chats.values()))
    chat.name, chat.author_id = LONG + "x" * 90, "user_" + "w" * 90
    steps = Steps(old.application)
    old.call(old.application.census.start(ANA))
    old.call(steps.run())
    plan = draft_of(old)
    chosen = f"chat={chat.id}"
    page = windows.signed_in(old, Role.ADMIN, color_scheme=theme, reduced_motion="reduce")
    found: list[str] = []
    for path in (
        "/clean-up",
        "/clean-up/chats",
        "/clean-up/chats?kind=failed&q=zeppelin",
        "/clean-up/groups",
        f"/clean-up/adopt?{chosen}",
        "/clean-up/plans",
        "/clean-up/plans/new",
        f"/clean-up/plans/new?{chosen}",
        plan,
    ):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(old.url + path)
        for details in page.locator("main details").all():
            details.evaluate("(one) => { one.open = true; }")
        for violation in Axe().run(page).response["violations"]:
            nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
            found.append(f"{path}: {violation['id']}: {nodes}")
        page.set_viewport_size({"width": 320, "height": 720})
        page.goto(old.url + path)
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 320:
            found.append(f"{path}: {width} px wide")

    assert found == []


def test_a_scan_and_a_plan_are_followed_by_themselves(old: Site, windows: Windows) -> None:
    """
    With script, the progress of a scan is read again without anybody's doing, until it has ended.
    """
    page = windows.signed_in(old, Role.ADMIN)
    page.goto(f"{old.url}/clean-up")
    page.get_by_role("button", name="Scan the account").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.evaluate("window.sameDocument = true")

    old.call(Steps(old.application).run())

    expect(page.get_by_role("heading", name="60 chats. Nothing seems to need")).to_be_visible()
    assert page.evaluate("window.sameDocument")
