"""`protokeep plan`: the clean-up of an account, from a list of what would go to receipts of what went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from protokeep.cli.files import Force, Output, print_export, read_file, require_free, save_file
from protokeep.cli.options import DEFAULT_URL, AsJson, Token, Url
from protokeep.cli.prototypes import connected
from protokeep.cli.retry_advice import EXIT_ERROR, EXIT_USAGE
from protokeep.cli.terminal import in_one_line, json_text, print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.client.operations import Operation

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)

PlanId = Annotated[str, typer.Argument(help="The plan's id, as `protokeep plan list` shows it.", metavar="PLAN")]
Digest = Annotated[str, typer.Option(help="The plan's digest, as `protokeep plan show` prints it.")]
WorkspaceName = Annotated[str, typer.Option("--workspace", help="The name of your workspace, written out.")]
Some = Annotated[list[str] | None, typer.Option(help="Repeat it for several.")]


def _run(url: str, token: str, operation: Operation[T], *, as_json: bool = False) -> T:
    with connected(url, token, as_json=as_json) as client:
        return client.run(operation)


def _show(url: str, token: str, operation: Operation[Mapping[str, Any]], *, as_json: bool) -> None:
    """Run an operation and print the plan that it answers."""
    plan = _run(url, token, operation, as_json=as_json)
    _print(plan, lambda: _detail(plan), as_json=as_json)


def _print(value: Any, text: Callable[[], str], *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        print_text(text())


@app.command(epilog="Example: protokeep plan create --workspace default --kind duplicate")
def create(
    workspace: WorkspaceName,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="duplicate, failed, empty, superseded or not_claimed; repeat it for several. [all]"),
    ] = None,
    chat: Some = None,
    group: Some = None,
    author: Some = None,
    older_than: Annotated[int | None, typer.Option(help="Days. [90, for chats that no product uses]")] = None,
    rule_off: Annotated[list[str] | None, typer.Option(help="A keep rule to switch off.")] = None,
    grace: Annotated[int, typer.Option(help="Days from the approval to the first deletion, at least 3.")] = 14,
    per_day: Annotated[int, typer.Option(help="Deletions in a day.")] = 100,
    account: Annotated[str | None, typer.Option(help="The account. [the first that may be cleaned up]")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Create a draft: what it would delete and keep, and why. Changes nothing."""
    from protokeep.client import plans

    _show(
        url,
        token,
        plans.create(
            workspace,
            account=account,
            kinds=kind,
            chat_ids=chat,
            group_ids=group,
            author_ids=author,
            older_than_days=older_than,
            rules_off=rule_off,
            grace_days=grace,
            per_day=per_day,
        ),
        as_json=as_json,
    )


