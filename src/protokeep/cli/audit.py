"""`protokeep audit`: reads the audit, directly from the database."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import Workspace
from protokeep.cli.runtime import run_with_application

if TYPE_CHECKING:
    from protokeep.core.audit import AuditEntry
    from protokeep.store.audit import AuditRecord
    from protokeep.wiring import Application

app = typer.Typer()


@app.command()
def audit(
    workspace: Workspace = "default",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many lines, newest first.")] = 50,
    action: Annotated[str | None, typer.Option(help="Only this, such as created or key_set.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Read who did what in a workspace, to what, and from where."""
    from protokeep.core.principals import Principal, Role

    admin = Principal(workspace, "", Role.ADMIN, token_id="")

    async def read(application: Application) -> list[AuditRecord]:
        records, _ = await application.keeper.context.audit.list(admin, limit, action=action, actor=actor)
        return records

    for record in run_with_application(read):
        line = json.dumps(_view(record), ensure_ascii=False) if as_json else _text(record.entry)
        sys.stdout.write(line + "\n")


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


def _text(entry: AuditEntry) -> str:
    data = " ".join(f"{name}={value}" for name, value in entry.data.items())
    address = f" from {entry.address}" if entry.address else ""
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.action.value:15} {entry.actor}{address}  {entry.subject or ''}  {data}"
    )
