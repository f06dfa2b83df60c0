"""How prototypes look in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from protokeep.client import Prototype
from protokeep.core.prototype import State
from protokeep.core.state_labels import STATE_WORDS

#: What a tone of the page is in a terminal.
COLOURS: Mapping[str, str] = {"calm": "cyan", "busy": "blue", "good": "green", "warn": "yellow", "bad": "red"}
#: Finished prototypes needed before "usually" means anything.
ENOUGH = 3


def out(value: Any, text: str, *, as_json: bool) -> None:
    """Print a result, for programs or for people."""
    sys.stdout.write((json.dumps(value, indent=2, ensure_ascii=False) if as_json else text) + "\n")


def chip(state: str) -> str:
    """The word of a state with its shape; a state of a newer server is shown as it is."""
    try:
        words = STATE_WORDS[State(state)]
    except ValueError:
        return state
    return f"{words.shape} {words.label}"


def colour(state: str) -> str:
    """The colour that goes with a state."""
    try:
        return COLOURS[STATE_WORDS[State(state)].tone]
    except ValueError:
        return "white"


def line(prototype: Prototype) -> str:
    """A prototype in a line, and what is wrong with it, if anything is, in a second one."""
    seconds = prototype.elapsed_seconds
    parts = [chip(prototype.state), "" if seconds is None else clock(seconds), prototype.product_id]
    spent = "" if prototype.credits is None else f"{round(prototype.credits, 2):g} credits"
    first = "  ".join(part for part in [*parts, prototype.project_url or "", spent] if part)
    return first + (f"\n  {prototype.trouble}" if prototype.trouble else "")


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def usual_range(durations: Sequence[float]) -> tuple[float, float] | None:
    """How long it usually takes: from the 10th to the 90th percentile; None when too few are known."""
    if len(durations) < ENOUGH:
        return None
    ordered = sorted(durations)
    last = len(ordered) - 1
    return ordered[round(last * 0.1)], ordered[round(last * 0.9)]


def usually(span: tuple[float, float] | None) -> str:
    """A usual range in words, or nothing."""
    if span is None:
        return ""
    low, high = clock(span[0]), clock(span[1])
    return f"usually {low}" if low == high else f"usually {low} to {high}"
