"""What can go wrong between us and a server, as a caller sees it.

ProtokeepError
  ClientError
    NoAnswer              nobody is there, or the connection broke
    NotProtokeep          an answer that is none of protokeep's: the address is wrong, or a proxy spoke
    NotFinished           `wait` ran out of time; the prototype is still being made
    Refused               an RFC 9457 problem, as `problem`; `str(error)` is its detail
      InvalidInput        a value cannot be used; `field` names it
        ProductUnknown
        KeyReused
      NotAuthenticated
      NotAllowed
      NotFound
      KeyInFlight
      NotNow              the prototype's state does not allow it at this moment
      NotReady            protokeep cannot do this now
      BuilderUnavailable  the app builder refused or does not answer

An answer that was lost leaves open whether the server has done what it was asked. `error.may_have_acted` says so, and
`error.advice` says what asking again would do. A create or a follow-up is repeated with the key it was sent with:

    try:
        shop = keep.ensure("shop", "A landing page", create_new=True)
    except ClientError as error:
        if not error.may_have_acted:
            raise
        shop = keep.ensure("shop", "A landing page", create_new=True, idempotency_key=error.idempotency_key)

Those that share a name with an error of `protokeep.core.errors` are that error too, so that one `except` serves both
a server and a keeper in the same process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protokeep.core import errors as core

if TYPE_CHECKING:
    from protokeep.client.models import Prototype


@dataclass(frozen=True, slots=True)
class Problem:
    """An RFC 9457 document. `kind` is the last part of its stable `type`."""

    kind: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    field_name: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class ClientError(core.ProtokeepError):
    """Base of what the client raises."""

    #: The key that a create or a follow-up was sent with, given or made by the client; None for everything else.
    idempotency_key: str | None = None
    #: Whether the server may have done what it was asked, this error notwithstanding. Never for what only reads.
    may_have_acted: bool = False
    #: What asking again does, in a sentence; empty where the error itself says what to do.
    advice: str = ""

    @property
    def reason(self) -> str:
        """What went wrong, without the advice."""
        return str(self)


class NoAnswer(ClientError):
    """Nobody answered. What was asked may have been done; the text ends with the `advice`."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"{reason} {advice}".strip())
        self._reason = reason
        self.advice = advice

    @property
    def reason(self) -> str:
        """What went wrong, without the advice."""
        return self._reason


class NotProtokeep(ClientError):
    """Something answered that is not protokeep."""


class NotFinished(ClientError):
    """`wait` ran out of time. `prototype` is how it stood last; waiting again goes on."""

    def __init__(self, message: str, prototype: Prototype) -> None:
        super().__init__(message)
        self.prototype = prototype


class Refused(ClientError):
    """The server said no. `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        Exception.__init__(self, problem.detail)
        self.problem = problem


class InvalidInput(Refused, core.InvalidInput):
    """A value cannot be used."""

    def __init__(self, problem: Problem) -> None:
        Refused.__init__(self, problem)
        self.field = problem.field_name


class ProductUnknown(InvalidInput, core.ProductUnknown):
    """The owner's own table of products does not hold this one."""


class KeyReused(InvalidInput, core.KeyReused):
    """The idempotency key was used for a different request."""


class NotAuthenticated(Refused, core.NotAuthenticated):
    """No token, or one that does not count."""


class NotAllowed(Refused, core.NotAllowed):
    """The token's role does not cover this."""


class NotFound(Refused, core.NotFound):
    """No such thing in the caller's workspace."""


class KeyInFlight(Refused, core.KeyInFlight):
    """The first request with this key is still being written."""


class NotNow(Refused, core.NotNow):
    """The prototype's state does not allow it now; the message says what has to happen first."""


class TooMany(Refused):
    """As many were made today as may be; the detail says when it goes on."""


class NotReady(Refused, core.NotReady):
    """protokeep cannot do this now."""


class BuilderUnavailable(Refused):
    """The app builder refused, or does not answer."""


_BY_KIND: Mapping[str, type[Refused]] = {
    "product-unknown": ProductUnknown,
    "idempotency-key-reused": KeyReused,
    "idempotency-key-in-flight": KeyInFlight,
    "not-now": NotNow,
    "provider-rejected": BuilderUnavailable,
    "provider-unavailable": BuilderUnavailable,
}
_BY_STATUS: Mapping[int, type[Refused]] = {
    400: InvalidInput,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    413: InvalidInput,
    422: InvalidInput,
    429: TooMany,
    503: NotReady,
}


def refused(status: int, body: Mapping[str, Any]) -> Refused:
    """The error for a problem document."""
    kind = str(body.get("type", "")).rpartition(":")[2]
    detail = str(body.get("detail") or body.get("title") or f"The server refused ({status}).")
    problem = Problem(
        kind, str(body.get("title", "")), status, detail, body.get("request_id"), body.get("field"), dict(body)
    )
    return (_BY_KIND.get(kind) or _BY_STATUS.get(status, Refused))(problem)
