"""Where a command of admins works: at a server, if its address and a token are set, else in the database itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import typer

from protokeep.cli.prototypes import exit_on_client_error
from protokeep.cli.retry_advice import EXIT_USAGE, exit_with_error
from protokeep.cli.terminal import print_notice

if TYPE_CHECKING:
    from protokeep.client.operations import Operation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and the token that is used there."""

    url: str
    token: str

    def run(self, operation: Operation[T], *, as_json: bool = False) -> T:
        """The result of an operation there. Errors end the command with a line that says what to do."""
        from protokeep.client import NotAllowed, Protokeep

        with exit_on_client_error(as_json=as_json), Protokeep(self.url, self.token) as client:
            try:
                return client.run(operation)
            except NotAllowed as error:
                advice = f"{error.reason} Use an admin's, or add --local on the machine that has the database."
                exit_with_error(error, as_json=as_json, reason=advice)
        raise AssertionError("unreachable")


def server_of(url: str, token: str, workspace: str, *, local: bool) -> Server | None:
    """The server that address and token name; None: the command works in the database.

    Exits for a workspace beside a server, because there it is the token's.
    """
    if local or not (url and token):
        return None
    if workspace:
        print_notice(
            f"the command works at {url}, in the workspace of its token. Leave --workspace out, or add --local to work "
            "in the database of this machine's settings."
        )
        raise typer.Exit(EXIT_USAGE)
    return Server(url, token)
