"""Censuses through the API: operations that both clients carry out. Answers are the server's own JSON objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from protokeep.client.errors import NotProtokeep
from protokeep.client.operations import (
    MAX_TRIES,
    Answer,
    Call,
    Operation,
    Pause,
    pause_before_repeat,
    quoted,
    read,
    send,
)

T = TypeVar("T")
View = Mapping[str, Any]
Filter = str | bool | int | float | None

PATH = "/api/design/census"
#: Chats and groups of one request.
PAGE = 100


def start(account: str | None, whole: bool | None) -> Operation[View]:
    """`POST /api/design/census`. Repeating it is safe: there is one open census at most."""
    advice = "It may have begun. Asking again is safe: the open census is returned."
    return (yield from send(Call("POST", PATH, True, advice, body={"account": account, "whole": whole})))


def progress(account: str | None) -> Operation[View]:
    """`GET /api/design/census`."""
    return (yield from send(Call("GET", PATH, True, params=_params(account=account))))


def cancel(account: str | None) -> Operation[View]:
    """`DELETE /api/design/census`."""
    advice = "It may have been cancelled. Asking again is safe, unless somebody has begun another one meanwhile."
    return (yield from send(Call("DELETE", PATH, True, advice, params=_params(account=account))))


def summary(account: str | None) -> Operation[View]:
    """`GET /api/design/census/summary`."""
    return (yield from send(Call("GET", f"{PATH}/summary", True, params=_params(account=account))))


def page(listing: str, cursor: str | None, limit: int, filters: Mapping[str, Filter]) -> Operation[View]:
    """`GET /api/design/census/chats` or `/groups`: one page."""
    params = _params(cursor=cursor, limit=limit, **filters)
    return (yield from send(Call("GET", f"{PATH}/{listing}", True, params=params)))


def pin(chat_id: str, account: str | None, reason: str | None) -> Operation[View]:
    """`PUT /api/design/census/pins/{chat_id}`."""
    advice = "It may be pinned. Pinning it again is safe."
    call = Call("PUT", f"{PATH}/pins/{quoted(chat_id)}", True, advice, _params(account=account), {}, {"reason": reason})
    return (yield from send(call))


def unpin(chat_id: str, account: str | None) -> Operation[View]:
    """`DELETE /api/design/census/pins/{chat_id}`."""
    advice = "Its pin may be gone. Asking again is safe."
    call = Call("DELETE", f"{PATH}/pins/{quoted(chat_id)}", True, advice, params=_params(account=account))
    return (yield from send(call))


def adopt(
    product_id: str,
    chat_ids: Sequence[str],
    group_id: str | None,
    product_name: str | None,
    account: str | None,
) -> Operation[View]:
    """`POST /api/design/census/adopt`. Repeating it is safe: no chat is adopted twice."""
    advice = "Some may have been adopted. Asking again is safe: no chat is adopted twice."
    body = {
        "product_id": product_id,
        "chat_ids": list(chat_ids),
        "group_id": group_id,
        "product_name": product_name,
        "account": account,
    }
    return (yield from send(Call("POST", f"{PATH}/adopt", True, advice, body=body)))


def export(account: str | None, format: str) -> Operation[bytes]:
    """`GET /api/design/census/export`: the whole file."""
    call = Call("GET", f"{PATH}/export", True, params=_params(account=account, format=format))
    for attempt in range(1, MAX_TRIES + 1):
        outcome = yield call
        if isinstance(outcome, Answer) and outcome.status == 200:
            return outcome.content
        pause = pause_before_repeat(call, outcome, attempt)
        if pause is None or attempt == MAX_TRIES:
            read(outcome)
            break
        yield Pause(pause)
    raise NotProtokeep("The answer is no file. Is PROTOKEEP_URL protokeep's address?")


def _params(**values: Filter) -> dict[str, str]:
    """The values that are given, as they stand in an address."""
    given = {name: value for name, value in values.items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value != ""
    }


class Run(Protocol):
    """Carries an operation out."""

    def __call__(self, operation: Operation[T]) -> T:
        """The operation's result."""
        ...


