"""The errors of the client.

ProtokeepError
  ClientError
    BadSetting            the address, the token, a proxy or a certificate file cannot be used
    OtherEventLoop        an `AsyncProtokeep` was used in a second event loop
    NoAnswer              no server answers, or the connection broke
    NotProtokeep          the answer is not protokeep's: the address is wrong, or a proxy answered
    NotFinished           `wait` ran out of time; the prototype is still being made
    Refused               an RFC 9457 problem, as `problem`; `str(error)` is its detail
      InvalidInput        a value cannot be used; `field` names it
        ProductUnknown
        KeyReused
      NotAuthenticated
      NotAllowed
      NotFound
      KeyInFlight
      UnclearProduct      another product's id reads the same, and the server asks first
      NotNow              the prototype's state does not allow it at this moment
      NotReady            the server cannot carry out the request now
      BuilderUnavailable  the app builder refused or does not answer

If an answer is lost, the server may have carried out the request: then `error.may_have_acted` is True, and
`error.advice` says what a repeat would do. A create or a follow-up is repeated with its own key:

    try:
        shop = keep.ensure("shop", "A landing page", create_new=True)
    except ClientError as error:
        if not error.may_have_acted:
            raise
        shop = keep.ensure("shop", "A landing page", create_new=True, idempotency_key=error.idempotency_key)

An error with the name of one in `protokeep.core.errors` is a subclass of that one, so that one `except` serves both a
server and a keeper in the same process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protokeep.client.models import Similar
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
    """The base class of the client's errors."""

    #: The key of a create or a follow-up, given by the caller or made by the client; None for other requests.
    idempotency_key: str | None = None
    #: Whether the server may have carried out the request in spite of the error. Always False for reads.
    may_have_acted: bool = False
    #: What a repeat of the request would do, in a sentence; empty if the error itself says what to do.
    advice: str = ""

    @property
    def reason(self) -> str:
        """The text of the error without the advice."""
        return str(self)


class BadSetting(ClientError):
    """The address, the token, a proxy or the certificates cannot be used. The text names the setting, not its value."""


class OtherEventLoop(ClientError):
    """An `AsyncProtokeep` belongs to the event loop of its first request, and was used in another one."""


class NoAnswer(ClientError):
    """No answer came. The server may have carried out the request. The text ends with the `advice`."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"{reason} {advice}".strip())
        self._reason = reason
        self.advice = advice

    @property
    def reason(self) -> str:
        """The text of the error without the advice."""
        return self._reason


class NotProtokeep(ClientError):
    """The answer is not protokeep's."""


class NotFinished(ClientError):
    """`wait` ran out of time. `prototype` is the last answer; another `wait` goes on."""

    def __init__(self, message: str, prototype: Prototype) -> None:
        super().__init__(message)
        self.prototype = prototype


class Refused(ClientError):
    """The server refused the request. `problem` says why."""

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
    """There is no token, or it is not valid."""


class NotAllowed(Refused, core.NotAllowed):
    """The token's role does not allow the request."""


class NotFound(Refused, core.NotFound):
    """The product or prototype does not exist in the caller's workspace."""


class KeyInFlight(Refused, core.KeyInFlight):
    """The first request with this key is still running."""


class NotNow(Refused, core.NotNow):
    """The prototype's state does not allow the request now; the message says what has to happen first."""


class UnclearProduct(Refused):
    """The server asks first: another product's id reads the same. `similar` names such products.

    Ask for one of them, or repeat the request with `product_is_new`.
    """

    @property
    def similar(self) -> tuple[Similar, ...]:
        """The products that may have been meant."""
        return tuple(Similar.of(one) for one in self.problem.raw.get("similar", ()))


class TooMany(Refused):
    """A limit is reached; the detail says when requests are accepted again."""


class NotReady(Refused, core.NotReady):
    """The server cannot carry out the request now."""


class BuilderUnavailable(Refused):
    """The app builder refused, or does not answer."""


_BY_KIND: Mapping[str, type[Refused]] = {
    "product-unknown": ProductUnknown,
    "idempotency-key-reused": KeyReused,
    "idempotency-key-in-flight": KeyInFlight,
    "not-now": NotNow,
    "unclear-product": UnclearProduct,
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
    """The error for a problem document (RFC 9457) with this status."""
    kind = str(body.get("type", "")).rpartition(":")[2]
    detail = str(body.get("detail") or body.get("title") or f"The server refused ({status}).")
    problem = Problem(
        kind, str(body.get("title", "")), status, detail, body.get("request_id"), body.get("field"), dict(body)
    )
    return (_BY_KIND.get(kind) or _BY_STATUS.get(status, Refused))(problem)
