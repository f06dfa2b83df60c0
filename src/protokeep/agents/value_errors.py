"""Errors as callers of the specification's agent catch them: each is a `ValueError` too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from protokeep.core.errors import ProtokeepError

P = ParamSpec("P")
T = TypeVar("T")


def raises_value_errors(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same method, whose errors leave as what they are and as a `ValueError`, with their text and attributes."""

    @functools.wraps(method)
    async def call(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await method(*arguments, **named)
        except ProtokeepError as error:
            if not isinstance(error, ValueError):
                error.__class__ = _and_value_error(type(error))
            raise

    return call


def _and_value_error(kind: type[ProtokeepError]) -> type[ProtokeepError]:
    return type(kind.__name__, (kind, ValueError), {"__doc__": kind.__doc__, "__module__": kind.__module__})
