"""Counts what came of the requests of people."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from protokeep.core.errors import ProtokeepError
from protokeep.core.reuse import Decision
from protokeep.service.context import Context


class HasContext(Protocol):
    """An object whose context counts."""

    context: Context


Self = TypeVar("Self", bound=HasContext)
P = ParamSpec("P")
Result = TypeVar("Result")


def counted(
    request: str,
) -> Callable[
    [Callable[Concatenate[Self, P], Coroutine[Any, Any, Result]]],
    Callable[Concatenate[Self, P], Coroutine[Any, Any, Result]],
]:
    """Count each call of the decorated method: by the decision that its result has, or as refused.

    Without a decision in the result, the use case counts by itself what came of the request.
    """

    def decorate(
        method: Callable[Concatenate[Self, P], Coroutine[Any, Any, Result]],
    ) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, Result]]:
        @functools.wraps(method)
        async def counting(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> Result:
            try:
                result = await method(self, *args, **kwargs)
            except ProtokeepError:
                self.context.metrics.claim(request, "refused")
                raise
            decision = getattr(result, "decision", None)
            if isinstance(decision, Decision):
                self.context.metrics.claim(request, decision.outcome)
            return result

        return counting

    return decorate
