"""`protokeep token`: creates, lists and revokes API tokens, at a server or directly in the database."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import AsJson, Local, ServerUrl, Token
from protokeep.cli.retry_advice import advise_if_output_fails
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import in_one_line, json_text, print_json, print_notice, print_text
from protokeep.cli.where import Server, server_of

if TYPE_CHECKING:
    from protokeep.core.principals import ApiToken

app = typer.Typer(no_args_is_help=True)
TokenWorkspace = Annotated[
    str, typer.Option(help="The workspace; the first token in it makes it. [at a server the token's, else default]")
]


def _view(token: ApiToken) -> dict[str, Any]:
    """A token as JSON, without the secret text."""
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    names = ("id", "workspace_id", "user_id", "name", "role", "prefix", *times)
    values = {name: getattr(token, name) for name in names}
    return {name: value.isoformat() if name in times and value else value for name, value in values.items()}


@app.command(epilog="Example: protokeep token create --user ana --role maker --days 90")
def create(
    role: Annotated[str, typer.Option(help="viewer (sees), maker (creates) or admin.")] = "maker",
    user: Annotated[str, typer.Option(help="The person the token is for. [a made-up name]")] = "",
    name: Annotated[str, typer.Option(help="A name for it, such as CI.")] = "",
    days: Annotated[int | None, typer.Option(help="Expires after so many days. [never, or as late as it may]")] = None,
    workspace: TokenWorkspace = "",
    plain: Annotated[bool, typer.Option("--plain", help="Print the token alone.")] = False,
    as_json: AsJson = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """Create a token. It is shown once; only its digest is stored."""
    from protokeep.client import administration
    from protokeep.core.principals import Role

    if role not in list(Role):
        print_notice("--role takes viewer, maker or admin.")
        raise typer.Exit(2)
    server = server_of(url, token, workspace, local=local)
    if server is not None:
        making = administration.create_token(role=role, user_id=user, name=name, days=days)
        made = server.run(making, as_json=as_json)
    else:
        made = _create_locally(role, user, name, days, workspace or "default")
    article = "An" if made["role"] == "admin" else "A"
    message = (
        f"{made['token']}\n\n{article} {made['role']} token for {in_one_line(made['user_id'])}"
        f"{_where(server, workspace)}. It is not shown again.\n"
        "Use it as PROTOKEEP_TOKEN, or as `Authorization: Bearer <token>`."
    )
    if as_json:
        message = json_text(made)
    with advise_if_output_fails(_lost_token_advice(workspace, made["prefix"], local=local)):
        print_text(made["token"] if plain and not as_json else message)


def _create_locally(role: str, user: str, name: str, days: int | None, workspace: str) -> Mapping[str, Any]:
    from protokeep.core.principals import Role

    text, stored = run_with_application(
        lambda application: application.tokens.create(
            Role(role), name=name, user_id=user, days=days, workspace_id=workspace
        ),
        advice=_lost_token_advice(workspace),
    )
    return {"token": text, **_view(stored)}


@app.command("list", epilog="Example: protokeep token list --json")
def list_tokens(
    workspace: TokenWorkspace = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 500,
    as_json: AsJson = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """List tokens: whose they are, never the tokens themselves."""
    from protokeep.client import administration

    server = server_of(url, token, workspace, local=local)
    if server is not None:
        views, has_older = server.run(administration.list_tokens(limit), as_json=as_json)
    else:
        tokens, older = run_with_application(lambda application: application.tokens.list(workspace or "default", limit))
        views, has_older = [_view(each) for each in tokens], older is not None
    if as_json:
        print_json(views)
        return
    if not views:
        print_text(f"There are no tokens{_where(server, workspace)}. Create one with `protokeep token create`.")
    for view in views:
        print_text(_line(view))
    if has_older:
        print_text(f"There are older ones: --limit shows more than {limit}.")


def _line(view: Mapping[str, Any]) -> str:
    expires, used = view["expires_at"], view["last_used_at"]
    state = "revoked" if view["revoked_at"] else f"expires {_moment(expires):%Y-%m-%d}" if expires else "valid"
    last = f"{_moment(used):%Y-%m-%d %H:%M}" if used else "never"
    user, name, role = (in_one_line(view[field]) for field in ("user_id", "name", "role"))
    return f"{in_one_line(view['prefix'])}…  {role:6}  {user}  {state}  last used: {last}  {name}  {view['id']}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@app.command(epilog="Example: protokeep token revoke pk_x4T9aQ")
def revoke(
    token_id: Annotated[
        str, typer.Argument(help="Id, or the prefix that `token list` shows.", metavar="TOKEN", show_default=False)
    ],
    workspace: TokenWorkspace = "",
    as_json: AsJson = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """Revoke a token. It stops working at once."""
    from protokeep.client import administration

    named = token_id.rstrip("…")
    server = server_of(url, token, workspace, local=local)
    if server is not None:
        server.run(administration.revoke_token(named), as_json=as_json)
        count = 1
    else:
        count = run_with_application(
            lambda application: application.tokens.revoke(workspace or "default", named),
            advice="It may be revoked. Revoking it again is safe: it says so then.",
        )
    if as_json:
        print_json({"revoked": count})
    else:
        print_text(f"Revoked {count}.")


def _lost_token_advice(workspace: str, prefix: str = "", *, local: bool = False) -> str:
    """What to do about a token whose text nobody has seen. Without `prefix`, it is not certain that it was made."""
    option = "" if workspace in ("", "default") else f" --workspace {shlex.quote(workspace)}"
    option += " --local" if local else ""
    if prefix:
        return f"The token is lost. End it with `protokeep token revoke {prefix}{option}`, then create another."
    return (
        f"A token may have been created; its text is lost. `protokeep token list{option}` shows it, newest "
        f"and never used: revoke it with `protokeep token revoke PREFIX{option}`, then create another."
    )


def _where(server: Server | None, workspace: str) -> str:
    if server is not None:
        return f" at {server.url}"
    return "" if workspace in ("", "default") else f" in workspace {workspace}"
