"""Commands about the installation as a whole: its secret, and a copy that becomes an installation of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.output import print_result
from protokeep.cli.retry_advice import EXIT_USAGE
from protokeep.cli.runtime import require_database_file, run_with_application, usable_settings
from protokeep.cli.terminal import print_notice

app = typer.Typer()


@app.command("accept-secret", epilog="Example: protokeep accept-secret")
def accept_secret(as_json: AsJson = False) -> None:
    """Continue with another secret after the old one is lost.

    Tokens and sessions made with the old one are no longer valid, keys that it encrypted cannot be read, and chats
    that it signed are not recognised any more.
    """
    from protokeep.service import installation
    from protokeep.wiring import Application

    async def accept(application: Application) -> bool:
        context = application.keeper.context
        return await installation.accept_secret(context.store.installation_values, context.signer)

    require_database_file(usable_settings())
    accepted = run_with_application(accept, any_secret=True)
    text = (
        "The database goes by the present secret now. Make new tokens: protokeep token create --local."
        if accepted
        else "The database goes by the present secret already."
    )
    print_result({"accepted": accepted}, text, as_json=as_json)


@app.command("fork-installation", epilog="Example: protokeep fork-installation --yes")
def fork_installation(
    yes: Annotated[bool, typer.Option("--yes", help="Do it: this database is a copy.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an installation of its own of a copied database.

    For staging made from a dump, before its first start: it shows the original's prototypes, and changes none of their
    chats.
    """
    from protokeep.service import installation
    from protokeep.wiring import Application

    if not yes:
        print_notice("this is for a copy of a database, and cannot be undone there; --yes does it.", "error")
        raise typer.Exit(EXIT_USAGE)

    async def fork(application: Application) -> tuple[str, str, int]:
        return await installation.fork(application.keeper.context)

    require_database_file(usable_settings())
    original, new, ended = run_with_application(fork)
    text = f"This is installation {new} now, a fork of {original}."
    if ended:
        text += f" {ended:,} requests that were under way are the original's, and failed here."
    print_result({"installation_id": new, "forked_from": original, "ended": ended}, text, as_json=as_json)
