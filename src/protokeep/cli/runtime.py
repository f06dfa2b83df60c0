"""What every long-running command needs: settings, an event loop, and signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from protokeep.settings import Settings


def settings_of(**overrides: Any) -> Settings:
    """The settings of this process. Exits with one clear line per value that cannot be used."""
    from pydantic import ValidationError

    from protokeep.settings import Settings

    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            name = name if name.startswith("V0_") or not name else f"PROTOKEEP_{name}"
            sys.stderr.write(f"protokeep: {name + ': ' if name else ''}{fault['msg'].removeprefix('Value error, ')}\n")
        raise typer.Exit(2) from None


def run_until_done(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on uvloop where it is installed."""
    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def tune_gc() -> None:
    """Keep the collector away from what is here to stay, and let it run less often.

    Thousands of requests under way are hundreds of thousands of objects, none of them garbage: walking them again and
    again was a fifth to a third of the CPU of a storm of clicks (`benchmarks.storm`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@contextlib.asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
