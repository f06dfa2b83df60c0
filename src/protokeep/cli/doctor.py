"""`protokeep doctor`: lists what is unsafe or broken in this installation, and how to fix it."""

from __future__ import annotations

import asyncio

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.runtime import usable_settings
from protokeep.cli.terminal import in_one_line, print_json, print_text

app = typer.Typer()

LEVEL_LABELS = {"fine": "ok     ", "unsafe": "UNSAFE ", "broken": "BROKEN "}


@app.command(epilog="Example: protokeep doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check settings, secrets, database, sign-in and v0. Changes nothing; exit code 1 if something is broken."""
    from protokeep import logs
    from protokeep.doctor import examine

    settings = usable_settings()
    logs.configure("error", settings.log_format)
    findings = asyncio.run(examine(settings))
    if as_json:
        views = [{"level": one.level, "name": one.name, "text": one.text, "fix": one.fix} for one in findings]
        print_json(views)
    else:
        for finding in findings:
            print_text(f"{LEVEL_LABELS[finding.level]} {finding.name}: {in_one_line(finding.text)}")
            if finding.fix:
                print_text(f"         -> {finding.fix}")
    raise typer.Exit(1 if any(finding.level == "broken" for finding in findings) else 0)
