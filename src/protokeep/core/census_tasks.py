"""What is left to do in a census: a list of tasks that grows shorter, kept in the census's row as JSON.

Every task is done call by call. Where it goes on after a call, `at` says in the words of the part that makes the calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

#: The version of a builder's API that reads a list: what it does not serve is told by its first page.
NOT_SERVED = frozenset({401, 403, 404, 410})


class Work(StrEnum):
    """The kinds of tasks."""

    LIST = "list"  #: reads the list of one version of the API
    PROJECTS = "projects"
    COSTS = "costs"
    PROMPTS = "prompts"
    GROUPS = "groups"


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `api_version` 0: of no version. `chat_ids` are the chats whose prompts are still to be read."""

    work: Work
    api_version: int = 0
    chat_ids: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What is being done, for people."""
        return {
            Work.LIST: f"reading the list of chats (API version {self.api_version})",
            Work.PROJECTS: "reading the names of projects",
            Work.COSTS: "reading what the chats have cost",
            Work.PROMPTS: "reading the prompts of chats whose names leave open what they are",
            Work.GROUPS: "grouping the chats",
        }[self.work]

    @property
    def needs_call(self) -> bool:
        """Whether the app builder is asked."""
        return self.work is not Work.GROUPS


@dataclass(frozen=True, slots=True)
class CensusTasks:
    """The tasks that are left, the first of them under way.

    `walk` counts the readings of the list that is read now, and `tries` the calls in a row that failed. `read` are the
    versions whose lists were read; `refused` says of the others why not. `notes` are for people.
    """

    tasks: tuple[Task, ...] = ()
    at: Any = None
    walk: int = 1
    tries: int = 0
    read: tuple[int, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Task | None:
        """The task under way; None: all is done."""
        return self.tasks[0] if self.tasks else None

    @property
    def prompts_left(self) -> int:
        """How many prompts are still to be read, once everything else was; 0 before that."""
        first = self.first
        return len(first.chat_ids) if first is not None and first.work is Work.PROMPTS else 0

    def done(self, *before_others: Task) -> CensusTasks:
        """Without the first task, and with `before_others` to be done next."""
        return replace(self, tasks=(*before_others, *self.tasks[1:]), at=None, walk=1, tries=0)

    def moved(self, at: Any) -> CensusTasks:
        """The first task goes on at another place."""
        return replace(self, at=at, tries=0)

    def again(self) -> CensusTasks:
        """The list is read again from its beginning."""
        return replace(self, at=None, walk=self.walk + 1, tries=0)

    def failed_once(self) -> CensusTasks:
        """After a call that failed and is made again."""
        return replace(self, tries=self.tries + 1)

    def was_read(self, api_version: int) -> CensusTasks:
        """The list of this version has ended."""
        return replace(self.done(), read=(*self.read, api_version))

    def was_refused(self, api_version: int, reason: str) -> CensusTasks:
        """The key is not served by this version."""
        return replace(self.done(), refused={**self.refused, str(api_version): reason})

    def noted(self, note: str) -> CensusTasks:
        """With one more note for people."""
        return replace(self, notes=(*self.notes, note))

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "tasks": [[task.work.value, task.api_version, list(task.chat_ids)] for task in self.tasks],
            "at": self.at,
            "walk": self.walk,
            "tries": self.tries,
            "read": list(self.read),
            "refused": dict(self.refused),
            "projects": dict(self.projects),
            "notes": list(self.notes),
        }

    @classmethod
    def of(cls, position: Mapping[str, Any]) -> CensusTasks:
        """The tasks in the row of a census."""
        return cls(
            tasks=tuple(Task(Work(work), version, tuple(chats)) for work, version, chats in position.get("tasks", ())),
            at=position.get("at"),
            walk=position.get("walk", 1),
            tries=position.get("tries", 0),
            read=tuple(position.get("read", ())),
            refused=position.get("refused", {}),
            projects=position.get("projects", {}),
            notes=tuple(position.get("notes", ())),
        )


def tasks_of(api_versions: Sequence[int], *, with_costs: bool) -> CensusTasks:
    """The tasks of a new census.

    The newest version comes first, because its list shows whose marks the chats carry: of what belongs to somebody
    else nothing is kept then when the older list shows it by name. Groups are made twice, before and after prompts.
    """
    newest_first = sorted(api_versions, reverse=True)
    lists = [Task(Work.LIST, version) for version in newest_first]
    costs = [Task(Work.COSTS, version) for version in sorted(api_versions)] if with_costs else []
    projects = [Task(Work.PROJECTS, version) for version in sorted(api_versions)]
    return CensusTasks((*lists, *projects, *costs, Task(Work.GROUPS)))
