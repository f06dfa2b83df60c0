"""The one core under both clients: what is sent, how answers are read, when to ask again. Does no I/O itself.

An operation is a generator: it yields a `Call` to be made or a `Pause` to be slept, is sent what came of it, and
returns its result. The clients are the few lines that carry that out.
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
from protokeep.client.models import Ensured, Prototype, PrototypeDetail, _Value

#: How often one request is made before its failure is the answer.
TRIES = 4
#: The pause before the second try; it doubles from there, with jitter.
FIRST_PAUSE = 0.25
#: A server that asks for a longer pause than this gets no second try: the caller decides.
LONGEST_PAUSE = 30.0
#: The longest hold a server grants (`Prefer: wait`): below the idle limits of common proxies.
LONGEST_HOLD = 25
#: How long `wait` lives with a server that does not answer: a restart takes seconds.
OUTAGE_SECONDS = 60.0

#: What is said of requests whose answer was lost.
ONLY_READ = "Asking again is safe: it changes nothing."
NOT_SENT = "Nothing was sent, so asking again is safe."
#: Problems with which protokeep has done nothing although their status is 500 or above.
_NOTHING_DONE = frozenset({"not-migrated", "not-configured", "provider-rejected"})

T = TypeVar("T")
V = TypeVar("V", bound=_Value)
Progress = Callable[[Prototype], object]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `repeatable`: making it twice does what making it once does.

    `again`: what asking again does once the answer to it was lost, in a sentence; None for what only reads.
    """

    method: str
    path: str
    repeatable: bool
    again: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing to do for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer came. `sent` False: the request certainly did not reach anybody."""

    why: str
    sent: bool


Step = Call | Pause
Outcome = Answer | Silence | None
Operation = Generator[Step, Outcome, T]


# -- asking, and asking again ----------------------------------------------------------------------------------


def _asked(call: Call) -> Operation[Mapping[str, Any]]:
    """The JSON object a call is answered with. Raises a `ClientError`."""
    in_doubt = False
    for attempt in range(1, TRIES + 1):
        outcome = yield call
        in_doubt = in_doubt or may_have_acted(outcome)  # A refusal of the second try says nothing about the first.
        pause = pause_before_repeat(call, outcome, attempt)
        if pause is None or attempt == TRIES:
            try:
                return read(outcome)
            except ClientError as error:
                raise _of_call(error, call, in_doubt) from error.__cause__
        yield Pause(pause)
    raise AssertionError("unreachable")


def _asked_for(kind: type[V], call: Call) -> Operation[V]:
    """The value a call is answered with. Raises a `ClientError`."""
    view = yield from _asked(call)
    try:
        return _value(kind, view)
    except ClientError as error:
        raise _of_call(error, call, in_doubt=True) from error.__cause__


def may_have_acted(outcome: Outcome) -> bool:
    """Whether a request that ended so may have been carried out, if no answer that can be read came with it."""
    if not isinstance(outcome, Answer):
        return outcome is not None and outcome.sent
    if outcome.status == 409:
        return _kind(outcome) == "idempotency-key-in-flight"
    if outcome.status >= 500:
        return _kind(outcome) not in _NOTHING_DONE
    return outcome.status < 300 or outcome.status in (302, 303, 408)


def _kind(outcome: Answer) -> str:
    """The kind of a problem document; empty for anything else."""
    try:
        return str(json.loads(outcome.content)["type"]).rpartition(":")[2]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _of_call(error: ClientError, call: Call, in_doubt: bool) -> ClientError:
    """The error, with what a caller needs to know before it asks again."""
    in_doubt = in_doubt and call.again is not None
    advice = (call.again or "") if in_doubt else ""
    if isinstance(error, NoAnswer):
        error = NoAnswer(error.reason, advice or (ONLY_READ if call.again is None else NOT_SENT))
    else:
        error.advice = advice
    error.may_have_acted = in_doubt
    error.idempotency_key = call.headers.get("Idempotency-Key")
    return error


def pause_before_repeat(call: Call, outcome: Outcome, attempt: int) -> float | None:
    """How long to wait before making the same call again; None: its outcome is final."""
    pause: float = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    if isinstance(outcome, Silence):
        return pause if call.repeatable or not outcome.sent else None
    if outcome is None or not call.repeatable:
        return None
    asked = _seconds(outcome.headers.get("retry-after"))
    is_problem = "problem+json" in outcome.headers.get("content-type", "")
    if outcome.status in (409, 429, 503) and asked is not None:
        return max(asked, pause) if asked <= LONGEST_PAUSE else None
    # A gateway's own error page says nothing about the server behind it, which may be restarting.
    return pause if outcome.status in (429, 502, 503, 504) and not is_problem else None


def _seconds(value: str | None) -> float | None:
    try:
        return max(float(value or ""), 0.0)
    except ValueError:
        return None


def read(outcome: Outcome) -> Mapping[str, Any]:
    """The JSON object of an answer. Raises a `ClientError`."""
    if not isinstance(outcome, Answer):
        why = outcome.why if outcome else "no answer"
        raise NoAnswer(
            f"No answer from protokeep ({why}). Is `protokeep serve` (or `protokeep demo`) running, and does "
            "PROTOKEEP_URL say where?"
        )
    if outcome.status == 204:
        return {}
    try:
        value = json.loads(outcome.content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise NotProtokeep(f"The answer ({outcome.status}) is no JSON object. Is PROTOKEEP_URL protokeep's address?")
    if outcome.status >= 400:
        raise refused(outcome.status, value)
    return value


def _value(kind: type[V], view: Any) -> V:
    try:
        return kind.of(view)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotProtokeep(
            f"The answer is not what protokeep sends ({type(error).__name__}: {error}). Is PROTOKEEP_URL its address?"
        ) from error


# -- what can be asked -------------------------------------------------------------------------------------------


def ensure(
    product_id: str,
    prompt: str,
    *,
    provider: str,
    create_new: bool,
    product_name: str | None,
    idempotency_key: str | None,
    wait: float | None,
) -> Operation[Ensured]:
    """`POST /api/design/create-project`, with a key of its own when none is given."""
    body: dict[str, Any] = {
        "product_id": product_id,
        "prompt": prompt,
        "provider": provider,
        "create_new": create_new,
    }
    if product_name is not None:
        body["product_name"] = product_name
    key = idempotency_key or uuid4().hex
    headers = {"Idempotency-Key": key}
    if wait is not None:
        headers["Prefer"] = _prefer(wait) or "respond-async"
    without = "another one is made"
    if not create_new:
        without += " if this one has failed or was deleted meanwhile"
    again = (
        f"It may have been made. Repeat it with idempotency_key={key!r}, which makes nothing twice; with another key "
        f"{without}."
    )
    call = Call("POST", "/api/design/create-project", True, again, headers=headers, body=body)
    return (yield from _asked_for(Ensured, call))


def iterate(prototype_id: str, message: str, *, idempotency_key: str | None) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/messages`: a follow-up prompt in the same chat."""
    path = f"/api/design/prototypes/{_part(prototype_id)}/messages"
    key = idempotency_key or uuid4().hex
    again = (
        f"It may have been sent. Repeat it with idempotency_key={key!r}, which sends nothing twice; with another key "
        "it is sent once more."
    )
    call = Call("POST", path, True, again, headers={"Idempotency-Key": key}, body={"message": message})
    return (yield from _asked_for(Prototype, call))


