"""Commands about the variants of a product: which one is current, and what they are called."""

from __future__ import annotations

from typing import Annotated

import typer

from protokeep.cli.options import DEFAULT_URL, AsJson, Token, Url
from protokeep.cli.prototypes import change
from protokeep.cli.terminal import in_one_line

app = typer.Typer()

VariantId = Annotated[str, typer.Argument(help="The prototype's id, as `protokeep list PRODUCT` shows it.")]


@app.command("make-current", epilog="Example: protokeep make-current 4e1c0d5a-6f0e-4b5e-9f57-0a3c1c1d2e3f")
def make_current(prototype_id: VariantId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Make a variant the current one of its product.

    Everyone who asks for the product gets it from now on.
    """
    from protokeep.cli import output

    message, command = "It may be the current one by now. Asking again is safe:", ("make-current", prototype_id)
    prototype = change(lambda keep: keep.make_current(prototype_id), message, command, url, token, as_json=as_json)
    what = "It" if prototype.variant is None else f"#{prototype.variant}"
    text = f"{what} is the current prototype of {in_one_line(prototype.product_id)}."
    output.print_result(prototype.raw, text, as_json=as_json)


@app.command("name", epilog='Example: protokeep name 4e1c0d5a-6f0e-4b5e-9f57-0a3c1c1d2e3f "Dark header"')
def name_variant(
    prototype_id: VariantId,
    name: Annotated[str, typer.Argument(help='A short name, such as "Dark header"; "" takes it away.')],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Name a variant, so that people can tell it from the others."""
    from protokeep.cli import output

    message, command = "It may have the name by now. Asking again is safe:", ("name", prototype_id, name)
    prototype = change(
        lambda keep: keep.name_variant(prototype_id, name or None), message, command, url, token, as_json=as_json
    )
    called = in_one_line(prototype.variant_name) if prototype.variant_name else "no name"
    output.print_result(
        prototype.raw, f"#{prototype.variant or '?'} of {in_one_line(prototype.product_id)}: {called}.", as_json=as_json
    )
