"""Those who were not let in, told in few words: a flood becomes a number, and no flood fills the audit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from protokeep.core.audit import AuditEntry

#: What is alike within so long is told twice at most: when it begins, and as a number when the time is over.
WINDOW_SECONDS = 60.0
#: Different ones of a workspace that are told apart in that time; all others together are one line.
TOLD_APART = 20
#: The reason of that line.
OTHERS = "others"

_Same = tuple[str, str, str]


@dataclass(slots=True)
class _Counted:
    entry: AuditEntry
    more: int = 0


class FailedSignInCounter:
    """Decides which lines are written: at most 41 a minute for each workspace, however many come."""

    def __init__(self) -> None:
        self._since = 0.0
        self._counted: defaultdict[str, dict[_Same, _Counted]] = defaultdict(dict)

    @property
    def waiting(self) -> bool:
        """Whether a window is open, which may have something to tell at its end."""
        return bool(self._counted)

    def take(self, entry: AuditEntry, now: float) -> AuditEntry | None:
        """Count one; what to write of it at once: itself, if none like it came in this window.

        `now` is in seconds of any clock that does not go back. Lines of a window that is over are fetched with
        `over` before.
        """
        if not self._counted:
            self._since = now
        counted = self._counted[entry.workspace_id]
        same = (entry.address, entry.token_id, str(entry.data.get("reason", "")))
        if same in counted:
            counted[same].more += 1
            return None
        if len(counted) >= TOLD_APART:
            others = counted.setdefault(("", "", OTHERS), _Counted(_unnamed(entry)))
            others.more += 1
            return None
        counted[same] = _Counted(entry)
        return entry

    def over(self, now: float, *, at_once: bool = False) -> list[AuditEntry]:
        """What a window that is over (or any, `at_once`) has left to tell, with a number of times each."""
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
