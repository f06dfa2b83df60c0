"""Requests made up from the OpenAPI document, well-formed and not, sent over real HTTP and held to what it promises."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, not_a_server_error
from schemathesis.core.result import Ok

#: Streams do not end by themselves; tests/web has its own tests for them.
STREAMS = "/api/design/events"
#: What answers are held to.
CHECKED = ("content_type_conformance", "response_schema_conformance", "status_code_conformance")


@dataclass
class Tally:
    """What was sent, and what came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(self.statuses.values())

    @property
    def bad(self) -> int:
        """Requests that were refused: they had something wrong with them."""
        return sum(count for status, count in self.statuses.items() if 400 <= status < 500)

    @property
    def server_errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= 500)


def fuzz(url: str, tokens: Iterable[str], ids: list[str], *, examples: int, tally: Tally) -> None:
    """Send `examples` requests with each token to each operation, half of them made to be wrong.

    `ids` are prototypes that exist. Which requests are made depends on the place of the token.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(path=STREAMS)
    checks = [not_a_server_error, *CHECKS.get_by_names(CHECKED)]
    session = requests.Session()
    session.trust_env = False
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)
            for seed, token in enumerate(tokens):
                _send(strategy, token, ids, checks, session, max(1, examples // 2), seed, tally)


def _send(
    strategy: Any, token: str, ids: list[str], checks: Any, session: Any, examples: int, seed: int, tally: Tally
) -> None:
    dice = random.Random(seed)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, real=st.booleans())
    def one(case: Any, real: bool) -> None:
        if real and ids and "prototype_id" in (case.path_parameters or {}):
            case.path_parameters["prototype_id"] = dice.choice(ids)
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
        try:
            response = case.call(session=session, timeout=30)
        except (UnicodeEncodeError, requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL):
            return  # No client can send it.
        except requests.exceptions.Timeout:
            tally.faults.append(
                f"{case.method} {case.formatted_path}: no answer; {case.headers} {case.query} {case.body!r:.500}"
            )
            return
        tally.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=checks)
        except AssertionError as fault:
            tally.faults.append(_words(case, response, fault))
        except BaseExceptionGroup as faults:
            tally.faults.extend(_words(case, response, fault) for fault in faults.exceptions)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one()
        except hypothesis.errors.Unsatisfiable:
            return  # Nothing can be wrong with a request that takes nothing.


def _words(case: Any, response: Any, fault: BaseException) -> str:
    return f"{case.method} {case.formatted_path} -> {response.status_code}: {str(fault)[:400]}"
