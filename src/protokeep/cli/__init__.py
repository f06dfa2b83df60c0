"""The command line. Commands import their modules when they run, so that `--help` is quick."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from protokeep import __version__
from protokeep.cli import (
    actions,
    adopt,
    arrangement,
    audit,
    census,
    deleted,
    demo,
    doctor,
    hooks,
    installation,
    invitations,
    keys,
    mcp,
    plans,
    prototypes,
    prune,
    reindex,
    retry_advice,
    server,
    tokens,
    variants,
    watch,
    workspace_settings,
)
from protokeep.cli.retry_advice import EXIT_ERROR, EXIT_USAGE
from protokeep.cli.runtime import collect_garbage_rarely
from protokeep.cli.terminal import (
    OutputFailed,
    are_notices_json,
    fault_of_arguments,
    is_logging_json,
    prepare_streams,
    print_json,
    print_notice,
    print_text,
    write_notices_as_json,
)


def _print_version(value: bool) -> None:
    if value:
        print_text(f"protokeep {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="protokeep",
    help="One prototype per product: reused by everyone, tracked to its end, never created twice.",
    epilog=retry_advice.EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Each module registers its commands with an `app` of its own. Those without a name are commands of `protokeep` itself.
for module in (
    demo,
    server,
    adopt,
    audit,
    prototypes,
    actions,
    deleted,
    variants,
    arrangement,
    watch,
    mcp,
    doctor,
    prune,
    reindex,
    installation,
    workspace_settings,
):
    app.add_typer(module.app)
app.add_typer(tokens.app, name="token", help="API tokens: create, list, revoke.")
app.add_typer(invitations.app, name="invitation", help="Links that let one person in, once.")
app.add_typer(keys.app, name="keys", help="v0 API keys, stored encrypted.")
app.add_typer(plans.app, name="plan", help="Clean-up of an account: plan, approve, apply, undo.")
app.add_typer(census.app, name="census", help="What an app builder account holds.")
app.add_typer(deleted.archives_app, name="archives", help="Copies of deleted chats.")
app.add_typer(hooks.app, name="hooks", help="Hooks at v0: install, list, remove.")


@app.callback()
def _program(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """One prototype per product: reused by everyone, tracked to its end, never created twice."""


def main() -> None:
    """Run the command line. What ends a command is one line on stderr; only a fault of protokeep's is a traceback."""
    from protokeep.cli.signals import end_at_once_when_asked

    end_at_once_when_asked(is_server=sys.argv[1:2] in (["serve"], ["worker"]))
    collect_garbage_rarely()
    prepare_streams()
    write_notices_as_json(is_logging_json(sys.argv[1:]))
    if fault := fault_of_arguments(sys.argv[1:]):
        print_notice(fault, "error")
        sys.exit(EXIT_USAGE)
    try:
        app()
    except OutputFailed as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()  # Otherwise the interpreter tries to flush again when it exits, and reports that error.
        with contextlib.suppress(OSError):
            print_notice(f"the answer could not be written ({error.strerror}).")
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the outermost line of every command
        _end_with(error)


def _end_with(error: Exception) -> NoReturn:
    """Say what ended the command, and exit. Raises the error again if it is a fault of protokeep's own."""
    from protokeep.cli.faults import words_for

    words = words_for(error)
    if words is None and not are_notices_json():
        raise error
    if words is None:
        words = "This is a fault of protokeep's: " + " ".join(traceback.format_exception(error))
    print_notice(words, "error")
    if "--json" in sys.argv:
        print_json({"error": words})
    sys.exit(EXIT_ERROR)
