"""The core of both clients: builds requests, reads answers, and decides on repeats. Does no I/O.

An operation is a generator: it yields a `Call` or a `Pause`, is sent the outcome of the call, and returns its result.
The clients carry out the calls and the pauses.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from protokeep.client.errors import ClientError, NoAnswer, NotFinished, NotFound, NotProtokeep, refused
from protokeep.client.models import ApiValue, Ensured, Prototype, PrototypeDetail

#: How often a request is made before its failure is final.
MAX_TRIES = 4
#: Seconds before the second try. Each further pause is twice as long, with jitter.
FIRST_PAUSE = 0.25
#: The longest pause, in seconds, that is waited for a server that asks for one; a longer one is the caller's decision.
LONGEST_PAUSE = 30.0
#: The longest hold, in seconds, that a server grants (`Prefer: wait`): below the idle limits of common proxies.
LONGEST_HOLD = 25
#: How soon, in seconds, `wait` asks again where the server answers at once instead of holding the request.
SHORTEST_HOLD = 1.0
#: How long `wait` tolerates a server that does not answer: a restart takes seconds.
OUTAGE_SECONDS = 60.0

#: Advice for requests without an answer.
ONLY_READ = "Asking again is safe: it changes nothing."
NOT_SENT = "Nothing was sent, so asking again is safe."
#: Problems with a status of 500 or above with which the server has certainly done nothing.
_NOTHING_DONE = frozenset({"not-migrated", "not-configured", "provider-rejected"})

T = TypeVar("T")
V = TypeVar("V", bound=ApiValue)
Progress = Callable[[Prototype], object]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `repeatable`: making it twice has the effect of making it once.

    `repeat_advice`: what a repeat would do after a lost answer, in a sentence; None for reads.
    """

    method: str
    path: str
    repeatable: bool
    repeat_advice: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """The client sleeps."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No response came. `sent` False: the request certainly did not reach the server."""

    reason: str
    sent: bool


Step = Call | Pause
Outcome = Answer | Unanswered | None
Operation = Generator[Step, Outcome, T]


# -- requests and repeats -------------------------------------------------------------------------------------


def send(call: Call) -> Operation[Mapping[str, Any]]:
    """The JSON object that answers a call, which is repeated where that is safe. Raises a `ClientError`."""
    return (yield from send_and_read(call, read))


def send_and_read(call: Call, reading: Callable[[Outcome], T]) -> Operation[T]:
    """What `reading` makes of the answer to a call, which is repeated where that is safe. Raises a `ClientError`."""
    _require_sendable(call)
    in_doubt = False
    for attempt in range(1, MAX_TRIES + 1):
        outcome = yield call
        in_doubt = in_doubt or may_have_acted(outcome)  # The first try may have acted even if the second is refused.
        pause = pause_before_repeat(call, outcome, attempt)
        if pause is None or attempt == MAX_TRIES:
            try:
                return reading(outcome)
            except ClientError as error:
                raise _with_advice(error, call, in_doubt) from error.__cause__
        yield Pause(pause)
    raise AssertionError("unreachable")


def request(kind: type[V], call: Call) -> Operation[V]:
    """The value that answers a call. Raises a `ClientError`."""
    view = yield from send(call)
    try:
        return value_of(kind, view)
    except ClientError as error:
        raise _with_advice(error, call, in_doubt=True) from error.__cause__


def _require_sendable(call: Call) -> None:
    """Raises `InvalidInput` for a text that cannot be sent: half a character, or in a header more than ASCII."""
    for name, value in (*(call.body or {}).items(), *call.params.items()):
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise _not_sent(
                name, f"{name} holds bytes that are not text. Send it in UTF-8, or in your terminal's encoding."
            )
    for name, value in call.headers.items():
        if not (value.isascii() and value.isprintable()):
            raise _not_sent(name, f"{name} may hold ASCII letters, digits and signs only.")


def _not_sent(name: str, detail: str) -> ClientError:
    return refused(422, {"type": "urn:protokeep:problem:invalid-input", "detail": detail, "field": name})


def may_have_acted(outcome: Outcome) -> bool:
    """Whether the server may have carried out a request with this outcome, provided that the answer is unreadable."""
    if not isinstance(outcome, Answer):
        return outcome is not None and outcome.sent
    if outcome.status == 409:
        return _kind(outcome) == "idempotency-key-in-flight"
    if outcome.status >= 500:
        return _kind(outcome) not in _NOTHING_DONE
    return outcome.status < 300 or outcome.status in (302, 303, 408)


