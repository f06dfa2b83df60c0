"""A census of an old account: calls, seconds and memory, and what it misses while others work in the account.

`python -m benchmarks.census` takes about three minutes. The emulated v0 is a process of its own and answers at once;
the process that makes the censuses is this one, on SQLite. `--paced` also makes one at the default pace of a call a
second, which takes three minutes more. `--chats 400` is quick.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.harness import crowded, new_port, started

import httpx2  # isort: skip

from protokeep import logs
from protokeep.core.census import CensusState
from protokeep.core.census_tasks import CensusTasks, Work
from protokeep.core.principals import Principal, Role
from protokeep.service.clean_up import CleanUp
from protokeep.settings import Settings
from protokeep.store.census_reads import ChatFilters
from protokeep.wiring import Application, build_application

ADMIN = Principal("default", "ada", Role.ADMIN, "token")
KEY = "key-of-the-benchmark"
ACCOUNTS = {"v1": {"api": "v1"}, "v2": {"api": "v2"}, "v1 and v2": {"api": "v1", "also_in": "v2"}}
GOAL_CALLS, GOAL_SECONDS, GOAL_MB = 160, 20.0, 200


@dataclass
class Measured:
    """One census: until its groups could be seen, and in all."""

    calls: int
    seconds: float
    all_calls: int
    all_seconds: float
    chats: int
    missed: int


async def main(arguments: Sequence[str]) -> None:
    """Measure every kind of account, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=4000)
    parser.add_argument("--paced", action="store_true")
    options = parser.parse_args(arguments)
    logs.configure("error")
    print("| account | calls | seconds | calls with prompts | seconds | chats | missed |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    rows = [(name, account, 0.0, False) for name, account in ACCOUNTS.items()]
    rows += [(f"{name}, while others work in it", account, 0.0, True) for name, account in ACCOUNTS.items()]
    if options.paced:
        rows.append(("v1, a call a second", ACCOUNTS["v1"], 1.0, False))
    for name, account, pace, busy in rows:
        one = await measure({**account, "chats": options.chats}, pace, busy=busy)
        print(
            f"| {name} | {one.calls} | {one.seconds:.1f} | {one.all_calls} | {one.all_seconds:.1f} | {one.chats:,} "
            f"| {one.missed} |",
            flush=True,
        )
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\n{options.chats:,} chats. The first figures are until the groups can be seen; prompts of chats whose names "
        f"leave open what they are follow. At most {megabytes:.0f} MB were resident. Goals: {GOAL_CALLS} calls with "
        f"one version of the API, {GOAL_SECONDS:g} s, {GOAL_MB} MB, none missed. {crowded()}"
    )


async def measure(account: dict[str, Any], pace: float, *, busy: bool) -> Measured:
    """One census of a new account, by a new installation."""
    port = new_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("protokeep")), "sandbox", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        async with started(command, f"{url}/_sandbox/stats", {}), httpx2.AsyncClient(base_url=url) as v0:
            labels = (await v0.post("/_sandbox/accounts", json={"key": KEY, **account}, timeout=60)).json()["labels"]
            if busy:
                (await v0.patch("/_sandbox/knobs", json={"edit_every": 2, "list_order": "updated"})).raise_for_status()
            settings = Settings(
                _env_file=None,
                database_url=f"sqlite:///{Path(folder) / 'census.db'}",
                v0_api_key=KEY,
                v0_base_url=url,
                v0_calls_per_minute=0 if pace == 0 else 1200,
                v0_calls_per_day=0 if pace == 0 else 10_000,
            )
            async with build_application(settings) as application:
                return await _census(application, v0, {label["chat_id"] for label in labels}, pace)


async def _census(application: Application, v0: httpx2.AsyncClient, there: set[str], pace: float) -> Measured:
    context = application.keeper.context
    context.timing = replace(context.timing, clean_up_pace=timedelta(seconds=pace))
    clean_up = CleanUp(context, application.keeper.budget)
    began = time.perf_counter()
    await application.census.start(ADMIN)
    calls = seconds = None
    while True:
        due = await clean_up.step()
        census = (await application.census.censuses(ADMIN)).newest
        assert census is not None
        first = CensusTasks.of(census.position).first
        if calls is None and (first is None or first.work is Work.PROMPTS):
            calls, seconds = census.calls, time.perf_counter() - began
            if pace:  # Prompts would take ten minutes more.
                await application.census.cancel(ADMIN)
                break
        if due is None:
            break
        await asyncio.sleep(max((due - context.clock()).total_seconds(), 0))
    if not pace and census.state is not CensusState.DONE:
        raise RuntimeError(f"the census ended as {census.state}: {census.problem}")
    all_seconds = time.perf_counter() - began
    found: set[str] = set()
    async for page in application.census.all_chats(ADMIN, ChatFilters(missing=False)):
        found |= {one.record.chat.chat_id for one in page}
    chats = (await v0.get("/_sandbox/chats", timeout=60)).json()["chats"]
    gone = {chat["id"] for chat in chats if chat["deleted"]}
    made = calls or census.calls
    return Measured(made, seconds or all_seconds, census.calls, all_seconds, census.chats, len(there - gone - found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
