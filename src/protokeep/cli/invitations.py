"""`protokeep invitation`: links that let one person into the workspace, once. For admins, at a server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from protokeep.cli.options import DEFAULT_URL, AsJson, Token, Url
from protokeep.cli.prototypes import connected
from protokeep.cli.retry_advice import advise_if_output_fails
from protokeep.cli.terminal import in_one_line, json_text, print_json, print_text

app = typer.Typer(no_args_is_help=True)


@app.command(epilog="Example: protokeep invitation create --role maker --days 7")
def create(
    role: Annotated[str, typer.Option(help="viewer (sees), maker (creates) or admin.")] = "maker",
    user: Annotated[str, typer.Option(help="Whom it is for. [the person who accepts it chooses a name]")] = "",
    days: Annotated[int, typer.Option(help="How many days it is open.")] = 7,
    plain: Annotated[bool, typer.Option("--plain", help="Print the link alone.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Make a link that lets one person in, once. It is shown once."""
    from protokeep.client import administration

    with connected(url, token, as_json=as_json) as client:
        made = client.run(administration.create_invitation(role=role, user_id=user, days=days))
    whose = in_one_line(made["user_id"] or "one person")
    text = (
        f"{made['link']}\n\nIt lets {whose} in as {made['role']}, once, until {_moment(made['expires_at'])}. "
        "It is not shown again."
    )
    advice = f"The link is lost. End it with `protokeep invitation take-back {made['id']}`, then make another."
    with advise_if_output_fails(advice):
        print_text(json_text(made) if as_json else made["link"] if plain else text)


@app.command("list", epilog="Example: protokeep invitation list --json")
def list_invitations(as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List the open invitations, never their links."""
    from protokeep.client import administration

    with connected(url, token, as_json=as_json) as client:
        found = client.run(administration.list_invitations())
    if as_json:
        print_json(found)
        return
    if not found:
        print_text("No invitation is open.")
    for one in found:
        whose = in_one_line(one["user_id"] or "anyone with the link")
        until = _moment(one["expires_at"])
        print_text(f"{one['role']:6}  {whose}  open until {until}  by {in_one_line(one['invited_by'])}  {one['id']}")


@app.command("take-back", epilog="Example: protokeep invitation take-back 3f9cb0c25a1e4d7f")
def take_back(
    invitation_id: Annotated[
        str, typer.Argument(help="Its id, as `protokeep invitation list` shows it.", metavar="INVITATION")
    ],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Take an open invitation back. Its link lets nobody in then."""
    from protokeep.client import administration

    with connected(url, token, as_json=as_json) as client:
        client.run(administration.take_back_invitation(invitation_id))
    if as_json:
        print_json({"taken_back": invitation_id})
    else:
        print_text("Taken back. Its link lets nobody in any more.")


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
