"""The answers of the tools: short, structured, and with the next step as text.

Every answer stays under 4 KB on the wire, however long prompts, names and links are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

from protokeep.client import ClientError, Ensured, HistoryLine, Prototype, PrototypeDetail, Refused
from protokeep.core.errors import ProtokeepError
from protokeep.core.foreign_text import address_of, visible
from protokeep.core.prototype import State
from protokeep.core.state_labels import STATE_LABELS

#: The longest links in an answer and in a row of a list. Longer ones are left out, because a cut link is useless.
LINK_MAX, ROW_LINK_MAX = 250, 80
#: Tags of a row.
ROW_TAGS = 5
#: The most bytes of an answer, which is sent twice: as structure, and as text for assistants that read only text.
MAX_BYTES = 3900
#: Fields of an answer that are shortened, in this order, if long ids or links make the answer too long.
_SHORTENED_FIRST = ("history", "prompt", "trouble", "why", "chat_url", "url")
#: Rows of a list, and lines of a history, that fit into an answer.
LIST_ROWS, HISTORY_LINES = 6, 6

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_NEXT_STEPS: Mapping[str, str] = {
    "queued": "protokeep is sending it to the app builder. Call wait_for_prototype; do not ask for another one.",
    "making": "It is being generated, which takes minutes. Call wait_for_prototype; do not ask for another one.",
    "waiting": "The app builder asked a question. Tell the user to answer it at chat_url; then it continues.",
    "ready": "Give the user the url. To change it, call iterate_prototype with its revision.",
    "failed": "Tell the user why it failed. Calling ensure_prototype again creates a new one in its place.",
    "stopped": "A person stopped it. To continue, call iterate_prototype with its revision.",
    "timed_out": "It takes longer than expected, and protokeep keeps checking. Call get_prototype later.",
    "not_visible": "The app builder does not show it at present. protokeep keeps checking: call get_prototype later; "
    "do not ask for another one.",
    "undecided": "protokeep is finding out whether the app builder started: call wait_for_prototype, or come back "
    "later; do not ask for another one.",
    "parked": "It is paused and resumes automatically. Tell the user the reason; call get_prototype later.",
    "in_bin": "It is in the bin; a person may take it back. ensure_prototype creates a new one.",
    "deleting": "It is being deleted, in the app builder too. ensure_prototype creates a new one.",
    "untracked": "An older prototype whose progress is not known. ensure_prototype keeps it if it has a link.",
}


class PrototypeAnswer(BaseModel):
    """The state of a prototype."""

    prototype_id: str
    product_id: str
    state: Annotated[str, Field(description=f"One of: {', '.join(State)}.")]
    summary: Annotated[str, Field(description="The state in words.")]
    url: Annotated[str | None, Field(description="Where it can be opened, once it is ready.")]
    chat_url: Annotated[str | None, Field(description="Its chat at the app builder.")]
    trouble: Annotated[str | None, Field(description="What went wrong, or why it makes no progress.")]
    revision: Annotated[str, Field(description="Names this state of it; iterate_prototype asks for it.")]
    is_current: Annotated[bool, Field(description="Whether everyone who asks for this product gets it.")]
    next_step: Annotated[str, Field(description="What to do now.")]


class EnsuredAnswer(PrototypeAnswer):
    """The prototype a request got, and why it is this one."""

    is_existing: Annotated[bool, Field(description="It was there before this call.")]
    outcome: Annotated[str, Field(description="created, reused, replaced or replayed.")]
    why: str
    prompt_differs: Annotated[bool, Field(description="Its prompt differs from the prompt given now.")]


class Row(BaseModel):
    """One prototype of a list."""

    prototype_id: str
    state: str
    made_at: str
    is_current: bool
    url: str | None


class FoundRow(BaseModel):
    """One prototype of a search."""

    product_id: str
    product_name: str | None
    prototype_id: str
    state: str
    made_at: str
    prompt: Annotated[str | None, Field(description="The beginning of its prompt.")]
    tags: Annotated[list[str], Field(description="The product's tags, the first few.")]
    is_archived: Annotated[
        bool, Field(description="Whether the product is archived: out of the lists, and still the product's prototype.")
    ]


class FoundAnswer(BaseModel):
    """Prototypes of all products, newest first."""

    prototypes: list[FoundRow]
    next_cursor: Annotated[
        str | None, Field(description="Pass it as `cursor` for older ones; null: there are no more.")
    ]
    next_step: str


class ListAnswer(BaseModel):
    """A product's prototypes, newest first."""

    prototypes: list[Row]
    next_cursor: Annotated[
        str | None, Field(description="Pass it as `cursor` for older ones; null: there are no more.")
    ]
    next_step: str


