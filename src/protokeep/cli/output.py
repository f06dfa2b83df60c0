"""Prototypes as text in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from protokeep.cli.own_words import in_own_words
from protokeep.cli.terminal import in_one_line, print_json, print_text
from protokeep.client import Ensured, Prototype, Similar
from protokeep.core.prototype import State
from protokeep.core.state_labels import STATE_LABELS

#: The terminal colour for each tone of `STATE_LABELS`.
COLOURS: Mapping[str, str] = {"calm": "cyan", "busy": "blue", "good": "green", "warn": "yellow", "bad": "red"}
#: Durations that are needed before a usual range is shown.
MIN_DURATIONS = 3


def print_result(value: Any, text: str, *, as_json: bool) -> None:
    """Print `value` as JSON for programs, or `text` for people."""
    if as_json:
        print_json(value)
    else:
        print_text(text)


def state_label(state: str) -> str:
    """The shape and label of a state. A state that only a newer server knows is shown as it is."""
    try:
        label = STATE_LABELS[State(state)]
    except ValueError:
        return in_one_line(state)
    return f"{label.shape} {label.label}"


def state_colour(state: str) -> str:
    """The terminal colour of a state."""
    try:
        return COLOURS[STATE_LABELS[State(state)].tone]
    except ValueError:
        return "white"


def prototype_line(prototype: Prototype, *, numbered: bool = False) -> str:
    """State, time, product, address and cost of a prototype in one line; a second line if something is wrong.

    `numbered`: with the variant's number and name.
    """
    seconds = prototype.elapsed_seconds
    columns = [
        state_label(prototype.state),
        "" if seconds is None else format_duration(seconds),
        in_one_line(prototype.product_id) + (_variant_text(prototype) if numbered else ""),
        in_one_line(prototype.project_url or ""),
        "" if prototype.credits is None else f"{round(prototype.credits, 2):g} credits",
        in_one_line(" ".join(f"[{tag}]" for tag in prototype.tags)),
        "archived" if prototype.archived_at else "",
    ]
    line = "  ".join(column for column in columns if column)
    trouble = trouble_text(prototype)
    return line + (f"\n  {trouble}" if trouble else "")


def _variant_text(prototype: Prototype) -> str:
    number = "" if prototype.variant is None else f" #{prototype.variant}"
    return number + (f" {in_one_line(prototype.variant_name)}" if prototype.variant_name else "")


def trouble_text(prototype: Prototype) -> str:
    """What is wrong with a prototype, and when that is tried again, in one line; empty if nothing is wrong."""
    if not prototype.trouble:
        return ""
    reason = prototype.reason
    again = reason.next_try_at if reason is not None and prototype.error is None else None
    return in_one_line(prototype.trouble) + (f" Next try at {again.astimezone():%H:%M:%S}." if again else "")


def similar_line(similar: Similar) -> str:
    """A product that may have been meant, as a question; below the result of a create."""
    product, reason = in_one_line(similar.product_id), in_one_line(similar.reason)
    if similar.how == "id":
        return f"  Did you mean {product}? {reason} It is {state_label(similar.state)}."
    return f"  Like it: {product}. {reason} It is {state_label(similar.state)}."


def ensured_text(ensured: Ensured) -> str:
    """What a create got and why, and the products that may have been meant."""
    decision = ensured.decision
    why = f"  {in_one_line(decision.outcome)}: {in_one_line(in_own_words(decision.reason))}"
    return "\n".join([prototype_line(ensured), why, *map(similar_line, decision.similar)])


#: The head of a list: * marks the current one, and the id is what --id takes.
LIST_HEADER = f"{'made (UTC)':16}  * {'id':36}  state"


def listed_line(prototype: Prototype, *, numbered: bool = False) -> str:
    """A prototype in a list: when it was made, whether it is the current one, its id, and the rest."""
    mark = "*" if prototype.is_current else " "
    made = prototype.created_at.astimezone(UTC)
    return f"{made:%Y-%m-%d %H:%M}  {mark} {in_one_line(prototype.id)}  {prototype_line(prototype, numbered=numbered)}"


def format_duration(seconds: float) -> str:
    """A duration as minutes and seconds, such as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def usual_duration(durations: Sequence[float]) -> tuple[float, float] | None:
    """The 10th and the 90th percentile of `durations`, in seconds; None if there are fewer than `MIN_DURATIONS`."""
    if len(durations) < MIN_DURATIONS:
        return None
    ordered = sorted(durations)
    last = len(ordered) - 1
    return ordered[round(last * 0.1)], ordered[round(last * 0.9)]


def format_usual_duration(percentiles: tuple[float, float] | None) -> str:
    """Such as "usually 1:05 to 2:40"; empty for None."""
    if percentiles is None:
        return ""
    low, high = format_duration(percentiles[0]), format_duration(percentiles[1])
    return f"usually {low}" if low == high else f"usually {low} to {high}"
