"""`protokeep settings`: what admins set for their workspace, at a server."""

from __future__ import annotations

from typing import Annotated

import typer

from protokeep.cli.options import DEFAULT_URL, AsJson, Token, Url
from protokeep.cli.prototypes import connected
from protokeep.cli.terminal import print_json, print_notice, print_text

app = typer.Typer()

WORDS = {
    "take": "A product whose id reads like another one's is made, and the answer names that one.",
    "ask": "A product whose id reads like another one's is refused until the request says that it is another product.",
}


@app.command(epilog="Example: protokeep settings --unclear-product ask")
def settings(
    unclear_product: Annotated[
        str | None,
        typer.Option(help="take, ask, or default: as the server is set up. [look at it]"),
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Look at the settings of the workspace, or set them."""
    from protokeep.client import administration

    if unclear_product not in (None, "take", "ask", "default"):
        print_notice("--unclear-product takes take, ask or default.")
        raise typer.Exit(2)
    with connected(url, token, as_json=as_json) as client:
        if unclear_product is None:
            found = client.run(administration.get_settings())
        else:
            chosen = None if unclear_product == "default" else unclear_product
            found = client.run(administration.set_settings(unclear_product=chosen))
    if as_json:
        print_json(found)
        return
    whose = "an admin set it" if found["unclear_product_set"] else "as the server is set up"
    print_text(f"unclear-product  {found['unclear_product']}  ({whose})\n  {WORDS[found['unclear_product']]}")
