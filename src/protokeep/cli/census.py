"""`protokeep census`: reads an account, shows what it holds, pins what has to stay, and adopts chats into products."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protokeep.cli.census_words import NO_CHATS, NO_GROUPS, census_line, chat_line, group_lines, summary_text
from protokeep.cli.files import Force, Output, print_export, require_free, save_file
from protokeep.cli.options import DEFAULT_URL, AsJson, ProductId, Token, Url
from protokeep.cli.prototypes import connected
from protokeep.cli.retry_advice import (
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_TIMEOUT,
    RetryAdvice,
    advise_if_answer_lost,
    shell_command,
)
from protokeep.cli.terminal import in_one_line, print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.client import Protokeep

app = typer.Typer(no_args_is_help=True)

ChatIds = Annotated[list[str], typer.Argument(help="One or more chats.", metavar="CHAT...")]
Account = Annotated[str | None, typer.Option(help="The account at the app builder. [the workspace's]")]
View = Mapping[str, Any]
#: Seconds between two looks at a census that is waited for.
LOOK_SECONDS = 1.0
OPEN = ("running", "paused")


@app.command(epilog="Example: protokeep census scan --to-end")
def scan(
    whole: Annotated[
        bool | None, typer.Option("--whole/--incremental", help="Read everything, or what is new. [whole at first]")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it, and do not wait for its end.")] = False,
    to_end: Annotated[bool, typer.Option("--to-end", help="Wait also for the prompts that are read last.")] = False,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds to wait at most; the scan continues.")] = 3600,
    account: Account = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Read the workspace's account at the app builder. Nothing is written there. Needs an admin's token.

    Exit codes beside the usual ones: 3 it failed, 4 it continues, and was not waited for any longer.
    """
    from protokeep.client import census

    options = {"--account": account, "--whole": whole is True, "--incremental": whole is False, "--json": as_json}
    advice = RetryAdvice(
        "It may have started. Asking again is safe, and shows the scan that is running:",
        shell_command("census scan", (), options, url, token),
    )
    with connected(url, token, as_json=as_json) as client:
        with advise_if_answer_lost(advice, as_json=as_json):
            begun = client.run(census.start(account, whole=whole))
        ended = begun if no_wait else _wait(client, begun, seconds, to_end=to_end, quiet=as_json)
        if as_json:
            print_json(ended)
        else:
            print_text(census_line(ended))
            if ended["state"] == "done" or ended["prompts_left"]:
                print_text(summary_text(client.run(census.summary(ended["account"]))))
    if ended["prompts_left"] and not to_end and not no_wait:
        print_notice(
            f"{ended['prompts_left']:,} prompts are still being read, so that more chats can be grouped; that "
            "continues. --to-end waits for it."
        )
    elif not no_wait and ended["state"] != "done":
        raise typer.Exit(EXIT_TIMEOUT if ended["state"] in OPEN else EXIT_FAILED)


