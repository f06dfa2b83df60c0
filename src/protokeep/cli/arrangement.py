"""Commands that arrange products: tags, the archive, favourites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from protokeep.cli.options import DEFAULT_URL, AsJson, ProductId, Token, Url
from protokeep.cli.prototypes import connected, missing_text
from protokeep.cli.retry_advice import RetryAdvice, advise_if_answer_lost, shell_command
from protokeep.cli.terminal import in_one_line

if TYPE_CHECKING:
    from protokeep.client import Prototype

app = typer.Typer()

Tags = Annotated[list[str], typer.Argument(metavar="TAG...", help="Tags: short words without commas.")]


@app.command(epilog='Example: protokeep tag shop retail "spring sale"')
def tag(product_id: ProductId, tags: Tags, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Give a product tags, by which people find it."""
    _change("tag", product_id, tags, as_json=as_json, url=url, token=token)


@app.command(epilog="Example: protokeep untag shop retail")
def untag(
    product_id: ProductId, tags: Tags, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Take tags away from a product."""
    _change("untag", product_id, tags, as_json=as_json, url=url, token=token)


@app.command(epilog="Example: protokeep archive shop")
def archive(product_id: ProductId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Put a product out of sight; nothing is deleted.

    It leaves the home page and the lists. A request for it gets its prototype, and brings it back.
    """
    _change("archive", product_id, as_json=as_json, url=url, token=token)


@app.command(epilog="Example: protokeep unarchive shop")
def unarchive(product_id: ProductId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Bring an archived product back into the lists."""
    _change("unarchive", product_id, as_json=as_json, url=url, token=token)


@app.command(epilog="Example: protokeep favourite shop")
def favourite(
    product_id: ProductId,
    remove: Annotated[bool, typer.Option("--remove", help="It is a favourite no more.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Make a product your favourite; nobody else sees that."""
    from protokeep.cli import output

    with connected(url, token, as_json=as_json, missing=missing_text(product_id, "v0")) as client:
        options: dict[str, str | bool | None] = {"--remove": remove, "--json": as_json}
        command = shell_command("favourite", (product_id,), options, url, token)
        with advise_if_answer_lost(_again(command), as_json=as_json):
            client.set_favourite(product_id, favourite=not remove)
    text = f"{in_one_line(product_id)} is {'no favourite of yours any more' if remove else 'your favourite'}."
    output.print_result({"product_id": product_id, "favourite": not remove}, text, as_json=as_json)


def _change(what: str, product_id: str, tags: list[str] | None = None, *, as_json: bool, url: str, token: str) -> None:
    """Tag, untag, archive or unarchive a product, and say how it is now."""
    from protokeep.cli import output

    with connected(url, token, as_json=as_json, missing=missing_text(product_id, "v0")) as client:
        command = shell_command(what, (product_id, *(tags or ())), {"--json": as_json}, url, token)
        with advise_if_answer_lost(_again(command), as_json=as_json):
            if tags is None:
                prototype = client.set_archived(product_id, archived=what == "archive")
            else:
                prototype = [client.set_tag(product_id, one, has=what == "tag") for one in tags][-1]
    output.print_result(prototype.raw, _text_of(prototype), as_json=as_json)


def _text_of(prototype: Prototype) -> str:
    name = in_one_line(prototype.product_id)
    tags = f"the tags {', '.join(map(in_one_line, prototype.tags))}" if prototype.tags else "no tags"
    where = "archived: `protokeep list --archived` shows it" if prototype.archived_at else "in the lists"
    return f"{name} is {where}. It has {tags}."


def _again(command: str) -> RetryAdvice:
    return RetryAdvice("It may have been done. Asking again is safe:", command)
