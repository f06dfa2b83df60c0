"""Settings, event loop, signals, and an application for commands that open the database themselves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import typer

from protokeep.cli.retry_advice import EXIT_USAGE, advise_if_outcome_unknown
from protokeep.cli.terminal import print_notice

if TYPE_CHECKING:
    from protokeep.settings import Settings
    from protokeep.wiring import Application

T = TypeVar("T")


def settings_of(**overrides: Any) -> Settings:
    """The settings of this process; `overrides` that are not None come first.

    Exits with a line for each value that cannot be used.
    """
    from pydantic import ValidationError

    from protokeep.settings import Settings

    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except OSError as error:
        print_notice(f".env cannot be read ({error.strerror}). Let the user that runs protokeep read it.", "error")
        raise typer.Exit(EXIT_USAGE) from None
    except UnicodeDecodeError:
        print_notice(".env is not text in UTF-8. Save it in that encoding.", "error")
        raise typer.Exit(EXIT_USAGE) from None
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            name = name if name.startswith("V0_") or not name else f"PROTOKEEP_{name}"
            print_notice(f"{name + ': ' if name else ''}{fault['msg'].removeprefix('Value error, ')}", "error")
        raise typer.Exit(2) from None


def require_usable_environment(settings: Settings) -> None:
    """Exit with a line if requests to v0 or to the sign-in service would fail at a variable of the environment."""
    from protokeep.core.addresses import is_loopback
    from protokeep.http_environment import environment_fault

    called = [urlsplit(address).hostname or "" for address in (settings.v0_base_url, settings.oidc_issuer) if address]
    if not all(is_loopback(host) for host in called) and (fault := environment_fault(os.environ)):
        print_notice(fault, "error")
        raise typer.Exit(EXIT_USAGE)


def usable_settings(**overrides: Any) -> Settings:
    """`settings_of`, for a command that calls v0 or the sign-in service: exits if the environment does not allow it."""
    settings = settings_of(**overrides)
    require_usable_environment(settings)
    return settings


def name_database(settings: Settings) -> None:
    """Say on standard error which database a command works in, without the password of its address."""
    file = settings.database_file
    if file is None:
        parts = urlsplit(settings.database_url)
        print_notice(f"in the database {parts.path.strip('/')} at {parts.netloc.rpartition('@')[2] or 'this machine'}")
    else:
        print_notice(f"in the database {file}" + ("" if file.exists() else ", which is made now"))


def require_database_file(settings: Settings) -> None:
    """Exit with a line where no file is, for a command that is about what a database holds."""
    file = settings.database_file
    if file is not None and not file.exists():
        print_notice(f"there is no database {file}. PROTOKEEP_DATABASE_URL says where it is.", "error")
        raise typer.Exit(EXIT_USAGE)


def run_with_application(
    use: Callable[[Application], Awaitable[T]], advice: str = "", *, any_secret: bool = False
) -> T:
    """The result of `use`, called with an application on the database of the settings.

    The database is named on standard error, and created if it is not there. An owner's `design_mockups` is not changed
    in passing: the command says what to run.
    If the outcome of `use` is unknown, the command prints `advice` and exits. `any_secret`: the database may have been
    made with another secret.
    """
    from protokeep.wiring import build_application

    settings = usable_settings()
    name_database(settings)

    async def main() -> T:
        async with build_application(settings, adopting=False, any_secret=any_secret) as application:
            with advise_if_outcome_unknown(advice):
                return await use(application)

    return asyncio.run(main())


def run_until_done(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end, on uvloop if uvloop is installed."""
    try:
        import uvloop

        new_event_loop: Any = uvloop.new_event_loop
    except ImportError:
        new_event_loop = None
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)


def collect_garbage_rarely() -> None:
    """Let the garbage collector run less often. Call it before a command imports what it needs.

    Imports make hundreds of thousands of objects and no garbage: 400 collections took a fifth of a start's CPU.
    """
    gc.set_threshold(20_000, 50, 100)


def tune_gc() -> None:
    """Let the garbage collector skip objects that exist when a server is ready, and run less often.

    Thousands of open requests are hundreds of thousands of objects, none of them garbage, which the collector walks
    again and again. Without this, `benchmarks.storm` takes 0.91 instead of 0.55 ms of CPU a request on SQLite, and
    1.25 instead of 0.91 ms on PostgreSQL.
    """
    gc.collect()
    gc.freeze()
    collect_garbage_rarely()


def stop_event() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set from now on, until the event loop is closed.

    For a process that is ready: before that, a signal ends it at once (`cli/signals.py`).
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, for as long as the context lasts."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
