"""`protokeep demo`: server, jobs and an emulated v0 in one process."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protokeep.cli.runtime import run_until_done, settings_of, stop_signal
from protokeep.cli.terminal import print_notice, print_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protokeep.service.tokens import Tokens
    from protokeep.settings import Settings
    from protokeep.wiring import Application

app = typer.Typer()

#: Long enough to watch, short enough to wait for.
GENERATION_SECONDS = (6.0, 12.0)
ACCEPT_SECONDS = 0.4
#: Where the emulated v0 listens if nothing else does.
SANDBOX_PORT = 8500
#: The people of the demo: an admin and a maker.
FIRST, SECOND = "ana", "ben"

WELCOME = """
protokeep is running on {url}
Emulated v0 (API v{version}) on {sandbox}   No key is needed; nothing leaves this machine.

Open one of these links in your browser. Each signs you in once, within {minutes} minutes, as another person:

  ana, admin    {url}/sign-in?code={code}
  ben, maker    {url}/sign-in?code={second_code}

Or try it in another terminal:

  export PROTOKEEP_URL={url} PROTOKEEP_TOKEN={token}

  {protokeep} create shop "A landing page for a bakery"     # creates the prototype
  {protokeep} create shop "A landing page for a bakery"     # gives you the same one
  {protokeep} watch shop                                    # until it is ready

or, with curl:

  curl -s $PROTOKEEP_URL/api/design/create-project -H "Authorization: Bearer $PROTOKEEP_TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"product_id": "shop", "prompt": "A landing page for a bakery"}}'

Token: {token}
Stop with Ctrl-C.{database}
"""


@app.command(epilog="Example: protokeep demo --port 8080")
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of protokeep; 0 takes a free one.")] = 8400,
    sandbox_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the emulated v0. [8500, or a free one]")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Keep the database here. Default: a temporary folder.")] = None,
    v0_api_version: Annotated[int, typer.Option(min=1, max=2, help="Version of v0's API to speak.")] = 2,
) -> None:
    """See protokeep at work. Needs no key. An emulated v0, the server and its jobs run in one process."""
    run_until_done(run_demo(port, sandbox_port, data, v0_api_version))


async def run_demo(port: int, sandbox_port: int | None, data: Path | None, v0_api_version: int) -> None:
    """Start sandbox, server and jobs; stop on SIGINT or SIGTERM."""
    from protokeep import logs
    from protokeep.web.app import create_app
    from protokeep.web.server import address_of, listen, serving

    async with contextlib.AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_signal())
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protokeep-demo-")))
        with _exit_if_taken(port, "--port"):
            listener = stack.enter_context(contextlib.closing(listen("127.0.0.1", port)))
        logs.configure("warning")
        v0_url = await _enter_emulated_v0(stack, sandbox_port)
        web_app = create_app(_demo_settings(folder, port, v0_url, v0_api_version))
        await stack.enter_async_context(serving(web_app, listener))
        token, code, second_code = await _sign_in(web_app.state.application)
        codes = {"code": code, "second_code": second_code}
        _print_welcome(address_of(listener), v0_url, v0_api_version, token, codes, data)
        await stop.wait()
        print_text("\nStopping.")


@contextlib.contextmanager
def _exit_if_taken(port: int, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        print_notice(
            f"port {port} cannot be used ({error.strerror}). Take a free one: protokeep demo {option} 0, or "
            f'make demo ARGS="{option} 0"'
        )
        raise typer.Exit(1) from None


async def _enter_emulated_v0(stack: contextlib.AsyncExitStack, port: int | None) -> str:
    """The address of the emulated v0, which runs until `stack` ends. Without a port: the usual one, or a free one."""
    from protokeep.sandbox import Knobs, Sandbox, running

    def emulator() -> Sandbox:
        return Sandbox(knobs=Knobs(generation_seconds=GENERATION_SECONDS, accept_seconds=ACCEPT_SECONDS))

    if port is None:
        with contextlib.suppress(OSError):
            return await stack.enter_async_context(running(emulator(), "127.0.0.1", SANDBOX_PORT))
    with _exit_if_taken(port or 0, "--sandbox-port"):
        return await stack.enter_async_context(running(emulator(), "127.0.0.1", port or 0))
    raise AssertionError("unreachable")


def _demo_settings(folder: Path, port: int, v0_url: str, v0_api_version: int) -> Settings:
    return settings_of(
        database_url=f"sqlite:///{(folder / 'protokeep.db').absolute()}",
        host="127.0.0.1",
        port=port,
        migrate="all",
        v0_api_key="demo",
        v0_base_url=v0_url,
        v0_web_url=v0_url,
        v0_api_version=v0_api_version,
        # Prototypes of the emulated v0 cost nothing.
        creates_per_person=0,
        creates_per_product=0,
        creates_per_workspace=0,
    )


async def _sign_in(application: Application) -> tuple[str, str, str]:
    """(an admin's token, a code that signs its owner in once, another person's code).

    The token is PROTOKEEP_DEMO_TOKEN if that is set.
    """
    from protokeep.core.principals import Role
    from protokeep.secret_files import secret_in_environment

    tokens = application.tokens
    try:
        chosen = secret_in_environment("PROTOKEEP_DEMO_TOKEN") or None
    except ValueError as error:
        print_notice(str(error))
        raise typer.Exit(2) from None
    if chosen and await _is_valid(tokens, chosen):
        token = chosen
    else:
        token, _ = await tokens.create(Role.ADMIN, name="demo", user_id=FIRST, plain=chosen)
    _, second = await tokens.create(Role.MAKER, name="demo", user_id=SECOND)
    sessions = application.sessions
    code = await sessions.create_sign_in_code((await tokens.check(token)).token_id)
    return token, code, await sessions.create_sign_in_code(second.id)


async def _is_valid(tokens: Tokens, token: str) -> bool:
    from protokeep.core.errors import NotAuthenticated

    try:
        await tokens.check(token)
    except NotAuthenticated:
        return False
    return True


def _print_welcome(
    url: str, v0_url: str, v0_api_version: int, token: str, codes: Mapping[str, str], data: Path | None
) -> None:
    from protokeep.service.sessions import CODE_LIFETIME

    sys.stdout.write(
        WELCOME.format(
            **codes,
            minutes=int(CODE_LIFETIME.total_seconds() // 60),
            url=url,
            sandbox=v0_url,
            version=v0_api_version,
            token=token,
            protokeep=_typed_program_name(),
            database=f" The database stays in {data}." if data else "",
        )
    )
    sys.stdout.flush()


def _typed_program_name() -> str:
    """The program as the reader of the welcome has to type it."""
    program = Path(sys.argv[0])
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    if program.name != "protokeep" or program.parent in folders:
        return "protokeep"
    with contextlib.suppress(ValueError):
        return str(program.absolute().relative_to(Path.cwd()))
    return str(program)