class Censuses:
    """Censuses of a workspace's account, with the synchronous client. `account` None: the workspace's own."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def start(self, account: str | None = None, *, whole: bool | None = None) -> View:
        """Begin a census (admins); the open one, if there is one."""
        return self._run(start(account, whole))

    def progress(self, account: str | None = None) -> View:
        """The newest census as `census` (None: there was none), and the `earlier` ones."""
        return self._run(progress(account))

    def cancel(self, account: str | None = None) -> View:
        """End the open census (admins)."""
        return self._run(cancel(account))

    def summary(self, account: str | None = None) -> View:
        """The account in numbers."""
        return self._run(summary(account))

    def chats(self, **filters: Filter) -> Iterator[View]:
        """All chats that match, page after page. Filters are the parameters of the API, such as `q` and `claim`."""
        return self._all("chats", filters)

    def groups(self, **filters: Filter) -> Iterator[View]:
        """All groups of chats that are the same, the largest first."""
        return self._all("groups", filters)

    def page(self, listing: str, /, *, cursor: str | None = None, limit: int = 50, **filters: Filter) -> View:
        """One page of `chats` or `groups`."""
        return self._run(page(listing, cursor, limit, filters))

    def pin(self, chat_id: str, *, account: str | None = None, reason: str | None = None) -> View:
        """Keep a chat from every plan."""
        return self._run(pin(chat_id, account, reason))

    def unpin(self, chat_id: str, *, account: str | None = None) -> View:
        """Take the pin off a chat."""
        return self._run(unpin(chat_id, account))

    def adopt(
        self,
        product_id: str,
        chat_ids: Sequence[str] = (),
        *,
        group_id: str | None = None,
        product_name: str | None = None,
        account: str | None = None,
    ) -> View:
        """Make chats prototypes of a product (admins). `left` in the answer: ask again for the rest of the group."""
        return self._run(adopt(product_id, chat_ids, group_id, product_name, account))

    def export(self, account: str | None = None, *, format: str = "csv") -> bytes:
        """All chats as a file, `csv` or `json`."""
        return self._run(export(account, format))

    def _all(self, kind: str, filters: Mapping[str, Filter]) -> Iterator[View]:
        cursor: str | None = None
        while True:
            view = self.page(kind, cursor=cursor, limit=PAGE, **filters)
            yield from view.get(kind, ())
            cursor = view.get("next_cursor")
            if cursor is None:
                return


class AsyncRun(Protocol):
    """Carries an operation out."""

    def __call__(self, operation: Operation[T]) -> Awaitable[T]:
        """The operation's result."""
        ...


class AsyncCensuses:
    """The same with the asynchronous client."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run

    async def start(self, account: str | None = None, *, whole: bool | None = None) -> View:
        """Begin a census (admins); the open one, if there is one."""
        return await self._run(start(account, whole))

    async def progress(self, account: str | None = None) -> View:
        """The newest census as `census` (None: there was none), and the `earlier` ones."""
        return await self._run(progress(account))

    async def cancel(self, account: str | None = None) -> View:
        """End the open census (admins)."""
        return await self._run(cancel(account))

    async def summary(self, account: str | None = None) -> View:
        """The account in numbers."""
        return await self._run(summary(account))

    async def chats(self, **filters: Filter) -> AsyncIterator[View]:
        """All chats that match, page after page. Filters are the parameters of the API, such as `q` and `claim`."""
        async for view in self._all("chats", filters):
            yield view

    async def groups(self, **filters: Filter) -> AsyncIterator[View]:
        """All groups of chats that are the same, the largest first."""
        async for view in self._all("groups", filters):
            yield view

    async def page(self, listing: str, /, *, cursor: str | None = None, limit: int = 50, **filters: Filter) -> View:
        """One page of `chats` or `groups`."""
        return await self._run(page(listing, cursor, limit, filters))

    async def pin(self, chat_id: str, *, account: str | None = None, reason: str | None = None) -> View:
        """Keep a chat from every plan."""
        return await self._run(pin(chat_id, account, reason))

    async def unpin(self, chat_id: str, *, account: str | None = None) -> View:
        """Take the pin off a chat."""
        return await self._run(unpin(chat_id, account))

    async def adopt(
        self,
        product_id: str,
        chat_ids: Sequence[str] = (),
        *,
        group_id: str | None = None,
        product_name: str | None = None,
        account: str | None = None,
    ) -> View:
        """Make chats prototypes of a product (admins). `left` in the answer: ask again for the rest of the group."""
        return await self._run(adopt(product_id, chat_ids, group_id, product_name, account))

    async def export(self, account: str | None = None, *, format: str = "csv") -> bytes:
        """All chats as a file, `csv` or `json`."""
        return await self._run(export(account, format))

    async def _all(self, kind: str, filters: Mapping[str, Filter]) -> AsyncIterator[View]:
        cursor: str | None = None
        while True:
            view = await self.page(kind, cursor=cursor, limit=PAGE, **filters)
            for one in view.get(kind, ()):
                yield one
            cursor = view.get("next_cursor")
            if cursor is None:
                return