@app.command("list", epilog="Example: protokeep plan list")
def list_plans(as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List plans, newest first."""
    from protokeep.client import plans

    found = _run(url, token, plans.listed(), as_json=as_json)
    lines = [_line(plan) for plan in found["plans"]]
    _print(
        found["plans"],
        lambda: "\n".join(lines) or "There are no plans. Create one with `protokeep plan create`.",
        as_json=as_json,
    )


@app.command(epilog="Example: protokeep plan show aBcDeFg1234")
def show(plan_id: PlanId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Look at a plan: its digest, what it takes, when it ends."""
    from protokeep.client import plans

    _show(url, token, plans.get(plan_id), as_json=as_json)


@app.command(epilog="Example: protokeep plan items aBcDeFg1234 --action delete")
def items(
    plan_id: PlanId,
    action: Annotated[str | None, typer.Option(help="keep or delete.")] = None,
    state: Annotated[str | None, typer.Option(help="Only items in this state, such as skipped.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List what a plan does with each chat, and why."""
    from protokeep.client import plans

    found = _run(url, token, plans.items(plan_id, action, state), as_json=as_json)
    _print(found, lambda: "\n".join(_item_line(item) for item in found) or "No such chats.", as_json=as_json)


@app.command(epilog="Example: protokeep plan export aBcDeFg1234")
def export(
    plan_id: PlanId,
    format: Annotated[str, typer.Option(help="csv or json.")] = "csv",
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Print or save a plan. Only its column `action` may be changed: then `import` it. --json is --format json."""
    from protokeep.client import plans

    require_free(output, force=force)
    kind = "json" if as_json and output is None else format
    content = _run(url, token, plans.export(plan_id, kind), as_json=as_json)
    if output is None:
        print_export(content, is_json=kind == "json")
    else:
        save_file(output, content.encode(), force=force, as_json=as_json)


@app.command("import", epilog="Example: protokeep plan import aBcDeFg1234 edited.csv")
def import_plan(
    plan_id: PlanId,
    file: Annotated[str, typer.Argument(help="The edited file; - reads standard input.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Create a new draft from an edited file. Errors name the lines."""
    from protokeep.client import plans

    content = read_file(file)
    if not content.lstrip("\ufeff \r\n").startswith("["):
        # Most lines are as they were: leaving them out keeps the request small, and the numbers of the others.
        exported = _run(url, token, plans.export(plan_id, "csv"), as_json=as_json)
        content = plans.unchanged_lines_left_out(exported, content)
    _show(url, token, plans.import_edited(plan_id, content), as_json=as_json)


@app.command(epilog="Example: protokeep plan approve aBcDeFg1234 --digest 3f9c --workspace default")
def approve(
    plan_id: PlanId,
    digest: Digest,
    workspace: WorkspaceName,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Approve exactly the list with this digest. Its grace period begins; nothing is deleted before `apply`."""
    from protokeep.client import plans

    _show(url, token, plans.approve(plan_id, digest, workspace), as_json=as_json)


@app.command(epilog="Example: protokeep plan apply aBcDeFg1234 --digest 3f9c")
def apply(
    plan_id: PlanId,
    digest: Annotated[str, typer.Option(help="The plan's digest. Without it, nothing happens.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Apply an approved plan. Deletions begin after its grace period."""
    from protokeep.client import plans

    if not digest:
        print_notice(f"nothing was done. `protokeep plan show {plan_id}` prints the digest; give it with --digest.")
        raise typer.Exit(EXIT_USAGE)
    _show(url, token, plans.apply(plan_id, digest), as_json=as_json)


@app.command(epilog="Example: protokeep plan pause aBcDeFg1234")
def pause(plan_id: PlanId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Pause a plan: it deletes nothing until it is resumed."""
    from protokeep.client import plans

    _show(url, token, plans.pause(plan_id), as_json=as_json)


@app.command(epilog="Example: protokeep plan resume aBcDeFg1234")
def resume(plan_id: PlanId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Resume a paused plan."""
    from protokeep.client import plans

    _show(url, token, plans.resume(plan_id), as_json=as_json)


@app.command(epilog="Example: protokeep plan cancel aBcDeFg1234")
def cancel(plan_id: PlanId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """End a plan: nothing more of it is deleted. What was deleted stays deleted."""
    from protokeep.client import plans

    _show(url, token, plans.cancel(plan_id), as_json=as_json)


@app.command(epilog="Example: protokeep plan undo aBcDeFg1234")
def undo(
    plan_id: PlanId,
    chat: Annotated[list[str] | None, typer.Option(help="Only this chat; repeat it for several. [the plan]")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Take back a plan, or some of its chats. They are kept, or restored from their copies."""
    from protokeep.client import plans

    undone = _run(url, token, plans.undo(plan_id, chat), as_json=as_json)
    text = (
        f"{undone['protected']:,} chats stay. {undone['restoring']:,} are being restored from their copies, as new "
        f"chats; `protokeep plan items {plan_id}` says of each whether that was possible. {undone['under_way']:,} are "
        f"being deleted right now, and are restored if they are gone. {undone['not_possible']:,} cannot be taken back."
    )
    _print(undone, lambda: text, as_json=as_json)


@app.command(epilog="Example: protokeep plan people aBcDeFg1234")
def people(plan_id: PlanId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Print a message for each author of chats to be deleted."""
    from protokeep.client import plans

    found = _run(url, token, plans.people(plan_id), as_json=as_json)["people"]
    texts = [
        f"{in_one_line(author['author_id'] or 'author not known')} ({len(author['chats']):,}):\n{author['message']}\n"
        for author in found
    ]
    _print(found, lambda: "\n".join(texts) or "No chats are about to be deleted.", as_json=as_json)


@app.command(epilog="Example: protokeep plan report aBcDeFg1234")
def report(plan_id: PlanId, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Print what a plan did. And whether a whole scan afterwards shows any of the chats."""
    from protokeep.client import plans
    from protokeep.core.keep_rules import reason_of

    found = _run(url, token, plans.report(plan_id), as_json=as_json)
    counted = sorted(found["reasons"].items(), key=lambda one: (-one[1], one[0]))
    reasons = [f"  {count:,}: {reason_of(rule)}" for rule, count in counted]
    _print(found, lambda: "\n".join([found["sentence"], *reasons]), as_json=as_json)


@app.command(epilog="Example: protokeep plan receipts aBcDeFg1234")
def receipts(
    plan_id: PlanId,
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Print or save the signed receipts of a plan. Always JSON: one for what became of each chat."""
    from protokeep.client import plans

    require_free(output, force=force)
    found = _run(url, token, plans.receipts(plan_id), as_json=as_json)
    if output is None:
        print_json(found)
    else:
        save_file(output, f"{json_text(found)}\n".encode(), force=force, as_json=as_json)


@app.command("verify-receipts", epilog="Example: protokeep plan verify-receipts receipts.json")
def verify_receipts(
    file: Annotated[str, typer.Argument(help="The printed receipts; - reads standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say whether receipts are genuine: ours, and unchanged. Needs PROTOKEEP_SECRET_KEY."""
    import json

    from protokeep.cli.runtime import settings_of
    from protokeep.service.chat_metadata import Signer
    from protokeep.service.receipts import is_signed_by_us
    from protokeep.wiring import lacks_secret, secret_key

    try:
        export = json.loads(read_file(file))
    except (ValueError, RecursionError):
        export = None
    if not isinstance(export, dict):
        print_notice("the file holds no receipts. `protokeep plan receipts` prints them.")
        raise typer.Exit(EXIT_USAGE)
    if lacks_secret(settings := settings_of()):
        print_notice("no secret is here to check with. Set PROTOKEEP_SECRET_KEY to that of the installation.", "error")
        raise typer.Exit(EXIT_USAGE)
    is_genuine = is_signed_by_us(Signer(secret_key(settings)), export)
    if as_json:
        print_json({"genuine": is_genuine})
    if not is_genuine:
        print_notice("these receipts were changed, or another installation wrote them.")
        raise typer.Exit(EXIT_ERROR)
    if not as_json:
        print_text(f"Genuine: {len(export['receipts']):,} receipts of plan {in_one_line(export['plan']['id'])}.")


@app.command(epilog="Example: protokeep plan policy --older-than 30 --workspace default")
def policy(
    older_than: Annotated[int | None, typer.Option(help="Days: set the policy. [look at it]")] = None,
    workspace: Annotated[str, typer.Option(help="The name of your workspace, written out, to set it.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Switch it off.")] = False,
    account: Annotated[str | None, typer.Option(help="The account. [the first that may be cleaned up]")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Look at, set or switch off the standing policy. Once a day it makes a draft: failed, empty, superseded."""
    from protokeep.client import plans

    with connected(url, token, as_json=as_json) as client:
        if off:
            client.run(plans.remove_policy(account))
        elif older_than is not None:
            client.run(plans.set_policy(workspace, older_than, account))
        found = client.run(plans.policies())["policies"]
    lines = [f"{one['account']}: older than {one['older_than_days']} days, set by {one['set_by']}" for one in found]
    _print(found, lambda: "\n".join(map(in_one_line, lines)) or "There is no standing policy.", as_json=as_json)


def _line(plan: Mapping[str, Any]) -> str:
    return in_one_line(
        f"{plan['created_at'][:16]}  {plan['id']}  {plan['state']:9} {plan['deletions']:,} of {plan['chats']:,} chats  "
        f"by {plan['requested_by']}{'  (edited)' if plan['edited_from'] else ''}"
    )


def _detail(plan: Mapping[str, Any]) -> str:
    approvals: Sequence[Mapping[str, Any]] = plan["approvals"]
    lines = [
        _line(plan),
        f"  digest {plan['digest']}",
        f"  about {plan['calls']:,} calls to the app builder; its chats have cost {plan['credits']:,.2f} credits",
        f"  grace {plan['grace_days']} days, {plan['per_day']:,} deletions a day"
        + (f", the last on {plan['ends_at'][:10]}" if plan["ends_at"] else ""),
        f"  approved by {', '.join(one['by'] for one in approvals) or 'nobody'} ({plan['approvals_needed']} needed)",
        *([f"  {plan['problem']}"] if plan["problem"] else []),
        *_next_step(plan),
    ]
    return "\n".join(in_one_line(line) if number == 0 else line for number, line in enumerate(lines))


def _next_step(plan: Mapping[str, Any]) -> list[str]:
    """What an admin may do next, as the command to type."""
    if plan["state"] == "draft" and plan["deletions"]:
        who = "next, another admin" if plan["approvals"] else "next"
        return [f"  {who}: protokeep plan approve {plan['id']} --digest {plan['digest']} --workspace NAME"]
    if plan["state"] == "approved":
        return [f"  next: protokeep plan apply {plan['id']} --digest {plan['digest']}"]
    return []


def _item_line(item: Mapping[str, Any]) -> str:
    name = in_one_line(item["name"] or "")[:60]
    line = in_one_line(f"{item['action']:6} {item['state']:10} {item['chat_id']}  {name}  {item['reason']}")
    if item.get("pinned_by") and item["action"] == "delete" and item["state"] in ("planned", "waiting", "archived"):
        line += in_one_line(f"  Pinned by {item['pinned_by']}, so it stays.")
    return line + (in_one_line(f"  Restored as {item['restored_as']}.") if item["restored_as"] else "")
