"""The asynchronous client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx2

from protokeep.client import arrangement, catalogue, deleted, operations, variants
from protokeep.client.connection import (
    FAILURES,
    POLL_SECONDS,
    STREAM_TIMEOUT,
    answer_of,
    no_answer_of,
    open_http,
    request_of,
)
from protokeep.client.errors import OtherEventLoop
from protokeep.client.models import ActionResult, Change, Ensured, Prototype, PrototypeDetail
from protokeep.client.operations import LONGEST_HOLD, Operation, Outcome, Pause, Progress, Step
from protokeep.client.streams import EVENTS_PATH, EventReader, change_of

T = TypeVar("T")


class AsyncProtokeep:
    """One server, one token. Use as a context manager, or `aclose()` it.

    Belongs to the event loop of its first request: in another one, such as that of a second `asyncio.run`, each call
    raises `OtherEventLoop`.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """`url` and `token` default to PROTOKEEP_URL and PROTOKEEP_TOKEN, or the file of PROTOKEEP_TOKEN_FILE."""
        self._http = open_http(httpx2.AsyncClient, url, token, transport)
        self.url = str(self._http.base_url).rstrip("/")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Those of an event loop that has ended are left to it."""
        if self._loop in (None, asyncio.get_running_loop()):
            await self._http.aclose()

    def _require_own_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise OtherEventLoop(
                "This AsyncProtokeep belongs to another event loop, whose connections it holds. Make one inside each "
                "asyncio.run, or take Protokeep, which needs no event loop."
            )

    async def ensure(
        self,
        product_id: str,
        prompt: str,
        *,
        provider: str = "v0",
        create_new: bool = False,
        product_name: str | None = None,
        idempotency_key: str | None = None,
        wait: float | None = None,
        product_is_new: bool = False,
    ) -> Ensured:
        """The product's prototype, created if there is none that can be used, or if `create_new` asks for another.

        `wait`: seconds to wait until the app builder accepts it; 0 answers at once, None takes the server's default.
        The request has an idempotency key, a new one unless it is given. An error carries it as `idempotency_key`: the
        same call with that key creates nothing twice. `product_is_new`: this is another product than one whose id reads
        the same; some servers ask for it (`Refused` of the kind unclear-product), and all tell such products in
        `decision.similar`.
        """
        return await self._run(
            operations.ensure(
                product_id,
                prompt,
                provider=provider,
                create_new=create_new,
                product_name=product_name,
                idempotency_key=idempotency_key,
                wait=wait,
                product_is_new=product_is_new,
            )
        )

    async def get(self, prototype_id: str) -> PrototypeDetail:
        """One prototype with its history. Raises `NotFound`."""
        return await self._run(operations.get(prototype_id))

    async def list(
        self, product_id: str, *, limit: int = 100, **filters: str | bool | None
    ) -> AsyncIterator[Prototype]:
        """All prototypes of a product, newest first, read in pages of `limit`. Filters: provider, status, mine."""
        cursor: str | None = None
        while True:
            prototypes, cursor = await self.page(product_id, cursor=cursor, limit=limit, **filters)
            for prototype in prototypes:
                yield prototype
            if cursor is None:
                return

    async def page(
        self, product_id: str, *, cursor: str | None = None, limit: int = 20, **filters: str | bool | None
    ) -> tuple[Sequence[Prototype], str | None]:
        """(one page of a product's prototypes, the cursor of the next page). The cursor of the last page is None."""
        return await self._run(catalogue.page(product_id, cursor, limit, filters))

    async def search(
        self, words: str = "", *, limit: int = 100, **filters: str | bool | datetime | None
    ) -> AsyncIterator[Prototype]:
        """The workspace's prototypes that have all `words`, one for each product, newest first; all without words.

        Filters: state, product, provider, person, mine, tag, favourite, archived ("no", "only" or "any"),
        created_after, created_before, updated_after, updated_before (instants), sort ("newest", "oldest", "updated"
        or "name").
        """
        cursor: str | None = None
        while True:
            prototypes, cursor = await self.search_page(words, cursor=cursor, limit=limit, **filters)
            for prototype in prototypes:
                yield prototype
            if cursor is None:
                return

    async def search_page(
        self, words: str = "", *, cursor: str | None = None, limit: int = 20, **filters: str | bool | datetime | None
    ) -> tuple[Sequence[Prototype], str | None]:
        """(one page of a search, the cursor of the next page). The cursor of the last page is None."""
        return await self._run(catalogue.search_page(words, cursor, limit, filters))

    async def status(self, product_id: str, *, provider: str = "v0", hold: float = 0) -> Prototype:
        """The product's prototype as it is now. Creates nothing. Raises `NotFound`.

        With `hold`, the server answers when the state changes, or after that many seconds.
        """
        return await self._run(operations.status(product_id, provider=provider, hold=hold))

    async def wait(
        self,
        product_id: str,
        *,
        provider: str = "v0",
        seconds: float = 900.0,
        progress: Progress | None = None,
        hold: float = LONGEST_HOLD,
    ) -> Prototype:
        """The product's prototype, as soon as it is completed, failed or timed out. Raises `NotFinished`.

        `progress` is called with the prototype after each answer of the server, at least every `hold` seconds.
        """
        return await self._run(
            operations.wait(product_id, provider=provider, seconds=seconds, progress=progress, hold=hold)
        )

    async def iterate(self, prototype_id: str, message: str, *, idempotency_key: str | None = None) -> Prototype:
        """Send a follow-up message into the prototype's chat; the prototype is in progress again.

        The message is sent once per idempotency key, a new one unless it is given. An error carries it as
        `idempotency_key`: the same call with that key sends nothing twice.
        """
        return await self._run(operations.iterate(prototype_id, message, idempotency_key=idempotency_key))

    async def stop(self, prototype_id: str) -> Prototype:
        """Stop the running generation. A prototype whose generation has ended is returned as it is.

        If the answer is lost, check the prototype before stopping again: a repeat stops whatever runs by then.
        """
        return await self._run(operations.stop(prototype_id))

    async def delete(self, prototype_id: str, *, now: bool = False) -> Prototype | None:
        """Delete a prototype, here and at the app builder; an admin any, a maker their own. None: deleted.

        Otherwise the prototype is returned: it waits in the bin until `deletion_due_at`, or the server tries its
        deletion again by itself. Deleting again is safe. With `now`, an admin deletes past the bin.
        """
        return await self._run(operations.delete(prototype_id, now=now))

    async def make_current(self, prototype_id: str) -> Prototype:
        """Make a variant the current one of its product: whoever asks for the product gets it from now on."""
        return await self._run(variants.make_current(prototype_id))

    async def name_variant(self, prototype_id: str, name: str | None) -> Prototype:
        """Give a variant a short name, by which people tell it from the others; None takes it away."""
        return await self._run(variants.name_variant(prototype_id, name))

    async def set_tag(self, product_id: str, tag: str, *, has: bool = True) -> Prototype:
        """Give a product a tag, or (`has` False) take it away. Returns the product's prototype. Raises `NotFound`."""
        return await self._run(arrangement.set_tag(product_id, tag, has=has))

    async def set_archived(self, product_id: str, *, archived: bool = True) -> Prototype:
        """Put a product out of sight, or bring it back. Nothing is deleted, and whoever asks for it brings it back."""
        return await self._run(arrangement.set_archived(product_id, archived=archived))

    async def set_favourite(self, product_id: str, *, favourite: bool = True) -> None:
        """Make a product your favourite, or no more. `search(favourite=True)` finds them."""
        await self._run(arrangement.set_favourite(product_id, favourite=favourite))

    async def several(
        self, prototype_ids: Sequence[str], action: str, tags: Sequence[str] = ()
    ) -> Sequence[ActionResult]:
        """Tag, untag, archive, unarchive or delete up to 100 prototypes; each has a result of its own."""
        return await self._run(arrangement.several(prototype_ids, action, tags))

    async def take_back(self, prototype_id: str) -> Prototype:
        """Take a prototype out of the bin. One that is in use is returned as it is. Raises `NotFound`, `NotNow`."""
        return await self._run(deleted.take_back(prototype_id))

    async def events(self, *product_ids: str, provider: str = "v0") -> AsyncIterator[Change]:
        """Changes as they happen, of the named products or of all. A lost connection is made again, and goes on.

        Named products come first, as they are now; no change of theirs is missed, and one may come twice. If the server
        has no stream of events, their status is polled instead. A deleted prototype has the state `gone`.
        """
        self._require_own_loop()
        reader = EventReader(product_ids)
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                async with self._stream(reader) as response:
                    if response.status_code == 404 and product_ids:
                        break
                    await self._raise_if_refused(response)
                    if response.status_code == 200:  # Any other answer is no stream: the client connects again.
                        async for line in response.aiter_lines():
                            for change in await self._changes_of(reader, line, product_ids, provider):
                                yield change
            await asyncio.sleep(reader.connection_lost())
        async for change in self._poll_changes(product_ids, provider):
            yield change

    async def run(self, operation: Operation[T]) -> T:
        """Carry out an operation: of `protokeep.client.administration`, `census`, `plans` or `deleted`."""
        return await self._run(operation)

    async def _changes_of(
        self, reader: EventReader, line: str, product_ids: Sequence[str], provider: str
    ) -> Sequence[Change]:
        """The changes that a line of the stream stands for, and those that may have been missed before it."""
        change = reader.read_line(line)
        changes = [change] if change is not None else []
        if reader.may_have_missed:
            reader.may_have_missed = False
            changed = await self._run(operations.changed_prototypes(product_ids, provider, {}))
            changes += [change_of(prototype) for prototype in changed]
        return changes

    async def _poll_changes(self, product_ids: Sequence[str], provider: str) -> AsyncIterator[Change]:
        known: dict[str, Prototype] = {}
        while True:
            for prototype in await self._run(operations.changed_prototypes(product_ids, provider, known)):
                known[prototype.product_id] = prototype
                yield change_of(prototype)
            await asyncio.sleep(POLL_SECONDS)

    @staticmethod
    async def _raise_if_refused(response: httpx2.Response) -> None:
        if 400 <= response.status_code < 500:
            await response.aread()
            operations.read(answer_of(response))

    def _stream(self, reader: EventReader) -> contextlib.AbstractAsyncContextManager[httpx2.Response]:
        return self._http.stream(
            "GET", EVENTS_PATH, params=reader.params(), headers=reader.headers(), timeout=STREAM_TIMEOUT
        )

    # -- carrying operations out -----------------------------------------------------------------------------------

    async def _run(self, operation: Operation[T]) -> T:
        self._require_own_loop()
        outcome: Outcome = None
        while True:
            try:
                step = operation.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = await self._carry_out(step)

    async def _carry_out(self, step: Step) -> Outcome:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        arguments: Mapping[str, Any] = request_of(step)
        try:
            return answer_of(await self._http.request(step.method, step.path, **arguments))
        except FAILURES as error:
            return no_answer_of(error, self.url)
