"""What the server answers, as values. Field names are the API's; fields this version does not know are in `raw`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self

#: Statuses after which nothing more is expected soon. A timed out one may still be settled by a later look.
FINISHED = frozenset({"completed", "failed", "timeout"})
#: States in which something is still expected, whatever the status says: a follow-up may be on its way to the builder.
UNDER_WAY = frozenset({"queued", "making", "waiting", "undecided", "parked"})


class _Value:
    """Reads itself from a JSON object: a missing field is None or its default, an unknown one is left out."""

    __slots__ = ()

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> Self:
        """The value that `view` holds. Raises `KeyError` or `TypeError` when it is none of the server's."""
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
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(_Value):
    """Why it failed, timed out, or cannot be decided yet. `code` is stable; `message` is for people."""

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason(_Value):
    """What holds it up, and when it is tried again by itself."""

    code: str
    message: str = ""
    next_try_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(_Value):
    """Why a request got this prototype. `outcome`: created, reused, replaced or replayed."""

    outcome: str
    reason: str
    prompt_differs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prototype(_Value):
    """One prototype. `raw` is the server's own JSON object."""

    id: str
    product_id: str
    project_status: str
    state: str
    created_at: datetime
    updated_at: datetime
    user_id: str | None = None
    provider: str = "v0"
    prompt: str | None = None
    v0_chat_id: str | None = None
    v0_project_id: str | None = None
    reason: Reason | None = None
    project_url: str | None = None
    demo_url: str | None = None
    web_url: str | None = None
    chat_url: str | None = None
    thumbnail_url: str | None = None
    image_url: str | None = None
    error: Failure | None = None
    is_current: bool = False
    observed_at: datetime | None = None
    poll_count: int = 0
    elapsed_seconds: float | None = None
    credits: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ready(self) -> bool:
        """Whether it can be opened."""
        return self.project_status == "completed" and self.finished

    @property
    def finished(self) -> bool:
        """Whether it is completed, failed, or timed out."""
        return self.project_status in FINISHED and self.state not in UNDER_WAY

    @property
    def trouble(self) -> str | None:
        """What went wrong or holds it up, for people; None: nothing does."""
        why = self.error or self.reason
        return why.message if why else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured(Prototype):
    """The prototype a request got, and why. `is_existing`: it was there before the request."""

    is_existing: bool
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine(_Value):
    """One thing that happened to a prototype: when, and because of whom or what."""

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
class Change:
    """A prototype changed. `data` is what the server sent along: at least these three."""

    id: str
    product_id: str
    state: str
    event_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


_NESTED: Mapping[str, type[Failure] | type[Reason] | type[Decision]] = {
    "error": Failure,
    "reason": Reason,
    "decision": Decision,
}
