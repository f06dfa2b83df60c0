"""What assistants are told: short, structured, and with the next step in words.

Every answer stays under 4 KB on the wire, text and structure together, whatever the prompts, names and links are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

from protokeep.client import ClientError, Ensured, HistoryLine, Prototype, PrototypeDetail, Refused
from protokeep.core.errors import ProtokeepError
from protokeep.core.prototype import State
from protokeep.core.state_labels import STATE_WORDS

#: Longest link that is passed on: cut ones lead nowhere.
LINK_MAX, ROW_LINK_MAX = 250, 80
#: An answer goes out twice, as structure and as text for those who read text only; both together stay below this.
BUDGET = 3900
#: What an answer gives up, in this order, if strange ids or links make it too long.
_SPARE = ("history", "prompt", "trouble", "why", "chat_url", "url")
#: Rows of a list, and lines of a history, that fit.
ROWS, LINES = 6, 6

A = TypeVar("A", bound=BaseModel)

_NEXT: Mapping[str, str] = {
    "queued": "It is on its way to the app builder. Call wait_for_prototype; do not ask for another one.",
    "making": "It is being made, which takes minutes. Call wait_for_prototype; do not ask for another one.",
    "waiting": "The app builder asked a question. Tell the user to answer it at chat_url; then it goes on.",
    "ready": "Give the user the url. To change it, call iterate_prototype with its revision.",
    "failed": "Tell the user why. Calling ensure_prototype again replaces it by a new one.",
    "timed_out": "It took longer than expected and is still looked at now and then. Call get_prototype later.",
    "not_visible": "The app builder does not show it at present, which proves nothing. It is looked at again by "
    "itself: call get_prototype later; do not ask for another one.",
    "undecided": "It is not yet known whether the app builder made it. That is found out by itself: call "
    "wait_for_prototype, or come back later; do not ask for another one.",
    "parked": "It is held up and goes on by itself. Tell the user the reason; call get_prototype later.",
    "deleting": "It is being deleted, at the app builder too. ensure_prototype makes a new one.",
    "untracked": "An older prototype whose progress is not known. ensure_prototype keeps it if it has a link.",
}


class PrototypeAnswer(BaseModel):
    """How a prototype stands."""

    prototype_id: str
    product_id: str
    state: Annotated[str, Field(description=f"One of: {', '.join(State)}.")]
    summary: Annotated[str, Field(description="The state in words.")]
    url: Annotated[str | None, Field(description="Where it can be opened, once it is ready.")]
    chat_url: Annotated[str | None, Field(description="Its chat at the app builder.")]
    trouble: Annotated[str | None, Field(description="What went wrong or holds it up.")]
    revision: Annotated[str, Field(description="Names this state of it; iterate_prototype asks for it.")]
    is_current: Annotated[bool, Field(description="Whether it is the one that everybody gets for this product.")]
    next_step: Annotated[str, Field(description="What to do now.")]


class EnsuredAnswer(PrototypeAnswer):
    """The prototype a request got, and why it is this one."""

    is_existing: Annotated[bool, Field(description="It was there before this call.")]
    outcome: Annotated[str, Field(description="created, reused, replaced or replayed.")]
    why: str
    prompt_differs: Annotated[bool, Field(description="It was made from another prompt than the one given now.")]


class Row(BaseModel):
    """One prototype of a list."""

    prototype_id: str
    state: str
    made_at: str
    is_current: bool
    url: str | None


class ListAnswer(BaseModel):
    """A product's prototypes, newest first."""

    prototypes: list[Row]
    next_cursor: Annotated[str | None, Field(description="Pass it as `cursor` for older ones; null: that was all.")]
    next_step: str


class ExplainAnswer(PrototypeAnswer):
    """Why there is this prototype, and what happened to it."""

    asked_for_by: str | None
    asked_for_at: str
    why: str
    prompt: Annotated[str | None, Field(description="What it was made from; long ones are cut.")]
    history: Annotated[list[str], Field(description="What happened, oldest first; of long ones the last lines.")]


def refusal(error: ProtokeepError) -> str:
    """An error as text; where the answer was lost, with what asking again does, and the key to do it with."""
    if not isinstance(error, ClientError):
        return cut(str(error), 700) or ""
    request = f" (request {error.problem.request_id})" if isinstance(error, Refused) else ""
    return f"{cut(error.reason, 700)} {cut(error.advice, 1200)}".strip() + request


