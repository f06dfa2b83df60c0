"""The client for plain code."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx2

from protokeep.client import operations
from protokeep.client.connection import (
    FAILURES,
    POLL_SECONDS,
    STREAM_TIMEOUT,
    answer_of,
    options,
    request_of,
    silence_of,
)
from protokeep.client.models import Change, Ensured, Prototype, PrototypeDetail
from protokeep.client.operations import LONGEST_HOLD, Operation, Outcome, Pause, Progress, Step
from protokeep.client.streams import PATH, Following, change_of

T = TypeVar("T")


class Protokeep:
    """One server, one token. Use as a context manager, or `close()` it. May be shared between threads."""

    def __init__(
        self, url: str | None = None, token: str | None = None, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        """`url` and `token` default to PROTOKEEP_URL and PROTOKEEP_TOKEN."""
        self._http = httpx2.Client(**options(url, token), transport=transport)
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
    ) -> Ensured:
        """The product's prototype; made, if there is none that can be used or `create_new` asks for another.

        `wait`: seconds to wait for the builder to accept it, 0 for an answer at once, None for the server's default.
        Sent with an idempotency key, which is made here if none is given and is the error's `idempotency_key` should
        the answer be lost: the same call with that key makes nothing twice.
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
            )
        )

    def get(self, prototype_id: str) -> PrototypeDetail:
        """One prototype with its history. Raises `NotFound`."""
        return self._run(operations.get(prototype_id))

    def list(self, product_id: str, *, limit: int = 100, **filters: str | bool | None) -> Iterator[Prototype]:
        """All prototypes of a product, newest first, page after page of `limit`. Filters: provider, status, mine."""
        cursor: str | None = None
        while True:
            found, cursor = self.page(product_id, cursor=cursor, limit=limit, **filters)
            yield from found
            if cursor is None:
                return

    def page(
        self, product_id: str, *, cursor: str | None = None, limit: int = 20, **filters: str | bool | None
    ) -> tuple[Sequence[Prototype], str | None]:
        """One page of a product's prototypes, and the cursor of the next (None: that was all)."""
        return self._run(operations.page(product_id, cursor, limit, filters))

    def status(self, product_id: str, *, provider: str = "v0", hold: float = 0) -> Prototype:
        """The product's prototype now; with `hold`, held up to so many seconds until its state changes.

        Creates nothing. Raises `NotFound`.
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
        """The product's prototype once it is completed, failed or timed out.

        `progress` is called with it after each look, at least every `hold` seconds. Raises `NotFinished`.
        """
        return self._run(operations.wait(product_id, provider=provider, seconds=seconds, progress=progress, hold=hold))

    def iterate(self, prototype_id: str, message: str, *, idempotency_key: str | None = None) -> Prototype:
        """Ask for a change in the same chat; the prototype is in progress again.

        Sent once per idempotency key, which is made here if none is given. Should the answer be lost, it is the
        error's `idempotency_key`: the same call with that key sends nothing twice.
        """
        return self._run(operations.iterate(prototype_id, message, idempotency_key=idempotency_key))

    def stop(self, prototype_id: str) -> Prototype:
        """Stop what is being generated; what had ended already is returned as it is.

        Should the answer be lost, look before stopping again: that stops whatever runs by then.
        """
        return self._run(operations.stop(prototype_id))

    def delete(self, prototype_id: str) -> Prototype | None:
        """Delete it, here and at the builder; needs an admin's token. None: both are gone.

        Else the prototype as it waits to be deleted, which is tried again by itself. Deleting twice deletes once.
        """
        return self._run(operations.delete(prototype_id))

    def events(self, *product_ids: str, provider: str = "v0") -> Iterator[Change]:
        """Changes as they happen, of these products or of all; reconnects by itself and goes on where it was.

        Of products that are named, it begins with how they stand, and a change may be told twice, but none is missed.
        A server without a stream is asked for their status every few seconds instead. The state `gone` is that of a
        prototype which was deleted.
        """
        following = Following(product_ids)
        while True:
            with (
                contextlib.suppress(httpx2.HTTPError),
                self._stream(following) as response,
            ):
                if response.status_code == 404 and product_ids:
                    break
                if 400 <= response.status_code < 500:
                    response.read()
                    operations.read(answer_of(response))
                for line in response.iter_lines() if response.status_code == 200 else ():
                    change = following.line(line)
                    if change is not None:
                        yield change
                    if following.stale:
                        following.stale = False
                        for found in self._run(operations.changes_seen(product_ids, provider, {})):
                            yield change_of(found)
            time.sleep(following.lost())
        known: dict[str, Prototype] = {}
        while True:
            for found in self._run(operations.changes_seen(product_ids, provider, known)):
                known[found.product_id] = found
                yield change_of(found)
            time.sleep(POLL_SECONDS)

    def _stream(self, following: Following) -> contextlib.AbstractContextManager[httpx2.Response]:
        return self._http.stream(
            "GET", PATH, params=following.params(), headers=following.headers(), timeout=STREAM_TIMEOUT
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
            outcome = self._do(step)

    def _do(self, step: Step) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        asked: Mapping[str, Any] = request_of(step)
        try:
            return answer_of(self._http.request(step.method, step.path, **asked))
        except FAILURES as error:
            return silence_of(error, self.url)
