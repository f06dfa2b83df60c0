"""What people run against a server: create, list, status, open. They take PROTOKEEP_URL and PROTOKEEP_TOKEN."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from protokeep.cli.retry_advice import (
    DEFAULT_URL,
    EXIT_CODES,
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_TIMEOUT,
    EXIT_UNFINISHED,
    EXIT_USAGE,
    RetryAdvice,
    command,
    fail,
    repeatable,
    written,
)

if TYPE_CHECKING:
    from protokeep.client import Protokeep, Prototype

Url = Annotated[str, typer.Option(envvar="PROTOKEEP_URL", help="Where the server is.")]
Token = Annotated[str, typer.Option(envvar="PROTOKEEP_TOKEN", help="Your API token.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProductId = Annotated[str, typer.Argument(help="The product's id.")]
Provider = Annotated[str, typer.Option(help="The app builder.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Idempotency key: sent again with the same key, it acts once. [a fresh one]")
]
PrototypeId = Annotated[
    str | None, typer.Option("--id", help="This prototype of the product's. [the one it has now]", metavar="PROTOTYPE")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(create)
    app.command("list")(list_prototypes)
    app.command(epilog=EXIT_CODES)(status)
    app.command("open", epilog=EXIT_CODES)(open_prototype)


@contextlib.contextmanager
def connected(url: str, token: str, *, as_json: bool = False) -> Iterator[Protokeep]:
    """A client; its errors end the command with one line that says what to do."""
    from protokeep.client import Protokeep

    need(token)
    with exit_on_client_error(as_json=as_json), Protokeep(url, token) as client:
        yield client


def need(token: str) -> None:
    """Exits when there is no token."""
    if not token:
        sys.stderr.write(
            "protokeep: set PROTOKEEP_TOKEN, or give --token. `protokeep token create` makes one; `protokeep demo` "
            "prints one.\n"
        )
        raise typer.Exit(EXIT_USAGE)


@contextlib.contextmanager
def exit_on_client_error(*, as_json: bool = False) -> Iterator[None]:
    """Turn a client's error into a line on stderr and an exit code."""
    from protokeep.client import ClientError

    try:
        yield
    except ClientError as error:
        fail(error, as_json=as_json)


def prototype_id_of(client: Protokeep, product_id: str, provider: str, prototype_id: str | None) -> str:
    """The id of a prototype of a product: of the one it has now, or the one that is named. Raises `NotFound`."""
    from protokeep.core.validation import product_id_of

    if prototype_id is None:
        return client.status(product_id, provider=provider).id
    found = client.get(prototype_id)
    if found.product_id != product_id_of(product_id):
        sys.stderr.write(f"protokeep: prototype {prototype_id} is not {product_id}'s, but {found.product_id}'s.\n")
        raise typer.Exit(EXIT_ERROR)
    return found.id


def exit_code_of(prototype: Prototype) -> int:
    """0 ready, 3 failed, 4 timed out, 5 not finished."""
    if not prototype.finished:
        return EXIT_UNFINISHED
    return {"completed": 0, "failed": EXIT_FAILED, "timeout": EXIT_TIMEOUT}.get(
        prototype.project_status, EXIT_UNFINISHED
    )


def create(
    product_id: ProductId,
    prompt: Annotated[str, typer.Argument(help="What the prototype should be; - reads standard input.")],
    new: Annotated[bool, typer.Option("--new", help="Make another one even if the product has one.")] = False,
    name: Annotated[str | None, typer.Option(help="What people call the product.")] = None,
    key: Key = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Get the product's prototype, making it if there is none."""
    from protokeep.cli import output

    text = sys.stdin.read() if prompt == "-" else prompt
    key = key or uuid4().hex
    options = {"--new": new, "--name": name, "--key": key, "--provider": provider if provider != "v0" else None}
    if_not = "" if new else " if this one has failed or was deleted meanwhile"
    again = RetryAdvice(
        f"It may have been made all the same. With another key, asking again makes another one{if_not}. To repeat this "
        f"very request{same_text(prompt)}:",
        command("create", (product_id, prompt), {**options, "--json": as_json}, url, token),
        key,
    )
    with connected(url, token, as_json=as_json) as client, repeatable(again, as_json=as_json):
        made = client.ensure(
            product_id, text, provider=provider, create_new=new, product_name=name, idempotency_key=key
        )
    decision = made.decision
    with written(str(again)):
        output.out(made.raw, f"{output.line(made)}\n  {decision.outcome}: {decision.reason}", as_json=as_json)


def same_text(argument: str) -> str:
    """What is needed beside the command to repeat it."""
    return ", with the same text on standard input" if argument == "-" else ""


def list_prototypes(
    product_id: ProductId,
    provider: Annotated[str | None, typer.Option(help="Only this app builder's.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List a product's prototypes, newest first; * is the one that is given to everybody."""
    from protokeep.cli import output

    with connected(url, token) as client:
        found = list(client.list(product_id, provider=provider))
    lines = [f"{one.created_at:%Y-%m-%d %H:%M}  {'*' if one.is_current else ' '} {output.line(one)}" for one in found]
    output.out([one.raw for one in found], "\n".join(lines) or f"{product_id} has no prototypes.", as_json=as_json)


def status(
    product_id: ProductId,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Look at a product's prototype; creates nothing."""
    from protokeep.cli import output

    with connected(url, token) as client:
        found = client.status(product_id, provider=provider)
    output.out(found.raw, output.line(found), as_json=as_json)
    raise typer.Exit(exit_code_of(found))


def open_prototype(
    product_id: ProductId,
    just_print: Annotated[bool, typer.Option("--print", help="Print the address; open nothing.")] = False,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Open a product's prototype in the browser, if it is ready."""
    import webbrowser

    from protokeep.cli import output

    with connected(url, token) as client:
        found = client.status(product_id, provider=provider)
    address = found.project_url or ""
    code = exit_code_of(found)
    if code != 0 or not address.startswith(("https://", "http://")):
        sys.stderr.write(f"protokeep: nothing to open yet. {output.line(found)}\n")
        if code == EXIT_UNFINISHED:
            sys.stderr.write(f"protokeep: `protokeep watch {product_id}` waits for it.\n")
        raise typer.Exit(code or EXIT_ERROR)
    output.out({"product_id": product_id, "url": address}, address, as_json=as_json)
    if not just_print and not as_json and not webbrowser.open(address):
        sys.stderr.write("protokeep: no browser could be opened; the address is above.\n")
