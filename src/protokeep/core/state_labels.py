"""Labels of states: the same words, symbols and tones on the page, in the CLI and in the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protokeep.core.prototype import State


@dataclass(frozen=True, slots=True)
class StateWords:
    """`label` stands on the chip behind the symbol `shape`; `tone` is the colour's meaning; `meaning` is a sentence."""

    label: str
    shape: str
    tone: str
    meaning: str


STATE_WORDS: Mapping[State, StateWords] = {
    State.QUEUED: StateWords("Queued", "○", "calm", "It will be sent to the builder in a moment."),
    State.MAKING: StateWords("Making", "◐", "busy", "The builder is working on it."),
    State.WAITING: StateWords("Waiting for an answer", "?", "warn", "The builder asked a question."),
    State.READY: StateWords("Ready", "●", "good", "It can be opened."),
    State.FAILED: StateWords("Failed", "✕", "bad", "The builder gave up."),
    State.TIMED_OUT: StateWords("Timed out", "◷", "warn", "It took longer than usual; it is still looked at."),
    State.NOT_VISIBLE: StateWords(
        "Not visible", "◇", "warn", "The builder does not show it at present; it is looked at again."
    ),
    State.UNDECIDED: StateWords(
        "Undecided", "◌", "warn", "The builder's answer was lost; it is being looked for, nothing is made twice."
    ),
    State.PARKED: StateWords("Parked", "‖", "warn", "It waits, and goes on by itself."),
    State.UNTRACKED: StateWords("Untracked", "·", "calm", "It was made before protokeep and is not followed."),
    State.DELETING: StateWords("Deleting", "⌫", "calm", "It is being deleted, at the builder too."),
}

#: The groups of the home page: prototypes that need somebody, those in progress, and the rest.
ATTENTION = (State.FAILED, State.WAITING, State.UNDECIDED, State.PARKED, State.TIMED_OUT, State.NOT_VISIBLE)
IN_PROGRESS = (State.QUEUED, State.MAKING, State.DELETING)
AT_REST = (State.READY, State.UNTRACKED)
