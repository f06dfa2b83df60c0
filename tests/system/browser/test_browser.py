"""The page in a real browser: what people do, and what they must not notice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FloatRect, Locator, Page, expect

from gallery_fixture import SCENES, Scene, paint
from protokeep.bus import Change
from protokeep.core.errors import DatabaseUnavailable
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import State
from protokeep.service import NewPrototype
from protokeep.store.prototypes import Page as ListPage
from system.browser.conftest import Site, Windows

PROMPT = "A landing page for a bakery"


def ask(page: Page, site: Site, product: str, prompt: str) -> None:
    """Fill in the form, and send it."""
    page.goto(f"{site.url}/new")
    page.get_by_label("Product", exact=True).fill(product)
    page.get_by_label("What should it be?").fill(prompt)
    page.get_by_role("button", name="Create prototype").click()


def ensure(site: Site, product: str, user: str = "ben") -> str:
    """Somebody asks by the API."""
    who = Principal("default", user, Role.MAKER, "")
    return site.call(site.application.keeper.ensure(who, NewPrototype(product, PROMPT), wait=0)).prototype.id


def _box(place: Locator) -> FloatRect:
    """Where something stands; a live update may take it out of the page for a moment."""
    while (box := place.bounding_box()) is None:
        expect(place).to_be_visible()
    return box


class TestMaking:
    def test_a_newcomer_sees_a_prototype_become_ready_and_offered_again(self, site: Site, windows: Windows) -> None:
        """
        From a sign-in link to a prototype that becomes ready before one's eyes, and is offered again afterwards.
        """
        _, token = site.call(site.application.tokens.create(Role.ADMIN, user_id="you"))
        code = site.call(site.application.sessions.create_sign_in_code(token.id))
        page = windows.context().new_page()
        page.goto(f"{site.url}/sign-in?code={code}")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()

        page.get_by_label("Product", exact=True).fill("bakery")
        page.get_by_label("What should it be?").fill(PROMPT)
        page.get_by_role("button", name="Create the first prototype").click()
        page.wait_for_url("**/prototypes/*")
        page.evaluate("window.sameDocument = true")
        expect(page.locator("#panel .chip")).to_have_text("Ready")

        assert page.evaluate("window.sameDocument")
        expect(page.locator("#timeline")).to_contain_text("Asked for by you")
        expect(page.locator("#panel").get_by_role("link", name="Open")).to_have_attribute("rel", "noopener noreferrer")
        ask(page, site, "bakery", PROMPT)
        expect(page.get_by_role("heading", name="This product already has a prototype")).to_be_visible()
        assert len(site.sandbox.chats) == 1

    def test_a_reuse_is_explained_and_another_one_is_one_press_away(self, site: Site, windows: Windows) -> None:
        """
        The banner says who made it and that the prompt differs; another one is one press away, and one only.
        """
        first, second = windows.signed_in(site, user="ana"), windows.signed_in(site, user="ben")
        ask(first, site, "bakery", PROMPT)
        first.wait_for_url("**/prototypes/*")

        ask(second, site, "bakery", "A bakery, as a game about bread")

        banner = second.locator(".reused")
        expect(banner).to_contain_text("ana asked for")
        expect(banner).to_contain_text("Your prompt differs")
        second.wait_for_url("**/prototypes/*")  # A reload shows it again, and sends nothing.
        banner.get_by_text("Compare the prompts").click()
        expect(banner).to_contain_text("A bakery, as a game about bread")
        banner.get_by_role("button", name="Create another anyway").dblclick()
        expect(banner).to_be_hidden()
        expect(second.locator("#panel .chip")).to_have_text("Ready")
        expect(second.locator(".prompt").first).to_have_text("A bakery, as a game about bread")
        assert len(site.sandbox.chats) == 2

    def test_another_persons_window_sees_it_come_and_become_ready(self, site: Site, windows: Windows) -> None:
        """
        What one person makes, another one sees come and become ready, without touching anything.
        """
        ensure(site, "older")
        watcher = windows.signed_in(site, Role.VIEWER, "zoe")
        maker = windows.signed_in(site)
        watcher.evaluate("window.sameDocument = true")

        ask(maker, site, "bakery", PROMPT)
        expect(watcher.locator("#news a")).to_be_visible()
        watcher.locator("#news a").click()

        expect(watcher.locator(".card:has(.go:text-is('bakery')) .chip")).to_have_text("Ready")
        expect(maker.locator("#panel .chip")).to_have_text("Ready")

    def test_a_failure_says_why_and_one_press_makes_it_again(self, site: Site, windows: Windows) -> None:
        """
        A failure says why, and one press makes it again.
        """
        site.sandbox.knobs.finish_reason = "error"
        page = windows.signed_in(site)
        ask(page, site, "bakery", PROMPT)
        expect(page.locator("#panel .chip")).to_have_text("Failed")
        site.sandbox.knobs.finish_reason = "stop"

        page.get_by_role("button", name="Retry").click()

        expect(page.locator("#panel .why")).to_contain_text("The previous one failed")
        expect(page.locator("#panel .chip")).to_have_text("Ready")

    def test_the_form_says_what_exists_while_somebody_types(self, still: Site, windows: Windows) -> None:
        """
        The product's own prototype, and one whose id reads the same: one press makes it after that.
        """
        ensure(still, "bakery-shop")
        page = windows.signed_in(still)
        page.goto(f"{still.url}/new")
        page.get_by_label("Product", exact=True).fill("bakery-shop")
        expect(page.locator("#similar")).to_contain_text("bakery-shop exists already")
        page.get_by_label("Product", exact=True).fill("Bakery Shop")
        expect(page.locator("#similar")).to_contain_text("Did you mean bakery-shop?")
        page.get_by_label("What should it be?").fill("Something else")
        page.get_by_role("button", name="Create prototype").click()
        page.wait_for_url("**/prototypes/*")

    def test_everything_can_be_made_without_script(self, site: Site, windows: Windows) -> None:
        """
        Everything can be done without script: sign in, make, wait, be offered the same, sign out.
        """
        page = windows.signed_in(site, java_script_enabled=False)
        page.get_by_label("Product", exact=True).fill("bakery")
        page.get_by_label("What should it be?").fill(PROMPT)
        page.get_by_role("button", name="Create the first prototype").click()
        page.wait_for_url("**/prototypes/*")

        for _ in range(50):
            page.reload()
            if page.locator("#panel .chip").text_content() == "Ready":
                break
            page.get_by_role("link", name="Check again").click(trial=True)
        ask(page, site, "bakery", "Another one")

        expect(page.get_by_role("heading", name="This product already has a prototype")).to_be_visible()
        page.goto(site.url)
        page.get_by_label("Actions for bakery").click()
        page.get_by_role("link", name="Details").click()
        expect(page.locator("#timeline")).to_contain_text("Ready")
        page.get_by_label("You: ana").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


class TestChanging:
    def test_a_picture_arrives_without_a_reload_and_moves_nothing(
        self, make_site: Callable[..., Site], windows: Windows
    ) -> None:
        """
        A picture comes when the prototype is ready, without a reload, from our own origin, and moves nothing.
        """
        site = make_site(api_version=1)
        page = windows.signed_in(site)
        ask(page, site, "bakery", PROMPT)
        page.wait_for_url("**/prototypes/*")
        page.evaluate("window.sameDocument = true")
        frame = page.locator("#picture")
        before = _box(frame)

        expect(page.locator("#picture img")).to_be_visible(timeout=20_000)

        wait_for_picture(page, "#picture img")
        assert page.evaluate("window.sameDocument")
        assert _box(frame) == before
        page.goto(site.url)
        wait_for_picture(page, ".card img")

    def test_a_change_is_sent_once_and_the_draft_outlives_every_swap(self, site: Site, windows: Windows) -> None:
        """
        A change is asked for in the same chat, once however often one presses; what one writes outlives every swap.
        """
        page = windows.signed_in(site)
        ask(page, site, "bakery", PROMPT)
        page.wait_for_url("**/prototypes/*")
        expect(page.locator("#panel .chip")).to_have_text("Ready")
        expect(page.locator("#change textarea")).to_be_visible()

        page.get_by_label("What should change?").fill("Make it blue")
        page.locator("#panel .chip").click()
        site.call(republish(site))
        expect(page.get_by_label("What should change?")).to_have_value("Make it blue")
        page.get_by_role("button", name="Send").dblclick()
        expect(page.locator("#timeline")).to_contain_text("ana asked for a change")
        expect(page.locator("#timeline")).to_contain_text("v0 accepted the change")
        expect(page.locator("#change textarea")).to_be_visible(timeout=20_000)

        expect(page.get_by_label("What should change?")).to_have_value("")
        (chat,) = site.sandbox.chats.values()
        assert [one.content for one in chat.messages if one.role == "user"] == [PROMPT, "Make it blue"]

    def test_stop_change_and_delete_work_without_script(self, site: Site, windows: Windows) -> None:
        """
        What is being made is stopped, a change goes on from there, and an admin deletes it, all without script.
        """
        site.sandbox.knobs.generation_seconds = 3600
        page = windows.signed_in(site, Role.ADMIN, java_script_enabled=False)
        ask(page, site, "bakery", PROMPT)
        page.wait_for_url("**/prototypes/*")
        for _ in range(50):
            if page.get_by_role("button", name="Stop").count():
                break
            page.reload()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#timeline")).to_contain_text("Stopped")
        expect(page.locator("#panel .note")).to_contain_text("Stopped by")
        page.get_by_label("What should change?").fill("Go on")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#timeline")).to_contain_text("ana asked for a change")

        page.get_by_label("More actions").click()
        page.get_by_role("link", name="Delete…").click()
        expect(page.get_by_role("heading", name="Delete this prototype?")).to_be_visible()
        page.get_by_role("button", name="Delete now, for good").click()

        expect(page.get_by_text("Deleted.")).to_be_visible()
        assert [chat.deleted for chat in site.sandbox.chats.values()] == [True]

    def test_a_form_sent_after_the_session_is_there_after_the_sign_in(self, still: Site, windows: Windows) -> None:
        """
        A form that is sent after the session ended is there again after the sign-in.
        """
        page = windows.signed_in(still)
        page.goto(f"{still.url}/new")
        page.get_by_label("Product", exact=True).fill("bakery")
        page.get_by_label("What should it be?").fill(PROMPT)
        page.context.clear_cookies()
        page.get_by_role("button", name="Create prototype").click()
        page.get_by_label("API token").fill(still.token())
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_label("What should it be?")).to_have_value(PROMPT)
        page.get_by_role("button", name="Send").click()

        page.wait_for_url("**/prototypes/*")
        expect(page.locator(".prompt").first).to_have_text(PROMPT)


class TestLooking:
    def test_filters_work_by_clicking_and_stand_in_the_address(self, still: Site, windows: Windows) -> None:
        """
        Filters work by clicking, stand in the address, and can all be taken away again.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)

        status = page.get_by_role("navigation", name="Status")
        numbers = [int(text) for text in status.locator(".num").all_text_contents()]
        assert numbers[0] == sum(numbers[1:])  # Each prototype is behind one tab, and behind "All".
        status.get_by_role("link", name="Needs attention").click()
        expect(status.locator(".within a")).to_have_count(6)
        status.get_by_role("link", name="Failed").click()
        expect(page.locator(".card")).to_have_count(1)
        assert page.url.endswith("/?state=failed")
        page.get_by_label("Search prototypes").fill("zeppelin")
        expect(page.get_by_role("heading", name="No prototype matches")).to_be_visible()
        expect(page.get_by_label("Search prototypes")).to_be_focused()
        assert "state=failed" in page.url
        page.get_by_role("link", name="Remove filter Failed").click()
        page.get_by_role("link", name="Clear all filters").click()
        expect(page.locator(".card").first).to_be_visible()
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Only mine").check()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".card")).to_have_count(3)
        page.get_by_role("link", name="Table").click()
        expect(page.locator("tr.card")).to_have_count(3)

    def test_keys_alone_search_move_open_copy_and_make(self, still: Site, windows: Windows) -> None:
        """
        Search, move, open, copy, make and help by keys alone; and they can be turned off.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])

        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.keyboard.press("/")
        page.keyboard.type("bakery")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=bakery**")
        page.keyboard.press("j")
        page.keyboard.press("c")
        expect(page.locator("#say")).to_have_text("Copied.")
        assert f"{still.url}/p/bakery" == page.evaluate("navigator.clipboard.readText()")
        page.keyboard.press("Enter")
        page.wait_for_url("**/p/bakery")
        page.keyboard.press("n")
        page.wait_for_url("**/new")

        page.goto(f"{still.url}/settings")
        page.get_by_role("checkbox", name="Keyboard shortcuts").uncheck()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved in this browser.")).to_be_visible()
        page.goto(still.url)
        page.keyboard.press("n")
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_hidden()
        assert f"{still.url}/" == page.url

    def test_tab_reaches_a_cards_name_and_then_its_menu(self, still: Site, windows: Windows) -> None:
        """
        Tab reaches a card's name, then its menu; the focus can be seen.
        """
        still.call(paint(still.application, SCENES[:1]))
        page = windows.signed_in(still)
        reached = []

        for _ in range(30):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"
                )
            )
        assert reached.index("Loyalty card") < reached.index("Actions for Loyalty card")
        page.locator(".card .go").first.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Details")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Details")).to_be_hidden()

    def test_the_theme_follows_the_system_until_somebody_chooses(self, still: Site, windows: Windows) -> None:
        """
        The theme follows the system until somebody chooses.
        """
        page = windows.signed_in(still, color_scheme="dark")

        def lightness() -> int:
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(number) for number in re.findall(r"\d+", colour)[:3])

        assert lightness() < 100
        page.goto(f"{still.url}/settings")
        page.get_by_label("Light").check()
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**saved=1")
        assert lightness() > 650

    @pytest.mark.parametrize("width", [320, 768])
    def test_nothing_sticks_out_of_a_small_screen(self, still: Site, windows: Windows, width: int) -> None:
        """
        Nothing sticks out of a small screen, and whatever can be pressed is large enough.
        """
        made = still.call(paint(still.application))
        long_name = Scene("long-name", "Wordless" * 25, "ana", PROMPT, State.FAILED)
        still.call(paint(still.application, (long_name, replace(long_name, another=True))))
        page = windows.signed_in(still, Role.ADMIN, viewport={"width": width, "height": 700})
        fixed = f"/prototypes/{made['bakery'].id}/delete"

        for path in [*paths(made["payroll"].id, made["bakery"].id, made["seat-map"].id), fixed]:
            page.goto(still.url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            small = page.evaluate(
                """[...document.querySelectorAll('button, summary, .button, .tabs a, .menu a, input')]
                   .filter(e => e.offsetParent && e.type !== 'hidden' && !e.closest('label.check'))
                   .map(e => [e.textContent.trim(), e.getBoundingClientRect()])
                   .filter(([, r]) => r.height < 24 || r.width < 24).map(([text]) => text)"""
            )
            assert small == [], path
            outside = page.evaluate(
                """[...document.querySelectorAll('article.card, .variant')]
                   .flatMap(card => [...card.querySelectorAll('h3, summary, .line > *, .words')]
                   .filter(e => e.getBoundingClientRect().right > card.getBoundingClientRect().right)
                   .map(e => e.textContent.trim()))"""
            )
            assert outside == [], path

    def test_menus_and_words_of_trouble_fit_into_a_small_screen(self, still: Site, windows: Windows) -> None:
        """
        An open menu and the words for lost updates leave the page as wide as the screen, and so does a wide one.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still, Role.ADMIN, viewport={"width": 320, "height": 700})

        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 700})
            page.goto(f"{still.url}/p/bakery")
            page.get_by_label("More actions").click()
            expect(page.get_by_role("link", name="Delete…")).to_be_in_viewport()
            assert page.evaluate("document.documentElement.scrollWidth") == width
        page.set_viewport_size({"width": 320, "height": 700})
        page.route("**/live**", lambda route: route.abort())
        page.goto(still.url)
        expect(page.get_by_role("switch")).to_have_text("Reconnecting…")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        expect(page.get_by_label("You: ana")).to_be_in_viewport(ratio=1)

    def test_white_space_is_no_draft(self, still: Site, windows: Windows) -> None:
        """
        What holds nothing but white space is not offered again.
        """
        page = windows.signed_in(still)
        page.goto(f"{still.url}/new")
        page.get_by_label("What should it be?").fill("  ")
        page.reload()
        expect(page.get_by_text("Your draft is back")).to_have_count(0)
        page.get_by_label("What should it be?").fill("A bakery")
        page.reload()
        expect(page.get_by_text("Your draft is back")).to_be_visible()

    def test_the_fields_for_a_v0_key_are_empty_and_take_what_is_typed(self, still: Site, windows: Windows) -> None:
        """
        A field for a v0 key is empty, and exactly what somebody types there is what is sent.
        """
        page = windows.signed_in(still, Role.ADMIN)
        page.goto(f"{still.url}/settings/v0-key")

        for field in page.locator("input[type=password]").all():
            expect(field).to_have_value("")
        page.locator("#key-own").fill("v1:mine:12345678")
        with page.expect_request(lambda request: request.method == "POST") as sent:
            page.get_by_role("button", name="Save key").first.click()

        assert "v0_key=v1%3Amine%3A12345678&" in f"{sent.value.post_data}&"

    def test_the_link_of_an_earlier_variant_leads_to_that_variant(self, still: Site, windows: Windows) -> None:
        """
        The link of the current variant is the product's; the link of an earlier one is its own.
        """
        scene = Scene("shop", None, "ana", PROMPT, State.READY)
        still.call(paint(still.application, (replace(scene, ago=timedelta(hours=2)), replace(scene, another=True))))
        page = windows.signed_in(still)
        page.goto(f"{still.url}/p/shop")

        links = {card.get_attribute("data-link") for card in page.locator(".variant").all()}
        earlier = page.locator(".variant:not([data-current])").get_attribute("data-of")
        assert links == {"/p/shop", f"/prototypes/{earlier}"}

    def test_a_variant_is_compared_named_and_made_current_without_script(self, still: Site, windows: Windows) -> None:
        """
        Two variants are compared, one is named and made the current one, all without script.
        """
        scene = Scene("shop", None, "ana", PROMPT, State.READY)
        still.call(paint(still.application, (replace(scene, ago=timedelta(hours=2)), replace(scene, another=True))))
        page = windows.signed_in(still, java_script_enabled=False)
        page.goto(f"{still.url}/p/shop")
        page.get_by_role("button", name="Compare").click()
        page.get_by_role("link", name="Details of #1").click()
        page.get_by_text("Details", exact=True).click()
        page.get_by_label("Name of this variant").fill("Dark header")
        page.get_by_role("button", name="Save name").click()
        page.get_by_role("button", name="Make current").click()

        expect(page.locator(".variant[data-current]")).to_contain_text("#1")
        expect(page.locator(".variant[data-current]")).to_contain_text("Dark header")

    def test_the_palette_finds_products_and_acts_by_keys_alone(self, still: Site, windows: Windows) -> None:
        """
        Ctrl+K finds a product by its name, and what can be done; Escape gives the focus back; turned off, it is gone.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)
        page.locator(".card .go").first.focus()
        page.keyboard.press("Control+k")
        box = page.get_by_role("combobox", name="Find a product, or something to do")
        expect(page.get_by_role("option", name="New prototype")).to_be_visible()
        box.fill("bakery sho")
        expect(page.get_by_role("option", name="Bakery shop")).to_have_attribute("aria-selected", "true")
        assert Axe().run(page).response["violations"] == []
        page.keyboard.press("Escape")
        expect(box).to_have_count(0)
        expect(page.locator(".card .go").first).to_be_focused()
        page.keyboard.press("Control+k")
        box.fill("bakery sho")
        expect(page.get_by_role("option", name="Bakery shop")).to_be_visible()
        page.keyboard.press("Enter")
        page.wait_for_url("**/p/bakery")
        page.keyboard.press("Control+k")
        box.fill("setti")
        expect(page.locator("#palette").get_by_role("option")).to_have_text(["Settings"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/settings")
        page.get_by_role("checkbox", name="Keyboard shortcuts").uncheck()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved in this browser.")).to_be_visible()
        page.keyboard.press("Control+k")
        expect(page.locator("#palette")).to_have_count(0)


class TestWriting:
    def test_a_product_is_chosen_by_its_name_and_a_draft_outlives_reload_and_cancel(
        self, still: Site, windows: Windows
    ) -> None:
        """
        A product is found by its name with keys alone; what one writes is there again after a reload and after
        Cancel; Ctrl+Enter sends it, and then the draft is gone.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)
        page.keyboard.press("n")
        page.wait_for_url("**/new")
        product, prompt = page.get_by_label("Product", exact=True), page.get_by_label("What should it be?")
        expect(product).to_be_focused()
        expect(product).to_have_role("combobox")
        page.keyboard.type("travel")
        expect(page.get_by_role("option", name="Travel wallet")).to_be_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(product).to_have_value("wallet")
        expect(page.locator("#similar")).to_contain_text("Travel wallet exists already")
        prompt.fill("A wallet, as a game")
        page.reload()
        expect(prompt).to_have_value("A wallet, as a game")
        page.get_by_role("link", name="Cancel").click()
        page.wait_for_url(f"{still.url}/")
        page.goto(f"{still.url}/new")
        expect(page.get_by_text("Your draft is back.")).to_be_visible()
        expect(product).to_have_value("wallet")
        assert Axe().run(page).response["violations"] == []
        prompt.focus()
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("heading", name="This product already has a prototype")).to_be_visible()
        page.goto(f"{still.url}/new")
        expect(product).to_have_value("")

        page.goto(f"{still.url}/p/wallet")
        page.get_by_label("What should change?").fill("Make it blue")
        page.reload()
        expect(page.get_by_label("What should change?")).to_have_value("Make it blue")
        page.get_by_label("You: ana").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0

    def test_an_empty_form_says_all_that_is_missing_without_script(self, still: Site, windows: Windows) -> None:
        """
        An empty form says at each field what is missing, at once, and products are offered by their names.
        """
        still.call(paint(still.application, SCENES[:1]))
        page = windows.signed_in(still, java_script_enabled=False)
        page.goto(f"{still.url}/new")
        page.get_by_role("button", name="Create prototype").click()

        expect(page.locator(".fault")).to_have_count(2)
        expect(page.locator("#products option")).to_have_text(["Loyalty card"])