def _kind(outcome: Answer) -> str:
    """The kind of a problem document; empty for other answers."""
    try:
        return str(json.loads(outcome.content)["type"]).rpartition(":")[2]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _with_advice(error: ClientError, call: Call, in_doubt: bool) -> ClientError:
    """The error, with the key of the call and with advice on a repeat."""
    in_doubt = in_doubt and call.repeat_advice is not None
    advice = (call.repeat_advice or "") if in_doubt else ""
    if isinstance(error, NoAnswer):
        error = NoAnswer(error.reason, advice or (ONLY_READ if call.repeat_advice is None else NOT_SENT))
    else:
        error.advice = advice
    error.may_have_acted = in_doubt
    error.idempotency_key = call.headers.get("Idempotency-Key")
    return error


def pause_before_repeat(call: Call, outcome: Outcome, attempt: int) -> float | None:
    """Seconds to wait before the same call is repeated; None: the outcome is final."""
    pause: float = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    if isinstance(outcome, Unanswered):
        return pause if call.repeatable or not outcome.sent else None
    if outcome is None or not call.repeatable:
        return None
    retry_after = _seconds(outcome.headers.get("retry-after"))
    is_problem = "problem+json" in outcome.headers.get("content-type", "")
    if outcome.status in (409, 429, 503) and retry_after is not None:
        return max(retry_after, pause) if retry_after <= LONGEST_PAUSE else None
    # An error page of a gateway may mean that the server behind it restarts.
    return pause if outcome.status in (429, 502, 503, 504) and not is_problem else None


def _seconds(value: str | None) -> float | None:
    try:
        return max(float(value or ""), 0.0)
    except ValueError:
        return None


