"""What a reuse, a status and a list cost the server, against the floors in the same run.

python -m benchmarks.requests [--rows 1000] [--seconds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.floors import LIST, ONE
from benchmarks.harness import ROOT, Call, Loaded, crowded, databases, load, median_of, new_port, started
from benchmarks.rows import fill, look_fresh, token_for
from postgres import find_binaries
from protokeep.store.migrate import migrate

PROMPT = "A landing page"
#: The product with 50 variants, and one with a ready prototype.
MANY = "product-000000"
ROUNDS = 5
GOALS = {"reuse": 2.0, "status": 1.8, "list": 2.8}
SECRET = "measured-measured-measured"


class Bench:
    """One protokeep and one server with the floors on the same database."""

    def __init__(self, server: str, floors: str, token: str, product: str, mockup_id: str, etag: str) -> None:
        key = {"Authorization": f"Bearer {token}"}
        asked = json.dumps({"product_id": product, "prompt": PROMPT})
        mockups = f"{server}/api/design/mockups"
        self.calls = {
            "reuse": Call(f"{server}/api/design/create-project", "POST", asked, key),
            "status": Call(f"{mockups}/{product}/status", headers=key),
            "status, 304": Call(f"{mockups}/{product}/status", headers={**key, "If-None-Match": etag}),
            "list": Call(f"{mockups}/{MANY}?limit=20", headers=key),
        }
        self.bare = {
            "reuse": Call(f"{floors}/bare", "POST", asked),
            "status": Call(f"{floors}/bare/status"),
            "list": Call(f"{floors}/bare/list"),
        }
        self.read = {
            "reuse": Call(f"{floors}/read", "POST", asked),
            "status": Call(f"{floors}/read/status/{mockup_id}"),
            "list": Call(f"{floors}/read/list/{MANY}"),
        }


async def measure(kind: str, url: str, rows: int, seconds: float) -> tuple[list[str], str]:
    """The lines of one database."""
    await migrate(url)
    await fill(url, rows)
    token = await token_for(url, SECRET)
    port, floor_port = new_port(), new_port()
    server, floors = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{floor_port}"
    async with started(serve_command(port), f"{server}/readyz", environment(url)) as pid:
        bodies, product, etag = await _bodies(url, server, token)
        floor_environment = environment(url) | {"FLOOR_DATABASE_URL": url, "FLOOR_BODIES": json.dumps(bodies)}
        command = [sys.executable, "-m", "uvicorn", "benchmarks.floors:app", "--no-access-log", "--port"]
        async with started([*command, str(floor_port)], f"{floors}/ready", floor_environment) as floor_pid:
            bench = Bench(server, floors, token, product, bodies["status"]["id"], etag)
            spent: dict[tuple[str, str], list[Loaded]] = {}
            for number in range(ROUNDS + 1):
                for what, call in bench.calls.items():
                    floor = what.partition(",")[0]
                    turns = [("ours", call, pid), ("read", bench.read[floor], floor_pid)]
                    if floor == what:
                        turns.append(("bare", bench.bare[floor], floor_pid))
                    for who, asked, process in turns:
                        found = await load(asked, [process], seconds)
                        if found.errors:
                            raise RuntimeError(f"{who}, {what}: {found.errors} errors of {found.requests}")
                        if number:
                            spent.setdefault((who, what), []).append(found)
    alone = by_pgbench(url, MANY, bodies["status"]["id"]) if kind == "PostgreSQL" else ""
    return [_line(kind, what, spent) for what in bench.calls], alone


def _line(kind: str, what: str, spent: dict[tuple[str, str], list[Loaded]]) -> str:
    floor = what.partition(",")[0]
    ours = [one.cpu_us for one in spent["ours", what]]
    read = [one.cpu_us for one in spent["read", what]]
    bare = [one.cpu_us for one in spent["bare", floor]]
    ratios = [one / other for one, other in zip(ours, read, strict=True)]
    ratio = statistics.median(ratios)
    per_second = statistics.median(one.per_second for one in spent["ours", what])
    goal = GOALS.get(what, 1.7)
    goal_text, met = f"<= {goal} x", "yes" if ratio <= goal else "no"
    if what == "status, 304":
        full = statistics.median(one.cpu_us for one in spent["ours", "status"])
        goal_text, met = f"< {full:.0f} us, the 200", "yes" if statistics.median(ours) < full else "no"
    return (
        f"| {kind}: {what} | {median_of(ours)} | {median_of(bare)} | {median_of(read)} | {median_of(ratios, 2)} x "
        f"| {goal_text} | {met} | {per_second:.0f} |"
    )


def by_pgbench(url: str, product: str, mockup_id: str) -> str:
    """What the floors' statements take by themselves on PostgreSQL: a client in C, one connection, prepared."""
    program = find_binaries() / "pgbench"
    if not program.exists():
        return "There is no pgbench beside this PostgreSQL: the statements by themselves were not measured."
    told = []
    for what, statement, key in (("one row", ONE, mockup_id), ("twenty rows", LIST, product)):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(statement.replace("$1", f"'{key}'") + ";\n")
            script.flush()
            command = [str(program), "-n", "-M", "prepared", "-c", "1", "-T", "3", "-f", script.name, url]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        latency = re.search(r"latency average = ([\d.]+) ms", printed)
        if latency is None:
            raise RuntimeError(printed)
        told.append(f"{what} {float(latency[1]) * 1000:.0f} us")
    return f"One statement of the floors alone, round trip, by pgbench on one connection: {', '.join(told)}."


