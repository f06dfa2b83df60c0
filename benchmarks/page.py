"""What the page costs: bytes, first paint, the home page with 100,000 prototypes, and 1,000 viewers.

`python -m benchmarks.page` prints a table. `--only home` measures a part; PostgreSQL is a server of the run's own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import httpx2  # noqa: E402
import structlog  # noqa: E402

from benchmarks.rows import fill  # noqa: E402
from chromium import ARGUMENTS, find_chromium  # noqa: E402
from gallery_fixture import SCENES, paint  # noqa: E402
from protokeep.bus import Change  # noqa: E402
from protokeep.cli.runtime import tune_gc  # noqa: E402
from protokeep.core.principals import Role  # noqa: E402
from protokeep.settings import Settings  # noqa: E402
from protokeep.store.migrate import migrate  # noqa: E402
from protokeep.web.app import create_app  # noqa: E402
from protokeep.web.server import address_of, listen, serving  # noqa: E402
from protokeep.wiring import Application, build_application  # noqa: E402

PROTOTYPES = 100_000
REQUESTS = 200
VIEWERS = 1000
EVENTS = 50
PAINTS = 9


@dataclass(frozen=True)
class Figure:
    """One line of the table. `holds` says whether the goal is met; None: there is no goal."""

    what: str
    value: str
    goal: str
    holds: bool | None


def run(*, only: str = "", prototypes: int = PROTOTYPES, viewers: int = VIEWERS) -> list[Figure]:
    """Measure everything whose name holds `only`."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    figures: list[Figure] = []
    if only in "paint":
        figures += asyncio.run(_small())
    if only in "home":
        with _databases() as urls:
            for name, url in urls.items():
                figures += asyncio.run(_home(name, url, prototypes))
    if only in "viewers":
        figures += asyncio.run(_fan_out(viewers))
    return figures


def main() -> None:
    """Print what was measured as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", choices=["", "paint", "home", "viewers"])
    parser.add_argument("--prototypes", type=int, default=PROTOTYPES)
    parser.add_argument("--viewers", type=int, default=VIEWERS)
    given = parser.parse_args()
    figures = run(only=given.only, prototypes=given.prototypes, viewers=given.viewers)
    print(as_table(figures))


def as_table(figures: list[Figure]) -> str:
    """Markdown, with the command that made it."""
    lines = ["| what | measured | goal | met |", "|---|---|---|---|"]
    words = {True: "yes", False: "no", None: ""}
    lines += [f"| {one.what} | {one.value} | {one.goal} | {words[one.holds]} |" for one in figures]
    return "\n".join(lines)


def _settings(url: str) -> Settings:
    return Settings(database_url=url, secret_key="measured", v0_api_key="unused", requests_per_minute=0, _env_file=None)


@asynccontextmanager
async def _site(url: str) -> AsyncIterator[tuple[str, Application, Any]]:
    settings = _settings(url)
    async with build_application(settings) as application:
        app = create_app(settings, application)
        listener = listen("127.0.0.1", 0)
        async with serving(app, listener):
            yield address_of(listener), application, app


async def _signed_in(client: httpx2.AsyncClient, application: Application, user: str = "ana") -> None:
    token, _ = await application.tokens.create(Role.MAKER, user_id=user)
    page = await client.get("/sign-in")
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    await client.post("/sign-in", data={"form_token": found.group(1), "token": token})


# -- bytes and first paint ---------------------------------------------------------------------------------------


async def _small() -> list[Figure]:
    """A full home page: its bytes, and when Chromium first paints it."""
    with tempfile.TemporaryDirectory() as folder:
        async with _site(f"sqlite:///{folder}/small.db") as (url, application, _):
            await paint(application, tuple(scene for n in range(3) for scene in _again(n)))
            async with httpx2.AsyncClient(
                base_url=url, headers={"accept": "text/html"}, follow_redirects=True
            ) as client:
                await _signed_in(client, application)
                page = await client.get("/")
                sizes, sent = {"page": len(page.content)}, {"page": len(page.content)}
                named = set(re.findall(r'(?:href|src)="(/static/[^"#?]+\?v=[0-9a-f]+)', page.text))
                for name in named:
                    answer = await client.get(name)
                    sizes[name], sent[name] = len(answer.content), answer.num_bytes_downloaded
                cookies = dict(client.cookies)
            module = next(size for name, size in sent.items() if ".js" in name)
            total, total_sent = sum(sizes.values()), sum(sent.values())
            cards = page.text.count("<article")
            return [
                Figure(
                    f"first page with {cards} cards, style, module and shapes, as sent (style and module compressed)",
                    f"{total_sent / 1000:.1f} kB ({sizes['page'] / 1000:.1f} kB of HTML)",
                    "<= 100 kB",
                    total_sent <= 100_000,
                ),
                Figure("the same, unpacked", f"{total / 1000:.1f} kB", "", None),
                Figure("module, as sent", f"{module / 1000:.1f} kB", "<= 15 kB", module <= 15_000),
                *await _painted(url, cookies),
            ]


def _again(number: int) -> list[Any]:
    return [replace(scene, product_id=f"{scene.product_id}-{number}") for scene in SCENES]


async def _painted(url: str, cookies: dict[str, str]) -> list[Figure]:
    """First paints of our page, and of a page with one word, which is what the browser takes by itself."""
    if find_chromium() is None:
        return [Figure("first contentful paint", "no Chromium here", "<= 250 ms", None)]
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        ours: list[float] = []
        floor: list[float] = []
        for _ in range(PAINTS):
            ours.append(await _first_paint(browser, url, cookies))
            floor.append(await _first_paint(browser, f"{url}/livez", {}))
        await browser.close()
    median = statistics.median(ours)
    value = f"{median:.0f} ms median, {max(ours):.0f} ms worst of {PAINTS}, nothing cached"
    return [
        Figure("first contentful paint, loopback", value, "<= 250 ms", median <= 250),
        Figure("the same for `/livez`, one word", f"{statistics.median(floor):.0f} ms median", "", None),
    ]


async def _first_paint(browser: Any, url: str, cookies: dict[str, str]) -> float:
    """Milliseconds in a browser that has nothing cached."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    await context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])
    page = await context.new_page()
    await page.goto(url)
    found: list[float] = []
    while not found:
        found = await page.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)"
        )
    await context.close()
    return found[0]


