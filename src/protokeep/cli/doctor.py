"""`protokeep doctor`: what is unsafe or broken here, and how to mend it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from protokeep.cli.runtime import settings_of

MARKS = {"fine": "ok     ", "unsafe": "UNSAFE ", "broken": "BROKEN "}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at settings, secrets, database, sign-in and builder. Changes nothing; exit code 1 if something is broken."""
    from protokeep import logs
    from protokeep.doctor import examine

    settings = settings_of()
    logs.configure("error", settings.log_format)
    found = asyncio.run(examine(settings))
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in found], indent=2, ensure_ascii=False) + "\n")
    else:
        for finding in found:
            sys.stdout.write(f"{MARKS[finding.level]} {finding.name}: {finding.what}\n")
            if finding.mend:
                sys.stdout.write(f"         -> {finding.mend}\n")
    raise typer.Exit(1 if any(finding.level == "broken" for finding in found) else 0)