async def _bodies(url: str, server: str, token: str) -> tuple[dict[str, Any], str, str]:
    """What the three answers look like, the product that they are about, and its validator."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=f"{server}/api/design", headers=headers, trust_env=False) as http:
        product = "product-000020"
        for number in range(20, 60):
            product = f"product-{number:06}"
            found = await http.get(f"/mockups/{product}/status")
            if found.status_code == 200 and found.json()["project_status"] == "completed":
                await look_fresh(url, found.json()["id"])
                break
        reuse = await http.post("/create-project", json={"product_id": product, "prompt": PROMPT})
        assert reuse.json()["is_existing"], reuse.text
        listed = await http.get(f"/mockups/{MANY}", params={"limit": 20})
        status = await http.get(f"/mockups/{product}/status")
    bodies = {"reuse": reuse.json(), "status": status.json(), "list": listed.json()}
    return bodies, product, status.headers["etag"]


def serve_command(port: int, python: Path = Path(sys.executable), first: str = "") -> list[str]:
    """`protokeep serve`, as users run it; `first` is Python that comes before."""
    return [str(python), "-c", f"{first}from protokeep.cli import main; main()", "serve", "--port", str(port)]


def environment(url: str) -> dict[str, str]:
    """The environment of a server whose builder is never reached."""
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_"))}
    return {
        **kept,
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "PROTOKEEP_DATABASE_URL": url,
        "PROTOKEEP_SECRET_KEY": SECRET,
        "PROTOKEEP_LOG_LEVEL": "error",
        "PROTOKEEP_REQUESTS_PER_MINUTE": "100000000",
        "V0_API_KEY": "unused",
        "V0_BASE_URL": "http://127.0.0.1:9",
    }


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", choices=["SQLite", "PostgreSQL"])
    given = parser.parse_args()
    before = crowded()
    lines = [
        "| request | server CPU, us | bare route, us | route with a raw read, us | ratio to it | goal | met | per s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    alone = ""
    with databases([given.only] if given.only else ("SQLite", "PostgreSQL")) as urls:
        for kind, url in urls.items():
            found, alone = asyncio.run(measure(kind, url, given.rows, given.seconds))
            lines += found
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(
        f"\nMedian (range) of {ROUNDS} rounds, each beside its floor; 8 connections, one token. {before}\n"
    )
    sys.stdout.write(alone + "\n")


if __name__ == "__main__":
    main()
