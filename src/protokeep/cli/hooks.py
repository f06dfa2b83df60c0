"""Hooks at v0, by whoever may open the database: install, list, remove."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.retry_advice import unsure

if TYPE_CHECKING:
    from protokeep.service.hooks import Hooks

app = typer.Typer(no_args_is_help=True)


def _with_hooks(use: Callable[[Hooks], Awaitable[Any]], if_lost: str = "") -> Any:
    """What `use` answers; `if_lost` is said when it cannot be known whether it has changed anything."""
    from protokeep.cli.runtime import settings_of
    from protokeep.wiring import build_application

    async def main() -> Any:
        async with build_application(settings_of()) as parts:
            with unsure(if_lost):
                return await use(parts.hooks)

    return asyncio.run(main())


@app.command()
def install(
    rotate: Annotated[bool, typer.Option("--rotate", help="Give hooks that are there a new secret address.")] = False,
) -> None:
    """Let v0 call this server when something ends. Needs PROTOKEEP_PUBLIC_URL; may be run again.

    A key that is set later gets its hook by itself, from a running server or worker.
    """
    hooks = _with_hooks(
        lambda hooks: hooks.install(rotate=rotate),
        if_lost="A hook may be registered all the same. Run it again: one that v0 has already is used.",
    )
    if not hooks:
        sys.stderr.write("protokeep: no v0 account is configured. Set V0_API_KEY.\n")
        raise typer.Exit(1)
    for hook in hooks:
        sys.stdout.write(f"{hook.account}  API v{hook.api_version}  hook {hook.hook}\n")
    sys.stdout.write("Installed. The addresses are secret and are not shown; polling goes on as before.\n")


@app.command("list")
def list_hooks() -> None:
    """List our hooks, and whether v0 still has them."""
    found = _with_hooks(lambda hooks: hooks.list())
    if not found:
        sys.stdout.write("There are no hooks. Install them with `protokeep hooks install`.\n")
    words = {True: "registered", False: "GONE at v0: install again", None: "v0 could not be asked"}
    for hook, there in found:
        word = words[there] if hook.hook or there is None else "not registered yet"
        since = f"since {hook.installed_at:%Y-%m-%d %H:%M}"
        sys.stdout.write(f"{hook.account}  API v{hook.api_version}  hook {hook.hook}  {since}  {word}\n")


@app.command()
def remove() -> None:
    """Take our hooks away from v0. Polling goes on."""
    count, left = _with_hooks(
        lambda hooks: hooks.remove(), if_lost="Running it again is safe: what v0 has removed counts as removed."
    )
    sys.stdout.write(f"Removed {count}.\n")
    for account in left:
        sys.stdout.write(f"v0 still has the hook of {account}, whose key is gone; what it sends is refused.\n")
