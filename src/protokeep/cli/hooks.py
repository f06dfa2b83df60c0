"""`protokeep hooks`: installs, lists and removes our hooks at v0, directly with the database and v0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.store.hooks import Hook

app = typer.Typer(no_args_is_help=True)


@app.command(epilog="Example: PROTOKEEP_PUBLIC_URL=https://prototypes.example.com protokeep hooks install")
def install(
    rotate: Annotated[bool, typer.Option("--rotate", help="Give hooks that are there a new secret address.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let v0 call this server when a prototype is done. Needs PROTOKEEP_PUBLIC_URL; may be run again.

    A key that is set later gets its hook automatically, from a running server or worker.
    """
    hooks = run_with_application(
        lambda application: application.hooks.install(rotate=rotate),
        advice="A hook may be registered. Run it again: one that v0 has already is used.",
    )
    if not hooks:
        print_notice("no v0 account is configured. Set V0_API_KEY.")
        raise typer.Exit(1)
    if as_json:
        print_json([_view(hook) for hook in hooks])
        return
    for hook in hooks:
        print_text(f"{hook.account}  API v{hook.api_version}  hook {hook.hook}")
    print_text("Installed. The addresses are secret and are not shown. protokeep keeps asking v0 as well.")


@app.command("list", epilog="Example: protokeep hooks list --json")
def list_hooks(as_json: AsJson = False) -> None:
    """List our hooks, and whether v0 still has them."""
    hooks = run_with_application(lambda application: application.hooks.list())
    if as_json:
        print_json([{**_view(hook), "registered": is_registered} for hook, is_registered in hooks])
        return
    if not hooks:
        print_text("There are no hooks. Install them with `protokeep hooks install`.")
    labels = {True: "registered", False: "GONE at v0: install again", None: "v0 could not be asked"}
    for hook, is_registered in hooks:
        label = labels[is_registered] if hook.hook or is_registered is None else "not registered yet"
        since = f"since {hook.installed_at:%Y-%m-%d %H:%M}"
        print_text(f"{hook.account}  API v{hook.api_version}  hook {hook.hook}  {since}  {label}")


@app.command(epilog="Example: protokeep hooks remove")
def remove(as_json: AsJson = False) -> None:
    """Remove protokeep's hooks from v0. protokeep then asks v0 regularly."""
    count, unreachable = run_with_application(
        lambda application: application.hooks.remove(),
        advice="Running it again is safe, also where v0 has removed a hook already.",
    )
    if as_json:
        print_json({"removed": count, "still_at_v0": list(unreachable)})
        return
    print_text(f"Removed {count}.")
    for account in unreachable:
        print_text(f"v0 still has the hook of {account}, whose key is gone; what it sends is refused.")


def _view(hook: Hook) -> dict[str, Any]:
    """A hook as JSON, without its address, which is secret."""
    return {
        "account": hook.account,
        "api_version": hook.api_version,
        "hook": hook.hook,
        "installed_at": hook.installed_at.isoformat(),
    }