class TestLive:
    def test_a_card_goes_to_its_section_and_the_numbers_follow(self, still: Site, windows: Windows) -> None:
        """
        A failed product that is made again goes to "In progress" and the numbers follow in place; not while that
        would move what somebody is at. Told is one's own only.
        """
        failed = Scene("shop", None, "ana", PROMPT, State.FAILED)
        still.call(paint(still.application, (failed, replace(failed, product_id="cafe"), *SCENES[:2])))
        page = windows.signed_in(still)
        wait_for_viewers(page, still, 1)
        page.evaluate("window.sameDocument = true")
        below = page.locator(".card .go", has_text="Loyalty card")
        below.hover()
        before = _box(below)

        ensure(still, "shop")

        card = page.locator(".card:has(.go:text-is('shop'))")
        expect(card.locator(".chip")).to_have_text("Queued")
        expect(page.locator("[data-tab=attention] .num")).to_have_text("1")
        expect(page.locator("[data-tab=progress] .num")).to_have_text("1")
        page.wait_for_timeout(1200)  # The page tries again each second.
        assert abs(_box(below)["y"] - before["y"]) < 1
        expect(page.get_by_role("region", name="Needs attention").locator(".card")).to_have_count(2)
        page.mouse.move(2, 2)
        expect(page.get_by_role("region", name="In progress").locator(".card")).to_have_count(1)
        expect(page.get_by_role("region", name="Needs attention").locator(".card")).to_have_count(1)
        expect(page.locator("#toast")).to_be_empty()  # It is ben's.
        ensure(still, "own", user="ana")
        expect(page.locator("#toast")).to_have_text("own: Queued.")
        expect(page.locator("#say")).to_have_text("own: Queued.")
        expect(page.locator("[data-tab=progress] .num")).to_have_text("2")
        assert page.evaluate("window.sameDocument")

    def test_a_products_page_hears_of_its_variants(self, still: Site, windows: Windows) -> None:
        """
        What another person makes current is told on the page of the product, whose variants follow at once.
        """
        scene = Scene("shop", None, "ana", PROMPT, State.READY)
        still.call(paint(still.application, (replace(scene, ago=timedelta(hours=2)), replace(scene, another=True))))
        page = windows.signed_in(still)
        page.goto(f"{still.url}/p/shop")
        earlier = page.locator(".variant:not([data-current])").get_attribute("data-of")
        who = Principal("default", "ben", Role.MAKER, "")
        keeper = still.application.keeper
        found = still.call(keeper.get(who, str(earlier)))

        still.call(keeper.variants.make_current(who, found))

        expect(page.locator(f"#v{earlier}")).to_contain_text("Current")
        expect(page.locator("#standing")).to_contain_text("#1 is the current variant")
        expect(page.locator("#news a")).to_be_visible()
        expect(page.locator(".variant [aria-current=page]")).to_contain_text("#2")

    def test_a_page_with_live_changes_off_stays_and_catches_up_later(self, still: Site, windows: Windows) -> None:
        """
        Turned off, nothing changes by itself; turned on, the page catches up.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)
        switch = page.get_by_role("switch", name="Live")
        expect(switch).to_be_checked()
        switch.click()
        expect(switch).not_to_be_checked()
        wait_for_viewers(page, still, 0)

        ensure(still, "aquarium")
        expect(page.get_by_text("aquarium")).to_have_count(0)
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            switch.click()

        expect(page.locator(".card", has_text="aquarium")).to_be_visible()
        page.reload()
        expect(switch).to_be_checked()

    def test_a_hidden_page_holds_no_stream_and_catches_up(self, still: Site, windows: Windows) -> None:
        """
        A hidden page holds no stream, and hears what it missed when it is shown again.
        """
        made = still.call(paint(still.application, (Scene("shop", None, "ana", PROMPT, State.FAILED),)))
        page = windows.signed_in(still)
        wait_for_viewers(page, still, 1)

        hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s})"
        page.evaluate(hide % "true")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        wait_for_viewers(page, still, 0)
        assert made["shop"].id != ensure(still, "shop")
        page.evaluate(hide % "false")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

        expect(page.locator(".card .chip")).to_have_text("Queued")

    def test_a_card_with_the_focus_keeps_its_place(self, still: Site, windows: Windows) -> None:
        """
        A card that somebody is at keeps its place and its focus; only what it says changes.
        """
        still.call(paint(still.application, (Scene("shop", None, "ana", PROMPT, State.FAILED),)))
        page = windows.signed_in(still)
        name = page.locator(".card .go")
        name.focus()
        wait_for_viewers(page, still, 1)

        ensure(still, "shop")

        expect(page.locator(".card .chip")).to_have_text("Queued")
        expect(name).to_be_focused()

    def test_the_page_says_that_the_server_is_gone_and_keeps_what_it_shows(self, still: Site, windows: Windows) -> None:
        """
        When the server is gone the page says so at the switch, and keeps what it shows.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)
        wait_for_viewers(page, still, 1)

        still.stop()

        expect(page.locator(".switch.lost")).to_have_text("Reconnecting…")
        expect(page.locator("#say")).to_contain_text("Live updates are lost. This page is as of")
        expect(page.locator(".card").first).to_be_visible()