# -- home with 100,000 prototypes -------------------------------------------------------------------------------


class _databases:
    """A SQLite file and a PostgreSQL server, for as long as the block lasts."""

    def __enter__(self) -> dict[str, str]:
        from postgres import PostgresServer

        self._folder = tempfile.mkdtemp()
        urls = {"SQLite": f"sqlite:///{self._folder}/large.db"}
        self._server = PostgresServer({"shared_buffers": "128MB"})
        self._server.start()
        urls["PostgreSQL"] = self._server.create_database()
        return urls

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


PAGES = {
    "home": "/",
    "home, table": "/?view=table",
    "home, one state": "/?state=failed",
    "home, mine": "/?mine=1",
    "search, a frequent word": "/?q=dashboard",
    "search, a word that one prototype has": "/?q=needle",
    "search, nothing": "/?q=zeppelin",
    "a product with 50 variants": "/p/product-000000",
}


async def _home(name: str, url: str, prototypes: int) -> list[Figure]:
    await migrate(url)
    began = time.monotonic()
    await fill(url, prototypes)
    figures = [Figure(f"{name}: writing {prototypes:,} prototypes", f"{time.monotonic() - began:.0f} s", "", None)]
    async with (
        _site(url) as (address, application, _),
        httpx2.AsyncClient(base_url=address, headers={"accept": "text/html"}, follow_redirects=True) as client,
    ):
        await _signed_in(client, application, "user-007")
        pages = dict(PAGES)
        pages["home, page 20 of the cursor"] = await _deep(client, 20)
        for what, path in pages.items():
            times = await _timed(partial(client.get, path), REQUESTS if "home" in what else 40)
            goal = 20 if what.startswith("home") else None
            p95 = _percentile(times, 95)
            print(f"{name} {what}: p95 {p95:.1f} ms", file=sys.stderr)
            figures.append(
                Figure(
                    f"{name}, {prototypes:,} prototypes: {what}",
                    f"p50 {statistics.median(times):.1f} ms, p95 {p95:.1f} ms",
                    f"p95 <= {goal} ms" if goal else "",
                    p95 <= goal if goal else None,
                )
            )
    return figures


async def _deep(client: httpx2.AsyncClient, pages: int) -> str:
    path = "/"
    for _ in range(pages):
        found = re.search(r'href="([^"]+)" rel="next"', (await client.get(path)).text)
        if found is None:
            break
        path = found.group(1).replace("&amp;", "&")
    return path


async def _timed(ask: Callable[[], Awaitable[httpx2.Response]], times: int) -> list[float]:
    took = []
    for n in range(times + 3):
        began = time.perf_counter()
        answer = await ask()
        if n >= 3:
            took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    return took


def _percentile(values: list[float], part: int) -> float:
    return statistics.quantiles(values, n=100)[part - 1]


