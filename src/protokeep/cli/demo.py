"""The demo: everything in one process, against an emulated v0."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import typer

from protokeep.cli.runtime import settings_of, stop_signal

#: Long enough to watch, short enough to wait for.
GENERATION_SECONDS = (6.0, 12.0)
ACCEPT_SECONDS = 0.4

WELCOME = """
protokeep is running on {url}
Emulated v0 (API v{version}) on {sandbox}   No key is needed; nothing leaves this machine.

Open the page; the link signs you in, once, within {minutes} minutes:

  {url}/sign-in?code={code}

Or try it in another terminal:

  export PROTOKEEP_URL={url} PROTOKEEP_TOKEN={token}

  {protokeep} create shop "A landing page for a bakery"     # makes a prototype
  {protokeep} create shop "A landing page for a bakery"     # gives you the same one
  {protokeep} watch shop                                    # until it is ready

or, with curl:

  curl -s $PROTOKEEP_URL/api/design/create-project -H "Authorization: Bearer $PROTOKEEP_TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"product_id": "shop", "prompt": "A landing page for a bakery"}}'

Token: {token}
Stop with Ctrl-C.{kept}
"""


async def run_demo(port: int, sandbox_port: int, data: Path | None, v0_api_version: int) -> None:
    """Start sandbox, server and jobs; stop on SIGINT or SIGTERM."""
    from protokeep import logs
    from protokeep.core.principals import Role
    from protokeep.sandbox import Knobs, Sandbox, running
    from protokeep.service.sessions import CODE_LIFETIME
    from protokeep.web.app import create_app
    from protokeep.web.server import address_of, listen, serving

    logs.configure("warning")
    async with contextlib.AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_signal())
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protokeep-demo-")))
        emulator = Sandbox(knobs=Knobs(generation_seconds=GENERATION_SECONDS, accept_seconds=ACCEPT_SECONDS))
        try:
            listener = listen("127.0.0.1", port)
            v0_url = await stack.enter_async_context(running(emulator, "127.0.0.1", sandbox_port))
        except OSError as error:
            sys.stderr.write(
                f"protokeep: port {port} or {sandbox_port} is taken ({error.strerror}). "
                "Choose others: protokeep demo --port 0 --sandbox-port 0\n"
            )
            raise typer.Exit(1) from None
        settings = settings_of(
            database_url=f"sqlite:///{(folder / 'protokeep.db').absolute()}",
            host="127.0.0.1",
            port=port,
            migrate="all",
            v0_api_key="demo",
            v0_base_url=v0_url,
            v0_web_url=v0_url,
            v0_api_version=v0_api_version,
            # Nothing costs anything here.
            creates_per_person=0,
            creates_per_product=0,
            creates_per_workspace=0,
        )
        app = create_app(settings)
        await stack.enter_async_context(serving(app, listener))
        given = os.environ.get("PROTOKEEP_DEMO_TOKEN") or None
        token = given if given and await _known(app, given) else None
        if token is None:
            token, _ = await app.state.application.tokens.create(Role.ADMIN, name="demo", user_id="you", plain=given)
        parts = app.state.application
        code = await parts.sessions.code_for((await parts.tokens.check(token)).token_id)
        sys.stdout.write(
            WELCOME.format(
                code=code,
                minutes=int(CODE_LIFETIME.total_seconds() // 60),
                url=address_of(listener),
                sandbox=v0_url,
                version=v0_api_version,
                token=token,
                protokeep=_command(),
                kept=f" The database stays in {data}." if data else "",
            )
        )
        sys.stdout.flush()
        await stop.wait()
        sys.stdout.write("\nStopping.\n")


async def _known(app: object, token: str) -> bool:
    from protokeep.core.errors import NotAuthenticated

    try:
        await app.state.application.tokens.check(token)  # type: ignore[attr-defined]
    except NotAuthenticated:
        return False
    return True


def _command() -> str:
    """How the person who reads the welcome calls us."""
    program = Path(sys.argv[0])
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    if program.name != "protokeep" or program.parent in folders:
        return "protokeep"
    with contextlib.suppress(ValueError):
        return str(program.absolute().relative_to(Path.cwd()))
    return str(program)
