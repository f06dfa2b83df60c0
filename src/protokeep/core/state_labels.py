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
    State.QUEUED: StateLabel("Queued", "○", "calm", "It will be sent to the app builder in a moment."),
    State.MAKING: StateLabel("Generating", "◐", "busy", "The app builder is working on it."),
    State.WAITING: StateLabel(
        "Waiting for you", "?", "warn", "The app builder asked a question. Answer it to continue."
    ),
    State.READY: StateLabel("Ready", "●", "good", "It can be opened."),
    State.FAILED: StateLabel("Failed", "✕", "bad", "The app builder could not finish it."),
    State.STOPPED: StateLabel("Stopped", "■", "calm", "It was stopped on request. Ask for a change to continue."),
    State.TIMED_OUT: StateLabel("Taking long", "◷", "warn", "It takes longer than usual. We keep checking."),
    State.NOT_VISIBLE: StateLabel(
        "Not visible", "◇", "warn", "The app builder does not show it at the moment. We keep checking."
    ),
    State.UNDECIDED: StateLabel(
        "Checking",
        "◌",
        "warn",
        "We lost the app builder's reply and are finding out whether it started. Nothing is made twice.",
    ),
    State.PARKED: StateLabel("Paused", "‖", "warn", "It waits, and resumes automatically."),
    State.UNTRACKED: StateLabel("Untracked", "·", "calm", "It was made before protokeep and is not tracked."),
    State.DELETING: StateLabel("Deleting", "⌫", "calm", "It is being deleted, in the app builder too."),
    State.IN_BIN: StateLabel("In the bin", "⌫", "calm", "It was deleted, and can still be taken back."),
}

#: The groups of the home page: prototypes that need somebody, those in progress, and the rest.
ATTENTION = (State.FAILED, State.WAITING, State.UNDECIDED, State.PARKED, State.TIMED_OUT, State.NOT_VISIBLE)
IN_PROGRESS = (State.QUEUED, State.MAKING, State.DELETING)
AT_REST = (State.READY, State.STOPPED, State.UNTRACKED)
