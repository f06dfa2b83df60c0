"""The Python client: `Protokeep` is synchronous, `AsyncProtokeep` asynchronous; both share one core.

    with Protokeep("http://127.0.0.1:8400", token) as keep:
        shop = keep.ensure("shop", "A landing page for a bakery")
        print(keep.wait("shop").project_url)

Requests that are safe to repeat are repeated a few times: reads, deletions, and creates and follow-ups, which always
carry an `Idempotency-Key`. Every error is a `ProtokeepError` whose text says what to do next. If an answer was lost,
`protokeep.client.errors` shows how to repeat the request without doing anything twice.
"""

from protokeep.client.asynchronous import AsyncProtokeep
from protokeep.client.errors import (
    BadSetting,
    BuilderUnavailable,
    ClientError,
    InvalidInput,
    KeyInFlight,
    KeyReused,
    NoAnswer,
    NotAllowed,
    NotAuthenticated,
    NotFinished,
    NotFound,
    NotNow,
    NotProtokeep,
    NotReady,
    OtherEventLoop,
    Problem,
    ProductUnknown,
    Refused,
    TooMany,
    UnclearProduct,
)
from protokeep.client.models import (
    ActionResult,
    ArchivedChat,
    Change,
    Decision,
    Ensured,
    Failure,
    HistoryLine,
    Prototype,
    PrototypeDetail,
    Reason,
    RestoredChat,
    Similar,
)
from protokeep.client.sync import Protokeep
from protokeep.core.errors import ProtokeepError

__all__ = [
    "ActionResult",
    "ArchivedChat",
    "AsyncProtokeep",
    "BadSetting",
    "BuilderUnavailable",
    "Change",
    "ClientError",
    "Decision",
    "Ensured",
    "Failure",
    "HistoryLine",
    "InvalidInput",
    "KeyInFlight",
    "KeyReused",
    "NoAnswer",
    "NotAllowed",
    "NotAuthenticated",
    "NotFinished",
    "NotFound",
    "NotNow",
    "NotProtokeep",
    "NotReady",
    "OtherEventLoop",
    "Problem",
    "ProductUnknown",
    "Protokeep",
    "ProtokeepError",
    "Prototype",
    "PrototypeDetail",
    "Reason",
    "Refused",
    "RestoredChat",
    "Similar",
    "TooMany",
    "UnclearProduct",
]
