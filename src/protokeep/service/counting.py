"""Counts the requests of people that were refused."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from protokeep.core.errors import ProtokeepError
from protokeep.service.context import Context


class HasContext(Protocol):
    """An object whose context counts."""

    context: Context


Self = TypeVar("Self", bound=HasContext)
P = ParamSpec("P")
Result = TypeVar("Result")


def refusals_counted(
    request: str,
) -> Callable[[Callable[Concatenate[Self, P], Awaitable[Result]]], Callable[Concatenate[Self, P], Awaitable[Result]]]:
    """Count a call of the decorated method that raises a `ProtokeepError` as a refused claim of this kind."""

    def decorate(
        method: Callable[Concatenate[Self, P], Awaitable[Result]],
    ) -> Callable[Concatenate[Self, P], Awaitable[Result]]:
        @functools.wraps(method)
        async def counting(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> Result:
            try:
                return await method(self, *args, **kwargs)
            except ProtokeepError:
                self.context.metrics.claim(request, "refused")
                raise

        return counting

    return decorate
