"""What people run against a server: create, list, status, watch. They take PROTOKEEP_URL and PROTOKEEP_TOKEN."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.core.words import STATE_WORDS

if TYPE_CHECKING:
    from protokeep.client import Client

#: Exit codes of `watch`, `status` and `create`: what became of the prototype.
EXIT_ERROR, EXIT_USAGE, EXIT_FAILED, EXIT_TIMEOUT, EXIT_UNFINISHED = 1, 2, 3, 4, 5

#: What a tone of the page is in a terminal.
COLOURS = {"calm": "cyan", "busy": "blue", "good": "green", "warn": "yellow", "bad": "red"}
#: state -> (shape and word, colour). The same words as on the page.
CHIPS = {state.value: (f"{words.shape} {words.label}", COLOURS[words.tone]) for state, words in STATE_WORDS.items()}

Url = Annotated[str, typer.Option(envvar="PROTOKEEP_URL", help="Where the server is.")]
Token = Annotated[str, typer.Option(envvar="PROTOKEEP_TOKEN", help="Your API token.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProductId = Annotated[str, typer.Argument(help="The product's id.")]
Provider = Annotated[str, typer.Option(help="The app builder.")]
DEFAULT_URL = "http://127.0.0.1:8400"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(create)
    app.command("list")(list_prototypes)
    app.command()(status)
    app.command()(watch)


def _client(url: str, token: str) -> Client:
    from protokeep.client import Client

    if not token:
        sys.stderr.write("protokeep: set PROTOKEEP_TOKEN, or give --token. `protokeep token create` makes one.\n")
        raise typer.Exit(EXIT_USAGE)
    return Client(url, token)


def _asked(call: Any) -> Any:
    """The answer of `call`, or exit 1 with one line that says what to do."""
    from protokeep.client import ClientError

    try:
        return call()
    except ClientError as error:
        sys.stderr.write(f"protokeep: {error}\n")
        raise typer.Exit(EXIT_ERROR) from None


def exit_code_of(prototype: dict[str, Any]) -> int:
    """0 ready, 3 failed, 4 timed out, 5 not finished."""
    return {"completed": 0, "failed": EXIT_FAILED, "timeout": EXIT_TIMEOUT}.get(
        prototype["project_status"], EXIT_UNFINISHED
    )


def _line(prototype: dict[str, Any]) -> str:
    word = CHIPS[prototype["state"]][0]
    seconds = prototype["elapsed_seconds"]
    took = "" if seconds is None else f"  {_clock(seconds)}"
    why = prototype["error"] or prototype["reason"]
    more = prototype["project_url"] or ""
    return f"{word}{took}  {prototype['product_id']}  {more}" + (f"\n  {why['message']}" if why else "")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _show(value: Any, as_json: bool, line: str) -> None:
    sys.stdout.write((json.dumps(value, indent=2, ensure_ascii=False) if as_json else line) + "\n")


def create(
    product_id: ProductId,
    prompt: Annotated[str, typer.Argument(help="What the prototype should be; - reads standard input.")],
    new: Annotated[bool, typer.Option("--new", help="Make another one even if the product has one.")] = False,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Get the product's prototype, making it if there is none."""
    text = sys.stdin.read() if prompt == "-" else prompt
    with _client(url, token) as client:
        answer = _asked(lambda: client.ensure(product_id, text, provider=provider, create_new=new))
    _show(answer, as_json, f"{_line(answer)}\n  {answer['decision']['outcome']}: {answer['decision']['reason']}")


def list_prototypes(
    product_id: ProductId,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List a product's prototypes, newest first."""
    with _client(url, token) as client:
        found = _asked(lambda: list(client.list(product_id)))
    lines = [f"{p['created_at'][:19]}Z  {'*' if p['is_current'] else ' '} {_line(p)}" for p in found]
    _show(found, as_json, "\n".join(lines) or f"{product_id} has no prototypes.")


def status(
    product_id: ProductId,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Look at a product's prototype; creates nothing. Exit code: 0 ready, 3 failed, 4 timed out, 5 not yet."""
    with _client(url, token) as client:
        found = _asked(lambda: client.status(product_id, provider=provider))
    _show(found, as_json, _line(found))
    raise typer.Exit(exit_code_of(found))


def watch(
    product_id: ProductId,
    provider: Provider = "v0",
    seconds: Annotated[int, typer.Option(min=1, help="Give up after so long.")] = 900,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Watch until it is ready. The exit code tells: 0 ready, 3 failed, 4 timed out, 5 given up."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    ends = time.monotonic() + seconds
    console = Console()
    with _client(url, token) as client:
        found = _asked(lambda: client.status(product_id, provider=provider))
        with Live(console=console, transient=True, auto_refresh=False) as live:
            while exit_code_of(found) == EXIT_UNFINISHED and time.monotonic() < ends:
                word, colour = CHIPS[found["state"]]
                shown = Text.assemble((word, colour), f"  {_clock(found['elapsed_seconds'] or 0)}  {product_id}")
                if found["reason"]:
                    shown.append(f"\n  {found['reason']['message']}", style="dim")
                live.update(shown, refresh=True)
                # A hold of two seconds keeps the clock moving and costs the builder nothing extra.
                found = _asked(lambda: client.status(product_id, provider=provider, wait=2))
    console.print(_line(found), highlight=False, soft_wrap=True)
    raise typer.Exit(exit_code_of(found))
