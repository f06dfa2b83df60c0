"""Traces: what happened to a prototype, from the claim to the last poll, is one trace, whichever process did it.

Off unless `tracing` installs a tracer; then nothing here costs more than a look at a variable. The trace of a turn (a
create, or one follow-up) follows from the prototype's id and the number of the turn, so that any process adds to it and
nothing is stored. The request that asked for it is in its caller's trace, and both are linked.

A span names ids, codes and counts. It never holds a prompt, a message, a person or a key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, Protocol

#: Values of attributes.
Value = str | int | float | bool
#: `server`: a request to us; `client`: a call to somebody else.
Kind = Literal["internal", "server", "client"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A create (turn 1) or a follow-up of a prototype. Its trace and the first span of it follow from these two."""

    prototype_id: str
    number: int

    @property
    def trace_id(self) -> int:
        """16 bytes that spread evenly, because samplers look at them."""
        return int.from_bytes(self._digest[:16]) or 1

    @property
    def span_id(self) -> int:
        """The span of the claim, which all others of the trace stand below."""
        return int.from_bytes(self._digest[16:24]) or 1

    @property
    def _digest(self) -> bytes:
        return sha256(f"{self.prototype_id}:{self.number}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a span belongs. Without any of these: below the span that is open.

    `turn`: in the trace of the turn. `is_first`: it is the turn's first span, and began with the span that is open.
    `traceparent`: below the span of a caller, as its header names it. `turns`: linked with these.
    """

    turn: Turn | None = None
    is_first: bool = False
    traceparent: str = ""
    turns: Sequence[Turn] = field(default=())


class Span(Protocol):
    """A span that is open."""

    def name(self, name: str) -> None:
        """Give it a better name, which was not known when it began."""
        ...

    def set(self, **attributes: Value) -> None:
        """Add attributes."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self, name: str, kind: Kind, origin: Origin, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[Span]:
        """A span that is open for as long as the context lasts, and says whether it ended in an error."""
        ...

    def trace_id(self) -> str:
        """The trace of the span that is open; empty: none is."""
        ...

    def headers_to_builder(self) -> Mapping[str, str]:
        """What a call to the app builder says of its trace: nothing, unless a setting allows it."""
        ...


class NoSpan:
    """Stands for a span while there are no traces."""

    def name(self, name: str) -> None:
        return None

    def set(self, **attributes: Value) -> None:
        return None


_NO_SPAN = nullcontext(NoSpan())
_NO_ORIGIN = Origin()
_tracer: Tracer | None = None


@contextlib.contextmanager
def using(tracer: Tracer) -> Iterator[None]:
    """Make spans with `tracer`, for as long as the context lasts."""
    global _tracer  # noqa: PLW0603 - as the root logger is: spans are made everywhere, and by one tracer
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(
    name: str, *, kind: Kind = "internal", origin: Origin = _NO_ORIGIN, **attributes: Value
) -> AbstractContextManager[Span]:
    """A span that is open for as long as the context lasts; without a tracer it is nothing."""
    return _NO_SPAN if _tracer is None else _tracer.span(name, kind, origin, attributes)


def turn_span(name: str, prototype_id: str, turn: int, **attributes: Value) -> AbstractContextManager[Span]:
    """A span in the trace of a prototype's turn."""
    if _tracer is None:
        return _NO_SPAN
    attributes["prototype_id"] = prototype_id
    return _tracer.span(name, "internal", Origin(turn=Turn(prototype_id, turn)), attributes)


def claimed(prototype_id: str, turn: int) -> None:
    """The first span of a turn's trace, which began with the request that is open and ends now."""
    origin = Origin(turn=Turn(prototype_id, turn), is_first=True)
    with span("prototype.claim", origin=origin, prototype_id=prototype_id):
        return


def trace_id() -> str:
    """The trace of the span that is open; empty: none is."""
    return "" if _tracer is None else _tracer.trace_id()


def headers_to_builder() -> Mapping[str, str]:
    """What a call to the app builder says of its trace: nothing, unless a setting allows it."""
    return {} if _tracer is None else _tracer.headers_to_builder()
