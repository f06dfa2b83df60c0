"""A demo for tests: an emulated v0 and a served protokeep, in a thread of their own, reached over real HTTP.

The thread leaves the test's own event loop alone, so that blocking clients, coroutines and child processes may all
be used against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx2

from protokeep.core.principals import Role
from protokeep.sandbox import Knobs, Sandbox, running
from protokeep.settings import Settings
from protokeep.web.app import create_app
from protokeep.web.server import address_of, listen, serving


class Demo:
    """The addresses of the servers, and the calls that the emulated v0 counted."""

    def __init__(
        self, url: str, v0_url: str, token: str, viewer_token: str, admin_token: str, settings: Settings
    ) -> None:
        self.url = url
        self.v0_url = v0_url
        self.token = token
        self.viewer_token = viewer_token
        self.admin_token = admin_token
        self.settings = settings
        self._v0 = httpx2.Client(base_url=v0_url, trust_env=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a client needs."""
        return {"PROTOKEEP_URL": self.url, "PROTOKEEP_TOKEN": self.token}

    @property
    def chats_created(self) -> int:
        """Chats that v0 made, in both versions of its API."""
        stats = self._v0.get("/_sandbox/stats").json()
        return int(stats["v1"]["chats_created"] + stats["v2"]["chats_created"])

    def turn(self, **knobs: Any) -> None:
        """Turn knobs of the emulated v0."""
        self._v0.patch("/_sandbox/knobs", json=knobs).raise_for_status()

    def seed(self, **account: Any) -> None:
        """Fill the account of the server's key with old chats."""
        self._v0.post("/_sandbox/accounts", json={"key": "test", **account}).raise_for_status()

    def chats(self) -> list[dict[str, Any]]:
        """Every chat there is."""
        found: list[dict[str, Any]] = self._v0.get("/_sandbox/chats").json()["chats"]
        return found

    def messages(self, words: str) -> int:
        """How many messages of all chats have this text."""
        said = [one for chat in self.chats() for one in chat["messages"] if one["role"] == "user"]
        return sum(one["content"] == words for one in said)

    def wait_for_chats(self, count: int = 1) -> None:
        """Return once v0 has created so many chats: a create that is answered at once is sent a moment later."""
        ends = time.monotonic() + 10
        while self.chats_created < count:
            assert time.monotonic() < ends, f"v0 made {self.chats_created} of {count} chats"
            time.sleep(0.01)

    def finish(self, outcome: str = "stop", *, chats: int = 1) -> None:
        """End every generation that runs, once there are so many chats."""
        self.wait_for_chats(chats)
        for chat in self.chats():
            self._v0.post(f"/_sandbox/chats/{chat['id']}/finish", json={"outcome": outcome})

    def close(self) -> None:
        self._v0.close()


@contextlib.contextmanager
def demo(folder: Path, *, knobs: Knobs | None = None, **settings: Any) -> Iterator[Demo]:
    """A running protokeep in front of an emulated v0 whose generations take until `finish()`, unless `knobs` say."""
    ready: Future[Demo] = Future()
    stops: list[Callable[[], object]] = []

    async def main() -> None:
        emulator = Sandbox(knobs=knobs or Knobs(generation_seconds=3600))
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with running(emulator) as v0_url:
            chosen = Settings(
                **{
                    "database_url": f"sqlite:///{folder / 'served.db'}",
                    "v0_api_key": "test",
                    "v0_base_url": v0_url,
                    "v0_web_url": v0_url,
                    "poll_interval_seconds": 0.2,
                    **settings,
                }
            )
            app = create_app(chosen)
            listener = listen("127.0.0.1", 0)
            async with serving(app, listener):
                tokens = app.state.application.tokens
                token, _ = await tokens.create(Role.MAKER, user_id="ana")
                viewer, _ = await tokens.create(Role.VIEWER, user_id="vic")
                admin, _ = await tokens.create(Role.ADMIN, user_id="ada")
                ready.set_result(Demo(address_of(listener), v0_url, token, viewer, admin, chosen))
                await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # told to the test, which waits
            if not ready.done():
                ready.set_exception(error)
            else:
                raise

    thread = threading.Thread(target=run, name="demo")
    thread.start()
    try:
        served = ready.result(timeout=30)
        yield served
        served.close()
    finally:
        for stop in stops:
            with contextlib.suppress(RuntimeError):  # The server ended by itself; its log says why.
                stop()
        thread.join(timeout=20)
