"""What people read of a census on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protokeep.cli.terminal import in_one_line

View = Mapping[str, Any]
NO_CHATS = "No chat matches. `protokeep census show` says whether the account was scanned."
NO_GROUPS = "No two such chats asked for the same. `protokeep census show` says whether the account was scanned."
#: Authors and products that a summary names, those with the most chats first.
MOST_NAMES = 5
#: What people read for the words of an age.
AGES = {
    "week": "up to a week",
    "month": "up to a month",
    "quarter": "up to three months",
    "year": "up to a year",
    "older": "older",
    "unknown": "not known",
}
#: What people read for the words of a claim.
CLAIMS = {
    "ours": "created by protokeep for a product",
    "surplus": "second chats of a prototype",
    "lost": "created by protokeep, without a prototype (protokeep adopts them)",
    "nobody": "without a product",
    "foreign": "of other workspaces or installations (not shown)",
}


def census_line(census: View, seconds_left: float | None = None) -> str:
    """How far a census is; a second line where something is in its way."""
    kind = "whole" if census["is_whole"] else "incremental"
    line = (
        f"{in_one_line(census['account'])}  {kind} scan {census['state']}, {census['chats']:,} chats seen, "
        f"{census['calls']:,} calls"
    )
    if census["phase"]:
        line += f", {in_one_line(census['phase'])}"
    if seconds_left is not None:
        line += f", about {seconds_left:.0f} s left"
    return line + (f"\n  {in_one_line(census['problem'])}" if census["problem"] else "")


def summary_text(summary: View) -> str:
    """What an account holds: whose chats, which kinds, how old, by whom, and which nobody needs."""
    lines = [f"{_tally(summary['total'])} in all"]
    lines += [f"  {_tally(summary['by_claim'][name])} {words}" for name, words in CLAIMS.items()]
    kinds = [f"{tally['chats']:,} {name}" for name, tally in summary["by_kind"].items() if tally["chats"]]
    lines.append(f"By kind: {', '.join(kinds) or 'nothing'}")
    ages = [f"{tally['chats']:,} {AGES[name]}" for name, tally in summary["by_age"].items() if tally["chats"]]
    lines.append(f"By age: {', '.join(ages) or 'nothing'}")
    for title, name, none in (("By author", "authors", "not known"), ("By product", "products", "no product")):
        some = [f"{one['chats']:,} {in_one_line(one['name'] or none)}" for one in summary[name][:MOST_NAMES]]
        lines.append(f"{title}: {', '.join(some) or 'nothing'}{' …' if len(summary[name]) > MOST_NAMES else ''}")
    needless = [one for one in summary["needless"].values() if one["chats"]]
    lines.append(f"Needed by nothing: {sum(one['chats'] for one in needless):,}")
    lines += [f"  {_tally(one)}: {one['reason']}" for one in needless]
    return "\n".join(lines)


def _tally(tally: View) -> str:
    cost = "" if tally["credits"] is None else f" ({tally['credits']:,.2f} credits)"
    return f"{tally['chats']:,}{cost}"


def chat_line(chat: View) -> str:
    """A chat in a list."""
    made = (chat["created_at"] or "")[:10] or "no date   "
    parts: Sequence[str] = (
        made,
        in_one_line(chat["chat_id"]),
        str(chat["kind"] or "-"),
        in_one_line(chat["product_id"] or ("without a product" if chat["claim"] == "nobody" else chat["claim"])),
        "pinned" if chat["pinned_by"] else "",
        "" if chat["credits"] is None else f"{chat['credits']:.2f} credits",
        in_one_line(chat["name"] or chat["prompt"] or "")[:80],
    )
    return "  ".join(part for part in parts if part)


def _sureness(confidence: float) -> str:
    """How sure it is that chats are the same, in the words of the page."""
    from protokeep.core.chat_links import AUTOMATIC, OFFERED

    word = "certain" if confidence >= AUTOMATIC else "likely" if confidence >= OFFERED else "possible"
    return f"{word} ({confidence:.2f})"


def group_lines(group: View) -> str:
    """A group in a list, and below it why its chats are the same."""
    product = f" -> {in_one_line(group['product_id'])}" if group["product_id"] else ""
    head = (
        f"{in_one_line(group['group_id'])}  {group['members']:,} chats, {group['unclaimed']:,} not claimed, "
        f"{_sureness(group['confidence'])}{product}  {in_one_line(group['name'])[:60]}"
    )
    return "\n".join([head, *(f"    {in_one_line(reason)}" for reason in group["reasons"][:3])])