def read(outcome: Outcome) -> Mapping[str, Any]:
    """The JSON object of an answer. Raises a `ClientError`."""
    if not isinstance(outcome, Answer):
        reason = outcome.reason if outcome else "no answer"
        raise NoAnswer(
            f"No answer from protokeep ({reason}). Is `protokeep serve` (or `protokeep demo`) running, and does "
            "PROTOKEEP_URL say where?"
        )
    if outcome.status == 204:
        return {}
    try:
        value = json.loads(outcome.content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NotProtokeep(
            f"The address answered {outcome.status} and is not protokeep. Set PROTOKEEP_URL to its address."
        )
    if outcome.status >= 400:
        raise refused(outcome.status, value)
    return value


def body_of(outcome: Outcome) -> bytes:
    """The bytes of an answer that is no JSON. Raises a `ClientError`."""
    if isinstance(outcome, Answer) and outcome.status == 200:
        return outcome.content
    read(outcome)  # A refusal, or no answer.
    raise NotProtokeep("The answer is not a file. Is PROTOKEEP_URL protokeep's address?")


def value_of(kind: type[V], view: Any) -> V:
    """The value of a JSON object. Raises `NotProtokeep` for one that is not what a server sends."""
    try:
        return kind.of(view)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotProtokeep(
            f"The answer is not what protokeep sends ({type(error).__name__}: {error}). Correct PROTOKEEP_URL."
        ) from error


# -- operations --------------------------------------------------------------------------------------------------


def ensure(
    product_id: str,
    prompt: str,
    *,
    provider: str,
    create_new: bool,
    product_name: str | None,
    idempotency_key: str | None,
    wait: float | None,
    product_is_new: bool = False,
) -> Operation[Ensured]:
    """`POST /api/design/create-project`, with a new idempotency key unless one is given."""
    body: dict[str, Any] = {
        "product_id": product_id,
        "prompt": prompt,
        "provider": provider,
        "create_new": create_new,
    }
    if product_name is not None:
        body["product_name"] = product_name
    if product_is_new:
        body["product_is_new"] = True
    key = idempotency_key or uuid4().hex
    headers = {"Idempotency-Key": key}
    if wait is not None:
        headers["Prefer"] = _prefer_wait(wait) or "respond-async"
    other_key_effect = "another one is made"
    if not create_new:
        other_key_effect += " if this one has failed or was deleted meanwhile"
    advice = (
        f"It may have been made. Repeat it with idempotency_key={key!r}, which makes nothing twice; with another key "
        f"{other_key_effect}."
    )
    call = Call("POST", "/api/design/create-project", True, advice, headers=headers, body=body)
    return (yield from request(Ensured, call))


def iterate(prototype_id: str, message: str, *, idempotency_key: str | None) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/messages`: a follow-up prompt in the same chat."""
    path = f"/api/design/prototypes/{quoted(prototype_id)}/messages"
    key = idempotency_key or uuid4().hex
    advice = (
        f"It may have been sent. Repeat it with idempotency_key={key!r}, which sends nothing twice; with another key "
        "it is sent once more."
    )
    call = Call("POST", path, True, advice, headers={"Idempotency-Key": key}, body={"message": message})
    return (yield from request(Prototype, call))


def stop(prototype_id: str) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/stop`. Not repeated: a repeat would stop whatever began meanwhile."""
    advice = "It may have been stopped. Look at it first: stopping it again stops whatever runs there by then."
    call = Call("POST", f"/api/design/prototypes/{quoted(prototype_id)}/stop", False, advice)
    return (yield from request(Prototype, call))


def delete(prototype_id: str, *, now: bool = False) -> Operation[Prototype | None]:
    """`DELETE /api/design/prototypes/{id}`: None once it is deleted, otherwise the prototype.

    It waits in the bin, or is being deleted. `now` deletes it past the bin.
    """
    advice = "It may have been deleted. Deleting the same id again is safe: no other prototype ever has it."
    params = {"now": "true"} if now else {}
    call = Call("DELETE", f"/api/design/prototypes/{quoted(prototype_id)}", True, advice, params)
    view = yield from send(call)
    return value_of(Prototype, view) if view else None


def get(prototype_id: str) -> Operation[PrototypeDetail]:
    """`GET /api/design/prototypes/{id}`: one prototype with its history."""
    call = Call("GET", f"/api/design/prototypes/{quoted(prototype_id)}", repeatable=True)
    return (yield from request(PrototypeDetail, call))


def status(product_id: str, *, provider: str, hold: float = 0) -> Operation[Prototype]:
    """`GET /api/design/mockups/{product_id}/status`; with `hold`, answered when the state changes."""
    prefer = _prefer_wait(hold)
    call = Call(
        "GET",
        f"/api/design/mockups/{quoted(product_id)}/status",
        repeatable=True,
        params={"provider": provider},
        headers={"Prefer": prefer} if prefer else {},
    )
    return (yield from request(Prototype, call))


def wait(
    product_id: str, *, provider: str, seconds: float, progress: Progress | None, hold: float = LONGEST_HOLD
) -> Operation[Prototype]:
    """Ask for the status until the prototype is finished. Tolerates a server that restarts.

    Raises `NotFinished` when the time is over.
    """
    ends = time.monotonic() + seconds
    asked_at = -math.inf
    silent_since: float | None = None
    known: Prototype | None = None
    while True:
        left = ends - time.monotonic()
        if (pause := asked_at + min(SHORTEST_HOLD, left) - time.monotonic()) > 0:
            yield Pause(pause)  # The server did not hold the request before: it holds only so many.
        asked_at = time.monotonic() if known else asked_at
        try:
            # The first request has no hold, so that a finished prototype is returned at once.
            known = yield from status(product_id, provider=provider, hold=min(max(hold, 1), left) if known else 0)
        except NoAnswer:
            silent_since = silent_since or time.monotonic()
            if known is None or min(time.monotonic() - silent_since, seconds) >= min(OUTAGE_SECONDS, seconds):
                raise
            yield Pause(1.0)
            continue
        silent_since = None
        if progress is not None:
            progress(known)
        if known.finished:
            return known
        if time.monotonic() >= ends:
            raise NotFinished(
                f"{product_id} is not ready after {seconds:.0f} s of waiting. It is still being generated: wait again.",
                known,
            )


def changed_prototypes(
    product_ids: Sequence[str], provider: str, known: Mapping[str, Prototype]
) -> Operation[list[Prototype]]:
    """The current prototypes of the products that differ from those in `known`, which is keyed by product."""
    changed = []
    for product_id in product_ids:
        try:
            prototype = yield from status(product_id, provider=provider)
        except NotFound:
            continue
        before = known.get(product_id)
        if before is None or _version(before) != _version(prototype):
            changed.append(prototype)
    return changed


def _version(prototype: Prototype) -> tuple[object, ...]:
    return prototype.id, prototype.state, prototype.updated_at


def quoted(value: str) -> str:
    """A value as one segment of a path."""
    return quote(value, safe="", errors="surrogatepass")  # The server says what is wrong with half a character.


def _prefer_wait(seconds: float) -> str | None:
    whole = min(math.ceil(seconds), LONGEST_HOLD)
    return f"wait={whole}" if whole > 0 else None
