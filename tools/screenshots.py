"""Take every page and state at three widths in both themes, to be looked at: `make screenshots`.

Needs a Chromium on the PATH. The pictures go into `var/screenshots/`, which git ignores.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from playwright.async_api import Browser, Page, async_playwright  # noqa: E402

from chromium import ARGUMENTS, find_chromium  # noqa: E402
from clean_up_steps import Steps  # noqa: E402
from gallery_fixture import SCENES, paint  # noqa: E402
from protokeep.core.keep_rules import DeleteRule, Selection  # noqa: E402
from protokeep.core.principals import Principal, Role  # noqa: E402
from protokeep.core.prototype import State  # noqa: E402
from protokeep.sandbox import Sandbox, running, seed_account  # noqa: E402
from protokeep.settings import Settings  # noqa: E402
from protokeep.store.census_reads import ChatFilters  # noqa: E402
from protokeep.web.app import create_app  # noqa: E402
from protokeep.web.server import address_of, listen, serving  # noqa: E402
from protokeep.wiring import Application, build_application  # noqa: E402

WIDTHS = {320: 720, 768: 1024, 1440: 900}
#: What the README shows: name there -> page, theme.
README = {"home": ("home", "light"), "home-dark": ("home", "dark"), "reused": ("reused-differs", "light")}
TOKEN = "pk_screenshots_are_taken_with_this"  # noqa: S105 - of a database that lives for a minute

Step = Callable[[Page, str], Awaitable[object]]


def at(path: str) -> Step:
    """Just the page."""
    return lambda page, url: page.goto(url + path)


async def fill(page: Page, url: str, product: str, prompt: str) -> None:
    """Ask for a prototype by the form."""
    await page.goto(f"{url}/new")
    await page.fill("#product_id", product)
    await page.fill("#prompt", prompt)
    await page.click("main button[data-once]")


async def say_nothing(page: Page, url: str) -> None:
    """Ask for a change with white space."""
    await page.goto(url)
    await page.fill("#message", "  ")
    await page.click("#change button")


async def session_ended(page: Page, url: str) -> None:
    """Send a form after the session has ended."""
    cookies = await page.context.cookies()
    await page.goto(f"{url}/new")
    await page.fill("#product_id", "bakery")
    await page.fill("#prompt", "A bakery that nobody should have to type again")
    await page.context.clear_cookies()
    await page.click("main button[data-once]")
    await page.wait_for_load_state()
    await page.context.add_cookies(cookies)  # type: ignore[arg-type]


async def menu(page: Page, url: str) -> None:
    await page.goto(url)
    await page.locator(".card .menu summary").first.click()


async def focus(page: Page, url: str) -> None:
    await page.goto(url)
    for key in "jjjjj":
        await page.keyboard.press(key)


async def earlier(page: Page, url: str) -> None:
    """The page of a variant that is not the current one."""
    await page.goto(url)
    await page.locator(".variant .go").last.click()
    await page.wait_for_load_state()


async def compare(page: Page, url: str) -> None:
    """Two variants side by side, by the form above them."""
    await page.goto(url)
    await page.get_by_role("button", name="Compare").click()
    await page.wait_for_load_state()


async def invite(page: Page, url: str) -> None:
    """A link that is shown once."""
    await page.goto(f"{url}/people")
    await page.get_by_role("button", name="Create link").click()
    await page.wait_for_load_state()


async def join(page: Page, url: str) -> None:
    """What the receiver of an invitation sees."""
    await invite(page, url)
    await page.goto(await page.locator("#once").inner_text())


async def keys(page: Page, url: str) -> None:
    await page.goto(url)
    await page.keyboard.press("?")


async def main(only: str, folder: Path) -> None:
    """Every page and state."""
    with tempfile.TemporaryDirectory() as temporary:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
            await _take(browser, Path(temporary), "full", only, folder)
            await _take(browser, Path(temporary), "empty", only, folder)
            await _take_clean_up(browser, Path(temporary), only, folder)
            await browser.close()


async def _take(browser: Browser, temporary: Path, kind: str, only: str, folder: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{temporary / kind}.db", v0_api_key="unused", _env_file=None)
    async with build_application(settings) as application:
        made: dict[str, Any] = dict(await paint(application)) if kind == "full" else {}
        _, token = await application.tokens.create(Role.ADMIN, user_id="ana", plain=TOKEN)
        code = await application.sessions.create_sign_in_code(token.id)
        listener = listen("127.0.0.1", 0)
        async with serving(create_app(settings, application), listener):
            steps = _steps(made, code) if kind == "full" else {"first-run": at("/")}
            await _walk_all(browser, address_of(listener), steps, only, folder)


async def _walk_all(browser: Browser, url: str, steps: dict[str, Step], only: str, folder: Path) -> None:
    """Each page at each width in each theme."""
    for width, height in WIDTHS.items():
        for theme in ("light", "dark"):
            await _walk(browser, url, steps, width, height, theme, only, folder)


async def _take_clean_up(browser: Browser, temporary: Path, only: str, folder: Path) -> None:
    """An old account: scanned, with a draft, a plan that is approved, and one that is under way."""
    sandbox = Sandbox()
    seed_account(sandbox, "old", chats=90, seed=4)
    async with running(sandbox) as v0:
        settings = Settings(
            database_url=f"sqlite:///{temporary}/clean-up.db",
            v0_api_key="old",
            v0_base_url=v0,
            v0_web_url=v0,
            v0_api_version=1,
            _env_file=None,
        )
        async with build_application(settings) as application:
            await application.tokens.create(Role.ADMIN, user_id="ana", plain=TOKEN)
            listener = listen("127.0.0.1", 0)
            async with serving(create_app(settings, application), listener):
                await _walk_all(browser, address_of(listener), {"clean-up-new": at("/clean-up")}, only, folder)
                await application.census.start(Principal("default", "ana", Role.ADMIN, ""))
                await _walk_all(browser, address_of(listener), {"clean-up-scanning": at("/clean-up")}, only, folder)
                steps = await _clean_up_steps(application)
                await _walk_all(browser, address_of(listener), steps, only, folder)


async def _clean_up_steps(application: Application) -> dict[str, Step]:
    who, max_ = (Principal("default", name, Role.ADMIN, "") for name in ("ana", "max"))
    steps = Steps(application)
    await steps.run()
    groups, _ = await application.census.groups(who, 1, unclaimed=True)
    chats, _ = await application.census.chats(who, ChatFilters(), 2)
    await application.census.pin(who, chats[0].record.chat.chat_id, reason="The board looks at it in May")
    plans = [
        await application.plans.propose(who, "default", None, Selection(kinds=frozenset({kind})))
        for kind in (DeleteRule.NOT_CLAIMED, DeleteRule.FAILED)
    ]
    for plan in plans:
        for admin in (who, max_)[: plan.approvals_needed]:
            await application.plans.approve(admin, plan.id, plan.digest, "default")
    await application.plans.apply(who, plans[1].id, plans[1].digest)
    steps.put_forward(timedelta(days=15))
    await steps.run()
    plans.append(await application.plans.propose(who, "default"))
    chosen = "&".join(f"chat={one.record.chat.chat_id}" for one in chats)
    return {
        "clean-up": at("/clean-up"),
        "clean-up-chats": at("/clean-up/chats"),
        "clean-up-chats-filtered": at("/clean-up/chats?kind=duplicate&pinned=no&q=a"),
        "clean-up-groups": at("/clean-up/groups"),
        "clean-up-adopt": at(f"/clean-up/adopt?group={groups[0].group.id}"),
        "clean-up-plans": at("/clean-up/plans"),
        "clean-up-plan-new": at("/clean-up/plans/new"),
        "clean-up-plan-chosen": at(f"/clean-up/plans/new?{chosen}"),
        "clean-up-plan-draft": at(f"/clean-up/plans/{plans[-1].id}"),
        "clean-up-plan-approved": at(f"/clean-up/plans/{plans[0].id}"),
        "clean-up-plan-done": at(f"/clean-up/plans/{plans[1].id}"),
    }


def _steps(made: dict[str, Any], code: str) -> dict[str, Step]:
    making, ready = made["returns"].id, made["bakery"].id
    failed, deleting = made.get("payroll", made["bakery"]).id, made.get("seat-map", made["bakery"]).id
    return {
        "sign-in": at("/sign-in?next=/#out"),
        "sign-in-link": at(f"/sign-in?code={code}#out"),
        "home": at("/"),
        "home-table": at("/?view=table"),
        "home-filtered": at("/?q=a&state=ready&mine=1"),
        "home-no-match": at("/?q=zeppelin&mine=1"),
        "home-menu": menu,
        "home-focus": focus,
        "keys": keys,
        "product": at("/p/bakery"),
        "product-making": at("/p/returns"),
        "product-earlier": lambda page, url: earlier(page, f"{url}/p/bakery"),
        "product-waiting": at("/p/greenhouse"),
        "compare": lambda page, url: compare(page, f"{url}/p/bakery"),
        "prototype-ready": at(f"/prototypes/{ready}"),
        "prototype-making": at(f"/prototypes/{making}"),
        "prototype-failed": at(f"/prototypes/{failed}"),
        "prototype-changed": at(f"/prototypes/{ready}#s_time"),
        "prototype-refused-change": at(f"/prototypes/{made['gutscheine'].id}"),
        "prototype-deleting": at(f"/prototypes/{deleting}"),
        "prototype-no-message": lambda page, url: say_nothing(page, f"{url}/prototypes/{ready}"),
        "delete": at(f"/prototypes/{ready}/delete"),
        "session-ended": session_ended,
        "new": at("/new"),
        "new-another": at(f"/new?like={ready}&another=1"),
        "new-wrong": lambda page, url: fill(page, url, " ", "Something that nobody can make without a product"),
        "reused": lambda page, url: fill(page, url, "bakery", made["bakery"].prompt),
        "reused-differs": lambda page, url: fill(page, url, "bakery", "A bakery, but as a game about bread"),
        "settings": at("/settings"),
        "people": at("/people"),
        "people-invited": invite,
        "people-tokens": at("/people/tokens"),
        "people-audit": at("/audit"),
        "people-join": join,
        "not-found": at("/p/nothing-of-the-kind"),
    }


async def _walk(
    browser: Browser,
    url: str,
    steps: dict[str, Step],
    width: int,
    height: int,
    theme: str,
    only: str,
    folder: Path,
) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto(f"{url}/sign-in")
    await page.fill("#token", TOKEN)
    await page.click("main button")
    signed_in = await context.storage_state()
    for name, step in steps.items():
        if only not in name:
            continue
        if name.startswith("sign-in"):
            await context.clear_cookies()
        await step(page, url)
        await page.evaluate("document.querySelectorAll('img').forEach((one) => { one.loading = 'eager'; })")
        await page.wait_for_timeout(150)
        await page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=name not in ("keys",))
        if name.startswith("sign-in"):
            await context.add_cookies(signed_in["cookies"])  # type: ignore[arg-type]
    await context.close()


async def for_readme(folder: Path) -> None:
    """The pictures of the README, as large as a window."""
    with tempfile.TemporaryDirectory() as temporary:
        settings = Settings(database_url=f"sqlite:///{temporary}/readme.db", v0_api_key="unused", _env_file=None)
        async with build_application(settings) as application, async_playwright() as playwright:
            calm = (State.READY, State.MAKING)  # So that a window's height shows pictures.
            # As `make demo` shows them: v0's current API gives no screenshots, so cards show covers.
            scenes = tuple(replace(scene, pictured=False) for scene in SCENES if scene.state in calm)
            made = await paint(application, scenes)
            await application.tokens.create(Role.MAKER, user_id="ana", plain=TOKEN)
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
            listener = listen("127.0.0.1", 0)
            async with serving(create_app(settings, application), listener):
                url = address_of(listener)
                for name, (page_name, theme) in README.items():
                    context = await browser.new_context(
                        viewport={"width": 1120, "height": 740}, color_scheme="dark" if theme == "dark" else "light"
                    )
                    page = await context.new_page()
                    await page.goto(f"{url}/sign-in")
                    await page.fill("#token", TOKEN)
                    await page.click("main button")
                    await _steps(made, "")[page_name](page, url)
                    await page.wait_for_timeout(300)
                    await page.screenshot(path=folder / f"{name}.png")
                    await context.close()
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="pages with this in their name")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "screenshots")
    parser.add_argument("--readme", action="store_true", help="only the README's pictures, into docs/images/")
    arguments = parser.parse_args()
    if arguments.readme:
        (ROOT / "docs" / "images").mkdir(exist_ok=True)
        asyncio.run(for_readme(ROOT / "docs" / "images"))
        sys.exit()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    asyncio.run(main(arguments.only, arguments.folder))
    sys.stdout.write(f"{len(list(arguments.folder.iterdir()))} pictures in {arguments.folder}\n")
