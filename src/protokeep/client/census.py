"""Censuses over the API: what an account at the app builder holds. Answers are the API's own JSON objects.

keep.run(census.start())["state"]

`account` None is the account of the workspace's own key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protokeep.client.operations import Call, Operation, body_of, quoted, send, send_and_read
from protokeep.client.pages import read_pages

View = Mapping[str, Any]
Filter = str | bool | int | float | None

PATH = "/api/design/census"


def start(account: str | None = None, *, whole: bool | None = None) -> Operation[View]:
    """`POST /api/design/census`, for admins. Repeating it is safe: there is one open census at most."""
    advice = "It may have started. Asking again is safe: the running scan is returned."
    return (yield from send(Call("POST", PATH, True, advice, body={"account": account, "whole": whole})))


def progress(account: str | None = None) -> Operation[View]:
    """`GET /api/design/census`: the newest as `census` (None: there was none), and the `earlier` ones."""
    return (yield from send(Call("GET", PATH, True, params=_params(account=account))))


def cancel(account: str | None = None) -> Operation[View]:
    """`DELETE /api/design/census`, for admins: the open one ends."""
    advice = "It may have been cancelled. Asking again is safe, unless another scan was started meanwhile."
    return (yield from send(Call("DELETE", PATH, True, advice, params=_params(account=account))))


def summary(account: str | None = None) -> Operation[View]:
    """`GET /api/design/census/summary`: the account in numbers."""
    return (yield from send(Call("GET", f"{PATH}/summary", True, params=_params(account=account))))


def list_chats(limit: int | None = None, **filters: Filter) -> Operation[tuple[Sequence[View], bool]]:
    """`GET /api/design/census/chats`: (up to `limit` chats that match, None: all; whether there are more).

    Filters are the parameters of the API, such as `q` and `claim`.
    """
    return (yield from read_pages(f"{PATH}/chats", "chats", _params(**filters), limit))


def list_groups(limit: int | None = None, **filters: Filter) -> Operation[tuple[Sequence[View], bool]]:
    """`GET /api/design/census/groups`: (up to `limit` groups, the largest first; whether there are more)."""
    return (yield from read_pages(f"{PATH}/groups", "groups", _params(**filters), limit))


def pin(chat_id: str, account: str | None = None, *, reason: str | None = None) -> Operation[View]:
    """`PUT /api/design/census/pins/{chat_id}`: no plan deletes the chat."""
    advice = "It may be pinned. Pinning it again is safe."
    params = _params(account=account)
    call = Call("PUT", f"{PATH}/pins/{quoted(chat_id)}", True, advice, params=params, body={"reason": reason})
    return (yield from send(call))


def unpin(chat_id: str, account: str | None = None) -> Operation[View]:
    """`DELETE /api/design/census/pins/{chat_id}`."""
    advice = "Its pin may be gone. Asking again is safe."
    call = Call("DELETE", f"{PATH}/pins/{quoted(chat_id)}", True, advice, params=_params(account=account))
    return (yield from send(call))


def adopt(
    product_id: str,
    chat_ids: Sequence[str] = (),
    *,
    group_id: str | None = None,
    product_name: str | None = None,
    account: str | None = None,
) -> Operation[View]:
    """`POST /api/design/census/adopt`, for admins. Repeating it is safe: no chat is adopted twice.

    `left` in the answer: so many of the group were not tried yet. Ask again.
    """
    advice = "Some may have been adopted. Asking again is safe: no chat is adopted twice."
    body = {
        "product_id": product_id,
        "chat_ids": list(chat_ids),
        "group_id": group_id,
        "product_name": product_name,
        "account": account,
    }
    return (yield from send(Call("POST", f"{PATH}/adopt", True, advice, body=body)))


def export(account: str | None = None, *, format: str = "csv") -> Operation[bytes]:
    """`GET /api/design/census/export`: all chats as a file, `csv` or `json`."""
    call = Call("GET", f"{PATH}/export", True, params=_params(account=account, format=format))
    return (yield from send_and_read(call, body_of))


def _params(**values: Filter) -> dict[str, str]:
    """The values that are given, as they stand in an address."""
    given = {name: value for name, value in values.items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value != ""
    }