class TestAccess:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_axe_finds_nothing_on_any_page(self, still: Site, windows: Windows, theme: Any) -> None:
        """
        axe finds nothing on any page, in either theme.
        """
        made = still.call(paint(still.application))
        page = windows.signed_in(still, Role.ADMIN, color_scheme=theme, reduced_motion="reduce")
        found: list[str] = []

        def look(name: str, at: Locator) -> None:
            expect(at).to_be_visible()  # A press does not wait for the page that it leads to.
            for violation in Axe().run(page).response["violations"]:
                nodes = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
                found.append(f"{name}: {violation['id']}: {nodes}")

        shown = ("payroll", "bakery", "returns", "gutscheine", "seat-map")
        for path in [*paths(*(made[one].id for one in shown)), f"/prototypes/{made['bakery'].id}/delete"]:
            page.goto(still.url + path)
            look(path, page.locator("h1"))
        page.goto(f"{still.url}/p/bakery")
        page.get_by_label("More actions").click()
        look("more actions", page.get_by_role("link", name="Delete…"))
        page.get_by_role("button", name="Compare").click()
        look("compare", page.get_by_role("heading", name="side by side"))
        page.goto(f"{still.url}/prototypes/{made['wallet'].id}/delete")
        page.get_by_role("button", name="Move to the bin").click()
        look("in the bin", page.get_by_text("It can be taken back until"))
        page.goto(f"{still.url}/bin")
        look("bin", page.get_by_role("button", name="Take Travel wallet back"))
        page.get_by_role("button", name="Take Travel wallet back").click()
        expect(page.get_by_text("Current", exact=True)).to_be_visible()
        ask(page, still, "bakery", "A bakery, as a game")
        look("reused", page.locator(".reused"))
        ask(page, still, " ", "x")
        look("form with a fault", page.locator(".fault"))
        page.goto(still.url)
        page.keyboard.press("?")
        look("keys", page.get_by_role("dialog"))
        page.keyboard.press("Escape")
        page.locator(".card .menu summary").first.click()
        look("menu", page.get_by_role("link", name="Details"))
        page.context.clear_cookies()
        page.goto(f"{still.url}/sign-in")
        look("sign in", page.get_by_label("API token"))

        assert found == []

    def test_axe_finds_nothing_on_the_first_page_of_a_newcomer(self, still: Site, windows: Windows) -> None:
        """
        Nor on the page that a newcomer sees.
        """
        page = windows.signed_in(still)

        assert Axe().run(page).response["violations"] == []


