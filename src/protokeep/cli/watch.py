"""`protokeep watch`: several products at once, until each is finished."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from protokeep.cli.prototypes import Provider, Token, Url, exit_code_of, need
from protokeep.cli.retry_advice import (
    DEFAULT_URL,
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_NO_ANSWER,
    EXIT_TIMEOUT,
    EXIT_UNFINISHED,
)

if TYPE_CHECKING:
    from rich.table import Table

    from protokeep.client import AsyncProtokeep, Prototype

#: Finished ones that are asked for, to say how long it usually takes.
SAMPLE = 50
#: The exit code of several is the first of these that any of them has.
WORST_FIRST = (EXIT_NO_ANSWER, EXIT_ERROR, EXIT_FAILED, EXIT_TIMEOUT, EXIT_UNFINISHED, 0)


def watch(
    product_ids: Annotated[list[str], typer.Argument(help="One or more products.", metavar="PRODUCT...")],
    provider: Provider = "v0",
    seconds: Annotated[int, typer.Option(min=1, help="Give up after so long.")] = 900,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each change.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Watch products until their prototypes are ready; several at once, with the time it usually takes."""
    need(token)
    wanted = list(dict.fromkeys(product_ids))
    board = Board(wanted, as_json=as_json, live=sys.stdout.isatty() and not as_json)
    asyncio.run(_watch(board, wanted, provider, seconds, url, token))
    raise typer.Exit(next(code for code in WORST_FIRST if code in board.codes.values()))


class Board:
    """What is known of each product, and how it is shown."""

    def __init__(self, product_ids: list[str], *, as_json: bool, live: bool) -> None:
        self.codes: dict[str, int] = dict.fromkeys(product_ids, EXIT_UNFINISHED)
        self.live = live
        self._as_json = as_json
        self._known: dict[str, tuple[Prototype, float]] = {}
        self._troubles: dict[str, str] = {}
        self._durations: list[float] = []

    def update(self, durations: list[float]) -> None:
        """Hear how long finished ones took."""
        self._durations += durations

    def see(self, found: Prototype) -> None:
        """Hear how a prototype stands. Without a live board, each new state is a line."""
        from protokeep.cli import output

        before = self._known.get(found.product_id)
        self._known[found.product_id] = (found, time.monotonic())
        self.codes[found.product_id] = exit_code_of(found)
        if self.live or (before is not None and (before[0].id, before[0].state) == (found.id, found.state)):
            return
        text = json.dumps(found.raw, ensure_ascii=False) if self._as_json else output.line(found)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def trouble(self, product_id: str, message: str, code: int) -> None:
        """Hear that a product cannot be watched."""
        self.codes[product_id] = code
        self._troubles[product_id] = message
        if not self.live:
            sys.stderr.write(f"protokeep: {message}\n")

    def table(self) -> Table:
        """The board as it looks now."""
        from rich.table import Table
        from rich.text import Text

        from protokeep.cli import output

        usual = output.usually(output.usual_range(self._durations))
        table = Table.grid(padding=(0, 2))
        for product_id in self.codes:
            if product_id in self._troubles:
                table.add_row(product_id, Text("?", style="yellow"), "", Text(self._troubles[product_id], style="dim"))
            elif product_id in self._known:
                found, at = self._known[product_id]
                running = 0.0 if found.finished else time.monotonic() - at
                elapsed = "" if found.elapsed_seconds is None else output.clock(found.elapsed_seconds + running)
                last = (found.project_url if found.ready else found.trouble) or ("" if found.finished else usual)
                chip = Text(output.chip(found.state), style=output.colour(found.state))
                table.add_row(product_id, chip, elapsed, Text(last or "", style="" if found.ready else "dim"))
            else:
                table.add_row(product_id, Text("looking", style="dim"), "", "")
        return table


async def _watch(board: Board, product_ids: list[str], provider: str, seconds: int, url: str, token: str) -> None:
    from protokeep.client import AsyncProtokeep

    async def all_of_them() -> None:
        async with AsyncProtokeep(url, token) as client:
            await asyncio.gather(*(_follow(client, board, one, provider, seconds) for one in product_ids))

    if not board.live:
        await all_of_them()
        return
    from rich.live import Live

    with Live(get_renderable=board.table, refresh_per_second=2):
        await all_of_them()


async def _follow(client: AsyncProtokeep, board: Board, product_id: str, provider: str, seconds: int) -> None:
    from protokeep.client import ClientError, NoAnswer, NotFinished

    try:
        durations = client.page(product_id, limit=SAMPLE, status="completed", provider=provider)
        board.update([one.elapsed_seconds for one in (await durations)[0] if one.elapsed_seconds is not None])
        await client.wait(product_id, provider=provider, seconds=seconds, progress=board.see)
    except NotFinished as error:
        board.see(error.prototype)
    except ClientError as error:
        board.trouble(product_id, str(error), EXIT_NO_ANSWER if isinstance(error, NoAnswer) else EXIT_ERROR)
