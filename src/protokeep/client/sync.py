"""The synchronous client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
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
from protokeep.client.models import ActionResult, Change, Ensured, Prototype, PrototypeDetail
from protokeep.client.operations import LONGEST_HOLD, Operation, Outcome, Pause, Progress, Step
from protokeep.client.streams import EVENTS_PATH, EventReader, change_of

T = TypeVar("T")


class Protokeep:
    """One server, one token. Use as a context manager, or `close()` it. May be shared between threads."""

    def __init__(
        self, url: str | None = None, token: str | None = None, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        """`url` and `token` default to PROTOKEEP_URL and PROTOKEEP_TOKEN, or the file of PROTOKEEP_TOKEN_FILE."""
        self._http = open_http(httpx2.Client, url, token, transport)
        self.url = str(self._http.base_url).rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ensure(
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
        return self._run(
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

    def get(self, prototype_id: str) -> PrototypeDetail:
        """One prototype with its history. Raises `NotFound`."""
        return self._run(operations.get(prototype_id))

    def list(self, product_id: str, *, limit: int = 100, **filters: str | bool | None) -> Iterator[Prototype]:
        """All prototypes of a product, newest first, read in pages of `limit`. Filters: provider, status, mine."""
        cursor: str | None = None
        while True:
            prototypes, cursor = self.page(product_id, cursor=cursor, limit=limit, **filters)
            yield from prototypes
            if cursor is None:
                return

    def page(
        self, product_id: str, *, cursor: str | None = None, limit: int = 20, **filters: str | bool | None
    ) -> tuple[Sequence[Prototype], str | None]:
        """(one page of a product's prototypes, the cursor of the next page). The cursor of the last page is None."""
        return self._run(catalogue.page(product_id, cursor, limit, filters))

    def search(
        self, words: str = "", *, limit: int = 100, **filters: str | bool | datetime | None
    ) -> Iterator[Prototype]:
        """The workspace's prototypes that have all `words`, one for each product, newest first; all without words.

        Filters: state, product, provider, person, mine, tag, favourite, archived ("no", "only" or "any"),
        created_after, created_before, updated_after, updated_before (instants), sort ("newest", "oldest", "updated"
        or "name").
        """
        cursor: str | None = None
        while True:
            prototypes, cursor = self.search_page(words, cursor=cursor, limit=limit, **filters)
            yield from prototypes
            if cursor is None:
                return

    def search_page(
        self, words: str = "", *, cursor: str | None = None, limit: int = 20, **filters: str | bool | datetime | None
    ) -> tuple[Sequence[Prototype], str | None]:
        """(one page of a search, the cursor of the next page). The cursor of the last page is None."""
        return self._run(catalogue.search_page(words, cursor, limit, filters))

    def status(self, product_id: str, *, provider: str = "v0", hold: float = 0) -> Prototype:
        """The product's prototype as it is now. Creates nothing. Raises `NotFound`.

        With `hold`, the server answers when the state changes, or after that many seconds.
        """
        return self._run(operations.status(product_id, provider=provider, hold=hold))

    def wait(
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
        return self._run(operations.wait(product_id, provider=provider, seconds=seconds, progress=progress, hold=hold))

    def iterate(self, prototype_id: str, message: str, *, idempotency_key: str | None = None) -> Prototype:
        """Send a follow-up message into the prototype's chat; the prototype is in progress again.

        The message is sent once per idempotency key, a new one unless it is given. An error carries it as
        `idempotency_key`: the same call with that key sends nothing twice.
        """
        return self._run(operations.iterate(prototype_id, message, idempotency_key=idempotency_key))

    def stop(self, prototype_id: str) -> Prototype:
        """Stop the running generation. A prototype whose generation has ended is returned as it is.

        If the answer is lost, check the prototype before stopping again: a repeat stops whatever runs by then.
        """
        return self._run(operations.stop(prototype_id))

    def delete(self, prototype_id: str, *, now: bool = False) -> Prototype | None:
        """Delete a prototype, here and at the app builder; an admin any, a maker their own. None: deleted.

        Otherwise the prototype is returned: it waits in the bin until `deletion_due_at`, or the server tries its
        deletion again by itself. Deleting again is safe. With `now`, an admin deletes past the bin.
        """
        return self._run(operations.delete(prototype_id, now=now))

    def make_current(self, prototype_id: str) -> Prototype:
        """Make a variant the current one of its product: whoever asks for the product gets it from now on."""
        return self._run(variants.make_current(prototype_id))

    def name_variant(self, prototype_id: str, name: str | None) -> Prototype:
        """Give a variant a short name, by which people tell it from the others; None takes it away."""
        return self._run(variants.name_variant(prototype_id, name))

    def set_tag(self, product_id: str, tag: str, *, has: bool = True) -> Prototype:
        """Give a product a tag, or (`has` False) take it away. Returns the product's prototype. Raises `NotFound`."""
        return self._run(arrangement.set_tag(product_id, tag, has=has))

    def set_archived(self, product_id: str, *, archived: bool = True) -> Prototype:
        """Put a product out of sight, or bring it back. Nothing is deleted, and whoever asks for it brings it back."""
        return self._run(arrangement.set_archived(product_id, archived=archived))

    def set_favourite(self, product_id: str, *, favourite: bool = True) -> None:
        """Make a product your favourite, or no more. `search(favourite=True)` finds them."""
        self._run(arrangement.set_favourite(product_id, favourite=favourite))

    def several(self, prototype_ids: Sequence[str], action: str, tags: Sequence[str] = ()) -> Sequence[ActionResult]:
        """Tag, untag, archive, unarchive or delete up to 100 prototypes; each has a result of its own."""
        return self._run(arrangement.several(prototype_ids, action, tags))

    def take_back(self, prototype_id: str) -> Prototype:
        """Take a prototype out of the bin. One that is in use is returned as it is. Raises `NotFound`, `NotNow`."""
        return self._run(deleted.take_back(prototype_id))

    def events(self, *product_ids: str, provider: str = "v0") -> Iterator[Change]:
        """Changes as they happen, of the named products or of all. A lost connection is made again, and goes on.

        Named products come first, as they are now; no change of theirs is missed, and one may come twice. If the server
        has no stream of events, their status is polled instead. A deleted prototype has the state `gone`.
        """
        reader = EventReader(product_ids)
        while True:
            with contextlib.suppress(httpx2.HTTPError), self._stream(reader) as response:
                if response.status_code == 404 and product_ids:
                    break
                self._raise_if_refused(response)
                if response.status_code == 200:  # Any other answer is no stream: the client connects again.
                    for line in response.iter_lines():
                        yield from self._changes_of(reader, line, product_ids, provider)
            time.sleep(reader.connection_lost())
        yield from self._poll_changes(product_ids, provider)

    def run(self, operation: Operation[T]) -> T:
        """Carry out an operation: of `protokeep.client.administration`, `census`, `plans` or `deleted`."""
        return self._run(operation)

    def _changes_of(
        self, reader: EventReader, line: str, product_ids: Sequence[str], provider: str
    ) -> Sequence[Change]:
        """The changes that a line of the stream stands for, and those that may have been missed before it."""
        change = reader.read_line(line)
        changes = [change] if change is not None else []
        if reader.may_have_missed:
            reader.may_have_missed = False
            changed = self._run(operations.changed_prototypes(product_ids, provider, {}))
            changes += [change_of(prototype) for prototype in changed]
        return changes

    def _poll_changes(self, product_ids: Sequence[str], provider: str) -> Iterator[Change]:
        known: dict[str, Prototype] = {}
        while True:
            for prototype in self._run(operations.changed_prototypes(product_ids, provider, known)):
                known[prototype.product_id] = prototype
                yield change_of(prototype)
            time.sleep(POLL_SECONDS)

    @staticmethod
    def _raise_if_refused(response: httpx2.Response) -> None:
        if 400 <= response.status_code < 500:
            response.read()
            operations.read(answer_of(response))

    def _stream(self, reader: EventReader) -> contextlib.AbstractContextManager[httpx2.Response]:
        return self._http.stream(
            "GET", EVENTS_PATH, params=reader.params(), headers=reader.headers(), timeout=STREAM_TIMEOUT
        )

    # -- carrying operations out -----------------------------------------------------------------------------------

    def _run(self, operation: Operation[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = operation.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = self._carry_out(step)

    def _carry_out(self, step: Step) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        arguments: Mapping[str, Any] = request_of(step)
        try:
            return answer_of(self._http.request(step.method, step.path, **arguments))
        except FAILURES as error:
            return no_answer_of(error, self.url)
