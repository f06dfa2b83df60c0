"""Commands about what was deleted: the bin, taking back, and the archives of chats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from protokeep.cli.files import Force, require_free, save_file
from protokeep.cli.options import DEFAULT_URL, AsJson, Token, Url
from protokeep.cli.prototypes import change, connected
from protokeep.cli.retry_advice import EXIT_USAGE
from protokeep.cli.terminal import in_one_line, print_json, print_notice, print_text

if TYPE_CHECKING:
    from protokeep.client import ArchivedChat, Prototype

R = TypeVar("R", "ArchivedChat", "Prototype")

app = typer.Typer()
archives_app = typer.Typer(no_args_is_help=True)

ArchiveId = Annotated[str, typer.Argument(help="The copy's id, as `protokeep archives list` shows it.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]


@app.command("bin", epilog="Example: protokeep bin")
def list_bin(limit: Limit = 50, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List the prototypes in the bin. The next to go comes first."""
    from protokeep.client import deleted

    with connected(url, token, as_json=as_json) as client:
        found, more = client.run(deleted.list_bin(limit))
    rest = f"There is more: --limit shows more than {limit}." if more else ""
    _print_list(found, _binned_line, "The bin is empty.", rest, as_json=as_json)


@app.command(epilog="Example: protokeep restore 3f9cb0c2-5a1e-4d7f-9b60-7a1d2c3e4f50")
def restore(
    prototype_id: Annotated[str, typer.Argument(help="The prototype's id, as `protokeep bin` shows it.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Take a prototype out of the bin. Who may delete it, may do so."""
    from protokeep.cli import output

    message, command = "It may have been taken back. Asking again is safe:", ("restore", prototype_id)
    prototype = change(lambda keep: keep.take_back(prototype_id), message, command, url, token, as_json=as_json)
    role = (
        "the current prototype of its product"
        if prototype.is_current
        else "a variant: its product has another current one by now"
    )
    output.print_result(prototype.raw, f"Taken back. It is {role}.", as_json=as_json)


@archives_app.command("list", epilog="Example: protokeep archives list")
def list_archives(limit: Limit = 50, as_json: AsJson = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List the copies of deleted chats, newest first. For admins."""
    from protokeep.client import deleted

    with connected(url, token, as_json=as_json) as client:
        found, more = client.run(deleted.list_archives(limit))
    rest = f"There are older ones: --limit shows more than {limit}." if more else ""
    _print_list(found, _line, "There are no copies of chats.", rest, as_json=as_json)


@archives_app.command(epilog="Example: protokeep archives download aBcDeFg1234")
def download(
    archive_id: ArchiveId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file. [chat-ID.zip]")] = None,
    force: Force = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Save the zip with a chat's messages, files and picture. Only you can read the file. For admins."""
    from protokeep.client import deleted

    path = output or Path(f"chat-{re.sub(r'[^A-Za-z0-9-]', '_', archive_id)}.zip")
    require_free(path, force=force)
    with connected(url, token, as_json=as_json) as client:
        body = client.run(deleted.download_archive(archive_id))
    save_file(path, body, force=force, as_json=as_json)


@archives_app.command("restore", epilog="Example: protokeep archives restore aBcDeFg1234 --yes")
def restore_archive(
    archive_id: ArchiveId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Create a new chat from a copy, for its product. For admins."""
    from protokeep.cli import output
    from protokeep.client import deleted

    if not yes:
        typer.confirm(
            "Create a new chat in the app builder? It gets the files, not the messages.", abort=True, err=True
        )
    message = "A new chat may have been created. Look at the copy first; asking again creates no second chat:"
    restoring = deleted.restore_archive(archive_id)
    made = change(lambda keep: keep.run(restoring), message, ("archives list",), url, token, as_json=as_json)
    prototype = made.prototype
    where = f"It is prototype {prototype.id} of {in_one_line(prototype.product_id)}." if prototype else ""
    text = f"Restored as chat {in_one_line(made.chat_id)}. {where or 'No product is known for it.'}"
    output.print_result(made.raw, text, as_json=as_json)


@archives_app.command(epilog="Example: protokeep archives remove --older-than 365d")
def remove(
    archive_id: Annotated[str | None, typer.Argument(help="The copy's id.")] = None,
    older_than: Annotated[str | None, typer.Option("--older-than", help="All that are older, such as 365d.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove a copy for good, or all old ones. Copies that are still needed stay. For admins."""
    from protokeep.cli.output import print_result
    from protokeep.client import deleted

    days = _days_of(older_than)
    if (archive_id is None) is (days is None):
        print_notice("name one copy, or add --older-than, such as 365d.")
        raise typer.Exit(EXIT_USAGE)
    if not yes:
        what = f"archive {archive_id}" if archive_id else f"all copies older than {days} days"
        typer.confirm(f"Remove {what}? This cannot be undone.", abort=True, err=as_json)
    with connected(url, token, as_json=as_json) as client:
        if archive_id is not None:
            client.run(deleted.remove_archive(archive_id))
        removed = client.run(deleted.remove_archives(days)) if days is not None else 1
    print_result({"removed": removed}, f"Removed: {removed:,}.", as_json=as_json)


def _print_list(found: Sequence[R], line: Callable[[R], str], nothing: str, rest: str, *, as_json: bool) -> None:
    """Print a line for each, or `nothing`, and then `rest`; or all of them as JSON."""
    if as_json:
        print_json([one.raw for one in found])
        return
    for text in [*map(line, found), *([] if found else [nothing]), *([rest] if rest else [])]:
        print_text(text)


def _binned_line(one: Prototype) -> str:
    until = f"{one.deletion_due_at:%Y-%m-%d %H:%M} UTC" if one.deletion_due_at else "soon"
    return f"{one.id}  {in_one_line(one.product_id)}  until {until}"


def _days_of(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})d?", text.strip())
    if found is None:
        print_notice("--older-than takes days, such as 365d.")
        raise typer.Exit(EXIT_USAGE)
    return int(found[1])


def _line(archive: ArchivedChat) -> str:
    columns = [
        archive.id,
        f"{archive.created_at:%Y-%m-%d %H:%M}",
        f"{archive.bytes:,} bytes",
        in_one_line(archive.product_id or "no product"),
        in_one_line(archive.name),
        f"restored as {in_one_line(archive.restored_as)}" if archive.restored_as else "",
    ]
    return "  ".join(column for column in columns if column)
