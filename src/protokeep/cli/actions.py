"""Commands that change a product's prototype on a server: iterate, stop, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from protokeep.cli.options import DEFAULT_URL, AsJson, Key, ProductId, PrototypeId, Provider, Token, Url
from protokeep.cli.prototypes import connected, missing_text, prototype_id_of, same_input
from protokeep.cli.retry_advice import RetryAdvice, advise_if_answer_lost, advise_if_output_fails, shell_command
from protokeep.cli.terminal import in_one_line, print_json, print_text, read_input

if TYPE_CHECKING:
    from protokeep.client.models import Prototype

app = typer.Typer()


@app.command(epilog='Example: protokeep iterate shop "Make the header darker"')
def iterate(
    product_id: ProductId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What should change; - reads standard input.")],
    key: Key = None,
    prototype_id: PrototypeId = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Ask for a change of a product's prototype."""
    from protokeep.cli import output

    message = read_input() if text == "-" else text
    key = key or uuid4().hex
    missing = missing_text(product_id, provider, prototype_id)
    with connected(url, token, as_json=as_json, missing=missing) as client:
        selected_id = prototype_id_of(client, product_id, provider, prototype_id)
        options: dict[str, str | bool | None] = {"--id": selected_id, "--key": key, "--json": as_json}
        advice = RetryAdvice(
            "It may have been sent. With another key, asking again sends it a second time. To repeat this "
            f"very request{same_input(text)}:",
            shell_command("iterate", (product_id, text), options, url, token),
            key,
        )
        with advise_if_answer_lost(advice, as_json=as_json):
            prototype = client.iterate(selected_id, message, idempotency_key=key)
    with advise_if_output_fails(str(advice)):
        output.print_result(prototype.raw, output.prototype_line(prototype), as_json=as_json)


@app.command(epilog="Example: protokeep stop shop")
def stop(
    product_id: ProductId,
    prototype_id: PrototypeId = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Stop what is being generated for a product."""
    from protokeep.cli import output

    missing = missing_text(product_id, provider, prototype_id)
    with connected(url, token, as_json=as_json, missing=missing) as client:
        selected_id = prototype_id_of(client, product_id, provider, prototype_id)
        advice = RetryAdvice(
            f"It may have been stopped. Check first with `protokeep list {product_id}`, because asking "
            "again stops whatever runs there by then. To stop this prototype, and no other of the product's:",
            shell_command("stop", (product_id,), {"--id": selected_id, "--json": as_json}, url, token),
        )
        with advise_if_answer_lost(advice, as_json=as_json):
            prototype = client.stop(selected_id)
    line = output.prototype_line(prototype)
    is_stopped = prototype.error is not None and prototype.error.code == "stopped"
    said = f"Stopped. {line}" if is_stopped else f"Nothing is being generated. {line}"
    if not prototype.finished:
        said = f"{provider} was asked to stop it. `protokeep watch {product_id}` shows when it has."
    with advise_if_output_fails(str(advice)):
        output.print_result(prototype.raw, said, as_json=as_json)


@app.command(epilog="Example: protokeep delete shop --yes")
def delete(
    product_id: ProductId,
    prototype_id: PrototypeId = None,
    now: Annotated[bool, typer.Option("--now", help="Admins: delete at once, for good, without the bin.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete a product's prototype. It waits in the bin first. Makers delete their own, admins any."""
    from protokeep.client import NotFound

    missing = missing_text(product_id, provider, prototype_id)
    with connected(url, token, as_json=as_json, missing=missing) as client:
        try:
            selected_id = prototype_id_of(client, product_id, provider, prototype_id)
        except NotFound:
            if prototype_id is None:
                raise
            selected_id = prototype_id  # The server knows whether it is deleted already.
        if not yes:
            typer.confirm(_question(selected_id, product_id, provider, now=now), abort=True, err=as_json)
        options: dict[str, str | bool | None] = {"--id": selected_id, "--now": now, "--yes": True, "--json": as_json}
        advice = RetryAdvice(
            "It may have been deleted. Without --id, asking again deletes the prototype that the product "
            "has by then. To repeat this very request:",
            shell_command("delete", (product_id,), options, url, token),
        )
        with advise_if_answer_lost(advice, as_json=as_json):
            remaining = client.delete(selected_id, now=now)
    if as_json:
        view = None if remaining is None else remaining.raw
        print_json({"id": selected_id, "deleted": remaining is None, "prototype": view})
    else:
        print_text(_deletion_text(remaining))


def _question(prototype_id: str, product_id: str, provider: str, *, now: bool) -> str:
    """What the deletion does, as a question."""
    if now:
        return f"Delete prototype {prototype_id} of {product_id} for good, and its chat in {provider}?"
    return (
        f"Move prototype {prototype_id} of {product_id} to the bin? It is deleted later, with its chat in {provider}."
    )


def _deletion_text(remaining: Prototype | None) -> str:
    """What became of a deletion; `remaining` is the prototype as it is after it, None: it is gone."""
    if remaining is None:
        return "Deleted."
    if remaining.deletion_due_at is not None:
        until = f"{remaining.deletion_due_at:%Y-%m-%d %H:%M} UTC"
        return f"In the bin until {until}. Take it back with: protokeep restore {in_one_line(remaining.id)}"
    reason = in_one_line(remaining.trouble or "protokeep is finding out whether the app builder has it.")
    return f"Being deleted. protokeep tries again automatically. {reason}"
