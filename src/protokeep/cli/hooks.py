"""`protokeep hooks`: installs, lists and removes our hooks at v0, directly with the database and v0."""

from __future__ import annotations

from typing import Annotated

import typer

from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import print_notice, print_text

app = typer.Typer(no_args_is_help=True)


@app.command()
def install(
    rotate: Annotated[bool, typer.Option("--rotate", help="Give hooks that are there a new secret address.")] = False,
) -> None:
    """Let v0 call this server when something ends. Needs PROTOKEEP_PUBLIC_URL; may be run again.

    A key that is set later gets its hook by itself, from a running server or worker.
    """
    hooks = run_with_application(
        lambda application: application.hooks.install(rotate=rotate),
        advice="A hook may be registered all the same. Run it again: one that v0 has already is used.",
    )
    if not hooks:
        print_notice("no v0 account is configured. Set V0_API_KEY.")
        raise typer.Exit(1)
    for hook in hooks:
        print_text(f"{hook.account}  API v{hook.api_version}  hook {hook.hook}")
    print_text("Installed. The addresses are secret and are not shown; polling goes on as before.")


@app.command("list")
def list_hooks() -> None:
    """List our hooks, and whether v0 still has them."""
    hooks = run_with_application(lambda application: application.hooks.list())
    if not hooks:
        print_text("There are no hooks. Install them with `protokeep hooks install`.")
    labels = {True: "registered", False: "GONE at v0: install again", None: "v0 could not be asked"}
    for hook, is_registered in hooks:
        label = labels[is_registered] if hook.hook or is_registered is None else "not registered yet"
        since = f"since {hook.installed_at:%Y-%m-%d %H:%M}"
        print_text(f"{hook.account}  API v{hook.api_version}  hook {hook.hook}  {since}  {label}")


@app.command()
def remove() -> None:
    """Remove our hooks from v0. Polling goes on."""
    count, unreachable = run_with_application(
        lambda application: application.hooks.remove(),
        advice="Running it again is safe: what v0 has removed counts as removed.",
    )
    print_text(f"Removed {count}.")
    for account in unreachable:
        print_text(f"v0 still has the hook of {account}, whose key is gone; what it sends is refused.")
