"""Two workspaces on one server: how long one's home page takes while the other takes all that it may.

`python -m benchmarks.shares` prints a table. The attacker has every limit in its favour: many people, a token for each,
and prompts that are slow to search. `--seconds 3 --rounds 1` measures quickly.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import crowded, databases, median_of, new_port, started

import httpx2  # isort: skip

from benchmarks.requests import SECRET, environment, serve_command
from benchmarks.rows import fill
from protokeep.core.principals import Role
from protokeep.settings import Settings
from protokeep.store.database import Database
from protokeep.store.migrate import migrate
from protokeep.store.sql import Statement
from protokeep.wiring import build_application

#: Prototypes of the workspace that is attacked, and of the attacker: its prompts are as slow to search as can be.
ROWS, SLOW_ROWS = 1000, 1000
PEOPLE = 40
GOAL = 3.0
#: What the attacker does at once, and over how many connections.
STREAMS, WAITS, SEARCHES, PAGES, REQUESTS = 1700, 400, 20, 16, 16
KINDS = ("searches", "pages", "requests", "waits", "streams")
#: As fast as somebody clicks who clicks fast.
LOOK_EVERY = 0.05

MOVE = Statement("UPDATE protokeep_generations SET workspace_id = 'attacker' WHERE mockup_id IN :ids")
MOVE_SLOTS = Statement("UPDATE protokeep_slots SET workspace_id = 'attacker' WHERE mockup_id IN :ids")
SLOW = Statement("UPDATE design_mockups SET prompt = :prompt WHERE id IN :ids")
PRODUCT = Statement("SELECT product_id FROM protokeep_slots WHERE mockup_id = :mockup_id")
NEWEST = Statement("SELECT mockup_id FROM protokeep_slots ORDER BY product_id LIMIT :limit")


@dataclass(frozen=True)
class Attacker:
    """What the attacker has: sessions and tokens of many people, and a product."""

    port: int
    sessions: list[str]
    tokens: list[str]
    product: str


@dataclass(frozen=True)
class Looks:
    """95th percentiles: how long a page took, and how much the server's event loop worked meanwhile, for whomever."""

    took_ms: float
    worked_ms: float


@asynccontextmanager
async def site(url: str) -> AsyncIterator[tuple[int, str, Attacker]]:
    """A server in a process of its own: (its process, the victim's session, what the attacker has)."""
    await migrate(url)
    await fill(url, ROWS + SLOW_ROWS)
    database = Database(url)
    async with database.transaction() as connection:
        rows = await connection.fetch_all(NEWEST, {"limit": SLOW_ROWS})
        ids = [row["mockup_id"] for row in rows]
        await connection.execute(MOVE, {"ids": ids})
        await connection.execute(MOVE_SLOTS, {"ids": ids})
        await connection.execute(SLOW, {"ids": ids, "prompt": "a" * 100_000})
        product = await connection.fetch_one(PRODUCT, {"mockup_id": ids[0]})
        assert product is not None
    await database.close()
    settings = Settings(database_url=url, secret_key=SECRET, _env_file=None)  # type: ignore[call-arg, unused-ignore]
    async with build_application(settings, migrating=False) as application:
        victim, _ = await application.tokens.create(Role.MAKER, user_id="victim")
        seen = await application.sessions.sign_in(victim)
        tokens, sessions = [], []
        for number in range(PEOPLE):
            token, _ = await application.tokens.create(Role.MAKER, user_id=f"a-{number}", workspace_id="attacker")
            tokens.append(token)
            sessions.append(await application.sessions.sign_in(token))
    port = new_port()
    variables = {name: value for name, value in environment(url).items() if "REQUESTS_PER_MINUTE" not in name}
    async with started(serve_command(port), f"http://127.0.0.1:{port}/readyz", variables) as pid:
        yield pid, seen, Attacker(port, sessions, tokens, product["product_id"])


async def measure(url: str, seconds: float, rounds: int, kinds: Sequence[str]) -> list[tuple[Looks, Looks]]:
    """By round: the victim's home pages when all is quiet, and under attack."""
    measured = []
    async with (
        site(url) as (pid, session, attacker),
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{attacker.port}",
            cookies={"protokeep_session": session},
            headers={"accept": "text/html"},
            trust_env=False,
        ) as victim,
    ):
        await looked(victim, pid, 1.0)
        for _ in range(rounds):
            quiet = await looked(victim, pid, seconds)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.shares", "--kinds", ",".join(kinds), "--seconds", str(seconds)),
                *("--attack", json.dumps(asdict(attacker))),
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            await process.stdout.readline()  # Its streams are open.
            measured.append((quiet, await looked(victim, pid, seconds)))
            sys.stderr.write(f"the attacker was answered {(await process.communicate())[0].decode()}\n")
    return measured


