"""`protokeep keys`: sets, imports, lists, removes and rotates keys of app builders, directly in the database.

A key is read from standard input, never from arguments, which other users of the machine can see.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from protokeep.cli.options import AsJson, Provider, Workspace
from protokeep.cli.retry_advice import EXIT_ERROR, EXIT_USAGE
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.core.key_import import KeyLine
    from protokeep.core.principals import Principal
    from protokeep.service.provider_keys import ProviderKeys, StoredKey

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)

User = Annotated[str, typer.Option(help="That person's own key. [the workspace's]")]


def _run_with_keys(workspace: str, use: Callable[[ProviderKeys, Principal], Awaitable[T]], advice: str = "") -> T:
    """The result of `use`, called with the provider keys and an admin of `workspace`.

    If the outcome of `use` is unknown, the command prints `advice` and exits.
    """
    from protokeep import logs
    from protokeep.core.principals import Principal, Role
    from protokeep.core.validation import workspace_id_of
    from protokeep.service.tokens import LOCAL

    logs.configure("error")
    admin = Principal(workspace_id_of(workspace), LOCAL, Role.ADMIN, token_id="")
    return run_with_application(lambda application: use(application.provider_keys, admin), advice)


@app.command("set")
def set_key(
    workspace: Workspace = "default",
    user: User = "",
    provider: Provider = "v0",
    other_account: Annotated[
        bool, typer.Option("--other-account", help="Even if it does not see what the key before made.")
    ] = False,
) -> None:
    """Store a key, read from standard input, for a workspace or for one person. It is used within a second."""
    from protokeep.core.provider_keys import KeyOwner

    key = getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.read()
    stored = _run_with_keys(
        workspace,
        lambda keys, admin: keys.set(admin, KeyOwner(workspace, user), provider, key, other_account=other_account),
        advice="It may be set all the same: `protokeep keys list` says since when. Setting the same again is safe.",
    )
    verdict = f"{provider} takes it." if stored.works else f"{provider} did not answer, so it was not tried."
    print_text(f"Set: {_owner_label(stored)} …{stored.sealed.hint}. {verdict}")


@app.command("import")
def import_keys(workspace: Workspace = "default", provider: Provider = "v0") -> None:
    """Store people's own keys from CSV or JSON on standard input. Exit codes: 0 all, 1 some were refused, 2 none."""
    from protokeep.core.errors import InvalidInput
    from protokeep.core.key_import import BYTES_MAX, FORM, read_key_list
    from protokeep.core.validation import workspace_id_of

    content = sys.stdin.buffer.read(BYTES_MAX + 1)
    try:
        if len(content) > BYTES_MAX:
            raise InvalidInput(f"The list is longer than {BYTES_MAX:,} bytes. Send it in parts.")
        lines, faults = read_key_list(content.decode(), workspace_id_of(workspace))
    except (InvalidInput, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, InvalidInput) else f"The list is not UTF-8. {FORM}"
        print_notice(f"{reason} Nothing was stored.")
        raise typer.Exit(EXIT_USAGE) from None
    for fault in faults:
        print_notice(f"line {fault.number}: {fault.message}")
    if faults:
        print_notice("Nothing was stored. Mend these lines, then send the list again.")
        raise typer.Exit(EXIT_USAGE)
    refused = _run_with_keys(
        workspace,
        lambda keys, admin: _import_lines(keys, admin, provider, lines),
        advice="What is printed as set is stored. Importing the same list again is safe: it goes on with the others.",
    )
    if refused:
        raise typer.Exit(EXIT_ERROR)


async def _import_lines(keys: ProviderKeys, admin: Principal, provider: str, lines: Sequence[KeyLine]) -> int:
    """Store each line's key, unless it is stored already, and say what became of it. Returns how many were refused."""
    from protokeep.core.errors import InvalidInput, NotNow

    unchanged = await keys.stored(provider, {line.owner: line.key for line in lines})
    refused = 0
    for line in lines:
        label = f"line {line.number}: {line.owner.user_id}"
        if line.owner in unchanged:
            print_text(f"{label}: unchanged")
            continue
        by = replace(admin, workspace_id=line.owner.workspace_id)
        try:
            stored = await keys.set(by, line.owner, provider, line.key)
        except (InvalidInput, NotNow) as error:
            refused += 1
            print_notice(f"{label}: refused. {error}")
        else:
            verdict = f"{provider} takes it" if stored.works else f"{provider} did not answer, so it was not tried"
            print_text(f"{label}: set …{stored.sealed.hint}, {verdict}")
        sys.stdout.flush()
    print_text(f"Set: {len(lines) - len(unchanged) - refused}. Unchanged: {len(unchanged)}. Refused: {refused}.")
    return refused


@app.command("list")
def list_keys(workspace: Workspace = "default", as_json: AsJson = False) -> None:
    """List keys: whose they are and how they end, never the keys themselves."""
    stored_keys = _run_with_keys(workspace, lambda keys, admin: keys.list(admin.workspace_id))
    if as_json:
        print_json([_view(stored) for stored in stored_keys])
        return
    if not stored_keys:
        print_text(f"Workspace {workspace} has no keys. Set one with `protokeep keys set`.")
    for stored in stored_keys:
        sealed = stored.sealed
        warning = "" if stored.opens else "  CANNOT BE OPENED: its master key is missing in PROTOKEEP_MASTER_KEYS"
        print_text(
            f"{sealed.provider}  …{sealed.hint}  {_owner_label(stored)}  set {sealed.set_at:%Y-%m-%d %H:%M} by "
            f"{sealed.set_by}{warning}"
        )


@app.command()
def remove(workspace: Workspace = "default", user: User = "", provider: Provider = "v0") -> None:
    """Remove a key. The prototypes that it paid for wait, visibly, until a key of the same account is set again."""
    from protokeep.core.provider_keys import KeyOwner

    _run_with_keys(
        workspace,
        lambda keys, admin: keys.remove(admin, KeyOwner(workspace, user), provider),
        advice="It may be removed all the same: look first, with `protokeep keys list`, because asking again removes "
        "a key that was set meanwhile.",
    )
    print_text("Removed.")


@app.command()
def rotate() -> None:
    """Seal every key, of all workspaces, under the first of PROTOKEEP_MASTER_KEYS. Nothing stops meanwhile."""
    sealed, failed = _run_with_keys(
        "default",
        lambda keys, admin: keys.rotate(admin),
        advice="Some may be sealed anew. Running it again is safe: it goes on with the others.",
    )
    print_text(f"Sealed anew: {sealed}.")
    if failed:
        print_notice(f"{failed} cannot be opened with any master key given. Set them again.")
        raise typer.Exit(1)


def _owner_label(stored: StoredKey) -> str:
    owner = stored.sealed.owner
    return f"{owner.user_id}'s own" if owner.user_id else f"workspace {owner.workspace_id}"


def _view(stored: StoredKey) -> dict[str, Any]:
    sealed = stored.sealed
    return {
        "provider": sealed.provider,
        "workspace_id": sealed.owner.workspace_id,
        "user_id": sealed.owner.user_id or None,
        "last4": sealed.hint,
        "set_by": sealed.set_by,
        "set_at": sealed.set_at.isoformat(),
        "opens": stored.opens,
    }
