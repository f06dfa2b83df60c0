"""The command line. Commands import their modules when they run, so that `--help` is quick."""

from __future__ import annotations

import sys

import typer

from protokeep.cli import (
    actions,
    adopt,
    audit,
    deleted,
    demo,
    doctor,
    hooks,
    keys,
    mcp,
    prototypes,
    retry_advice,
    server,
    tokens,
    variants,
    watch,
)
from protokeep.cli.terminal import print_notice

app = typer.Typer(
    name="protokeep",
    help="One prototype per product: reused by everyone, tracked to its end, never made twice.",
    epilog=retry_advice.EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Each module registers its commands with an `app` of its own. Those without a name are commands of `protokeep` itself.
for module in (demo, server, adopt, audit, prototypes, actions, deleted, variants, watch, mcp, doctor):
    app.add_typer(module.app)
app.add_typer(tokens.app, name="token", help="API tokens: create, list, revoke.")
app.add_typer(keys.app, name="keys", help="Keys of app builders, kept sealed: set, list, remove, rotate.")
app.add_typer(deleted.archives_app, name="archives", help="Copies of deleted chats: list, download, restore, remove.")
app.add_typer(hooks.app, name="hooks", help="Hooks at v0: install, list, remove.")


def main() -> None:
    """Run the command line. A `ProtokeepError` becomes one line on stderr and exit code 1."""
    from protokeep.core.errors import ProtokeepError

    try:
        app()
    except ProtokeepError as error:
        print_notice(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
