"""Take every page and state at three widths, light, dark and in forced colours, to be looked at: `make screenshots`.

Needs a Chromium on the PATH. The pictures go into `var/screenshots/`, which git ignores. Each page is held against
`screenshot_checks.py` on the way: what it finds is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import structlog  # noqa: E402
from playwright.async_api import Browser, Page, async_playwright  # noqa: E402
from playwright.async_api import Error as BrowserError  # noqa: E402
from screenshot_checks import axe, geometry  # noqa: E402
from screenshot_steps import (  # noqa: E402
    ANA,
    Step,
    add_wrong,
    arranged,
    at,
    clean_up_steps,
    empty_steps,
    readme_steps,
    sign_in,
    team_steps,
)

from chromium import ARGUMENTS, find_chromium  # noqa: E402
from gallery_fixture import SCENES, paint  # noqa: E402
from protokeep.core.principals import Role  # noqa: E402
from protokeep.core.prototype import State  # noqa: E402
from protokeep.sandbox import Sandbox, running, seed_account  # noqa: E402
from protokeep.settings import Settings  # noqa: E402
from protokeep.web.app import create_app  # noqa: E402
from protokeep.web.server import address_of, listen, serving  # noqa: E402
from protokeep.wiring import build_application  # noqa: E402

HEIGHTS = {320: 720, 768: 1024, 1440: 900}
THEMES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"color_scheme": "dark", "forced_colors": "active"},
}
#: What the README shows: name there -> page, theme.
README = {"home": ("home", "light"), "home-dark": ("home", "dark"), "reused": ("reused-differs", "light")}
TOKEN = "pk_screenshots_are_taken_with_this"  # noqa: S105 - of a database that lives for a minute
#: What lies over the page: the window is taken, not the whole page.
OVERLAYS = ("keys", "palette", "palette-typed", "palette-nothing")


@dataclass
class Camera:
    """Takes the pages whose name has `only` in it, and keeps what the checks find."""

    browser: Browser
    folder: Path
    only: str
    widths: list[int]
    themes: list[str]
    axe: bool = True
    found: list[str] = field(default_factory=list)

    async def walk(self, url: str, steps: Mapping[str, Step]) -> None:
        """Each page at each width in each theme."""
        steps = {name: step for name, step in steps.items() if self.only in name}
        for width in self.widths if steps else ():
            for theme in self.themes:
                await self._walk(url, steps, width, theme)

    async def _walk(self, url: str, steps: Mapping[str, Step], width: int, theme: str) -> None:
        viewport: Any = {"width": width, "height": HEIGHTS[width]}
        context = await self.browser.new_context(viewport=viewport, reduced_motion="reduce", **THEMES[theme])
        context.set_default_timeout(10_000)
        page = await context.new_page()
        await sign_in(page, url, TOKEN)
        signed_in = (await context.storage_state())["cookies"]
        for name, step in steps.items():
            if name.startswith("sign-in"):
                await context.clear_cookies()
            try:
                await step(page, url)
                await self._take(page, name, width, theme)
            except BrowserError as error:
                self.found.append(f"{name}-{width}-{theme}: not taken: {str(error).splitlines()[0]}")
            await context.clear_cookies()
            await context.add_cookies(signed_in)  # type: ignore[arg-type]
        await context.close()

    async def _take(self, page: Page, name: str, width: int, theme: str) -> None:
        await page.evaluate("document.querySelectorAll('img').forEach((one) => { one.loading = 'eager'; })")
        await page.wait_for_timeout(150)
        picture = f"{name}-{width}-{theme}"
        await page.screenshot(path=self.folder / f"{picture}.png", full_page=name not in OVERLAYS)
        found = await geometry(page) if theme == "light" else []
        if self.axe and width != 768 and theme != "forced":
            found += await axe(page)
        self.found += [f"{picture}: {one}" for one in found]


async def main(arguments: argparse.Namespace) -> list[str]:
    """Every page and state. Returns what the checks found."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        camera = Camera(browser, arguments.folder, arguments.only, arguments.widths, arguments.themes, arguments.axe)
        with tempfile.TemporaryDirectory() as temporary:
            await _take_team(camera, Path(temporary))
            await _take_empty(camera, Path(temporary))
            await _take_clean_up(camera, Path(temporary))
        await browser.close()
    return camera.found


async def _take_team(camera: Camera, temporary: Path) -> None:
    """A workspace with every state of a prototype."""
    settings = Settings(database_url=f"sqlite:///{temporary}/team.db", v0_api_key="unused", _env_file=None)
    async with build_application(settings) as application:
        made = await arranged(application)
        _, token = await application.tokens.create(Role.ADMIN, user_id="ana", plain=TOKEN)
        viewer, _ = await application.tokens.create(Role.VIEWER, user_id="vera")
        code = await application.sessions.create_sign_in_code(token.id)
        listener = listen("127.0.0.1", 0)
        async with serving(add_wrong(create_app(settings, application)), listener):
            await camera.walk(address_of(listener), team_steps(made, code, viewer))


async def _take_empty(camera: Camera, temporary: Path) -> None:
    """A workspace in which nothing has happened."""
    settings = Settings(database_url=f"sqlite:///{temporary}/empty.db", v0_api_key="unused", _env_file=None)
    async with build_application(settings) as application:
        await application.tokens.create(Role.ADMIN, user_id="ana", plain=TOKEN)
        listener = listen("127.0.0.1", 0)
        async with serving(create_app(settings, application), listener):
            await camera.walk(address_of(listener), empty_steps())


async def _take_clean_up(camera: Camera, temporary: Path) -> None:
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
                url = address_of(listener)
                await camera.walk(url, {"clean-up-new": at("/clean-up")})
                await application.census.start(ANA)
                await camera.walk(url, {"clean-up-scanning": at("/clean-up")})
                await camera.walk(url, await clean_up_steps(application))


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
                    await sign_in(page, url, TOKEN)
                    await readme_steps(made)[page_name](page, url)
                    await page.wait_for_timeout(300)
                    await page.screenshot(path=folder / f"{name}.png")
                    await context.close()
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="pages with this in their name")
    parser.add_argument("--widths", type=int, nargs="+", default=list(HEIGHTS), choices=HEIGHTS)
    parser.add_argument("--themes", nargs="+", default=list(THEMES), choices=THEMES)
    parser.add_argument("--no-axe", dest="axe", action="store_false", help="quicker: without axe")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "screenshots")
    parser.add_argument("--readme", action="store_true", help="only the README's pictures, into docs/images/")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if arguments.readme:
        (ROOT / "docs" / "images").mkdir(exist_ok=True)
        asyncio.run(for_readme(ROOT / "docs" / "images"))
        sys.exit()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    faults = asyncio.run(main(arguments))
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    sys.stdout.write(f"{len(list(arguments.folder.iterdir()))} pictures in {arguments.folder}\n")
    sys.exit(bool(faults))
