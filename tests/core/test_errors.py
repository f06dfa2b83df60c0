"""Errors are values: they travel between processes as they are."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import protokeep
from protokeep.core.errors import ProtokeepError

#: A value for each parameter of an error's class.
VALUES: dict[str, Any] = {
    "field": "prompt",
    "retry_after": timedelta(seconds=7),
    "seconds": 3.5,
    "status": 429,
    "code": "busy",
    "prototype": {"id": "a"},
    "similar": (SimpleNamespace(product_id="bakery-shop"),),
}


def every_error() -> Iterator[type[ProtokeepError]]:
    """Every class of errors that protokeep defines, in whatever module."""
    for module in pkgutil.walk_packages(protokeep.__path__, "protokeep."):
        if ".migrations" not in module.name and ".sandbox" not in module.name:
            importlib.import_module(module.name)
    found = [ProtokeepError]
    for kind in found:
        found += [each for each in kind.__subclasses__() if each not in found]
    yield from (kind for kind in found if kind.__module__.startswith("protokeep."))


def made(kind: type[ProtokeepError]) -> ProtokeepError:
    """An error of a class, with a value for each of its parameters."""
    from protokeep.client import Problem

    if kind.__init__ is Exception.__init__:
        return noted(kind("The text."))
    problem = Problem("not-found", "Not found", 404, "There is none.", "r1", "id", {"type": "x", "more": [1]})
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            given[name] = problem if name == "problem" else VALUES.get(name, f"the {name}")
    return noted(kind(**given))


def noted(error: ProtokeepError) -> ProtokeepError:
    """The error, with an attribute that was set later."""
    error.advice = "Ask again."  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("how", ["pickle", "copy"])
def test_an_error_survives_the_way_into_another_process(how: str) -> None:
    """
    Every class of errors, also those that take more than a text, is the same after `pickle` and `copy`.
    """
    kinds = list(every_error())

    for kind in kinds:
        error = made(kind)
        other = pickle.loads(pickle.dumps(error)) if how == "pickle" else copy.copy(error)  # noqa: S301 - our own
        assert type(other) is kind
        assert (str(other), other.args, other.__dict__) == (str(error), error.args, error.__dict__)

    assert {"KeyReused", "NotFinished", "ProviderBusy", "MigrationError"} <= {kind.__name__ for kind in kinds}
