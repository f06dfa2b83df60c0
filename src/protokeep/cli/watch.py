"""`protokeep watch`: follows several products until each has a finished prototype."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from protokeep.cli import completion
from protokeep.cli.options import DEFAULT_URL, Provider, Token, Url
from protokeep.cli.own_words import in_own_words
from protokeep.cli.prototypes import exit_code_of, exit_on_client_error, missing_text, require_token
from protokeep.cli.retry_advice import (
    EXIT_CODES,
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_NO_ANSWER,
    EXIT_TIMEOUT,
    EXIT_UNFINISHED,
)
from protokeep.cli.terminal import in_one_line, print_json, print_notice, print_text

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from protokeep.client import AsyncProtokeep, Prototype

#: Finished prototypes of a product from which the usual duration is computed.
DURATION_SAMPLE = 50
#: The exit code of the command is the first of these that any product has.
WORST_FIRST = (EXIT_NO_ANSWER, EXIT_ERROR, EXIT_FAILED, EXIT_TIMEOUT, EXIT_UNFINISHED, 0)


app = typer.Typer()


@app.command(epilog=f"Example: protokeep watch shop bakery. {EXIT_CODES}")
def watch(
    product_ids: Annotated[
        list[str],
        typer.Argument(help="One or more products.", metavar="PRODUCT...", autocompletion=completion.products),
    ],
    provider: Provider = "v0",
    seconds: Annotated[int, typer.Option(min=1, help="Seconds until it gives up.")] = 900,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each change.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Watch products until their prototypes are ready. Several at once, with the time it usually takes."""
    require_token(token)
    distinct_ids = list(dict.fromkeys(product_ids))
    board = Board(distinct_ids, as_json=as_json, live=sys.stdout.isatty() and not as_json)
    with exit_on_client_error(as_json=as_json):
        asyncio.run(_watch(board, distinct_ids, provider, seconds, url, token))
    raise typer.Exit(next(code for code in WORST_FIRST if code in board.codes.values()))


class Board:
    """Keeps the latest prototype of each product, and shows it: as a live table, or as a line for each new state."""

    def __init__(self, product_ids: list[str], *, as_json: bool, live: bool) -> None:
        self.codes: dict[str, int] = dict.fromkeys(product_ids, EXIT_UNFINISHED)
        self.live = live
        self._as_json = as_json
        self._known: dict[str, tuple[Prototype, float]] = {}
        self._errors: dict[str, str] = {}
        self._durations: list[float] = []

    def add_durations(self, durations: list[float]) -> None:
        """Add the seconds that finished prototypes took."""
        self._durations += durations

    def update(self, prototype: Prototype) -> None:
        """Take in a product's prototype. Without a live table, each new state is printed as a line."""
        from protokeep.cli import output

        before = self._known.get(prototype.product_id)
        self._known[prototype.product_id] = (prototype, time.monotonic())
        self.codes[prototype.product_id] = exit_code_of(prototype)
        if self.live or (before is not None and (before[0].id, before[0].state) == (prototype.id, prototype.state)):
            return
        if self._as_json:
            print_json(prototype.raw, indent=None)
        else:
            print_text(output.prototype_line(prototype))
        sys.stdout.flush()

    def fail(self, product_id: str, message: str, code: int) -> None:
        """Show that a product cannot be watched."""
        self.codes[product_id] = code
        message = self._errors[product_id] = in_one_line(message)
        if not self.live:
            print_notice(message)

    def table(self) -> Table:
        """The live table, a row for each product."""
        from rich.table import Table
        from rich.text import Text

        from protokeep.cli import output

        usual = output.format_usual_duration(output.usual_duration(self._durations))
        table = Table.grid(padding=(0, 2))
        for product_id in self.codes:
            if product_id in self._errors:
                table.add_row(product_id, Text("?", style="yellow"), "", Text(self._errors[product_id], style="dim"))
            elif product_id in self._known:
                table.add_row(product_id, *_cells(*self._known[product_id], usual))
            else:
                table.add_row(product_id, Text("looking", style="dim"), "", "")
        return table


def _cells(prototype: Prototype, known_at: float, usual: str) -> tuple[Text, str, Text]:
    """State, elapsed time and note of a prototype that was as it is at `known_at`, by the monotonic clock."""
    from rich.text import Text

    from protokeep.cli import output

    since = 0.0 if prototype.finished else time.monotonic() - known_at
    elapsed = "" if prototype.elapsed_seconds is None else output.format_duration(prototype.elapsed_seconds + since)
    note = prototype.project_url if prototype.ready else output.trouble_text(prototype)
    if not note and not prototype.finished:
        note = usual
    label = Text(output.state_label(prototype.state), style=output.state_colour(prototype.state))
    return label, elapsed, Text(in_one_line(note or ""), style="" if prototype.ready else "dim")


async def _watch(board: Board, product_ids: list[str], provider: str, seconds: int, url: str, token: str) -> None:
    from protokeep.client import AsyncProtokeep

    async def follow_all() -> None:
        async with AsyncProtokeep(url, token) as client:
            await asyncio.gather(*(_follow(client, board, product_id, provider, seconds) for product_id in product_ids))

    if not board.live:
        await follow_all()
        return
    from rich.live import Live

    with Live(get_renderable=board.table, refresh_per_second=2):
        await follow_all()


async def _follow(client: AsyncProtokeep, board: Board, product_id: str, provider: str, seconds: int) -> None:
    from protokeep.client import ClientError, NoAnswer, NotFinished, NotFound

    try:
        finished, _ = await client.page(product_id, limit=DURATION_SAMPLE, status="completed", provider=provider)
        board.add_durations([each.elapsed_seconds for each in finished if each.elapsed_seconds is not None])
        await client.wait(product_id, provider=provider, seconds=seconds, progress=board.update)
    except NotFinished as error:
        board.update(error.prototype)
    except ClientError as error:
        is_missing = isinstance(error, NotFound) and error.problem.kind == "not-found"
        text = missing_text(product_id, provider) if is_missing else in_own_words(str(error))
        board.fail(product_id, text, EXIT_NO_ANSWER if isinstance(error, NoAnswer) else EXIT_ERROR)