async def looked(victim: httpx2.AsyncClient, pid: int, seconds: float) -> Looks:
    """The home page, again and again for so long."""
    took, worked = [], []
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        before = loop_seconds(pid)
        answer = await victim.get("/", timeout=60)
        worked.append((loop_seconds(pid) - before) * 1000)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(LOOK_EVERY)
    return Looks(percentile(took), percentile(worked))


def loop_seconds(pid: int) -> float:
    """CPU of the server's event loop so far: of its first thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def attack(attacker: Attacker, seconds: float, kinds: Sequence[str]) -> None:
    """Print a line when the streams are open, then do all `kinds` at once for so long; print the answers by status."""
    answers: Counter[int] = Counter()

    def request(path: str, header: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode()

    def page(path: str, number: int) -> bytes:
        return request(path, f"Cookie: protokeep_session={attacker.sessions[number % PEOPLE]}")

    def call(path: str, number: int, header: str = "X: y") -> bytes:
        return request(path, f"Authorization: Bearer {attacker.tokens[number % PEOPLE]}\r\n{header}")

    async def again_and_again(text: bytes, pause: float = 0) -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    writer.write(text)
                    answers[await answered(reader)] += 1
                    await asyncio.sleep(pause)
            writer.close()

    streams = []
    for number in range(STREAMS if "streams" in kinds else 0):
        reader, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
        writer.write(call("/api/design/events", number))
        answers[int((await reader.readuntil(b"\r\n\r\n"))[9:12])] += 1
        streams.append(writer)
    product = f"/api/design/mockups/{attacker.product}"
    search = f"/?q={'a' * 150}b"
    wait = "Prefer: wait=25"
    work = [
        [again_and_again(page(search, number)) for number in range(SEARCHES if "searches" in kinds else 0)],
        [again_and_again(page("/", number)) for number in range(PAGES if "pages" in kinds else 0)],
        [
            again_and_again(call(f"{product}?limit=100", number))
            for number in range(REQUESTS if "requests" in kinds else 0)
        ],
        [
            again_and_again(call(f"{product}/status", number, wait), 0.5)
            for number in range(WAITS if "waits" in kinds else 0)
        ],
    ]
    tasks = [asyncio.ensure_future(one) for coroutines in work for one in coroutines]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.sleep(seconds + 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sys.stdout.write(f"{dict(answers)}")


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, whose body is read."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"content-length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head[9:12])


def percentile(values: Sequence[float], part: int = 95) -> float:
    """The `part`th of a hundred."""
    return statistics.quantiles([*values, *values], n=100)[part - 1]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS), help="What the attacker does.")
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    if given.attack:
        asyncio.run(attack(Attacker(**json.loads(given.attack)), given.seconds, kinds))
        return
    lines = [
        "| home page of one workspace | p95, ms: quiet | under attack | ratio "
        "| event loop at work meanwhile, p95, ms: quiet | under attack | ratio | goal | met |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    before = crowded()
    with databases([given.only] if given.only else ("SQLite", "PostgreSQL")) as urls:
        for kind, url in urls.items():
            rounds = asyncio.run(measure(url, given.seconds, given.rounds, kinds))
            took = figures([(quiet.took_ms, attacked.took_ms) for quiet, attacked in rounds])
            worked = figures([(quiet.worked_ms, attacked.worked_ms) for quiet, attacked in rounds])
            ratio = statistics.median(attacked.worked_ms / quiet.worked_ms for quiet, attacked in rounds)
            lines.append(f"| {kind} | {took} | {worked} | <= {GOAL:g} x | {'yes' if ratio <= GOAL else 'no'} |")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(
        f"\nMedian (range) of {given.rounds} rounds of {given.seconds:g} s. All the attacker's requests come at once, "
        f"from a process on the same cores: times also tell how busy these are. {before}\n"
    )


def figures(pairs: Sequence[tuple[float, float]]) -> str:
    """Three cells: when all is quiet, under attack, and the ratio."""
    quiet, attacked = zip(*pairs, strict=True)
    ratios = [after / before for before, after in pairs]
    return f"{median_of(quiet, 1)} | {median_of(attacked, 1)} | {median_of(ratios, 1)} x"


if __name__ == "__main__":
    main()