class TestErrors:
    def test_a_page_that_is_not_there_says_so_with_a_way_on(self, still: Site, windows: Windows) -> None:
        """
        What is not there is said, with a way on and a request id.
        """
        page = windows.signed_in(still)

        page.goto(f"{still.url}/p/nothing")

        expect(page.get_by_role("heading", name="Not found")).to_be_visible()
        expect(page.get_by_text("Request id")).to_be_visible()
        page.get_by_role("link", name="All prototypes", exact=True).click()
        page.wait_for_url(f"{still.url}/")

    def test_a_gone_database_never_looks_like_an_empty_workspace(
        self, still: Site, windows: Windows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A database that does not answer looks like that, never like an empty workspace.
        """
        page = windows.signed_in(still)

        def gone() -> None:
            raise DatabaseUnavailable

        monkeypatch.setattr(still.application.gallery._store._prototypes.database, "reading", gone)
        page.goto(still.url)

        expect(page.get_by_role("heading", name="protokeep cannot do this right now")).to_be_visible()
        expect(page.get_by_text("Nothing here yet")).to_have_count(0)
        monkeypatch.undo()
        page.get_by_role("link", name="Try again").click()
        expect(page.get_by_text("Nothing here yet")).to_be_visible()

    def test_signing_out_in_one_window_signs_the_other_out(self, still: Site, windows: Windows) -> None:
        """
        Signing out in one window signs the other one out, and Back shows nothing.
        """
        still.call(paint(still.application))
        page = windows.signed_in(still)
        other = page.context.new_page()
        other.goto(still.url)

        page.get_by_label("You: ana").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

        page.go_back()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        other.reload()
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


async def republish(site: Site) -> None:
    """Tell of every prototype as if it had changed."""
    rows = await site.application.keeper.list(Principal("default", "ana", Role.MAKER, ""), "bakery", ListPage(5))
    for one in rows[0]:
        site.application.keeper.context.bus.publish(Change("default", "bakery", one.id, "", "changed"))


def paths(*prototypes: str) -> list[str]:
    """Every page."""
    fixed = [
        "/",
        "/?view=table",
        "/?q=nothing-has-this",
        "/p/bakery",
        "/p/returns",
        "/new",
        "/settings",
        "/p/none",
        "/bin",
        "/people",
        "/people/tokens",
        "/audit",
    ]
    return [*fixed, *(f"/prototypes/{one}" for one in prototypes)]


def wait_for_picture(page: Page, selector: str) -> None:
    """Return once the picture is loaded. `wait_for_function` polls with `eval`, which the page's policy forbids."""
    for _ in range(100):
        if page.evaluate("selector => document.querySelector(selector).naturalWidth > 0", selector):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the picture {selector} is not loaded")


def wait_for_viewers(page: Page, site: Site, number: int) -> None:
    """Until so many streams are open."""
    for _ in range(100):
        if len(site.app.state.broadcast._subscribers) == number:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{len(site.app.state.broadcast._subscribers)} streams are open, not {number}")
