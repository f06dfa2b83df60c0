"""The emulator as one object: an ASGI app for clients, and plain methods for tests."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse

from .backend import Backend, Deletions, Request
from .callers import foreign, misdirected
from .control import Control
from .dispatch import Dispatcher, hang_up
from .emulator import HungUp
from .hooks import Hooks
from .http import Refusal
from .knobs import EditKind, FinishReason, Knobs
from .people import Edit, People
from .site.pages import Pages
from .state import Account, Chat, Message
from .v1 import operations as v1_operations
from .v2 import operations as v2_operations


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class Sandbox:
    """An emulator of v0's API v1 (under /v1) and v2 (under /v2), its state in memory.

    `clock` alone decides whether a generation is finished and a chat is listed; nothing changes by itself. `reset` goes
    back to `knobs`. With a `random_seed` ids, durations and failures repeat. It answers requests to this machine's own
    names, and to `allowed_hosts`; `*` is any name.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = utc_now,
        knobs: Knobs | None = None,
        random_seed: int | None = None,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self.clock = clock
        self.allowed_hosts = tuple(host.lower() for host in allowed_hosts)
        self._initial = (knobs or Knobs()).model_copy(deep=True)
        self._rng = random.Random(random_seed)
        self._closing = asyncio.Event()
        self.knobs = self._initial
        self.hooks = Hooks(clock, lambda: self.knobs)
        self.held_requests = 0  #: creates that `hold_creates` keeps waiting
        self.before_request: Callable[[Request], None] | None = None  #: a test's own, called before a request acts
        self._start_over()
        self.app = App(self)

    # For tests and for the control API.

    @property
    def chats(self) -> Mapping[str, Chat]:
        """Every chat by id, in the order of creation. Deleted chats stay here, marked as deleted."""
        return self.backend.chats

    @property
    def chats_created(self) -> int:
        """How many chats were created in both versions since the start or the last reset."""
        return sum(count.created for count in self.backend.counts.values())

    @property
    def deletions(self) -> Deletions:
        """How often clients asked to delete a chat, and how often that deleted it, by the chat's id."""
        return self.backend.deletions

    @property
    def requests(self) -> Sequence[Request]:
        """The requests with a key to operations that are emulated, in the order of arrival; the last 200,000."""
        return self.backend.requests

    def stats(self) -> dict[str, Any]:
        """The wire shape of `GET /_sandbox/stats`."""
        calls: Counter[str] = Counter()
        for count in self.backend.counts.values():
            calls.update(count.calls)
        return {
            "chats_created": self.chats_created,
            "chats_deleted": sum(count.deleted for count in self.backend.counts.values()),
            "calls": dict(calls),
            "v1": self.backend.counts["v1"].as_json(),
            "v2": self.backend.counts["v2"].as_json(),
            "scopes": dict(self.scopes),
            "not_emulated": dict(self.not_emulated),
            "statuses": dict(self.statuses),
            "held": self.held_requests,
            "hooks_delivered": self.hooks.delivered,
        }

    def set_knobs(self, **changes: Any) -> Knobs:
        """Change some knobs. Raises `UnknownKnob` without any change."""
        self.knobs = self.knobs.changed(changes)
        return self.knobs

    def reset(self) -> None:
        """Forget chats, accounts, hooks and counters, and set the knobs of the construction again."""
        self.hooks.forget()
        self._start_over()

    def _start_over(self) -> None:
        self.knobs = self._initial.model_copy(deep=True)
        self.backend = Backend(self._rng, self._publish)
        self.people = People(self.backend)
        self.scopes: Counter[str] = Counter()  #: requests by `scope`
        self.statuses: Counter[str] = Counter()  #: answers by status; `dropped`: closed connections
        self.not_emulated: Counter[str] = Counter()  #: requests without a handler, by method and path

    def finish(self, chat_id: str, outcome: FinishReason = "stop") -> None:
        """End the running generation of a chat now. KeyError for an unknown id, `Refusal` if none runs."""
        chat = self.chats[chat_id]
        now = self.clock()
        reply = chat.last_reply()
        if reply is None or reply.finish_reason(now) is not None:
            raise Refusal(409, "Nothing is being generated")
        self.backend.end(chat, reply, outcome, now)

    def delete(self, chat_id: str) -> None:
        """Delete a chat as a person on v0's site would. Raises KeyError for an unknown id; twice is once."""
        chat = self.chats[chat_id]
        if not chat.deleted:
            self.backend.delete_chat(chat, self.clock())

    def restore(self, chat_id: str) -> None:
        """Take a chat out of the trash, as a person on v0's site might. `Refusal` if it is not in there."""
        self.backend.restore_chat(self.chats[chat_id], self.clock())

    def edit(self, chat_id: str, kind: EditKind) -> Edit:
        """Edit a chat as another person would, now. Raises KeyError for an unknown id."""
        return self.people.edit(self.chats[chat_id], kind, self.clock(), self.knobs)

    # For the server.

    def open(self) -> None:
        """Prepare for requests. A closed sandbox can be opened again and has its state still."""
        self._closing = asyncio.Event()

    async def close(self) -> None:
        """Close the connections of all waiting requests without an answer."""
        self._closing.set()
        await self.hooks.close()

    async def pause(self, seconds: float) -> None:
        """Wait in real time. Raises `HungUp` if the server closes meanwhile."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._closing.wait(), seconds)
            except TimeoutError:
                return
            raise HungUp

    def _publish(self, account: Account, event: str, chat: Chat, message: Message | None) -> None:
        self.hooks.publish(account, event, chat, message)


class App:
    """The ASGI app of a sandbox: v0's two APIs, the control API and the pages."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._dispatchers = {
            "/v1/": Dispatcher(sandbox, v1_operations),
            "/v2/": Dispatcher(sandbox, v2_operations),
        }
        self._control = Control(sandbox).app()
        self._pages = Pages(sandbox).app()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Route one request by its path."""
        path: str = scope.get("path", "")
        if path.startswith("/api/v"):  # Some releases of v0's own clients, and older documentation, write /api/v2.
            path = path[4:]
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
        elif reason := misdirected(headers, self._sandbox.allowed_hosts):
            await JSONResponse({"message": reason}, 421)(scope, receive, send)
        elif path.startswith("/_sandbox") and (reason := foreign(headers)):
            await JSONResponse({"message": reason}, 403)(scope, receive, send)
        elif path.startswith("/_sandbox"):
            await self._control(scope, receive, send)
        elif self._sandbox.knobs.down:
            await hang_up(receive, send)
        elif (dispatcher := self._dispatchers.get(path[:4])) is not None:
            await dispatcher.answer({**scope, "path": path}, receive, send)
        else:
            await self._pages(scope, receive, send)
