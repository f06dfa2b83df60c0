"""Real processes: an emulated v0, and protokeep's servers and workers, which may be killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import httpx2

TOKEN_SECRET = "chaos-chaos-chaos-chaos"
READY_SECONDS = 30.0


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Member:
    """One protokeep process that can be killed and started again, always on the same port."""

    def __init__(self, kind: str, environment: dict[str, str], log: Path) -> None:
        self.kind = kind
        self.port = free_port() if kind == "serve" else 0
        self.url = f"http://127.0.0.1:{self.port}"
        self.ready = False
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process's id; 0 when there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the process; does not wait until it is ready."""
        command = [sys.executable, "-c", "from protokeep.cli import main; main()", self.kind]
        if self.kind == "serve":
            command += ["--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self.ready = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> float:
        """SIGTERM; the seconds until it was gone."""
        if self._process is None:
            return 0.0
        began = asyncio.get_running_loop().time()
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, 30)
        self.ready = False
        return asyncio.get_running_loop().time() - began


class Fleet:
    """An emulated v0 and some members on one database."""

    def __init__(self, database_url: str, folder: Path, **settings: str) -> None:
        self.database_url = database_url
        self.folder = folder
        self.v0_url = f"http://127.0.0.1:{free_port()}"
        self.members: list[Member] = []
        self.http = httpx2.AsyncClient(timeout=40.0, limits=httpx2.Limits(max_connections=400))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_"))},
            "PROTOKEEP_DATABASE_URL": database_url,
            "PROTOKEEP_SECRET_KEY": TOKEN_SECRET,
            "PROTOKEEP_CREATES_PER_PERSON": "0",
            "PROTOKEEP_CREATES_PER_PRODUCT": "0",
            "PROTOKEEP_CREATES_PER_WORKSPACE": "0",
            "V0_API_KEY": "chaos",
            "V0_BASE_URL": self.v0_url,
            **settings,
        }
        self._sandbox: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.token = ""

    async def __aenter__(self) -> Self:
        log = (self.folder / "sandbox.log").open("ab")
        command = [sys.executable, "-c", "from protokeep.cli import main; main()", "sandbox", "--port"]
        port = self.v0_url.rsplit(":", 1)[1]
        self._sandbox = subprocess.Popen([*command, port], env=self.environment, stdout=log, stderr=log)
        log.close()
        await self.until_ready(f"{self.v0_url}/_sandbox/stats")
        created = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from protokeep.cli import main; main()",
            *("token", "create", "--role", "admin", "--plain"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await created.communicate()
        self.token = output.decode().strip()
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
        for member in self.members:
            member.kill()
        if self._sandbox is not None:
            self._sandbox.kill()
            self._sandbox.wait()
        await self.http.aclose()

    def stop_watching(self) -> None:
        """Ask no server for its readiness any more: an idle one is to be idle."""
        if self._watching is not None:
            self._watching.cancel()

    def add(self, kind: str) -> Member:
        """Start one more member."""
        member = Member(kind, self.environment, self.folder / f"{kind}-{len(self.members)}.log")
        self.members.append(member)
        member.start()
        return member

    @property
    def servers(self) -> list[Member]:
        """The members that answer HTTP."""
        return [member for member in self.members if member.kind == "serve"]

    async def until_ready(self, url: str) -> None:
        """Wait until an address answers 200."""
        async with asyncio.timeout(READY_SECONDS):
            while not await self._answers(url):
                await asyncio.sleep(0.05)

    async def sandbox(self, method: str, path: str, **body: Any) -> Any:
        """One call of the emulated v0's controls."""
        response = await self.http.request(method, f"{self.v0_url}/_sandbox/{path}", json=body or None)
        response.raise_for_status()
        return response.json()

    async def _answers(self, url: str) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return (await self.http.get(url, timeout=2.0)).status_code == 200
        return False

    async def _watch(self) -> None:
        """What a load balancer does: ask every server, again and again, whether it takes requests."""
        while True:
            for member in self.servers:
                member.ready = await self._answers(f"{member.url}/readyz")
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def fleet_of(database_url: str, **settings: str) -> AsyncIterator[Fleet]:
    """A fleet in a temporary folder; its logs are kept there until the end."""
    with tempfile.TemporaryDirectory(prefix="protokeep-chaos-") as folder:
        async with Fleet(database_url, Path(folder), **settings) as fleet:
            yield fleet