# -- viewers ----------------------------------------------------------------------------------------------------


async def _fan_out(viewers: int) -> list[Figure]:
    """A server in a process of its own, and viewers on plain sockets: what they hear, when, and what they cost."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/viewers.db"
        async with build_application(_settings(url)) as application:
            made = await paint(application)
            tokens = [
                (await application.tokens.create(Role.MAKER, user_id=f"u{n}"))[0] for n in range(viewers // 25 + 1)
            ]
            held = [await application.sessions.sign_in(token) for token in tokens]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.page_server",
            url,
            made["bakery"].id,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}:{ROOT}"},
        )
        try:
            return await _heard(process, viewers, held)
        finally:
            process.terminate()
            await process.wait()


async def _heard(process: asyncio.subprocess.Process, viewers: int, held: list[str]) -> list[Figure]:
    assert process.stdin is not None
    assert process.stdout is not None
    port = int(await process.stdout.readline())

    async def tell(word: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{word}\n".encode())
        return (await process.stdout.readline()).decode().strip()

    warm = [await _Viewer.open(port, held[0]) for _ in range(20)]
    for viewer in warm:
        viewer.close()
    await asyncio.sleep(0.5)
    before = int(await tell("memory"))
    watching = [await _Viewer.open(port, held[n % len(held)]) for n in range(viewers)]
    await asyncio.sleep(0.5)
    opened = int(await tell("memory"))
    lags: list[float] = []
    gc.disable()  # What is measured is the server, not the viewers' own housekeeping.
    cpu_before = float(await tell("cpu"))
    for _ in range(EVENTS):
        began = float(await tell("change"))
        heard = await asyncio.gather(*(viewer.next() for viewer in watching))
        lags += [(at - began) * 1000 for at in heard]
        await asyncio.sleep(0.05)
    cpu = (float(await tell("cpu")) - cpu_before) / EVENTS * 1000
    after = int(await tell("memory"))
    for viewer in watching:
        viewer.close()
    each, each_after = (opened - before) / viewers / 1000, (after - before) / viewers / 1000
    p95 = _percentile(lags, 95)
    return [
        Figure(
            f"an event to {viewers:,} viewers of the home page, {EVENTS} times, one viewer process beside",
            f"p50 {statistics.median(lags):.0f} ms, p95 {p95:.0f} ms, worst {max(lags):.0f} ms",
            "p95 <= 100 ms",
            p95 <= 100,
        ),
        Figure("the same: CPU of the server per event", f"{cpu:.1f} ms", "", None),
        Figure(
            "memory of the server per viewer",
            f"{each:.1f} kB when open, {each_after:.1f} kB after {EVENTS} events",
            "<= 60 kB",
            max(each, each_after) <= 60,
        ),
    ]


class _Viewer(asyncio.Protocol):
    """A stream on a bare socket, which notes when an event's bytes came in."""

    def __init__(self) -> None:
        self._buffer = b""
        self._heard: list[float] = []
        self._woken: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self.open_event = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, port: int, held: str) -> _Viewer:
        loop = asyncio.get_running_loop()
        transport, viewer = await loop.create_connection(cls, "127.0.0.1", port)
        viewer._transport = transport
        transport.write(
            f"GET /live?on=home HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: protokeep_session={held}\r\n\r\n".encode()
        )
        await asyncio.wait_for(viewer.open_event, 20)
        return viewer

    def data_received(self, data: bytes) -> None:
        if b"event: hello" in data and not self.open_event.done():
            self.open_event.set_result(None)
            return
        self._buffer += data
        if b"event: change" in self._buffer and self._buffer.endswith(b"\n\n\r\n"):
            self._buffer = b""
            self._heard.append(time.monotonic())
            if self._woken is not None and not self._woken.done():
                self._woken.set_result(None)

    async def next(self) -> float:
        if not self._heard:
            self._woken = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._woken, 20)
        return self._heard.pop(0)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def serve_and_obey(url: str, mockup_id: str) -> None:
    """The server's side of the viewers: says its memory and publishes changes when told on standard input."""
    async with _site(url) as (address, application, _):
        tune_gc()  # As `protokeep serve` does.
        print(address.rpartition(":")[2], flush=True)
        loop = asyncio.get_running_loop()
        change = Change("default", "bakery", mockup_id, "", "changed")
        while word := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if word == "memory":
                gc.collect()
                print(_resident(), flush=True)
            elif word == "cpu":
                print(time.process_time(), flush=True)
            else:
                print(time.monotonic(), flush=True)
                application.keeper.context.bus.publish(change)


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
