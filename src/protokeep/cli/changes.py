"""Changing a product's prototype from the command line: iterate, stop, delete."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from protokeep.cli.client import DEFAULT_URL, AsJson, ProductId, Provider, Token, Url, connected


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (iterate, stop, delete):
        app.command()(command)


def iterate(
    product_id: ProductId,
    text: Annotated[str, typer.Argument(help="What should change; - reads standard input.")],
    key: Annotated[str | None, typer.Option(help="Idempotency key: sent twice, it acts once. [a fresh one]")] = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Send a follow-up into the chat of a product's prototype."""
    from protokeep.cli import show

    message = sys.stdin.read() if text == "-" else text
    with connected(url, token) as client:
        found = client.status(product_id, provider=provider)
        after = client.iterate(found.id, message, idempotency_key=key)
    show.out(after.raw, show.line(after), as_json=as_json)


def stop(
    product_id: ProductId,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Stop what is being generated for a product."""
    from protokeep.cli import show

    with connected(url, token) as client:
        after = client.stop(client.status(product_id, provider=provider).id)
    show.out(after.raw, show.line(after), as_json=as_json)


def delete(
    product_id: ProductId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    provider: Provider = "v0",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete a product's prototype, here and at the builder. Needs an admin's token."""
    with connected(url, token) as client:
        found = client.status(product_id, provider=provider)
        if not yes:
            typer.confirm(f"Delete prototype {found.id} of {product_id}, and its chat at {provider}?", abort=True)
        left = client.delete(found.id)
    if left is None:
        sys.stdout.write("Deleted.\n")
        return
    why = left.trouble or "It is being decided whether the builder has it."
    sys.stdout.write(f"Being deleted; it is tried again by itself. {why}\n")
