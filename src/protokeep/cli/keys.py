"""Keys of app builders, by whoever may open the database. A key is read from standard input, never from arguments."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.retry_advice import unsure

if TYPE_CHECKING:
    from protokeep.core.principals import Principal
    from protokeep.service.provider_keys import ProviderKeys, StoredKey

app = typer.Typer(no_args_is_help=True)

Workspace = Annotated[str, typer.Option(help="The workspace.")]
User = Annotated[str, typer.Option(help="That person's own key. [the workspace's]")]
Provider = Annotated[str, typer.Option(help="The app builder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _with_keys(workspace: str, use: Callable[[ProviderKeys, Principal], Awaitable[Any]], if_lost: str = "") -> Any:
    """What `use` answers; `if_lost` is said when it cannot be known whether it has changed anything."""
    from protokeep import logs
    from protokeep.cli.runtime import settings_of
    from protokeep.core.principals import Principal, Role
    from protokeep.core.validation import workspace_id_of
    from protokeep.service.tokens import LOCAL
    from protokeep.wiring import build_application

    logs.configure("error")
    who = Principal(workspace_id_of(workspace), LOCAL, Role.ADMIN, token_id="")

    async def main() -> Any:
        async with build_application(settings_of()) as parts:
            with unsure(if_lost):
                return await use(parts.provider_keys, who)

    return asyncio.run(main())


@app.command("set")
def set_key(
    workspace: Workspace = "default",
    user: User = "",
    provider: Provider = "v0",
    other_account: Annotated[
        bool, typer.Option("--other-account", help="Even if it does not see what the key before made.")
    ] = False,
) -> None:
    """Keep a key, read from standard input: for a workspace, or for one person. It is used within a second."""
    from protokeep.core.provider_keys import KeyOwner

    key = getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.read()
    told: StoredKey = _with_keys(
        workspace,
        lambda keys, who: keys.set(who, KeyOwner(workspace, user), provider, key, other_account=other_account),
        if_lost="It may be set all the same: `protokeep keys list` says since when. Setting the same again is safe.",
    )
    took = f"{provider} takes it." if told.works else f"{provider} did not answer, so it was not tried."
    sys.stdout.write(f"Set: {_whose(told)} …{told.sealed.hint}. {took}\n")


@app.command("list")
def list_keys(workspace: Workspace = "default", as_json: AsJson = False) -> None:
    """List keys: whose they are and how they end, never the keys themselves."""
    found: list[StoredKey] = _with_keys(workspace, lambda keys, who: keys.list(who.workspace_id))
    if as_json:
        sys.stdout.write(json.dumps([_view(told) for told in found], indent=2) + "\n")
        return
    if not found:
        sys.stdout.write(f"Workspace {workspace} has no keys. Set one with `protokeep keys set`.\n")
    for told in found:
        sealed = told.sealed
        opens = "" if told.opens else "  CANNOT BE OPENED: its master key is missing in PROTOKEEP_MASTER_KEYS"
        sys.stdout.write(
            f"{sealed.provider}  …{sealed.hint}  {_whose(told)}  set {sealed.set_at:%Y-%m-%d %H:%M} by {sealed.set_by}"
            f"{opens}\n"
        )


@app.command()
def remove(workspace: Workspace = "default", user: User = "", provider: Provider = "v0") -> None:
    """Forget a key. What it paid for waits, in sight, until one of the same account is set again."""
    from protokeep.core.provider_keys import KeyOwner

    _with_keys(
        workspace,
        lambda keys, who: keys.remove(who, KeyOwner(workspace, user), provider),
        if_lost="It may be removed all the same: look first, with `protokeep keys list`, because asking again removes "
        "a key that was set meanwhile.",
    )
    sys.stdout.write("Removed.\n")


@app.command()
def rotate() -> None:
    """Seal every key, of all workspaces, under the first of PROTOKEEP_MASTER_KEYS. Nothing stops meanwhile."""
    done, failed = _with_keys(
        "default",
        lambda keys, who: keys.rotate(who),
        if_lost="Some may be sealed anew. Running it again is safe: it goes on with the others.",
    )
    sys.stdout.write(f"Sealed anew: {done}.\n")
    if failed:
        sys.stderr.write(f"protokeep: {failed} cannot be opened with any master key given. Set them again.\n")
        raise typer.Exit(1)


def _whose(told: StoredKey) -> str:
    owner = told.sealed.owner
    return f"{owner.user_id}'s own" if owner.user_id else f"workspace {owner.workspace_id}"


def _view(told: StoredKey) -> dict[str, Any]:
    sealed = told.sealed
    return {
        "provider": sealed.provider,
        "workspace_id": sealed.owner.workspace_id,
        "user_id": sealed.owner.user_id or None,
        "last4": sealed.hint,
        "set_by": sealed.set_by,
        "set_at": sealed.set_at.isoformat(),
        "opens": told.opens,
    }