@app.command(epilog="Example: protokeep census show")
def show(account: Account = None, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Show how far the newest scan is. And what the account holds: whose chats, which kinds, which nothing needs."""
    from protokeep.client import census

    with connected(url, token, as_json=as_json) as client:
        progress = client.run(census.progress(account))
        summary = client.run(census.summary(progress["account"])) if progress["census"] else None
    if as_json:
        print_json({**progress, "summary": summary})
        return
    if summary is None:
        print_text(f"{progress['account']}: not scanned yet. Start a scan with `protokeep census scan`.")
        return
    print_text(census_line(progress["census"], progress["seconds_left"]))
    print_text(summary_text(summary))


@app.command(epilog="Example: protokeep census chats bakery --kind duplicate")
def chats(
    text: Annotated[str, typer.Argument(help="Words in the name or in the prompt.")] = "",
    product: Annotated[str | None, typer.Option(help="For this product.")] = None,
    group: Annotated[str | None, typer.Option(help="In this group.")] = None,
    author: Annotated[str | None, typer.Option(help="By this author.")] = None,
    claim: Annotated[str | None, typer.Option(help="ours, surplus, lost, nobody.")] = None,
    kind: Annotated[str | None, typer.Option(help="current, variant, duplicate, failed, empty, single ...")] = None,
    content: Annotated[str | None, typer.Option(help="finished, generating, failed, empty, untold.")] = None,
    pinned: Annotated[bool | None, typer.Option("--pinned/--unpinned", help="With or without a pin.")] = None,
    older: Annotated[int | None, typer.Option(min=0, help="Made before so many days.")] = None,
    sort: Annotated[str, typer.Option(help="created, updated, name, credits.")] = "created",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    account: Account = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List chats that scans found."""
    from protokeep.client import census

    filters: dict[str, Any] = {
        "q": text,
        "product_id": product,
        "group_id": group,
        "author_id": author,
        "claim": claim,
        "kind": kind,
        "content": content,
        "pinned": pinned,
        "older_than_days": older,
        "sort": sort,
        "account": account,
    }
    with connected(url, token, as_json=as_json) as client:
        found, has_more = client.run(census.list_chats(limit, **filters))
    _print_list(found, "\n".join(map(chat_line, found)) or NO_CHATS, has_more=has_more, as_json=as_json)


@app.command(epilog="Example: protokeep census groups --unclaimed")
def groups(
    product: Annotated[str | None, typer.Option(help="For this product.")] = None,
    unclaimed: Annotated[bool, typer.Option("--unclaimed", help="Only with chats that no product uses.")] = False,
    confidence: Annotated[float | None, typer.Option(min=0, max=1, help="At least so sure.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    account: Account = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List groups of chats that asked for the same, largest first. With how sure that is, and why."""
    from protokeep.client import census

    filters = {"product_id": product, "unclaimed": unclaimed, "confidence": confidence, "account": account}
    with connected(url, token, as_json=as_json) as client:
        found, has_more = client.run(census.list_groups(limit, **filters))
    _print_list(
        found,
        "\n".join(map(group_lines, found)) or NO_GROUPS,
        has_more=has_more,
        as_json=as_json,
    )


def _print_list(found: Sequence[View], text: str, *, has_more: bool, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_text(text)
    if has_more:
        print_notice(f"only the first {len(found):,} are shown; --limit shows more.")


@app.command(epilog="Example: protokeep census adopt shop --chat aBcDeFg1234")
def adopt(
    product_id: ProductId,
    group: Annotated[str | None, typer.Option(help="All chats of this group; the best may become current.")] = None,
    chat: Annotated[list[str] | None, typer.Option(help="This chat. May be given several times.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call the product.")] = None,
    account: Account = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Adopt chats as prototypes of a product. Nothing changes in the app builder."""
    from protokeep.client import census

    chosen = list(chat or ())
    options = {"--group": group, "--name": name, "--account": account, "--json": as_json}
    advice = RetryAdvice(
        "Some may be adopted. Asking again is safe: no chat is adopted twice.",
        shell_command("census adopt", (product_id,), options, url, token) + "".join(f" --chat {one}" for one in chosen),
    )
    results: list[View] = []
    with connected(url, token, as_json=as_json) as client, advise_if_answer_lost(advice, as_json=as_json):
        while True:
            adopting = census.adopt(product_id, chosen, group_id=group, product_name=name, account=account)
            result = client.run(adopting)
            results.append(result)
            if not result["left"] or not _adopted(result):
                break
    refused = [one for result in results for one in result["refused"]]
    if as_json:
        print_json(results)
    else:
        for one in {one["chat_id"]: one for result in results for one in result["adopted"]}.values():
            place = "  * the product's prototype" if one["is_current"] else ""
            print_text(f"{in_one_line(one['chat_id'])}  {_OUTCOMES[one['outcome']]}{place}")
        for one in refused:
            print_notice(f"{in_one_line(one['chat_id'])}: {in_one_line(one['reason'])}")
    if refused or any(one["outcome"] == "taken" for result in results for one in result["adopted"]):
        raise typer.Exit(EXIT_ERROR)


_OUTCOMES = {
    "adopted": "adopted",
    "known": "was a prototype of this product already",
    "taken": "belongs to another product, and stays there",
}


def _adopted(result: View) -> int:
    return sum(one["outcome"] == "adopted" for one in result["adopted"])


@app.command(epilog="Example: protokeep census pin aBcDeFg1234 --reason 'for the board'")
def pin(
    chat_ids: ChatIds,
    reason: Annotated[str | None, typer.Option(help="Why it has to stay.")] = None,
    account: Account = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Pin chats, so that no plan deletes them. Everyone who sees a chat may pin it."""
    from protokeep.client import census

    with connected(url, token, as_json=as_json) as client:
        _print_pins((client.run(census.pin(chat_id, account, reason=reason)) for chat_id in chat_ids), as_json=as_json)


@app.command(epilog="Example: protokeep census unpin aBcDeFg1234")
def unpin(
    chat_ids: ChatIds, account: Account = None, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = ""
) -> None:
    """Take the pins off chats."""
    from protokeep.client import census

    with connected(url, token, as_json=as_json) as client:
        _print_pins((client.run(census.unpin(chat_id, account)) for chat_id in chat_ids), as_json=as_json)


def _print_pins(chats: Iterable[View], *, as_json: bool) -> None:
    """Say of each chat, as soon as it is done, whether it is pinned; as JSON of all together."""
    done: list[View] = []
    for chat in chats:
        done.append(chat)
        if not as_json:
            print_text(f"{in_one_line(chat['chat_id'])}  {'pinned' if chat['pinned_by'] else 'not pinned'}")
    if as_json:
        print_json(done)


@app.command(epilog="Example: protokeep census export --output chats.csv")
def export(
    output: Output = None,
    force: Force = False,
    format: Annotated[str, typer.Option(help="csv or json.")] = "csv",
    account: Account = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Write all chats into a file, with whole prompts. No cell of the CSV is a formula. --json is --format json."""
    from protokeep.client import census

    require_free(output, force=force)
    is_json = format == "json" or (as_json and output is None)
    with connected(url, token, as_json=as_json) as client:
        content = client.run(census.export(account, format="json" if is_json else format))
    if output is None:
        print_export(content.decode(errors="replace"), is_json=is_json)
    else:
        save_file(output, content, force=force, as_json=as_json)


@app.command(epilog="Example: protokeep census cancel")
def cancel(account: Account = None, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Cancel the running scan. What it found so far stays."""
    from protokeep.client import census

    with connected(url, token, as_json=as_json) as client:
        ended = client.run(census.cancel(account))
    if as_json:
        print_json(ended)
    else:
        print_text(census_line(ended))


# -- words ---------------------------------------------------------------------------------------------------------


def _wait(client: Protokeep, begun: View, seconds: int, *, to_end: bool, quiet: bool) -> View:
    """The census when it has ended, or all but prompts was read, or the time is over.

    Meanwhile there is a bar on a terminal, and elsewhere a line for each phase.
    """
    from protokeep.cli.census_progress import shown_progress
    from protokeep.client import census

    ends = time.monotonic() + seconds
    with shown_progress(quiet=quiet, is_terminal=sys.stderr.isatty()) as show_progress:
        while True:
            overview = client.run(census.progress(begun["account"]))
            known = [overview["census"], *overview["earlier"]]
            now: View = next((one for one in known if one and one["id"] == begun["id"]), begun)
            show_progress(now, overview["seconds_left"])
            is_readable = bool(now["prompts_left"]) and not to_end
            if now["state"] not in OPEN or is_readable or time.monotonic() >= ends:
                return now
            time.sleep(min(LOOK_SECONDS, max(ends - time.monotonic(), 0)))
