"""The same job in three ways: name a piece of work once, get the same one back, look at its state.

    python -m benchmarks.peers

protokeep's keeper with a builder that accepts at once; DBOS, a workflow of one step by its id; PgQueuer, a job by its
dedupe key. Each runs in a process of its own, without HTTP, on the same database server or on a file, one after
another.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from benchmarks.harness import ROOT, crowded, databases
from protokeep.store.sql import Statement

NAMED = 1500
AGAIN = 1500
AT_ONCE = 50
RUNS = 3
PROMPT = "A landing page"
COMPLETED = Statement("SELECT count(*) AS n FROM design_mockups WHERE project_status = 'completed'")


async def spell(do: Callable[[int], Awaitable[object]], times: int) -> dict[str, float]:
    """Do something so often, some at once: how often a second, and CPU of this process each."""
    began, cpu = time.perf_counter(), time.process_time()
    for first in range(0, times, AT_ONCE):
        await asyncio.gather(*(do(number) for number in range(first, min(first + AT_ONCE, times))))
    took = time.perf_counter() - began
    return {"per_second": times / took, "cpu_us": (time.process_time() - cpu) / times * 1e6}


async def protokeep(url: str) -> dict[str, Any]:
    """The keeper and its jobs in this process."""
    import structlog

    from protokeep.core.principals import Principal, Role
    from protokeep.core.prototype import Observation, ObservedState
    from protokeep.jobs import application_with_jobs
    from protokeep.providers.base import RemoteChat, Search
    from protokeep.providers.v0_http import V0Config
    from protokeep.providers.v0_v2 import V0V2
    from protokeep.service import NewPrototype
    from protokeep.settings import Settings
    from protokeep.wiring import ENVIRONMENT_ACCOUNT

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))

    class AtOnce(V0V2):
        """Accepts at once and is ready at once; has nothing else to say."""

        async def create(self, prompt: str, metadata: Mapping[str, str], **_: Any) -> RemoteChat:
            return RemoteChat(
                uuid4().hex, observation=Observation(ObservedState.FINISHED, demo_url="https://demo.example/")
            )

        async def find(self, filters: Sequence[Mapping[str, str]], **_: Any) -> Search:
            return Search(ended=True)

        async def costs(self, chats: Sequence[str], **_: Any) -> Mapping[str, float]:
            return {}

        async def opens(self, address: str) -> bool | None:
            return None

    settings = Settings(
        database_url=url, secret_key="measured", creates_per_person=10**6, creates_per_workspace=10**6, _env_file=None
    )
    config = V0Config.of(api_key="unused", base_url="http://127.0.0.1:9", scope="", web_url=None, timeout_seconds=5.0)
    ann = Principal("default", "ann", Role.MAKER, "ann")
    async with application_with_jobs(settings) as application:
        application.keeper.context.providers.add(ENVIRONMENT_ACCOUNT, AtOnce(config), for_new=True)
        await asyncio.sleep(2.5)
        keeper = application.keeper

        async def done(number: int) -> None:
            while True:
                async with keeper.context.store.database.reading() as connection:
                    row = await connection.fetch_one(COMPLETED)
                if row is not None and row["n"] >= number:
                    return
                await asyncio.sleep(0.02)

        async def claim(number: int) -> None:
            await keeper.ensure(ann, NewPrototype(f"p-{number}", PROMPT), wait=0.0)

        await claim(-1)
        await done(1)
        began, cpu = time.perf_counter(), time.process_time()
        named = await spell(claim, NAMED)
        await done(NAMED + 1)
        whole = {
            "per_second": NAMED / (time.perf_counter() - began),
            "cpu_us": (time.process_time() - cpu) / NAMED * 1e6,
        }
        return {
            "named": named,
            "finished": whole,
            "again": await spell(lambda number: claim(number % NAMED), AGAIN),
            "looked": await spell(lambda number: keeper.status(ann, f"p-{number % NAMED}", "v0"), AGAIN),
        }


async def dbos(url: str) -> dict[str, Any]:
    """DBOS, started by workflow id."""
    from dbos import DBOS, SetWorkflowID

    config: Any = {"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False}
    DBOS(config=config)

    async def create_one(prompt: str) -> str:
        return uuid4().hex

    create = DBOS.step()(create_one)

    async def make_one(prompt: str) -> str:
        made: str = await create(prompt)
        return made

    make = DBOS.workflow()(make_one)

    DBOS.launch()
    handles: dict[int, Any] = {}

    async def start(number: int) -> None:
        with SetWorkflowID(f"p-{number}"):
            handles[number] = await DBOS.start_workflow_async(make, PROMPT)

    async def look(number: int) -> None:
        await (await DBOS.retrieve_workflow_async(f"p-{number % NAMED}")).get_status()

    await start(-1)
    await handles[-1].get_result()
    began, cpu = time.perf_counter(), time.process_time()
    named = await spell(start, NAMED)
    await asyncio.gather(*(handle.get_result() for handle in handles.values()))
    whole = {"per_second": NAMED / (time.perf_counter() - began), "cpu_us": (time.process_time() - cpu) / NAMED * 1e6}
    found = {
        "named": named,
        "finished": whole,
        "again": await spell(lambda number: start(number % NAMED), AGAIN),
        "looked": await spell(look, AGAIN),
    }
    DBOS.destroy()
    return found


async def pgqueuer(url: str) -> dict[str, Any]:
    """PgQueuer, a job by its dedupe key; it has no row to look at once a job is done."""
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.models import Job

    pool = await asyncpg.create_pool(url, min_size=2, max_size=10)
    queries = Queries(AsyncpgPoolDriver(pool))
    await queries.install()
    pgq = PgQueuer.from_asyncpg_pool(pool)
    ran = 0
    all_ran = asyncio.Event()

    @pgq.entrypoint("make", concurrency_limit=AT_ONCE)
    async def make(job: Job) -> None:
        nonlocal ran
        ran += 1
        if ran == NAMED:
            all_ran.set()

    async def name(number: int) -> None:
        await queries.enqueue("make", PROMPT.encode(), dedupe_key=f"p-{number}", on_conflict="skip")

    began, cpu = time.perf_counter(), time.process_time()
    named = await spell(name, NAMED)
    again = await spell(lambda number: name(number % NAMED), AGAIN)
    running = asyncio.create_task(pgq.qm.run(batch_size=AT_ONCE, max_concurrent_tasks=4 * AT_ONCE))
    began, cpu = time.perf_counter(), time.process_time()
    await all_ran.wait()
    ran_in, ran_cpu = time.perf_counter() - began, time.process_time() - cpu
    pgq.shutdown.set()
    await asyncio.wait({running}, timeout=10)
    whole = {
        "per_second": NAMED / (ran_in + NAMED / named["per_second"]),
        "cpu_us": ran_cpu / NAMED * 1e6 + named["cpu_us"],
    }
    return {"named": named, "finished": whole, "again": again, "looked": None}


PEERS = {"protokeep": protokeep, "DBOS": dbos, "PgQueuer": pgqueuer}
WORDS = {
    "named": "started under a new name, durable",
    "finished": "started, sent and finished",
    "again": "started under the same name again",
    "looked": "its state read",
}


def run_one(peer: str, url: str) -> dict[str, Any]:
    """One peer in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers", peer, url]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, and print the table; with a peer and an address: measure that one, and print JSON."""
    if len(sys.argv) == 3:
        try:
            import uvloop

            factory: Any = uvloop.new_event_loop
        except ImportError:
            factory = None
        with asyncio.Runner(loop_factory=factory) as runner:
            sys.stdout.write(json.dumps(runner.run(PEERS[sys.argv[1]](sys.argv[2]))) + "\n")
        return
    before = crowded()
    lines = [
        "| database | what | protokeep /s (CPU) | DBOS /s (CPU) | PgQueuer /s (CPU) | ratio to DBOS | goal | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("SQLite", "PostgreSQL"):
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(RUNS):
            for peer in PEERS:
                if peer != "PgQueuer" or kind == "PostgreSQL":
                    with databases([kind]) as urls:
                        runs.setdefault(peer, []).append(run_one(peer, urls[kind]))
        lines += [_line(kind, what, runs) for what in WORDS]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(
        f"\nMedian of {RUNS} runs, {NAMED} names, {AT_ONCE} at a time; CPU of the process, per item. {before}\n"
    )


def _line(kind: str, what: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    cells = []
    rates = {}
    for peer in PEERS:
        found = sorted((run[what] for run in runs.get(peer, []) if run[what]), key=lambda one: one["per_second"])
        if found:
            middle = found[len(found) // 2]
            rates[peer] = middle["per_second"]
            cells.append(f"{middle['per_second']:,.0f} ({middle['cpu_us']:,.0f} us)")
        else:
            cells.append("")
    ratio = rates["protokeep"] / rates["DBOS"]
    goal = 3.0 if what in ("named", "finished") else None
    met = "" if goal is None else "yes" if ratio >= goal else "no"
    wanted = f">= {goal:.0f} x" if goal else ""
    return f"| {kind} | {WORDS[what]} | {' | '.join(cells)} | {ratio:.1f} x | {wanted} | {met} |"


if __name__ == "__main__":
    main()
