"""`protokeep audit`: reads the audit, directly from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import Workspace
from protokeep.cli.runtime import run_with_application
from protokeep.cli.terminal import in_one_line, print_json, print_text

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
        if as_json:
            print_json(_view(record), indent=None)
        else:
            print_text(_text(record.entry))


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
    data = " ".join(f"{name}={in_one_line(value)}" for name, value in entry.data.items())
    address = f" from {entry.address}" if entry.address else ""
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.action.value:15} {in_one_line(entry.actor)}{address}  "
        f"{in_one_line(entry.subject or '')}  {data}"
    )
