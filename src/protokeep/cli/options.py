"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from protokeep.cli import completion
from protokeep.cli.terminal import print_notice
from protokeep.secret_files import secret_in_environment

DEFAULT_URL = "http://127.0.0.1:8400"


def _token_of(context: typer.Context, value: str) -> str:
    """The token that an option or the environment gives, itself or by a file. Exits if the file cannot be used."""
    if context.resilient_parsing:
        return value
    if value == "-":
        return sys.stdin.readline().strip()
    if value and value != os.environ.get("PROTOKEEP_TOKEN"):
        return value
    try:
        return secret_in_environment("PROTOKEEP_TOKEN")
    except ValueError as error:
        print_notice(str(error))
        raise typer.Exit(2) from None


Url = Annotated[str, typer.Option(envvar="PROTOKEEP_URL", help="Where the server is.")]
Token = Annotated[
    str,
    typer.Option(
        envvar="PROTOKEEP_TOKEN",
        callback=_token_of,
        help="Your API token; - reads it from standard input. Others on this machine can see arguments: better set "
        "PROTOKEEP_TOKEN, or PROTOKEEP_TOKEN_FILE to a file that holds it.",
        show_default=False,
    ),
]
#: Of commands that work on a server if one is named, and else on the database of this machine's settings.
ServerUrl = Annotated[str, typer.Option("--url", envvar="PROTOKEEP_URL", help="The server to do it at.")]
Local = Annotated[
    bool,
    typer.Option(
        "--local", help="Do it in the database of this machine's settings, though PROTOKEEP_URL names a server."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workspace = Annotated[str, typer.Option(help="The workspace. [at a server the token's, else default]")]
ProductId = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="The product's id.", autocompletion=completion.products)
]
Provider = Annotated[str, typer.Option(help="The app builder.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Idempotency key: sent again with the same key, it acts once. [a fresh one]")
]
PrototypeId = Annotated[
    str | None, typer.Option("--id", help="This prototype of the product's. [the one it has now]", metavar="PROTOTYPE")
]
