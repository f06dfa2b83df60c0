"""Failed sign-ins in the audit: a flood of them becomes a number, so that it does not fill the audit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from protokeep.core.audit import AuditEntry

#: Identical failures within this time become at most two lines: the first one, and a summary with the count.
WINDOW_SECONDS = 60.0
#: So many different failures of a workspace have lines of their own in that time; all others share one line.
SEPARATE_LINES = 20
#: The reason of the shared line.
OTHERS = "others"

_FailureKey = tuple[str, str, str]


@dataclass(slots=True)
class _Counted:
    entry: AuditEntry
    more: int = 0


class FailedSignInCounter:
    """Decides which lines are written: at most 41 a minute for each workspace, however many sign-ins fail."""

    def __init__(self) -> None:
        self._since = 0.0
        self._counted: defaultdict[str, dict[_FailureKey, _Counted]] = defaultdict(dict)

    @property
    def has_open_window(self) -> bool:
        """Whether a window is open, at whose end a summary may be due."""
        return bool(self._counted)

    def count(self, entry: AuditEntry, now: float) -> AuditEntry | None:
        """Count one failure. The line to write at once: `entry` itself, if it is the first of its kind in this window.

        `now` is in seconds of any clock that does not go back. `end_window` has to be called first, for the lines of
        the window before.
        """
        if not self._counted:
            self._since = now
        counted = self._counted[entry.workspace_id]
        same = (entry.address, entry.token_id, str(entry.data.get("reason", "")))
        if same in counted:
            counted[same].more += 1
            return None
        if len(counted) >= SEPARATE_LINES:
            others = counted.setdefault(("", "", OTHERS), _Counted(_unnamed(entry)))
            others.more += 1
            return None
        counted[same] = _Counted(entry)
        return entry

    def end_window(self, now: float, *, at_once: bool = False) -> list[AuditEntry]:
        """The summaries of a window that is over (or of any window, `at_once`), each with its count."""
        if not at_once and now - self._since < WINDOW_SECONDS:
            return []
        ended, self._counted = self._counted, defaultdict(dict)
        return [
            replace(one.entry, data={**one.entry.data, "times": one.more})
            for counted in ended.values()
            for one in counted.values()
            if one.more
        ]


def _unnamed(entry: AuditEntry) -> AuditEntry:
    return replace(entry, address="", token_id="", subject=None, data={"reason": OTHERS})
