"""Commands of operators: serve, worker, migrate, backup, sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep import __version__
from protokeep.cli.options import AsJson
from protokeep.cli.runtime import (
    require_usable_environment,
    run_until_done,
    settings_of,
    stop_event,
    stop_signal,
    tune_gc,
    usable_settings,
)
from protokeep.cli.terminal import print_json, print_notice, write_notices_as_json

if TYPE_CHECKING:
    import socket

    from protokeep.settings import Settings
    from protokeep.wiring import Application

app = typer.Typer()


@app.command(epilog="Example: protokeep serve --port 8400")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [PROTOKEEP_HOST, 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. [8400]")] = None,
) -> None:
    """Serve the API and run the jobs."""
    settings = usable_settings(host=host, port=port)
    _configure_logs(settings)

    async def main() -> None:
        from protokeep.doctor import reasons_not_to_serve
        from protokeep.web.server import listen

        for reason in (reasons := await reasons_not_to_serve(settings)):
            print_notice(f"{reason}.", "error")
        if reasons:
            raise typer.Exit(2)
        try:
            listener = listen(settings.host, settings.port)
        except OSError as error:
            print_notice(_cannot_listen(settings.host, settings.port, error), "error")
            raise typer.Exit(1) from None
        with contextlib.closing(listener):
            await _migrate_first(settings)
            await _serve_until_stopped(settings, listener)

    run_until_done(main())


async def _serve_until_stopped(settings: Settings, listener: socket.socket) -> None:
    from protokeep.web.app import create_app
    from protokeep.web.protocol import RequestBounds
    from protokeep.web.server import address_of, serving

    web_app = create_app(settings)
    bounds = RequestBounds(settings.max_header_bytes, settings.header_seconds, settings.body_seconds)
    listening = serving(
        web_app, listener, proxies=settings.proxies, bounds=bounds, keep_alive=settings.keep_alive_seconds
    )
    async with listening, _monitored_server(web_app.state):
        stop = stop_event()
        tune_gc()
        print_notice(f"version {__version__}, serving on {address_of(listener)}")
        await _say_how_to_sign_in(web_app.state.application)
        await stop.wait()
        stop.clear()
        web_app.state.draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.drain)


def _configure_logs(settings: Settings) -> None:
    """Write the log as the settings say; in a JSON log notices are lines of JSON, too."""
    from protokeep import logs

    logs.configure(settings.log_level, settings.log_format)
    write_notices_as_json(settings.log_format == "json")


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    return (
        f"cannot listen on {host}:{port}: {error.strerror}. Choose others with --host and --port, or with "
        "PROTOKEEP_HOST and PROTOKEEP_PORT."
    )


@contextlib.asynccontextmanager
async def _monitored(application: Application, is_stopping: Callable[[], bool]) -> AsyncIterator[None]:
    """Serve health and metrics on an address of their own, if the settings name one."""
    from protokeep.web.monitoring import monitored

    settings = application.settings
    stack = contextlib.AsyncExitStack()
    try:
        address = await stack.enter_async_context(monitored(application, is_stopping))
    except OSError as error:
        print_notice(
            f"cannot listen on {settings.metrics_host}:{settings.metrics_port}: {error.strerror}. Choose others with "
            "PROTOKEEP_METRICS_HOST and PROTOKEEP_METRICS_PORT.",
            "error",
        )
        raise typer.Exit(1) from None
    async with stack:
        if address is not None:
            print_notice(f"health and metrics on {address}")
        yield


def _monitored_server(state: Any) -> AbstractAsyncContextManager[None]:
    """The same for a server whose state is `state`: it stops as soon as it drains."""
    return _monitored(state.application, lambda: state.draining)


async def _say_how_to_sign_in(application: Application) -> None:
    """Say how to begin, where nobody could sign in. A database that is away just now is no reason to end."""
    from protokeep.core.errors import NotReady

    if application.authenticator.takes_jwts or application.sign_in_flow:
        return
    with contextlib.suppress(NotReady):
        if not await application.tokens.has_valid_token():
            print_notice(
                "nobody can sign in yet. Create a token: protokeep token create --local --role admin --user YOU"
            )


async def _migrate_first(settings: Settings) -> None:
    """Migrate before the server starts, so that a database that cannot be used is one line, and no traceback."""
    from protokeep.store.migrate import migrate
    from protokeep.store.migrate_sqlite import require_writable

    if settings.migrate != "off":
        await migrate(settings.direct_url, settings.migrate)
    if settings.database_file is not None:
        await asyncio.to_thread(require_writable, settings.database_file)


@app.command(epilog="Example: PROTOKEEP_DATABASE_URL=postgresql://... protokeep worker")
def worker() -> None:
    """Run jobs without serving. Needs PostgreSQL; run as many as you like."""
    settings = settings_of()
    _configure_logs(settings)
    if settings.is_embedded:
        print_notice("a worker needs PostgreSQL. With SQLite, `protokeep serve` runs the jobs itself.")
        raise typer.Exit(2)
    require_usable_environment(settings)

    async def main() -> None:
        from protokeep.jobs import application_with_jobs

        async with application_with_jobs(settings) as application:
            stop = stop_event()
            async with _monitored(application, stop.is_set):
                tune_gc()
                print_notice(f"version {__version__}, working")
                await stop.wait()

    run_until_done(main())


@app.command(epilog="Example: protokeep migrate")
def migrate(
    sql: Annotated[bool, typer.Option("--sql", help="Print the plain SQL for design_mockups and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database up to date. As far as PROTOKEEP_MIGRATE says; safe to run twice, and while others run."""
    from protokeep.store.migrate import migrate as run_migrations
    from protokeep.store.migrate import plain_sql
    from protokeep.store.revisions import Scope

    if sql:
        sys.stdout.write(plain_sql())
        return
    settings = settings_of()
    _configure_logs(settings)
    scope: Scope = "own" if settings.migrate == "own" else "all"
    asyncio.run(run_migrations(settings.direct_url, scope))
    if as_json:
        print_json({"up_to_date": True, "scope": scope})
        return
    rest = "; design_mockups was left as it is (PROTOKEEP_MIGRATE=own)" if scope == "own" else ""
    print_notice(f"the database is up to date{rest}")


