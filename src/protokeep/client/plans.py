"""Plans of clean-ups, from Python: operations for both clients.

    with Protokeep(url, token) as keep:
        plan = keep.run(plans.create("default", older_than_days=180))
        keep.run(plans.approve(plan["id"], plan["digest"], "default"))

Every operation returns the server's JSON object. Each can be repeated: making a plan again makes another draft, which
deletes nothing, and everything else changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from protokeep.client.operations import Call, Operation, body_of, quoted, send, send_and_read
from protokeep.client.pages import read_pages

PATH = "/api/design/plans"
#: Items that are read at once.
PAGE = 1000
_AGAIN = "Asking again is safe: it changes nothing that was done already."

Values = Mapping[str, Any]


def create(workspace: str, **wanted: Any) -> Operation[Values]:
    """`POST /api/design/plans`: a draft. `wanted` are the fields of the request; None leaves the default."""
    body = {"workspace": workspace, **{name: value for name, value in wanted.items() if value is not None}}
    advice = "A draft may have been made, which deletes nothing. `protokeep plan list` shows it."
    return (yield from send(Call("POST", PATH, False, advice, body=body)))


def listed(limit: int = 100) -> Operation[Values]:
    """`GET /api/design/plans`: `plans`, newest first, and the `accounts` that may be cleaned up."""
    return (yield from send(Call("GET", PATH, True, params={"limit": str(limit)})))


def get(plan_id: str) -> Operation[Values]:
    """`GET /api/design/plans/{id}`: a plan with its digest and what it takes."""
    return (yield from send(Call("GET", _path(plan_id), True)))


def items(plan_id: str, action: str | None = None, state: str | None = None) -> Operation[Sequence[Values]]:
    """`GET /api/design/plans/{id}/items`: all items, page after page."""
    filters = {name: value for name, value in (("action", action), ("state", state)) if value is not None}
    found, _ = yield from read_pages(_path(plan_id, "items"), "items", filters, None, size=PAGE)
    return found


def export(plan_id: str, kind: str = "csv") -> Operation[str]:
    """`GET /api/design/plans/{id}/export`: the file as text, `csv` or `json`."""
    call = Call("GET", _path(plan_id, "export"), True, params={"format": kind})
    return (yield from send_and_read(call, body_of)).decode()


def import_edited(plan_id: str, content: str) -> Operation[Values]:
    """`POST /api/design/plans/{id}/import`: a new draft from an edited file."""
    advice = "A draft may have been made, which deletes nothing. `protokeep plan list` shows it."
    return (yield from send(Call("POST", _path(plan_id, "import"), False, advice, body={"content": content})))


def approve(plan_id: str, digest: str, workspace: str) -> Operation[Values]:
    """`POST /api/design/plans/{id}/approve`: exactly the list with this digest."""
    return (yield from _post(plan_id, "approve", {"digest": digest, "workspace": workspace}))


def apply(plan_id: str, digest: str) -> Operation[Values]:
    """`POST /api/design/plans/{id}/apply`: deletions begin when the grace period is over."""
    return (yield from _post(plan_id, "apply", {"digest": digest}))


def pause(plan_id: str) -> Operation[Values]:
    """`POST /api/design/plans/{id}/pause`."""
    return (yield from _post(plan_id, "pause"))


def resume(plan_id: str) -> Operation[Values]:
    """`POST /api/design/plans/{id}/resume`."""
    return (yield from _post(plan_id, "resume"))


def cancel(plan_id: str) -> Operation[Values]:
    """`POST /api/design/plans/{id}/cancel`."""
    return (yield from _post(plan_id, "cancel"))


def undo(plan_id: str, chat_ids: Sequence[str] | None = None) -> Operation[Values]:
    """`POST /api/design/plans/{id}/undo`: the whole plan, or some of its chats."""
    return (yield from _post(plan_id, "undo", {"chat_ids": list(chat_ids) if chat_ids is not None else None}))


def people(plan_id: str) -> Operation[Values]:
    """`GET /api/design/plans/{id}/people`: whom to tell, with a message to each."""
    return (yield from send(Call("GET", _path(plan_id, "people"), True)))


def report(plan_id: str) -> Operation[Values]:
    """`GET /api/design/plans/{id}/report`: what it did."""
    return (yield from send(Call("GET", _path(plan_id, "report"), True)))


def receipts(plan_id: str) -> Operation[Values]:
    """`GET /api/design/plans/{id}/receipts`: a signed export."""
    return (yield from send(Call("GET", _path(plan_id, "receipts"), True)))


def policies() -> Operation[Values]:
    """`GET /api/design/plans/policy`: the standing policies."""
    return (yield from send(Call("GET", f"{PATH}/policy", True)))


def set_policy(workspace: str, older_than_days: int, account: str | None = None) -> Operation[Values]:
    """`PUT /api/design/plans/policy`: drafts that are made by themselves."""
    body = {"workspace": workspace, "older_than_days": older_than_days, "account": account}
    return (yield from send(Call("PUT", f"{PATH}/policy", True, _AGAIN, body=body)))


def remove_policy(account: str | None = None) -> Operation[Values]:
    """`DELETE /api/design/plans/policy`."""
    params = {"account": account} if account else {}
    return (yield from send(Call("DELETE", f"{PATH}/policy", True, _AGAIN, params=params)))


def unchanged_lines_left_out(exported: str, edited: str) -> str:
    """An edited file in which lines that are as they were exported are blank, so that the others keep their numbers."""
    return "".join(_changed_lines(exported, edited))


def _changed_lines(exported: str, edited: str) -> Iterator[str]:
    known = {line.rstrip("\r\n") for line in exported.splitlines()}
    for number, line in enumerate(edited.removeprefix("\ufeff").splitlines()):
        yield (line if number == 0 or line not in known else "") + "\n"


def _post(plan_id: str, what: str, body: Mapping[str, Any] | None = None) -> Operation[Values]:
    return (yield from send(Call("POST", _path(plan_id, what), True, _AGAIN, body=body)))


def _path(plan_id: str, what: str = "") -> str:
    return f"{PATH}/{quoted(plan_id)}{f'/{what}' if what else ''}"
