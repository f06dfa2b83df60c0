"""`protokeep audit`: reads the audit, at a server or directly from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import Local, ServerUrl, Token, Workspace
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import in_one_line, print_json, print_text
from protokeep.cli.where import server_of

if TYPE_CHECKING:
    from protokeep.store.audit import AuditRecord
    from protokeep.wiring import Application

app = typer.Typer()


@app.command(epilog="Example: protokeep audit --actor ana --action created")
def audit(
    workspace: Workspace = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many lines, newest first.")] = 50,
    action: Annotated[str | None, typer.Option(help="Only this, such as created or key_set.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    local: Local = False,
    url: ServerUrl = "",
    token: Token = "",
) -> None:
    """Read who did what in a workspace, to what, and from where."""
    from protokeep.client import administration

    server = server_of(url, token, workspace, local=local)
    if server is not None:
        views = server.run(administration.audit(limit, action=action, actor=actor), as_json=as_json)
    else:
        views = _read(workspace or "default", limit, action, actor)
    for view in views:
        if as_json:
            print_json(view, indent=None)
        else:
            print_text(_text(view))


def _read(workspace: str, limit: int, action: str | None, actor: str | None) -> Sequence[Mapping[str, Any]]:
    from protokeep.core.principals import Principal, Role

    admin = Principal(workspace, "", Role.ADMIN, token_id="")

    async def read(application: Application) -> list[AuditRecord]:
        records, _ = await application.keeper.context.audit.list(admin, limit, action=action, actor=actor)
        return records

    return [_view(record) for record in run_with_application(read)]


def _view(record: AuditRecord) -> dict[str, Any]:
    entry = record.entry
    return {
        "id": record.id,
        "at": entry.at.isoformat(),
        "action": entry.action.value,
        "actor": entry.actor,
        "token_id": entry.token_id or None,
        "address": entry.address or None,
        "subject": entry.subject,
        "data": dict(entry.data),
    }


def _text(view: Mapping[str, Any]) -> str:
    data = " ".join(f"{in_one_line(name)}={in_one_line(_plain(value))}" for name, value in view["data"].items())
    address = f" from {in_one_line(view['address'])}" if view["address"] else ""
    return (
        f"{datetime.fromisoformat(view['at']):%Y-%m-%d %H:%M:%S}  {in_one_line(view['action']):15} "
        f"{in_one_line(view['actor'])}{address}  {in_one_line(view['subject'] or '')}  {data}"
    )


def _plain(value: Any) -> Any:
    """A list as its words, such as the people who approved a plan."""
    return ",".join(map(str, value)) if isinstance(value, list) else value
