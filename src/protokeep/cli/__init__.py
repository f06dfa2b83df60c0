"""The command line. Imports what a command needs inside the command, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from protokeep.cli import again, audit, changes, client, doctor, hooks, keys, mcp, run, tokens, watch

app = typer.Typer(
    name="protokeep",
    help="One prototype per product: reused by everyone, tracked to its end, never made twice.",
    epilog=again.EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

run.add_to(app)
app.add_typer(tokens.app, name="token", help="API tokens: create, list, revoke.")
app.add_typer(keys.app, name="keys", help="Keys of app builders, kept sealed: set, list, remove, rotate.")
app.command("audit")(audit.audit)
app.add_typer(hooks.app, name="hooks", help="Hooks at v0: install, list, remove.")
client.add_to(app)
changes.add_to(app)
app.command(epilog=again.EXIT_CODES)(watch.watch)
app.command()(mcp.mcp)
app.command()(doctor.doctor)


def main() -> None:
    """Entry point: an error of ours is one line on stderr and exit code 1."""
    from protokeep.core.errors import ProtokeepError

    try:
        app()
    except ProtokeepError as error:
        sys.stderr.write(f"protokeep: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
