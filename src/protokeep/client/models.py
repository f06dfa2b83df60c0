"""The server's answers as values. Fields have the names of the API; `raw` holds all of them, also unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self

#: Statuses after which no change is expected soon. A later poll may still complete a timed-out prototype.
FINISHED = frozenset({"completed", "failed", "timeout"})
#: States in which a change is expected, whatever the status says: a follow-up may be on its way to the app builder.
UNDER_WAY = frozenset({"queued", "making", "waiting", "undecided", "parked"})


class ApiValue:
    """A value that is read from a JSON object. A missing field has its default, and an unknown one is ignored."""

    __slots__ = ()

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> Self:
        """The value of a JSON object. Raises `KeyError` or `TypeError` for an object that is not the server's."""
        known: dict[str, Any] = {}
        for name, required in _fields(cls):  # type: ignore[arg-type] # a class is hashable
            if name == "raw":
                known[name] = view
            elif name in view:
                known[name] = _read(name, view[name])
            elif required:
                raise KeyError(name)
        return cls(**known)


@cache
def _fields(cls: type) -> tuple[tuple[str, bool], ...]:
    return tuple((one.name, one.default is MISSING and one.default_factory is MISSING) for one in fields(cls))


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "at" or name.endswith("_at"):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if name in _NESTED and isinstance(value, Mapping):
        return _NESTED[name].of(value)
    if name == "history":
        return tuple(HistoryLine.of(line) for line in value)
    if name == "similar":
        return tuple(Similar.of(one) for one in value)
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(ApiValue):
    """Why a prototype failed, timed out, or is undecided. `code` is stable; `message` is for people."""

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason(ApiValue):
    """Why a prototype is held up, and when the server tries again by itself."""

    code: str
    message: str = ""
    next_try_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar(ApiValue):
    """A prototype of another product that may have been meant. `how`: id or prompt; `alike`: 0 to 1."""

    product_id: str
    prototype_id: str
    state: str
    how: str
    alike: float
    reason: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(ApiValue):
    """Why a request got this prototype. `outcome`: created, reused, replaced or replayed."""

    outcome: str
    reason: str
    prompt_differs: bool = False
    similar: tuple[Similar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prototype(ApiValue):
    """One prototype. `raw` is the server's own JSON object."""

    id: str
    product_id: str
    project_status: str
    state: str
    created_at: datetime
    updated_at: datetime
    product_name: str | None = None
    tags: tuple[str, ...] = ()
    archived_at: datetime | None = None
    user_id: str | None = None
    provider: str = "v0"
    prompt: str | None = None
    prompt_cut: bool = False
    v0_chat_id: str | None = None
    v0_project_id: str | None = None
    reason: Reason | None = None
    project_url: str | None = None
    demo_url: str | None = None
    web_url: str | None = None
    chat_url: str | None = None
    thumbnail_url: str | None = None
    image_url: str | None = None
    phase_submission_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    error: Failure | None = None
    is_current: bool = False
    observed_at: datetime | None = None
    poll_count: int = 0
    elapsed_seconds: float | None = None
    credits: float | None = None
    key_source: str | None = None
    deletion_due_at: datetime | None = None
    archive_id: str | None = None
    variant: int | None = None
    variant_name: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ready(self) -> bool:
        """Whether the prototype can be opened."""
        return self.project_status == "completed" and self.finished

    @property
    def finished(self) -> bool:
        """Whether the prototype is completed, failed, or timed out."""
        return self.project_status in FINISHED and self.state not in UNDER_WAY

    @property
    def trouble(self) -> str | None:
        """Why the prototype failed or is held up, for people; None if it did not and is not."""
        cause = self.error or self.reason
        return cause.message if cause else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured(Prototype):
    """The prototype that a request got, and why. `is_existing`: it existed before the request."""

    is_existing: bool
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine(ApiValue):
    """One event in the history of a prototype: what, when, and by whom."""

    kind: str
    source: str
    at: datetime
    actor: str | None = None
    status: str | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrototypeDetail(Prototype):
    """One prototype with its history, oldest line first."""

    history: tuple[HistoryLine, ...] = ()
    surplus_chat_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedChat(ApiValue):
    """The copy of a chat that was made before its deletion. `restored_as`: the chat that was made from it again."""

    id: str
    chat_id: str
    created_at: datetime
    sha256: str
    bytes: int
    account: str = ""
    api_version: int = 0
    name: str = ""
    product_id: str | None = None
    prototype_id: str | None = None
    restored_as: str | None = None
    restored_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredChat(ApiValue):
    """A chat that was made again. `prototype` None: nobody knows which product it was for."""

    chat_id: str
    archive: ArchivedChat
    prototype: Prototype | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult(ApiValue):
    """What became of one of several prototypes. `problem`: why nothing was done (type, status, detail); None: done.

    `prototype` None: it is deleted for good, or there is none.
    """

    id: str
    problem: Mapping[str, Any] | None = None
    prototype: Prototype | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A prototype changed. `data` is the event of the server, which holds at least id, product and state."""

    id: str
    product_id: str
    state: str
    event_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


_NESTED: Mapping[str, type[Failure | Reason | Decision | ArchivedChat | Prototype]] = {
    "error": Failure,
    "reason": Reason,
    "decision": Decision,
    "archive": ArchivedChat,
    "prototype": Prototype,
}
