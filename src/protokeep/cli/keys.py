"""`protokeep keys`: sets, imports, lists, removes and rotates keys of app builders.

`set`, `list` and `remove` work at a server if one is named; `import` and `rotate` in the database only.

A key is read from standard input, never from arguments, which other users of the machine can see.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from protokeep.cli.options import AsJson, Local, Provider, ServerUrl, Token, Workspace
from protokeep.cli.retry_advice import EXIT_ERROR, EXIT_USAGE
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import in_one_line, print_json, print_notice, print_text, read_input
from protokeep.cli.where import Server, server_of

if TYPE_CHECKING:
    from protokeep.core.key_import import KeyLine
    from protokeep.core.principals import Principal
    from protokeep.service.provider_keys import ProviderKeys, StoredKey

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)

User = Annotated[str, typer.Option(help="That person's own key. [the workspace's]")]
LinesAsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Mine = Annotated[bool, typer.Option("--mine", help="Your own key, at a server. [the workspace's]")]


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


@app.command("set", epilog="Example: protokeep keys set < key.txt")
def set_key(
    workspace: Workspace = "",
    user: User = "",
    mine: Mine = False,
    provider: Provider = "v0",
    other_account: Annotated[
        bool, typer.Option("--other-account", help="Even if it does not see what the key before made.")
    ] = False,
    as_json: AsJson = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """Set a v0 API key, read from standard input. For a workspace or one person; it is used within a second."""
    from protokeep.client import administration
    from protokeep.core.provider_keys import KeyOwner

    server = server_of(url, token, workspace, local=local)
    _require_clear_owner(server, user, mine=mine, names_others=False)
    key = getpass.getpass("Key: ") if sys.stdin.isatty() else read_input()
    if server is not None:
        setting = administration.set_key(key, own=mine, provider=provider, other_account=other_account)
        view = server.run(setting, as_json=as_json)
    else:
        owner = KeyOwner(workspace or "default", user)
        stored = _run_with_keys(
            owner.workspace_id,
            lambda keys, admin: keys.set(admin, owner, provider, key, other_account=other_account),
            advice="It may be set: `protokeep keys list` says since when. Setting the same again is safe.",
        )
        view = {**_view(stored), "works": stored.works}
    if as_json:
        print_json(view)
        return
    verdict = f"{provider} accepts it." if view["works"] else f"{provider} did not answer, so it was not tried."
    print_text(f"Set: {_owner_label(view)} …{in_one_line(view['last4'])}. {verdict}")


def _require_clear_owner(server: Server | None, user: str, *, mine: bool, names_others: bool) -> None:
    """Exit if it is not clear whose key is meant, or if it is one that this place does not know."""
    if server is None and mine:
        print_notice("--mine is the key of a token's owner, at a server. In the database name the person with --user.")
    elif server is not None and user and (mine or not names_others):
        print_notice(
            f"at {server.url} a key is the workspace's, or with --mine your own. Another person's is set in the "
            "database itself, with --local."
        )
    else:
        return
    raise typer.Exit(EXIT_USAGE)


@app.command("import", epilog="Example: protokeep keys import --workspace team < keys.csv")
def import_keys(workspace: Workspace = "default", provider: Provider = "v0", as_json: LinesAsJson = False) -> None:
    """Set people's own keys from CSV or JSON on standard input. Exit codes: 0 all, 1 some were refused, 2 none."""
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
        print_notice("Nothing was stored. Correct these lines, then send the list again.")
        raise typer.Exit(EXIT_USAGE)
    refused = _run_with_keys(
        workspace,
        lambda keys, admin: _import_lines(keys, admin, provider, lines, as_json=as_json),
        advice="What is printed as set is stored. Importing the same list again is safe: it continues with the others.",
    )
    if refused:
        raise typer.Exit(EXIT_ERROR)


async def _import_lines(
    keys: ProviderKeys, admin: Principal, provider: str, lines: Sequence[KeyLine], *, as_json: bool
) -> int:
    """Store each line's key, unless it is stored already, and say what became of it. Returns how many were refused."""
    from protokeep.core.errors import InvalidInput, NotNow

    unchanged = await keys.stored(provider, {line.owner: line.key for line in lines})
    refused = 0
    for line in lines:
        if line.owner in unchanged:
            _say(line, "unchanged", "unchanged", as_json=as_json)
            continue
        by = replace(admin, workspace_id=line.owner.workspace_id)
        try:
            stored = await keys.set(by, line.owner, provider, line.key)
        except (InvalidInput, NotNow) as error:
            refused += 1
            _say(line, "refused", f"refused. {error}", as_json=as_json)
        else:
            verdict = f"{provider} accepts it" if stored.works else f"{provider} did not answer, so it was not tried"
            _say(line, "set", f"set …{stored.sealed.hint}, {verdict}", as_json=as_json)
        sys.stdout.flush()
    if not as_json:
        print_text(f"Set: {len(lines) - len(unchanged) - refused}. Unchanged: {len(unchanged)}. Refused: {refused}.")
    return refused


