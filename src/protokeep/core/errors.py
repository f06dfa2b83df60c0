"""All errors, as a caller sees them.

ProtokeepError
  InvalidInput             422  a value that cannot be used; the message says which would do
    ProductUnknown              the owner's `products` table has no such product
    KeyReused                   same idempotency key, another request (IETF Idempotency-Key draft)
  NotAuthenticated         401  no token, or one that is unknown, expired or revoked
  NotAllowed               403  the token's role does not cover this
  TooMany                  429  more requests, sign-ins or streams than one caller may have
  NotFound                 404  no such product or prototype
  KeyInFlight              409  same idempotency key, the first request has not been written yet
  UnclearProduct           409  the workspace asks first: another product's id reads the same
  NotNow                   409  the prototype's state does not allow it at this moment
  LimitReached             409  the workspace has as many as it may have
  QuotaReached             429  as many were made today as may be
  NotReady                 503  protokeep itself cannot do this now
    NotMigrated                 the database lacks what a create needs
    NotConfigured               a setting is missing (the builder's key)
    DatabaseUnavailable         the database does not answer
      DatabaseBusy              it answers, and cannot do this now: nothing was written
    TooSlow                     a search was ended, so that others do not wait for it
    DatabaseWentBack            the database is an older copy: nothing is sent before chats were taken back
    IssuerUnavailable           the company's sign-in service does not answer
    ArchiveFault                the copy of a chat cannot be made, or is not as it was made
  ProviderError            502  the provider's side
    ProviderRejected            a certain refusal: nothing was made, and another try will be refused, too
    ProviderBusy                429, or 402: nothing was made, asking later may help
    ProviderUnreachable         nothing was sent, or the builder has moved: asking again is safe
    OutcomeUnknown              sent without a trustworthy answer: look up before any second create
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any


class ProtokeepError(Exception):
    """Base of everything protokeep raises on purpose. `str(error)` says what to do next.

    Errors travel between processes: a copy has the same class, text and attributes. `Exception` would call the class
    with the text alone, which most of these classes do not take.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (type(self), self.args, self.__dict__)


def _copied(kind: type[ProtokeepError], arguments: tuple[Any, ...], attributes: Mapping[str, Any]) -> ProtokeepError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


class InvalidInput(ProtokeepError):
    """A value cannot be used. `field` is its name in the caller's request."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ProductUnknown(InvalidInput):
    """The owner's own `products` table does not hold this product."""


class KeyReused(InvalidInput):
    """The idempotency key was used for a different request."""


class NotAuthenticated(ProtokeepError):
    """No token, or one that is not valid."""


class NotAllowed(ProtokeepError):
    """The caller is known, but its role does not cover this."""


class TooMany(ProtokeepError):
    """More requests, sign-ins or streams than one caller may have. `retry_after`: when the next one is allowed."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFound(ProtokeepError):
    """No such product or prototype in the caller's workspace."""


class KeyInFlight(ProtokeepError):
    """The first request with this idempotency key has not been written yet; ask again in a moment."""


class UnclearProduct(ProtokeepError):
    """The product has no prototype, and another one whose id reads the same has; `similar` are `Similar` values."""

    def __init__(self, product_id: str, similar: Sequence[Any]) -> None:
        meant = " or ".join(one.product_id for one in similar)
        super().__init__(
            f"Did you mean {meant}? {product_id} has no prototype. Ask for {meant}; or, if {product_id} is another "
            "product, send product_is_new: true."
        )
        self.similar = similar


class NotNow(ProtokeepError):
    """The prototype's state does not allow the change now; the message says what has to happen first."""


class LimitReached(ProtokeepError):
    """The workspace has as many of something as it may have; the message says how to make room."""


class QuotaReached(ProtokeepError):
    """The quota of creates for today is used up; the next create is allowed after `retry_after`."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(ProtokeepError):
    """protokeep cannot do this now; the message names the command or setting that helps."""


class NotMigrated(NotReady):
    """The database lacks tables or columns. `fix` says what supplies them."""

    def __init__(self, what: str, fix: str = "Run `protokeep migrate`") -> None:
        super().__init__(f"{what}. {fix}, then try again.")


class NotConfigured(NotReady):
    """A setting is missing."""


class DatabaseUnavailable(NotReady):
    """The database does not answer."""

    def __init__(
        self, message: str = "The database does not answer. What was written is kept; try again in a moment."
    ) -> None:
        super().__init__(message)


class DatabaseBusy(DatabaseUnavailable):
    """The database answers, but cannot do this now: a lock, a full disk, no writes. Nothing was written."""

    def __init__(self) -> None:
        super().__init__("The database cannot do this at the moment. Nothing was written; try again in a moment.")


class TooSlow(NotReady):
    """A read that takes longer the more rows there are was ended before it was done."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"This took longer than {seconds:g} s and was ended, so that others do not wait for it. Search for fewer "
            "or other words, or narrow the search with a filter, such as one product."
        )


class DatabaseWentBack(NotReady):
    """The database is older than this process knew it: a fail-over to a copy that lagged, or a restore."""

    def __init__(self) -> None:
        super().__init__(
            "The database is an older copy of itself. protokeep compares it with the app builder before it sends "
            "anything. That takes about a minute, and then everything resumes automatically."
        )


class IssuerUnavailable(NotReady):
    """The company's sign-in service does not answer, or not as it should."""


class ArchiveFault(NotReady):
    """The copy of a chat cannot be made, or cannot be trusted. Nothing may be deleted on its account."""


class ProviderError(ProtokeepError):
    """The provider refused, could not be reached, or did not answer.

    `code` is a stable word for the row's `error.code`; the message is for people.
    """

    def __init__(
        self, message: str, *, code: str, status: int | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after


class ProviderRejected(ProviderError):
    """A certain refusal: the provider made nothing, and would refuse the same request again."""


class ProviderBusy(ProviderError):
    """Refused for now (out of credits, too many requests): nothing was made. The whole account waits."""


class ProviderUnreachable(ProviderError):
    """The request never left (connection refused, no such host), or was redirected. Nothing was made."""


#: The code of an `OutcomeUnknown` that was a refusal, if no chat of the sending is found.
UNCLEAR_REFUSAL = "unclear_refusal"


class OutcomeUnknown(ProviderError):
    """Something was sent and no trustworthy answer came: the provider may have acted."""
