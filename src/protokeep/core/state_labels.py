"""Labels of states: the same words, symbols and tones on the page, in the CLI and in the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protokeep.core.prototype import State


@dataclass(frozen=True, slots=True)
class StateLabel:
    """`label` stands on the chip behind the symbol `shape`; `tone` is the colour's meaning; `meaning` is a sentence."""

    label: str
    shape: str
    tone: str
    meaning: str


STATE_LABELS: Mapping[State, StateLabel] = {
    State.QUEUED: StateLabel("Queued", "○", "calm", "It will be sent to the builder in a moment."),
    State.MAKING: StateLabel("Making", "◐", "busy", "The builder is working on it."),
    State.WAITING: StateLabel("Waiting for an answer", "?", "warn", "The builder asked a question."),
    State.READY: StateLabel("Ready", "●", "good", "It can be opened."),
    State.FAILED: StateLabel("Failed", "✕", "bad", "The builder gave up."),
    State.TIMED_OUT: StateLabel("Timed out", "◷", "warn", "It took longer than usual; it is still looked at."),
    State.NOT_VISIBLE: StateLabel(
        "Not visible", "◇", "warn", "The builder does not show it at present; it is looked at again."
    ),
    State.UNDECIDED: StateLabel(
        "Undecided", "◌", "warn", "The builder's answer was lost; it is being looked for, nothing is made twice."
    ),
    State.PARKED: StateLabel("Parked", "‖", "warn", "It waits, and goes on by itself."),
    State.UNTRACKED: StateLabel("Untracked", "·", "calm", "It was made before protokeep and is not followed."),
    State.DELETING: StateLabel("Deleting", "⌫", "calm", "It is being deleted, at the builder too."),
    State.IN_BIN: StateLabel("In the bin", "⌫", "calm", "It was deleted, and can still be taken back."),
}

#: The groups of the home page: prototypes that need somebody, those in progress, and the rest.
ATTENTION = (State.FAILED, State.WAITING, State.UNDECIDED, State.PARKED, State.TIMED_OUT, State.NOT_VISIBLE)
IN_PROGRESS = (State.QUEUED, State.MAKING, State.DELETING)
AT_REST = (State.READY, State.UNTRACKED)
