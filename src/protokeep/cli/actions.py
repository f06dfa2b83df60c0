"""Commands that change a product's prototype on a server: iterate, stop, delete."""

from __future__ import annotations

import sys
from typing import Annotated
from uuid import uuid4

import typer

from protokeep.cli.options import DEFAULT_URL, AsJson, Key, ProductId, PrototypeId, Provider, Token, Url
from protokeep.cli.prototypes import connected, prototype_id_of, same_input
from protokeep.cli.retry_advice import RetryAdvice, advise_if_answer_lost, advise_if_output_fails, shell_command
from protokeep.cli.terminal import in_one_line, print_text

app = typer.Typer()


@app.command()
def iterate(
    product_id: ProductId,
    text: Annotated[str, typer.Argument(help="What should change; - reads standard input.")],
    key: Key = None,
    prototype_id: PrototypeId = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Send a follow-up into the chat of a product's prototype."""
    from protokeep.cli import output

    message = sys.stdin.read() if text == "-" else text
    key = key or uuid4().hex
    with connected(url, token, as_json=as_json) as client:
        selected_id = prototype_id_of(client, product_id, provider, prototype_id)
        options: dict[str, str | bool | None] = {"--id": selected_id, "--key": key, "--json": as_json}
        advice = RetryAdvice(
            "It may have been sent all the same. With another key, asking again sends it once more. To repeat this "
            f"very request{same_input(text)}:",
            shell_command("iterate", (product_id, text), options, url, token),
            key,
        )
        with advise_if_answer_lost(advice, as_json=as_json):
            prototype = client.iterate(selected_id, message, idempotency_key=key)
    with advise_if_output_fails(str(advice)):
        output.print_result(prototype.raw, output.prototype_line(prototype), as_json=as_json)


@app.command()
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

    with connected(url, token, as_json=as_json) as client:
        selected_id = prototype_id_of(client, product_id, provider, prototype_id)
        advice = RetryAdvice(
            f"It may have been stopped all the same: look first, with `protokeep list {product_id}`, because asking "
            "again stops whatever runs there by then. To stop this prototype, and no other of the product's:",
            shell_command("stop", (product_id,), {"--id": selected_id, "--json": as_json}, url, token),
        )
        with advise_if_answer_lost(advice, as_json=as_json):
            prototype = client.stop(selected_id)
    with advise_if_output_fails(str(advice)):
        output.print_result(prototype.raw, output.prototype_line(prototype), as_json=as_json)


@app.command()
def delete(
    product_id: ProductId,
    prototype_id: PrototypeId = None,
    now: Annotated[bool, typer.Option("--now", help="Admins: past the bin, so that nothing takes it back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    provider: Provider = "v0",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete a product's prototype, here and at the builder: into the bin first. An admin any, a maker their own."""
    from protokeep.client import NotFound

    with connected(url, token) as client:
        try:
            selected_id = prototype_id_of(client, product_id, provider, prototype_id)
        except NotFound:
            if prototype_id is None:
                raise
            selected_id = prototype_id  # The server knows whether it is deleted already.
        if not yes:
            typer.confirm(f"Delete prototype {selected_id} of {product_id}, and its chat at {provider}?", abort=True)
        advice = RetryAdvice(
            "It may have been deleted all the same. Without --id, asking again deletes the prototype that the product "
            "has by then. To repeat this very request:",
            shell_command("delete", (product_id,), {"--id": selected_id, "--now": now, "--yes": True}, url, token),
        )
        with advise_if_answer_lost(advice):
            remaining = client.delete(selected_id, now=now)
    if remaining is None:
        print_text("Deleted.")
        return
    if remaining.deletion_due_at is not None:
        until = f"{remaining.deletion_due_at:%Y-%m-%d %H:%M} UTC"
        print_text(f"In the bin until {until}. Take it back with: protokeep restore {in_one_line(remaining.id)}")
        return
    reason = in_one_line(remaining.trouble or "It is being decided whether the builder has it.")
    print_text(f"Being deleted; it is tried again by itself. {reason}")
