"""How long a newcomer takes from `make demo` to a prototype that is ready and then reused, by scripted clicks.

`python -m benchmarks.newcomer` prints a table. Each round starts a demo of its own, and stops it. The set-up of `.venv`
is not in the time: it depends on the network.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from benchmarks.harness import crowded, new_port  # noqa: E402
from chromium import ARGUMENTS, find_chromium  # noqa: E402

ROUNDS = 3
GOAL_SECONDS = 45
PROMPT = "A landing page for a bakery, with opening hours and a form to order a cake"
STEPS = ("the demo prints its links", "signed in", "asked for", "ready, seen without a reload", "reused")


@dataclass(frozen=True)
class Round:
    """Seconds since `make demo` at the end of each step."""

    ends: tuple[float, ...]


def main() -> None:
    """Print what was measured as a Markdown table."""
    if find_chromium() is None:
        sys.exit("no Chromium on the PATH")
    load = crowded()
    rounds = [asyncio.run(_round(version)) for version in (2, 1, 2)[:ROUNDS]]
    print("| what, since `make demo` | seconds: median (worst) | goal | met |\n|---|---|---|---|")
    for number, step in enumerate(STEPS):
        ends = [one.ends[number] for one in rounds]
        is_last = step == STEPS[-1]
        goal = f"<= {GOAL_SECONDS} s" if is_last else ""
        met = ("yes" if max(ends) <= GOAL_SECONDS else "no") if is_last else ""
        print(f"| {step} | {statistics.median(ends):.1f} ({max(ends):.1f}) | {goal} | {met} |")
    print(f"\n{len(rounds)} rounds, of both versions of v0's API; the emulated v0 takes 6 to 12 s. {load}")


async def _round(version: int) -> Round:
    began = time.monotonic()
    arguments = f"ARGS=--port {new_port()} --sandbox-port 0 --v0-api-version {version}"
    process = await asyncio.create_subprocess_exec(
        "make",
        "--no-print-directory",
        "demo",
        arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        link = await asyncio.wait_for(_first_link(process), 60)
        return Round(tuple(end - began for end in [time.monotonic(), *await _clicks(link)]))
    finally:
        os.killpg(process.pid, signal.SIGINT)  # The demo is a child of `make`, in a group of their own.
        await process.wait()


async def _first_link(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if found := re.search(r"http://\S+/sign-in\?code=\S+", line):
            return found.group()
    raise RuntimeError("the demo ended before it printed a link")


async def _clicks(link: str) -> list[float]:
    """When each step was done."""
    from playwright.async_api import async_playwright, expect

    ends: list[float] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = await browser.new_page()
        await page.goto(link)
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
        ends.append(time.monotonic())
        await _ask(page, "Create the first prototype")
        await page.wait_for_url("**/prototypes/*")
        ends.append(time.monotonic())
        await expect(page.locator("#panel .chip")).to_have_text("Ready", timeout=60_000)
        ends.append(time.monotonic())
        await page.get_by_role("link", name="New prototype").click()
        await _ask(page, "Create prototype")
        await expect(page.get_by_role("heading", name="This product already has a prototype")).to_be_visible()
        ends.append(time.monotonic())
        await browser.close()
    return ends


async def _ask(page: Any, button: str) -> None:
    await page.get_by_label("Product", exact=True).fill("bakery")
    await page.get_by_label("What should it be?").fill(PROMPT)
    await page.get_by_role("button", name=button).click()


if __name__ == "__main__":
    main()
