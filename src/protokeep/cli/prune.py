"""`protokeep prune`: removes what is older than the settings keep it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.output import print_result
from protokeep.cli.retry_advice import EXIT_USAGE
from protokeep.cli.runtime import require_database_file, run_with_application, usable_settings
from protokeep.cli.terminal import print_notice

if TYPE_CHECKING:
    from protokeep.service.retention import Pruned
    from protokeep.wiring import Application

app = typer.Typer()


@app.command(epilog="Example: protokeep prune --dry-run")
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    audit_to: Annotated[
        Path | None,
        typer.Option(help="Move old lines of the audit into this new file, which only you can read."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove what is older than the settings keep it. A running server does the same automatically, but for the audit.

    PROTOKEEP_EVENT_DAYS, PROTOKEEP_PICTURE_DAYS, PROTOKEEP_IDEMPOTENCY_KEY_DAYS and PROTOKEEP_AUDIT_DAYS say how long;
    0 keeps for ever. Safe beside a running server; ended midway, run it again.
    """

    settings = usable_settings()
    if audit_to is not None and settings.audit_days == 0:
        print_notice("no line of the audit may go: set PROTOKEEP_AUDIT_DAYS to how old lines have to be.", "error")
        raise typer.Exit(EXIT_USAGE)
    audit_file = audit_to.absolute() if audit_to else None

    async def run(application: Application) -> Pruned:
        return await application.keeper.housekeeping.retention.prune(dry_run=dry_run, audit_to=audit_file)

    require_database_file(settings)
    pruned = run_with_application(run, advice="Run `protokeep prune` again: it continues with what is there.")
    print_result(_view(pruned, dry_run=dry_run), _text(pruned, dry_run=dry_run), as_json=as_json)


def _view(pruned: Pruned, *, dry_run: bool) -> dict[str, Any]:
    export = pruned.export
    return {
        "dry_run": dry_run,
        "idempotency_keys": pruned.rows["idempotency_keys"],
        "events": pruned.rows["events"],
        "pictures": pruned.rows["pictures"],
        "audit_lines": pruned.audit_lines,
        "audit_file": str(export.file) if export else None,
        "audit_sha256": export.sha256 if export else None,
    }


def _text(pruned: Pruned, *, dry_run: bool) -> str:
    view = _view(pruned, dry_run=dry_run)
    counts = f"{view['idempotency_keys']:,} idempotency keys, {view['events']:,} events, {view['pictures']:,} pictures"
    audit = "" if pruned.audit_lines is None else f", {pruned.audit_lines:,} lines of the audit"
    if pruned.export is not None:
        audit += f" (now in {pruned.export.file}, sha256 {pruned.export.sha256})"
    return f"{'Would remove' if dry_run else 'Removed'}: {counts}{audit}."
