"""`protokeep token`: creates, lists and revokes API tokens, directly in the database."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.retry_advice import advise_if_output_fails
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import json_text, print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.core.principals import ApiToken

app = typer.Typer(no_args_is_help=True)


TokenWorkspace = Annotated[str, typer.Option(help="The workspace; the first token in it makes it.")]


def _view(token: ApiToken) -> dict[str, Any]:
    """A token as JSON, without the secret text."""
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    names = ("id", "workspace_id", "user_id", "name", "role", "prefix", *times)
    values = {name: getattr(token, name) for name in names}
    return {name: value.isoformat() if name in times and value else value for name, value in values.items()}


@app.command()
def create(
    role: Annotated[str, typer.Option(help="viewer (sees), maker (creates) or admin.")] = "maker",
    user: Annotated[str, typer.Option(help="Whose token it is: what user_id becomes. [a made-up id]")] = "",
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    days: Annotated[int | None, typer.Option(help="Expires after so many days. [never, or as late as it may]")] = None,
    workspace: TokenWorkspace = "default",
    plain: Annotated[bool, typer.Option("--plain", help="Print the token alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown once; only its digest is stored."""
    from protokeep.core.principals import Role

    if role not in list(Role):
        print_notice("--role takes viewer, maker or admin.")
        raise typer.Exit(2)
    text, token = run_with_application(
        lambda application: application.tokens.create(
            Role(role), name=name, user_id=user, days=days, workspace_id=workspace
        ),
        advice=_lost_token_advice(workspace),
    )
    message = (
        f"{text}\n\nA {token.role.value} token for {token.user_id}{_where(workspace)}. It is not shown again.\n"
        "Use it as PROTOKEEP_TOKEN, or as `Authorization: Bearer <token>`."
    )
    if as_json:
        message = json_text({"token": text, **_view(token)})
    with advise_if_output_fails(_lost_token_advice(workspace, token.prefix)):
        print_text(text if plain and not as_json else message)


@app.command("list")
def list_tokens(
    workspace: TokenWorkspace = "default",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 500,
    as_json: AsJson = False,
) -> None:
    """List tokens: what they are for, never the tokens themselves."""
    tokens, older = run_with_application(lambda application: application.tokens.list(workspace, limit))
    if as_json:
        print_json([_view(token) for token in tokens])
        return
    if not tokens:
        print_text(f"There are no tokens{_where(workspace)}. Make one with `protokeep token create`.")
    for token in tokens:
        state = (
            "revoked" if token.revoked_at else f"expires {token.expires_at:%Y-%m-%d}" if token.expires_at else "valid"
        )
        used = f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never"
        print_text(f"{token.prefix}…  {token.role.value:6}  {token.user_id}  {state}  last used: {used}  {token.name}")
    if older:
        print_text(f"There are older ones: --limit shows more than {limit}.")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Id, or the prefix that `token list` shows.")],
    workspace: TokenWorkspace = "default",
) -> None:
    """Revoke a token. It stops working at once."""
    count = run_with_application(
        lambda application: application.tokens.revoke(workspace, token.rstrip("…")),
        advice="It may be revoked all the same. Revoking it again is safe: it says so then.",
    )
    print_text(f"Revoked {count}.")


def _lost_token_advice(workspace: str, prefix: str = "") -> str:
    """What to do about a token whose text nobody has seen. Without `prefix`, it is not certain that it was made."""
    option = "" if workspace == "default" else f" --workspace {shlex.quote(workspace)}"
    if prefix:
        return f"The token is lost. End it with `protokeep token revoke {prefix}{option}`, then make another."
    return (
        f"A token may have been made all the same; its text is lost. `protokeep token list{option}` shows it, newest "
        f"and never used: revoke it with `protokeep token revoke PREFIX{option}`, then make another."
    )


def _where(workspace: str) -> str:
    return "" if workspace == "default" else f" in workspace {workspace}"
