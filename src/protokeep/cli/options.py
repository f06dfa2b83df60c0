"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8400"

Url = Annotated[str, typer.Option(envvar="PROTOKEEP_URL", help="Where the server is.")]
Token = Annotated[str, typer.Option(envvar="PROTOKEEP_TOKEN", help="Your API token.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workspace = Annotated[str, typer.Option(help="The workspace.")]
ProductId = Annotated[str, typer.Argument(help="The product's id.")]
Provider = Annotated[str, typer.Option(help="The app builder.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Idempotency key: sent again with the same key, it acts once. [a fresh one]")
]
PrototypeId = Annotated[
    str | None, typer.Option("--id", help="This prototype of the product's. [the one it has now]", metavar="PROTOTYPE")
]
