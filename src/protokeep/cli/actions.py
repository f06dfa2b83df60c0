"""Changing a product's prototype from the command line: iterate, stop, delete."""

from __future__ import annotations

import sys
from typing import Annotated
from uuid import uuid4

import typer

from protokeep.cli.prototypes import (
    AsJson,
    Key,
    ProductId,
    PrototypeId,
    Provider,
    Token,
    Url,
    connected,
    prototype_id_of,
    same_text,
)
from protokeep.cli.retry_advice import DEFAULT_URL, RetryAdvice, command, repeatable, written


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for one in (iterate, stop, delete):
        app.command()(one)


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
        found = prototype_id_of(client, product_id, provider, prototype_id)
        again = RetryAdvice(
            "It may have been sent all the same. With another key, asking again sends it once more. To repeat this "
            f"very request{same_text(text)}:",
            command("iterate", (product_id, text), {"--id": found, "--key": key, "--json": as_json}, url, token),
            key,
        )
        with repeatable(again, as_json=as_json):
            after = client.iterate(found, message, idempotency_key=key)
    with written(str(again)):
        output.out(after.raw, output.line(after), as_json=as_json)


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
        found = prototype_id_of(client, product_id, provider, prototype_id)
        again = RetryAdvice(
            f"It may have been stopped all the same: look first, with `protokeep list {product_id}`, because asking "
            "again stops whatever runs there by then. To stop this prototype, and no other of the product's:",
            command("stop", (product_id,), {"--id": found, "--json": as_json}, url, token),
        )
        with repeatable(again, as_json=as_json):
            after = client.stop(found)
    with written(str(again)):
        output.out(after.raw, output.line(after), as_json=as_json)


def delete(
    product_id: ProductId,
    prototype_id: PrototypeId = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    provider: Provider = "v0",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete a product's prototype, here and at the builder. Needs an admin's token."""
    from protokeep.client import NotFound

    with connected(url, token) as client:
        try:
            found = prototype_id_of(client, product_id, provider, prototype_id)
        except NotFound:
            if prototype_id is None:
                raise
            found = prototype_id  # It may be deleted already, which the server knows.
        if not yes:
            typer.confirm(f"Delete prototype {found} of {product_id}, and its chat at {provider}?", abort=True)
        again = RetryAdvice(
            "It may have been deleted all the same. Without --id, asking again deletes the prototype that the product "
            "has by then. To repeat this very request:",
            command("delete", (product_id,), {"--id": found, "--yes": True}, url, token),
        )
        with repeatable(again):
            left = client.delete(found)
    if left is None:
        sys.stdout.write("Deleted.\n")
        return
    why = left.trouble or "It is being decided whether the builder has it."
    sys.stdout.write(f"Being deleted; it is tried again by itself. {why}\n")
