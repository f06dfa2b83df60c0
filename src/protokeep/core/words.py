"""What a state is called, and the shape that goes with it: the same on the page, in the API's docs and in the CLI."""

from __future__ import annotations

from collections.abc import Mapping

from protokeep.core.prototype import State

#: state -> (word, shape). The shape tells states apart where there is no colour.
WORDS: Mapping[State, tuple[str, str]] = {
    State.QUEUED: ("Queued", "○"),
    State.MAKING: ("Making", "◐"),
    State.WAITING: ("Waiting for an answer", "?"),
    State.READY: ("Ready", "●"),
    State.FAILED: ("Failed", "✕"),
    State.TIMED_OUT: ("Timed out, still looking", "◷"),
    State.UNDECIDED: ("Undecided", "◌"),
    State.PARKED: ("Parked", "‖"),
    State.UNTRACKED: ("Untracked", "·"),
}