@app.command(epilog="Example: protokeep backup /backups/protokeep.db")
def backup(
    file: Annotated[Path, typer.Argument(help="Where to put the copy; must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Copy the embedded database while it is in use. With PostgreSQL: pg_dump."""
    from protokeep.store.backup import backup as copy_database

    source = settings_of().database_file
    if source is None:
        print_notice('with PostgreSQL use pg_dump: pg_dump --format=custom "$PROTOKEEP_DATABASE_URL"')
        raise typer.Exit(2)
    copy_database(source, file)
    if as_json:
        print_json({"file": str(file), "secret": f"{source.name}.secret"})
        return
    print_notice(
        f"copied to {file}. Keep {source.name}.secret (or PROTOKEEP_SECRET_KEY) elsewhere: without it no token works."
    )


@app.command(epilog="Example: protokeep sandbox --port 8500")
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8500,
    generation_seconds: Annotated[float, typer.Option(min=0, help="How long a generation takes.")] = 8.0,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name, beside localhost, under which it is reached, such as a container's; * is any."),
    ] = None,
) -> None:
    """Emulate v0 over real HTTP. v1 is under /v1, v2 under /v2, controls under /_sandbox. State is in memory."""
    from protokeep.sandbox import Knobs, Sandbox, running

    async def main() -> None:
        emulator = Sandbox(knobs=Knobs(generation_seconds=generation_seconds), allowed_hosts=allow_host or ())
        async with contextlib.AsyncExitStack() as stack:
            stop = await stack.enter_async_context(stop_signal())
            try:
                url = await stack.enter_async_context(running(emulator, host, port))
            except OSError as error:
                print_notice(f"cannot listen on {host}:{port}: {error.strerror}. Choose others with --host and --port.")
                raise typer.Exit(1) from None
            print_notice(f"sandbox on {url} (V0_BASE_URL={url} V0_API_KEY=any)")
            await stop.wait()

    run_until_done(main())
