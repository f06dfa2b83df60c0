"""The command line. Imports what a command needs inside the command, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from protokeep.cli import actions, audit, doctor, hooks, keys, mcp, prototypes, retry_advice, server, tokens, watch

app = typer.Typer(
    name="protokeep",
    help="One prototype per product: reused by everyone, tracked to its end, never made twice.",
    epilog=retry_advice.EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

server.add_to(app)
app.add_typer(tokens.app, name="token", help="API tokens: create, list, revoke.")
app.add_typer(keys.app, name="keys", help="Keys of app builders, kept sealed: set, list, remove, rotate.")
app.command("audit")(audit.audit)
app.add_typer(hooks.app, name="hooks", help="Hooks at v0: install, list, remove.")
prototypes.add_to(app)
actions.add_to(app)
app.command(epilog=retry_advice.EXIT_CODES)(watch.watch)
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
