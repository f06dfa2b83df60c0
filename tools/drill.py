"""The drill of backup and restore, with real processes: `make drill`, or `make drill ARGS=postgresql` for one kind.

It makes an installation with prototypes, backs it up while it runs by the commands of docs/operations.md, goes on
working, loses the database, restores it by the documented commands, and checks that everything is there: what the copy
held, and what was made after it, which comes back from v0 and is made nowhere twice. Needs `pg_dump` and `pg_restore`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from postgres import PostgresServer, find_binaries
from processes import Running, run, started
from protokeep.sandbox import Knobs, Sandbox, running

#: Products made before the backup, and after it.
BEFORE, AFTER = 20, 10
#: The longest wait for what was made since the copy: v0's lists may lag, so that the search begins after 45 s.
PATIENCE_SECONDS = 180.0
#: How long nothing runs before a start on SQLite's copy: as docs/operations.md says, v0's lists may lag.
QUIET_SECONDS = 90.0
SECRET = "the-secret-of-the-drill-guards-nothing-0001"  # noqa: S105


class Installation:
    """One installation of the drill: its folder, its environment, and the v0 in front of it."""

    def __init__(self, folder: Path, url: str, v0_url: str, sandbox: Sandbox) -> None:
        self.folder = folder
        self.url = url
        self.sandbox = sandbox
        self.token = ""
        self.values = {"PROTOKEEP_DATABASE_URL": url, "V0_API_KEY": "key", "V0_BASE_URL": v0_url}
        if not url.startswith("sqlite"):
            self.values["PROTOKEEP_SECRET_KEY"] = SECRET

    async def command(self, *words: str) -> str:
        """The output of `protokeep WORDS`, which has to succeed."""
        ended = await run(self.folder, *words, **self.values)
        if ended.code:
            raise SystemExit(f"protokeep {' '.join(words)} failed: {ended.err}")
        return ended.out

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of `protokeep serve`, which is stopped at the end."""
        async with started(self.folder, "serve", "--port", "0", **self.values) as server:
            address = (await server.says(r"serving on (http://\S+)"))[1]
            headers = {"Authorization": f"Bearer {self.token}"}
            async with httpx2.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
                yield client
            await _stop(server)


async def _stop(server: Running) -> None:
    server.process.send_signal(signal.SIGTERM)
    await server.process.wait()


async def create(client: httpx2.AsyncClient, numbers: range) -> dict[str, str]:
    """Ask for the prototypes of some products. Their ids by product."""
    made = {}
    for number in numbers:
        body = {"product_id": f"product-{number}", "prompt": f"A page for product {number}"}
        answer = await client.post("/api/design/create-project", json=body)
        answer.raise_for_status()
        made[body["product_id"]] = str(answer.json()["id"])
    return made


async def found(client: httpx2.AsyncClient, products: list[str]) -> dict[str, dict[str, Any]]:
    """The prototypes of some products; a product without one is missing."""
    answers = {}
    for product in products:
        answer = await client.get(f"/api/design/mockups/{product}/status", params={"provider": "v0"})
        if answer.status_code == httpx2.codes.OK:
            answers[product] = answer.json()
    return answers


async def wait_for(client: httpx2.AsyncClient, products: list[str]) -> dict[str, dict[str, Any]]:
    """The prototypes of all these products, once each is completed."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        answers = await found(client, products)
        if len(answers) == len(products) and all(one["state"] == "ready" for one in answers.values()):
            return answers
        if time.monotonic() > ends:
            missing = sorted(set(products) - set(answers))
            raise SystemExit(f"the drill failed: missing {missing}, and {[one['state'] for one in answers.values()]}")
        await asyncio.sleep(0.5)


def back_up_postgresql(url: str, copy: Path) -> None:
    """`pg_dump --format=custom "$PROTOKEEP_DATABASE_URL" > copy`."""
    with copy.open("wb") as output:
        subprocess.run([find_binaries() / "pg_dump", "--format=custom", url], stdout=output, check=True)


def restore_postgresql(url: str, copy: Path) -> None:
    """`pg_restore --clean --if-exists --single-transaction --dbname="$PROTOKEEP_DATABASE_URL" copy`."""
    command = [
        find_binaries() / "pg_restore",
        "--clean",
        "--if-exists",
        "--single-transaction",
        f"--dbname={url}",
        copy,
    ]
    subprocess.run(command, check=True)


class Stopwatch:
    """Prints how long each step took."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._began = time.monotonic()

    def told(self, step: str) -> None:
        now = time.monotonic()
        sys.stdout.write(f"{self._kind:11} {step:58} {now - self._began:7.2f} s\n")
        sys.stdout.flush()
        self._began = now