class ExplainAnswer(PrototypeAnswer):
    """Why there is this prototype, and what happened to it."""

    asked_for_by: str | None
    asked_for_at: str
    why: str
    prompt: Annotated[str | None, Field(description="Its prompt; a long one is cut.")]
    history: Annotated[
        list[str], Field(description="What happened, oldest first; only the last lines of a long history.")
    ]


def error_text(error: ProtokeepError) -> str:
    """An error as text. If the server's answer was lost, with the effect of a repeat, and the key for it."""
    if not isinstance(error, ClientError):
        return truncate(str(error), 700) or ""
    request = f" (request {truncate(error.problem.request_id, 64)})" if isinstance(error, Refused) else ""
    return f"{truncate(error.reason, 700)} {truncate(error.advice, 1200)}".strip() + request


def fit_into_limit(answer: AnswerT) -> AnswerT:
    """`answer` with fields shortened until it has at most `MAX_BYTES`."""
    for name in _SHORTENED_FIRST:
        value = getattr(answer, name, None)
        while isinstance(value, list) and value and wire_size(answer) > MAX_BYTES:
            value.pop(0)
        if isinstance(value, str) and wire_size(answer) > MAX_BYTES:
            setattr(answer, name, None if name.endswith("url") else truncate(value, 60))
    return answer


def wire_size(answer: BaseModel) -> int:
    """Bytes of an answer on the wire, without the envelope. Its text is JSON within JSON."""
    structure = answer.model_dump_json()
    return len(structure.encode()) + len(json.dumps(answer.model_dump_json(indent=2), ensure_ascii=False).encode())


def truncate(text: str | None, longest: int) -> str | None:
    """`text` as it may be shown in a terminal, cut if it is longer than `longest` bytes of UTF-8."""
    if text is None:
        return None
    text = visible(text)
    if len(text.encode()) <= longest:
        return text
    return text.encode()[: longest - 3].decode(errors="ignore") + "…"


def _short_link(address: str | None, longest: int = LINK_MAX) -> str | None:
    return address if address and len(address.encode()) <= longest and address_of(address) is not None else None


