"""A server in a thread of its own, and a real browser that has to behave: it may not leave the origin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from shutil import copy
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, sync_playwright

from chromium import ARGUMENTS, find_chromium
from protokeep.core.principals import Role
from protokeep.sandbox import Knobs, Sandbox, running
from protokeep.settings import Settings
from protokeep.web.app import create_app
from protokeep.web.server import address_of, listen, serving
from protokeep.wiring import Application, build_application

T = TypeVar("T")

#: Long enough to be seen being made, short enough to wait for.
GENERATION_SECONDS = 1.2


class Site:
    """protokeep and an emulated v0, in a thread. With `jobs` prototypes are made; without, all stays as written."""

    def __init__(self, database_url: str, *, jobs: bool, api_version: int = 2) -> None:
        self._settings = Settings(
            database_url=database_url,
            secret_key="a test's own",
            v0_api_key="k",
            v0_api_version=api_version,
            poll_interval_seconds=0.2,
            _env_file=None,
        )
        self._jobs = jobs
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._stop: asyncio.Event
        self.sandbox = Sandbox(knobs=Knobs(generation_seconds=GENERATION_SECONDS))
        self.application: Application
        self.app: Any = None
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)

    def call(self, what: Coroutine[Any, Any, T]) -> T:
        """Run `what` where the server runs."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    def token(self, role: Role = Role.MAKER, user: str = "ana") -> str:
        """A token of somebody's."""
        return self.call(self.application.tokens.create(role, user_id=user))[0]

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        listener = listen("127.0.0.1", 0)
        self.url = address_of(listener)
        async with running(self.sandbox) as v0:
            settings = self._settings.model_copy(update={"v0_base_url": v0, "v0_web_url": v0})
            if self._jobs:
                self.app = create_app(settings)
                async with serving(self.app, listener):
                    self.application = self.app.state.application
                    await self._until_stopped()
                return
            async with build_application(settings, migrating=False) as application:
                self.application = application
                self.app = create_app(settings, application)
                async with serving(self.app, listener):
                    await self._until_stopped()

    async def _until_stopped(self) -> None:
        self._ready.set()
        await self._stop.wait()


@pytest.fixture
def make_site(sqlite_template: Path, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts servers, each on a database of its own."""
    sites: list[Site] = []

    def make(*, jobs: bool = True, api_version: int = 2) -> Site:
        path = tmp_path / f"{len(sites)}.db"
        copy(sqlite_template, path)
        site = Site(f"sqlite:///{path}", jobs=jobs, api_version=api_version)
        sites.append(site)
        site.start()
        return site

    yield make
    for site in sites:
        site.stop()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A server that makes prototypes."""
    return make_site()


@pytest.fixture
def still(make_site: Callable[..., Site]) -> Site:
    """A server on which nothing happens by itself."""
    return make_site(jobs=False)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright without browsers of its own. Ends with the module: its event loop is in the way of other tests."""
    if find_chromium() is None:
        pytest.skip("no Chromium on the PATH: browser tests need one (Debian: apt-get install chromium)")
    with sync_playwright() as running_playwright:
        yield running_playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The machine's Chromium, headless."""
    launched = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
    yield launched
    launched.close()


class Windows:
    """Opens windows, and holds what happened in them against the rules."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.requested: list[str] = []
        self.console: list[str] = []

    def context(self, **options: Any) -> BrowserContext:
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(10_000)
        context.on("request", lambda request: self.requested.append(request.url))
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.console.append(str(error.error)))
        self._contexts.append(context)
        return context

    def signed_in(self, site: Site, role: Role = Role.MAKER, user: str = "ana", **options: Any) -> Page:
        """A window of somebody who has signed in by the form."""
        page = self.context(**options).new_page()
        page.goto(f"{site.url}/sign-in")
        page.get_by_label("API token").fill(site.token(role, user))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{site.url}/")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        # A page that does not exist, and a server that was stopped, are said there too: those are asked for.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.console.append(message.text)


@pytest.fixture
def windows(browser: Browser) -> Iterator[Windows]:
    """Windows that must stay on the origin and under its policy."""
    opened = Windows(browser)
    yield opened
    opened.close()
    assert [url for url in opened.requested if not url.startswith(("http://127.0.0.1:", "blob:"))] == []
    assert [text for text in opened.console if "ERR_" not in text] == []