def _say(line: KeyLine, outcome: str, text: str, *, as_json: bool) -> None:
    """Print what became of a line; a refusal on standard error, unless it is JSON."""
    if as_json:
        view = {"line": line.number, "user_id": line.owner.user_id, "outcome": outcome, "text": text}
        print_json(view, indent=None)
    else:
        (print_notice if outcome == "refused" else print_text)(f"line {line.number}: {line.owner.user_id}: {text}")


@app.command("list", epilog="Example: protokeep keys list --json")
def list_keys(
    workspace: Workspace = "",
    as_json: AsJson = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """List whose keys are set, never the keys themselves."""
    from protokeep.client import administration

    server = server_of(url, token, workspace, local=local)
    if server is not None:
        views = server.run(administration.list_keys(), as_json=as_json)
    else:
        found = _run_with_keys(workspace or "default", lambda keys, admin: keys.list(admin.workspace_id))
        views = [_view(stored) for stored in found]
    if as_json:
        print_json(views)
        return
    if not views:
        where = f"Workspace {workspace or 'default'}" if server is None else f"The workspace at {server.url}"
        print_text(f"{where} has no keys. Set one with `protokeep keys set`.")
    for view in views:
        print_text(_line(view))


@app.command(epilog="Example: protokeep keys remove --workspace team")
def remove(
    workspace: Workspace = "",
    user: User = "",
    mine: Mine = False,
    provider: Provider = "v0",
    as_json: AsJson = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """Remove a v0 API key. The prototypes that it paid for pause until a key of the same account is set."""
    from protokeep.client import administration
    from protokeep.core.provider_keys import KeyOwner

    server = server_of(url, token, workspace, local=local)
    _require_clear_owner(server, user, mine=mine, names_others=True)
    if server is not None:
        server.run(administration.remove_key(own=mine, provider=provider, user_id=user), as_json=as_json)
    else:
        owner = KeyOwner(workspace or "default", user)
        _run_with_keys(
            owner.workspace_id,
            lambda keys, admin: keys.remove(admin, owner, provider),
            advice="It may be removed. Check first with `protokeep keys list`, because asking again "
            "removes a key that was set meanwhile.",
        )
    if as_json:
        print_json({"removed": True, "provider": provider, "user_id": user or None})
    else:
        print_text("Removed.")


@app.command(epilog="Example: PROTOKEEP_MASTER_KEYS=new,old protokeep keys rotate")
def rotate(as_json: AsJson = False) -> None:
    """Encrypt all keys again. Of all workspaces, under the first of PROTOKEEP_MASTER_KEYS, without an interruption."""
    sealed, failed = _run_with_keys(
        "default",
        lambda keys, admin: keys.rotate(admin),
        advice="Some may be encrypted again. Running it again is safe: it continues with the others.",
    )
    if as_json:
        print_json({"sealed_anew": sealed, "cannot_be_opened": failed})
    else:
        print_text(f"Encrypted again: {sealed}.")
    if failed:
        print_notice(f"{failed} cannot be opened with any master key given. Set them again.")
        raise typer.Exit(1)


def _line(view: Mapping[str, Any]) -> str:
    warning = "" if view["opens"] else "  CANNOT BE OPENED: its master key is missing in PROTOKEEP_MASTER_KEYS"
    provider, last4, set_by = (in_one_line(view[field]) for field in ("provider", "last4", "set_by"))
    at = datetime.fromisoformat(view["set_at"])
    return f"{provider}  …{last4}  {_owner_label(view)}  set {at:%Y-%m-%d %H:%M} by {set_by}{warning}"


def _owner_label(view: Mapping[str, Any]) -> str:
    if view["user_id"]:
        return f"{in_one_line(view['user_id'])}'s own"
    return f"workspace {in_one_line(view['workspace_id'])}" if "workspace_id" in view else "the workspace's"


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
