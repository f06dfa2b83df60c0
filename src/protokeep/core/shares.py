"""Shares: how much of something scarce one person and one workspace may hold at once, in one process."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Literal, TypeVar

from protokeep.core.principals import Principal

Key = TypeVar("Key")

#: Who holds all that it may hold.
Holder = Literal["person", "workspace", "process"]
#: A workspace holds at most one of so many parts of what a process has.
PARTS = 3


class Shares:
    """Counts what people, workspaces and the process hold at this moment.

    A workspace may hold a third of what the process may, so that no workspace takes everything from the others.
    """

    def __init__(self, per_person: int, per_process: int, per_workspace: int | None = None) -> None:
        """`per_workspace` None: a third of `per_process`."""
        self._per_person = per_person
        self._per_workspace = max(1, per_process // PARTS) if per_workspace is None else per_workspace
        self._per_process = per_process
        self._of_people: Counter[tuple[str, str]] = Counter()
        self._of_workspaces: Counter[str] = Counter()
        self._held = 0

    def full(self, principal: Principal) -> Holder | None:
        """Who has nothing left for one more of `principal`'s; None: there is room."""
        if self._of_people[principal.workspace_id, principal.user_id] >= self._per_person:
            return "person"
        if self._of_workspaces[principal.workspace_id] >= self._per_workspace:
            return "workspace"
        return "process" if self._held >= self._per_process else None

    @contextlib.contextmanager
    def held(self, principal: Principal) -> Iterator[None]:
        """Count one of `principal`'s for as long as the context lasts. The caller asks first whether there is room."""
        person = (principal.workspace_id, principal.user_id)
        self._of_people[person] += 1
        self._of_workspaces[principal.workspace_id] += 1
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            _take_one(self._of_workspaces, principal.workspace_id)
            _take_one(self._of_people, person)


def _take_one(counter: Counter[Key], key: Key) -> None:
    """Count one less. A key whose count is 0 is dropped, because keys come from outside and would fill the memory."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