def _format_time(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def state_summary(prototype: Prototype) -> str:
    """The label of the state, with the time that the prototype took so far."""
    try:
        label = STATE_LABELS[State(prototype.state)].label
    except ValueError:
        label = prototype.state
    seconds = prototype.elapsed_seconds
    return label if seconds is None else f"{label} ({int(seconds) // 60} min {int(seconds) % 60} s)"


def _prototype_values(prototype: Prototype) -> dict[str, Any]:
    ready = prototype.ready
    return {
        "prototype_id": prototype.id,
        "product_id": prototype.product_id,
        "state": prototype.state,
        "summary": state_summary(prototype),
        "url": _short_link(prototype.project_url) if ready else None,
        "chat_url": _short_link(prototype.chat_url or (None if ready else prototype.project_url)),
        "trouble": truncate(prototype.trouble, 300),
        "revision": prototype.updated_at.isoformat(),
        "is_current": prototype.is_current,
        "next_step": _NEXT_STEPS.get(prototype.state, "Call get_prototype later."),
    }


def prototype_answer(prototype: Prototype) -> PrototypeAnswer:
    """The state of a prototype, with the next step."""
    return fit_into_limit(PrototypeAnswer(**_prototype_values(prototype)))


def ensured_answer(ensured: Ensured) -> EnsuredAnswer:
    """The prototype that a request got, and why."""
    decision = ensured.decision
    values = _prototype_values(ensured)
    why = decision.reason
    if decision.outcome == "reused":
        why = "This product has one already."
    if decision.outcome == "reused" and decision.prompt_differs:
        why += " It was made from another prompt."
        values["next_step"] += (
            " If the user wants one from the new prompt instead, call ensure_prototype with instead_of set to this "
            "prototype_id."
        )
    values["next_step"] += _similar_step(ensured)
    return fit_into_limit(
        EnsuredAnswer(
            **values,
            is_existing=ensured.is_existing,
            outcome=decision.outcome,
            why=truncate(why, 300) or "",
            prompt_differs=decision.prompt_differs,
        )
    )


def _similar_step(ensured: Ensured) -> str:
    """What to do about products that may have been meant; empty if there are none."""
    for similar in ensured.decision.similar:
        product = truncate(similar.product_id, 100)
        if similar.how == "id":
            return f" Ask the user: did they mean {product}? {similar.reason} If so, get_prototype of {product}."
        return f" Tell the user that product {product} has a prototype like it: {similar.reason}"
    return ""


def found_answer(prototypes: Sequence[Prototype], cursor: str | None) -> FoundAnswer:
    """A page of a search."""
    rows = [
        FoundRow(
            product_id=prototype.product_id,
            product_name=truncate(prototype.product_name, 80),
            prototype_id=prototype.id,
            state=prototype.state,
            made_at=_format_time(prototype.created_at),
            prompt=truncate(prototype.prompt, 80),
            tags=list(prototype.tags[:ROW_TAGS]),
            is_archived=prototype.archived_at is not None,
        )
        for prototype in prototypes
    ]
    step = (
        "If one of these is what the user wants, use its product_id: get_prototype shows it. Only for something else "
        "call ensure_prototype with a product_id of its own."
        if rows
        else "Nothing like it exists. ensure_prototype creates one."
    )
    answer = FoundAnswer(prototypes=rows, next_cursor=cursor, next_step=step)
    for row in reversed(rows):
        if wire_size(answer) > MAX_BYTES:
            row.prompt = row.product_name = None
            row.tags = []
    return answer


def list_answer(prototypes: Sequence[Prototype], cursor: str | None) -> ListAnswer:
    """A page of a product's prototypes."""
    rows = [
        Row(
            prototype_id=prototype.id,
            state=prototype.state,
            made_at=_format_time(prototype.created_at),
            is_current=prototype.is_current,
            url=_short_link(prototype.project_url, ROW_LINK_MAX),
        )
        for prototype in prototypes
    ]
    step = (
        "Everyone who asks for the product gets the one with is_current."
        if rows
        else "There is none yet. Call ensure_prototype to create one."
    )
    answer = ListAnswer(prototypes=rows, next_cursor=cursor, next_step=step)
    for row in reversed(rows):
        if wire_size(answer) > MAX_BYTES:
            row.url = None
    return answer


def explain_answer(detail: PrototypeDetail) -> ExplainAnswer:
    """Why there is a prototype, and its history."""
    claimed = next((line for line in detail.history if line.kind == "claimed"), None)
    why = str((claimed.data or {}).get("reason", "")) if claimed else ""
    surplus = f" Second chats of this prototype were found: {len(detail.surplus_chat_ids)}."
    return fit_into_limit(
        ExplainAnswer(
            **_prototype_values(detail),
            asked_for_by=truncate((claimed.actor if claimed else None) or detail.user_id, 60),
            asked_for_at=_format_time(detail.created_at),
            why=(truncate(why, 200) or "It is older than protokeep, or its history is not known.")
            + (surplus if detail.surplus_chat_ids else ""),
            prompt=truncate(detail.prompt, 250),
            history=[_history_line(line) for line in detail.history[-HISTORY_LINES:]],
        )
    )


def _history_line(line: HistoryLine) -> str:
    data = line.data or {}
    detail = data.get("message") or data.get("outcome") or data.get("state") or ""
    author = line.actor or line.source
    return truncate(f"{line.at:%m-%d %H:%M:%S} {line.kind} by {author}" + (f": {detail}" if detail else ""), 90) or ""
