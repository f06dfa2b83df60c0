"""`protokeep adopt`: looks at an owner's database before anything is changed, shows progress, and leaves it again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from protokeep.cli.options import AsJson
from protokeep.cli.runtime import run_with_application, settings_of
from protokeep.cli.terminal import in_one_line, print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.adoption import Report
    from protokeep.settings import Settings
    from protokeep.store.leave import Departure

app = typer.Typer()


@app.command(epilog="Example: protokeep adopt --check")
def adopt(
    check: Annotated[bool, typer.Option("--check", help="Read the database; say what a migration would do.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how many older rows are tracked.")] = False,
    leave: Annotated[bool, typer.Option("--leave", help="Say what would be taken away; with --yes, do it.")] = False,
    with_columns: Annotated[
        bool, typer.Option("--with-columns", help="With --leave: the specification's columns too, if we added them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --leave: do it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Adopt a design_mockups table of your own. Check it first, follow the progress, leave without a trace.

    Exit codes of --check and --leave: 0 if nothing stands in the way, 1 if something does.
    """
    if check + status + leave != 1 or (with_columns or yes) > leave:
        print_notice("adopt takes one of --check, --status and --leave [--with-columns] [--yes].")
        raise typer.Exit(2)
    if check:
        _check(settings_of(), as_json=as_json)
    elif status:
        _status(as_json=as_json)
    else:
        _leave(settings_of().direct_url, with_columns=with_columns, yes=yes, as_json=as_json)


def _check(settings: Settings, *, as_json: bool) -> None:
    from protokeep.adoption import report
    from protokeep.store.owner_survey import survey
    from protokeep.store.revisions import Scope

    scope: Scope = "own" if settings.migrate == "own" else "all"
    found = report(asyncio.run(survey(settings.direct_url, scope)), settings)
    if as_json:
        print_json({**asdict(found), "works": found.works})
    else:
        print_text(_report_text(found, settings.migrate))
    if not found.works:
        raise typer.Exit(1)


def _report_text(found: Report, mode: str) -> str:
    lines = list(found.facts)
    if found.steps:
        lines += [
            "",
            f"`protokeep migrate` would do this (PROTOKEEP_MIGRATE={mode}). No row is changed. {found.patience}",
        ]
        lines += [f"  {step.sql}\n      {step.waits}" for step in found.steps]
    broken = [remark for remark in found.remarks if remark.level == "broken"]
    notes = [remark for remark in found.remarks if remark.level == "note"]
    for title, remarks in (("What will not work", broken), ("What to know", notes)):
        if remarks:
            lines += ["", title]
            lines += [f"  {remark.text}" + (f"\n      {remark.fix}" if remark.fix else "") for remark in remarks]
    lines += ["", "Nothing stands in the way." if found.works else "Correct what will not work, then check again."]
    return "\n".join(lines)


def _status(*, as_json: bool) -> None:
    progress = run_with_application(lambda application: application.keeper.adoption_progress())
    if as_json:
        print_json(json.loads(json.dumps(asdict(progress), default=str)))
        return
    parts = [
        f"{progress.adopted:,} rows are tracked",
        f"{progress.looking:,} are being asked about",
        f"{progress.to_adopt:,} wait to be adopted",
        f"{progress.not_in_any_account:,} name a chat that no account with a key here shows",
    ]
    print_text("; ".join(parts) + ".")
    for asked in progress.accounts:
        if asked.problem:
            print_text(f"{asked.account} could not be asked: {in_one_line(asked.problem)}")


def _leave(url: str, *, with_columns: bool, yes: bool, as_json: bool) -> None:
    from protokeep.store.leave import leave, plan_leaving

    departure = asyncio.run(plan_leaving(url, with_columns=with_columns))
    if as_json:
        print_json(asdict(departure))
    else:
        print_text(_departure_text(departure))
    if not departure.statements:
        return
    if departure.alive and not yes:
        raise typer.Exit(1)
    if yes:
        asyncio.run(leave(url, with_columns=with_columns))
    done = (
        "protokeep has removed everything of its own from the database"
        if yes
        else "nothing was done; add --yes to do it"
    )
    print_notice(done)


def _departure_text(departure: Departure) -> str:
    from protokeep.store.leave import CHATS_LOST

    if not departure.statements:
        return "There is nothing of protokeep's in this database."
    rows = "takes these columns from" if CHATS_LOST in departure.losses else "changes no row of"
    lines = [f"Leaving does this, and {rows} design_mockups:"]
    lines += [f"  {statement}" for statement in (*(change.sql for change in departure.changes), *departure.statements)]
    lost = [f"{count:,} {name}" for name, count in departure.losses.items() if count]
    if lost:
        lines += ["", f"Lost with it: {', '.join(lost)}."]
    if departure.losses.get(CHATS_LOST):
        lines.append(
            "Without its chat a prototype is not found again: if you come back, the next request creates a second one."
        )
    lines += departure.remains
    if departure.unfinished:
        lines.append(
            f"{departure.unfinished:,} creates are not accepted yet: wait until they end, or their chats are lost."
        )
    if departure.alive:
        lines.append(f"{departure.alive:,} processes still work on it: stop every `serve` and `worker` first.")
    return "\n".join(lines)
