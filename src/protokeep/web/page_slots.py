"""How many pages of one workspace are made at the same time: a page takes much longer than an answer of the API."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

#: Pages of one workspace that are made at the same time, in one process.
PAGES_AT_ONCE = 2


class PageSlots:
    """The slots of each workspace for its pages. Further pages of a workspace wait; those of others do not."""

    def __init__(self) -> None:
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, workspace_id: str) -> asyncio.Semaphore:
        """Hold it with `async with` while a page of this workspace is made."""
        return self._slots.setdefault(workspace_id, asyncio.Semaphore(PAGES_AT_ONCE))