def stop(prototype_id: str) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/stop`. Not repeated by itself: a repeat would stop what began meanwhile."""
    again = "It may have been stopped. Look at it first: stopping it again stops whatever runs there by then."
    call = Call("POST", f"/api/design/prototypes/{_part(prototype_id)}/stop", False, again)
    return (yield from _asked_for(Prototype, call))


def delete(prototype_id: str) -> Operation[Prototype | None]:
    """`DELETE /api/design/prototypes/{id}`: None when it is gone, as it stands when it still has to go."""
    again = "It may have been deleted. Deleting the same id again is safe: no other prototype ever has it."
    call = Call("DELETE", f"/api/design/prototypes/{_part(prototype_id)}", True, again)
    left = yield from _asked(call)
    return _value(Prototype, left) if left else None


def get(prototype_id: str) -> Operation[PrototypeDetail]:
    """`GET /api/design/prototypes/{id}`: one prototype with its history."""
    call = Call("GET", f"/api/design/prototypes/{_part(prototype_id)}", repeatable=True)
    return (yield from _asked_for(PrototypeDetail, call))


def page(
    product_id: str, cursor: str | None, limit: int, filters: Mapping[str, str | bool | None]
) -> Operation[tuple[list[Prototype], str | None]]:
    """`GET /api/design/mockups/{product_id}`: one page, newest first, and where the next begins."""
    params = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
    for name, value in filters.items():
        if value is not None and value is not False:
            params[name] = "true" if value is True else value
    call = Call("GET", f"/api/design/mockups/{_part(product_id)}", repeatable=True, params=params)
    answer = yield from _asked(call)
    return [_value(Prototype, view) for view in answer.get("mockups", ())], answer.get("next_cursor")


def status(product_id: str, *, provider: str, hold: float = 0) -> Operation[Prototype]:
    """`GET /api/design/mockups/{product_id}/status`; with `hold`, held until its state changes."""
    prefer = _prefer(hold)
    call = Call(
        "GET",
        f"/api/design/mockups/{_part(product_id)}/status",
        repeatable=True,
        params={"provider": provider},
        headers={"Prefer": prefer} if prefer else {},
    )
    return (yield from _asked_for(Prototype, call))


def wait(
    product_id: str, *, provider: str, seconds: float, progress: Progress | None, hold: float = LONGEST_HOLD
) -> Operation[Prototype]:
    """Ask for the status, held, until it is finished. Lives through a server that restarts.

    Raises `NotFinished` when the time is over.
    """
    ends = time.monotonic() + seconds
    silent_since: float | None = None
    known: Prototype | None = None
    while True:
        left = ends - time.monotonic()
        try:
            # The first look is not held: what is finished already is answered at once.
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
                f"{product_id} is still being made after {seconds:.0f} s of waiting. Wait again; it goes on by itself.",
                known,
            )


def changes_seen(
    product_ids: Sequence[str], provider: str, known: Mapping[str, Prototype]
) -> Operation[list[Prototype]]:
    """Ask for each product's status: those whose state differs from `known`. For servers without a stream."""
    moved = []
    for product_id in product_ids:
        try:
            found = yield from status(product_id, provider=provider)
        except NotFound:
            continue
        before = known.get(product_id)
        if before is None or (before.id, before.state, before.updated_at) != (found.id, found.state, found.updated_at):
            moved.append(found)
    return moved


def _part(value: str) -> str:
    return quote(value, safe="")


def _prefer(seconds: float) -> str | None:
    whole = min(math.ceil(seconds), LONGEST_HOLD)
    return f"wait={whole}" if whole > 0 else None