def fitted(answer: A) -> A:
    """`answer`, without what it can spare if it is too long otherwise."""
    for name in _SPARE:
        value = getattr(answer, name, None)
        while isinstance(value, list) and value and size(answer) > BUDGET:
            value.pop(0)
        if isinstance(value, str) and size(answer) > BUDGET:
            setattr(answer, name, None if name.endswith("url") else cut(value, 60))
    return answer


def size(answer: BaseModel) -> int:
    """Bytes of an answer on the wire, without the envelope: the text is JSON within JSON."""
    structure = answer.model_dump_json()
    return len(structure.encode()) + len(json.dumps(answer.model_dump_json(indent=2), ensure_ascii=False).encode())


def cut(text: str | None, longest: int) -> str | None:
    """`text`, shortened if need be; its length counts as it is sent, in UTF-8."""
    if text is None or len(text.encode()) <= longest:
        return text
    return text.encode()[: longest - 3].decode(errors="ignore") + "…"


def _link(address: str | None, longest: int = LINK_MAX) -> str | None:
    return address if address and len(address.encode()) <= longest else None


def _when(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def summary(prototype: Prototype) -> str:
    """The state in words, with the time it took so far."""
    try:
        word = STATE_WORDS[State(prototype.state)].label
    except ValueError:
        word = prototype.state
    seconds = prototype.elapsed_seconds
    return word if seconds is None else f"{word} ({int(seconds) // 60} min {int(seconds) % 60} s)"


def _values(prototype: Prototype) -> dict[str, Any]:
    ready = prototype.ready
    return {
        "prototype_id": prototype.id,
        "product_id": prototype.product_id,
        "state": prototype.state,
        "summary": summary(prototype),
        "url": _link(prototype.project_url) if ready else None,
        "chat_url": _link(prototype.chat_url or (None if ready else prototype.project_url)),
        "trouble": cut(prototype.trouble, 300),
        "revision": prototype.updated_at.isoformat(),
        "is_current": prototype.is_current,
        "next_step": _NEXT.get(prototype.state, "Call get_prototype later."),
    }


def standing(prototype: Prototype) -> PrototypeAnswer:
    """How it stands."""
    return fitted(PrototypeAnswer(**_values(prototype)))


def ensured(made: Ensured) -> EnsuredAnswer:
    """What a request came to."""
    decision = made.decision
    values = _values(made)
    why = decision.reason
    if decision.outcome == "reused":
        why = "This product has one already."
    if decision.outcome == "reused" and decision.prompt_differs:
        why += " It was made from another prompt."
        values["next_step"] += (
            " If the user wants one from the new prompt instead, call ensure_prototype with instead_of set to this "
            "prototype_id."
        )
    return fitted(
        EnsuredAnswer(
            **values,
            is_existing=made.is_existing,
            outcome=decision.outcome,
            why=cut(why, 300) or "",
            prompt_differs=decision.prompt_differs,
        )
    )


def listed(found: Sequence[Prototype], cursor: str | None) -> ListAnswer:
    """A page of a product's prototypes."""
    rows = [
        Row(
            prototype_id=one.id,
            state=one.state,
            made_at=_when(one.created_at),
            is_current=one.is_current,
            url=_link(one.project_url, ROW_LINK_MAX),
        )
        for one in found
    ]
    step = "is_current is the one everybody gets." if rows else "There is none yet. Call ensure_prototype to make one."
    answer = ListAnswer(prototypes=rows, next_cursor=cursor, next_step=step)
    for row in reversed(rows):
        if size(answer) > BUDGET:
            row.url = None
    return answer


def explained(detail: PrototypeDetail) -> ExplainAnswer:
    """Where a prototype comes from."""
    claimed = next((line for line in detail.history if line.kind == "claimed"), None)
    why = str((claimed.data or {}).get("reason", "")) if claimed else ""
    surplus = f" Surplus chats with its mark were found: {len(detail.surplus_chat_ids)}."
    return fitted(
        ExplainAnswer(
            **_values(detail),
            asked_for_by=cut((claimed.actor if claimed else None) or detail.user_id, 60),
            asked_for_at=_when(detail.created_at),
            why=(cut(why, 200) or "It is older than protokeep here, or its history is not known.")
            + (surplus if detail.surplus_chat_ids else ""),
            prompt=cut(detail.prompt, 250),
            history=[_line(line) for line in detail.history[-LINES:]],
        )
    )


def _line(line: HistoryLine) -> str:
    data = line.data or {}
    more = data.get("message") or data.get("outcome") or data.get("state") or ""
    who = line.actor or line.source
    return cut(f"{line.at:%m-%d %H:%M:%S} {line.kind} by {who}" + (f": {more}" if more else ""), 90) or ""
