"""The audit, by whoever may open the database."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from protokeep.store.audit import AuditRecord


def audit(
    workspace: Annotated[str, typer.Option(help="The workspace.")] = "default",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many lines, newest first.")] = 50,
    action: Annotated[str | None, typer.Option(help="Only this, such as created or key_set.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Read who did what in a workspace, to what, and from where."""
    from protokeep.core.principals import Principal, Role
    from protokeep.wiring import build_application

    async def main() -> list[AuditRecord]:
        from protokeep.cli.runtime import settings_of

        who = Principal(workspace, "", Role.ADMIN, token_id="")
        async with build_application(settings_of()) as parts:
            found, _ = await parts.keeper.context.audit.list(who, limit, action=action, actor=actor)
            return found

    for written in asyncio.run(main()):
        entry = written.entry
        if as_json:
            told = {
                "id": written.id,
                "at": entry.at.isoformat(),
                "action": entry.action.value,
                "actor": entry.actor,
                "token_id": entry.token_id or None,
                "address": entry.address or None,
                "subject": entry.subject,
                "data": dict(entry.data),
            }
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            continue
        rest = " ".join(f"{name}={value}" for name, value in entry.data.items())
        where = f" from {entry.address}" if entry.address else ""
        what = f"{entry.action.value:15} {entry.actor}{where}  {entry.subject or ''}  {rest}"
        sys.stdout.write(f"{entry.at:%Y-%m-%d %H:%M:%S}  {what}\n")
