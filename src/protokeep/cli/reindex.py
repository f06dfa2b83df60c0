"""`protokeep reindex`: makes the index of texts anew, which searches and "it exists already" look at."""

from __future__ import annotations

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.runtime import require_database_file, run_with_application, usable_settings
from protokeep.cli.terminal import print_json, print_notice, print_text

app = typer.Typer()

#: Rows between two lines of progress.
TOLD_EVERY = 5_000


@app.command(epilog="Example: protokeep reindex")
def reindex(as_json: AsJson = False) -> None:
    """Make the index of searches again. For operators.

    It is safe beside a running server, and continues where it was ended.
    """
    from protokeep import logs
    from protokeep.service.text_index import TextIndexer

    logs.configure("warning")

    def tell(rows: int) -> None:
        if rows % TOLD_EVERY == 0:
            print_notice(f"{rows:,} rows")

    require_database_file(usable_settings())
    number, went_on = run_with_application(
        lambda application: TextIndexer(application.keeper.context).make_anew(tell),
        advice="The index may be incomplete. Run `protokeep reindex` again: it continues.",
    )
    if as_json:
        print_json({"indexed": number, "went_on": went_on})
        return
    rest = " It went on where an earlier run was ended." if went_on else ""
    print_text(f"{number:,} prototypes are indexed.{rest}")
