"""The world of one scenario: the adversary's v0 in this process, a database, protokeep's processes, and clicks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx2

from adversary.databases import Database, PostgresDatabase
from adversary.judge import UNSETTLED, Evidence, Expected, judge
from adversary.members import COMMAND, Clock, Member, clean_environment
from adversary.proxies import Proxy
from adversary.report import Report
from adversary.v0 import V0

SECRET = "adversary-adversary-adversary-0123456789"
#: Waits that end soon: a create's limit, the time until a lost one is sent again, and the wait of a click.
QUICK = {
    "PROTOKEEP_CREATE_TIMEOUT_SECONDS": "4",
    "PROTOKEEP_SETTLE_SECONDS": "14",
    "PROTOKEEP_ACCEPT_WAIT_SECONDS": "3",
}
UNLIMITED = {
    "PROTOKEEP_CREATES_PER_PERSON": "0",
    "PROTOKEEP_CREATES_PER_PRODUCT": "0",
    "PROTOKEEP_CREATES_PER_WORKSPACE": "0",
    "PROTOKEEP_V0_CALLS_PER_MINUTE": "0",
    "PROTOKEEP_V0_CALLS_PER_DAY": "0",
    "PROTOKEEP_REQUESTS_PER_MINUTE": "0",
    "PROTOKEEP_BIN_DAYS": "0",
}
READY_SECONDS = 45.0
JSON = dict[str, Any]


class CouldNotRunError(Exception):
    """The scenario has no verdict: something of this machine is missing or did not start."""


class World:
    """What a scenario gets. `short`: a quick form with few products, to be seen in seconds where that can be."""

    def __init__(self, database: Database, folder: Path, report: Report, *, version: int, short: bool) -> None:
        self.database = database
        self.folder = folder
        self.report = report
        self.version = version
        self.short = short
        self.v0 = V0()
        self.members: list[Member] = []
        self.http = httpx2.AsyncClient(timeout=60.0, limits=httpx2.Limits(max_connections=300))
        self.environment: dict[str, str] = {}
        self._proxies: list[Proxy] = []
        self._clicks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self.v0.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for click in list(self._clicks):
            click.cancel()
        await asyncio.gather(*self._clicks, return_exceptions=True)
        for member in self.members:
            member.wake()
            member.kill()
        await self.http.aclose()
        for proxy in self._proxies:
            await proxy.stop()
        await self.v0.stop()
        await self.database.drop()

    async def open(self, *kinds: str, defaults: bool = False, **settings: str) -> None:
        """Make the database and a token, and start members. `defaults`: with the settings that users have."""
        self.environment = clean_environment(
            PROTOKEEP_SECRET_KEY=SECRET,
            PROTOKEEP_DATABASE_URL=self.database.url,
            V0_API_KEY="k1",
            V0_BASE_URL=self.v0.url,
            V0_API_VERSION=str(self.version),
            **{**UNLIMITED, **({} if defaults else QUICK), **settings},
        )
        self.http.headers["Authorization"] = f"Bearer {await self.token('admin', 'ada')}"
        for kind in kinds:
            self.add(kind)
        await self.ready(*self.members)

    def pick(self, *, short: int, full: int) -> int:
        """A number of the form that is run."""
        return short if self.short else full

    # Processes.

    async def command(self, *arguments: str, **environment: str) -> str:
        """Run `protokeep ARGUMENTS` to its end; what it printed."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            env={**self.environment, **environment},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise CouldNotRunError(f"protokeep {' '.join(arguments)}: {err.decode()[-400:]}")
        return out.decode().strip()

    async def token(self, role: str, person: str) -> str:
        """A token of a person's."""
        return await self.command("token", "create", "--role", role, "--user", person, "--plain")

    def add(self, kind: str, name: str = "", **environment: str) -> Member:
        """Start one more member; does not wait until it is ready."""
        name = name or f"{kind}-{len(self.members)}"
        member = Member(kind, name, {**self.environment, **environment}, self.folder)
        self.members.append(member)
        member.start()
        return member

    async def ready(self, *members: Member) -> None:
        """Wait until servers say that they are ready."""
        for member in members:
            if member.kind == "serve" and not await self.until(partial(self._is_ready, member)):
                raise CouldNotRunError(f"{member.name} is not ready: {member.output()[-400:]}")

    async def restart(self, member: Member, *, politely: bool = False) -> None:
        """Kill or stop a member, start it again, and wait until it is ready."""
        await (member.stop() if politely else asyncio.to_thread(member.kill))
        member.start()
        await self.ready(member)

    async def database_proxy(self) -> tuple[Proxy, dict[str, str]]:
        """A proxy before PostgreSQL, and the environment of a member that goes through it."""
        assert isinstance(self.database, PostgresDatabase)
        proxy = await Proxy(self.database.port).start()
        self._proxies.append(proxy)
        url = self.database.url.replace(f":{self.database.port}/", f":{proxy.port}/")
        return proxy, {"PROTOKEEP_DATABASE_URL": url}

    async def v0_proxy(self) -> tuple[Proxy, dict[str, str]]:
        """A proxy before v0, and the environment of a member that goes through it."""
        proxy = await Proxy(int(self.v0.url.rpartition(":")[2])).start()
        self._proxies.append(proxy)
        return proxy, {"V0_BASE_URL": f"http://127.0.0.1:{proxy.port}"}

    def clock(self, name: str = "clock") -> Clock:
        """A wall clock for a member: pass its `environment` to `add`."""
        return Clock(self.folder / name)

    # Clicks, through the API as people's programs send them.

    async def create(
        self,
        product: str,
        member: Member | None = None,
        *,
        wait: int | None = None,
        key: str | None = None,
        prompt: str | None = None,
        another: bool = False,
        patience: float = 60.0,
    ) -> httpx2.Response:
        """Ask for a product's prototype. `wait`: seconds that the request may wait; 0: none."""
        body = {"product_id": product, "prompt": prompt or f"A page for {product}", "create_new": another}
        url = f"{self._server(member)}/api/design/create-project"
        return await self.http.post(url, headers=_headers(wait, key), json=body, timeout=patience)

    async def send_follow_up(
        self,
        prototype_id: str,
        text: str,
        member: Member | None = None,
        *,
        wait: int | None = None,
        key: str | None = None,
        token: str | None = None,
        patience: float = 60.0,
    ) -> httpx2.Response:
        """Send a follow-up; `token`: as somebody else."""
        headers = _headers(wait, key) | ({"Authorization": f"Bearer {token}"} if token else {})
        url = f"{self._server(member)}/api/design/prototypes/{prototype_id}/messages"
        return await self.http.post(url, headers=headers, json={"message": text}, timeout=patience)

    async def view(self, prototype_id: str, member: Member | None = None) -> JSON:
        """A prototype as people see it; a problem's body where there is none."""
        response = await self.http.get(f"{self._server(member)}/api/design/prototypes/{prototype_id}")
        found: JSON = response.json()
        return found

    async def status(self, product: str, member: Member | None = None) -> JSON:
        """The status of a product's newest prototype."""
        response = await self.http.get(f"{self._server(member)}/api/design/mockups/{product}/status")
        found: JSON = response.json()
        return found

    async def delete(self, prototype_id: str) -> httpx2.Response:
        """Delete a prototype."""
        return await self.http.delete(f"{self._server(None)}/api/design/prototypes/{prototype_id}")

    def begin(self, click: Awaitable[httpx2.Response]) -> asyncio.Task[httpx2.Response | None]:
        """Let a click go on by itself; None where nothing answered it."""

        async def go_on() -> httpx2.Response | None:
            with contextlib.suppress(httpx2.HTTPError):
                return await click
            return None

        task = asyncio.create_task(go_on())
        self._clicks.add(task)
        task.add_done_callback(self._clicks.discard)
        return task

    async def create_ready(self, *products: str) -> dict[str, str]:
        """Prototypes that are ready, as product -> id."""
        answers = [await self.create(product) for product in products]
        made = {product: str(answer.json()["id"]) for product, answer in zip(products, answers, strict=True)}
        await self.all_are("ready", *made.values())
        return made

    # Waits and verdicts.

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = READY_SECONDS) -> bool:
        """Whether a condition came true in time."""
        ends = time.monotonic() + seconds
        while not await condition():
            if time.monotonic() > ends:
                return False
            await asyncio.sleep(0.25)
        return True

    async def all_are(self, state: str, *prototype_ids: str, seconds: float = READY_SECONDS) -> bool:
        """Whether all prototypes reached a state in time."""

        async def there() -> bool:
            return all([(await self.view(one)).get("state") == state for one in prototype_ids])

        return await self.until(there, seconds)

    async def settles(self, seconds: float = 90.0) -> bool:
        """Wait until no create and no follow-up is under way; whether that came in time."""

        async def settled() -> bool:
            return not (await self.database.rows(UNSETTLED))[0]["n"]

        return await self.until(settled, seconds)

    async def verdict(
        self, creates: Mapping[str, Expected] | None = None, messages: Mapping[str, Expected] | None = None
    ) -> Evidence:
        """Judge all that is there now."""
        return await judge(self.database, self.v0, self.report, creates=creates, messages=messages)

    def _server(self, member: Member | None) -> str:
        return (member or next(one for one in self.members if one.kind == "serve")).url

    async def _is_ready(self, member: Member) -> bool:
        if member.exit_code is not None:
            raise CouldNotRunError(f"{member.name} has ended: {member.output()[-400:]}")
        with contextlib.suppress(httpx2.HTTPError):
            return (await self.http.get(f"{member.url}/readyz", timeout=2.0)).status_code == 200
        return False


def _headers(wait: int | None, key: str | None) -> dict[str, str]:
    headers = {"Idempotency-Key": key} if key else {}
    if wait is not None:
        headers["Prefer"] = f"wait={wait}" if wait else "respond-async"
    return headers