async def drill(kind: str, folder: Path, url: str, server: PostgresServer | None) -> None:
    """The whole drill on one kind of database. Exits with a line where a promise is broken."""
    sandbox = Sandbox(knobs=Knobs(generation_seconds=1))
    copy = folder / "protokeep.copy"
    async with running(sandbox) as v0_url:
        one = Installation(folder, url, v0_url, sandbox)
        watch = Stopwatch(kind)
        made = await one.command("token", "create", "--local", "--role", "admin", "--user", "ada", "--json")
        one.token = json.loads(made)["token"]
        async with one.serving() as client:
            ids = await create(client, range(BEFORE))
            await wait_for(client, list(ids))
            watch.told(f"an installation with {BEFORE} prototypes")
            if server is None:
                await one.command("backup", str(copy))
                shutil.copy(folder / "protokeep.db.secret", folder / "secret.copy")
            else:
                await asyncio.to_thread(back_up_postgresql, url, copy)
            watch.told(f"backed up while it runs ({copy.stat().st_size / 1000:,.0f} kB)")
            later = await create(client, range(BEFORE, BEFORE + AFTER))
            await wait_for(client, list(later))
            watch.told(f"{AFTER} more prototypes since the copy")
        lose(one, server)
        watch.told("stopped, and the database is lost")
        if server is None:
            shutil.copy(copy, folder / "protokeep.db")
            shutil.copy(folder / "secret.copy", folder / "protokeep.db.secret")
            await asyncio.sleep(QUIET_SECONDS)
        else:
            await asyncio.to_thread(restore_postgresql, url, copy)
        watch.told("restored" + ("" if server else f", and {QUIET_SECONDS:.0f} s waited as documented"))
        async with one.serving() as client:
            await wait_for(client, list(ids))
            watch.told("started; everything of the copy is there")
            again = await wait_for(client, [*ids, *later])
            watch.told("everything made since is there again")
            check(one, await create(client, range(BEFORE + AFTER)), {**ids, **later}, again)
            watch.told("asked for everything again: nothing is made twice")


def lose(one: Installation, server: PostgresServer | None) -> None:
    """Lose the database, and SQLite's secret beside it, as with a broken disk."""
    if server is None:
        for suffix in ("", "-wal", "-shm", ".secret"):
            (one.folder / f"protokeep.db{suffix}").unlink(missing_ok=True)
        return
    name = one.url.rpartition("/")[2]
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0")


def check(one: Installation, asked: dict[str, str], ids: dict[str, str], again: dict[str, dict[str, Any]]) -> None:
    """Exit with a line unless each product has the prototype that it had, and v0 one chat for each."""
    if asked != ids or {product: view["id"] for product, view in again.items()} != ids:
        raise SystemExit("the drill failed: a product has another prototype than before")
    if one.sandbox.chats_created != BEFORE + AFTER:
        raise SystemExit(f"the drill failed: v0 made {one.sandbox.chats_created} chats for {BEFORE + AFTER} products")


def main(kinds: list[str]) -> None:
    """Run the drill on the kinds that are named, or on both."""
    for kind in kinds or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory(prefix="protokeep-drill-") as folder, contextlib.ExitStack() as stack:
            if kind == "sqlite":
                asyncio.run(drill(kind, Path(folder), "sqlite:///protokeep.db", None))
                continue
            server = stack.enter_context(PostgresServer({"fsync": "on"}))
            asyncio.run(drill(kind, Path(folder), server.create_database(), server))
    sys.stdout.write("drill: nothing was lost, nothing was made twice\n")


if __name__ == "__main__":
    main(sys.argv[1:])
