"""Why chats are in one group, as sentences for people. No sentence holds a prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from protokeep.core.chat_links import CLICK, ChatLink, KnownChats, Sign
from protokeep.core.foreign_text import one_line
from protokeep.core.product_evidence import ProductEvidence, Tie


def reasons_of(
    chats: KnownChats, places: Sequence[int], links: Sequence[ChatLink], ties: Sequence[Tie], evidence: ProductEvidence
) -> tuple[str, ...]:
    """The reasons of a group, strongest first, each of them once.

    `links` are those between its chats, `ties` those of its chats to its product.
    """
    found = [*_of_ties(places, ties, evidence)]
    by_sign: dict[Sign, list[ChatLink]] = defaultdict(list)
    for link in links:
        by_sign[link.sign].append(link)
    for sign, same in by_sign.items():
        found.append((max(link.confidence for link in same), int(sign), _of_links(chats, places, sign, same)))
    return tuple(sentence for _, _, sentence in sorted(found, key=lambda reason: (-reason[0], reason[1:])))


def _of_ties(places: Sequence[int], ties: Sequence[Tie], evidence: ProductEvidence) -> list[tuple[float, int, str]]:
    same: dict[tuple[float, str], list[Tie]] = defaultdict(list)
    for tie in ties:
        same[tie.confidence, tie.why].append(tie)
    return [
        (confidence, 0, f"{why.format(_subject(len(tied), len(places)), evidence.name_of(tied[0].product_id))}.")
        for (confidence, why), tied in same.items()
    ]


def _of_links(chats: KnownChats, places: Sequence[int], sign: Sign, links: Sequence[ChatLink]) -> str:
    linked = {place for link in links for place in (link.first, link.second)}
    name = one_line(next((link.name for link in links if link.name), ""), 60)
    named = f" “{name}”" if name else ""
    who = _who(len(linked), len(places))
    if sign is Sign.PROMPT:
        seconds = _seconds_of_one_person(chats, linked)
        if seconds is not None:
            return f"{who} were made by the same person within {seconds} seconds with the same prompt."
        return f"{who} have the same first prompt as another one, word for word."
    if sign is Sign.CLICK:
        seconds = max(_seconds(chats, (link.first, link.second)) for link in links)
        return f"{who} were made by the same person within {seconds} seconds under the same name{named}."
    if sign is Sign.PROJECT:
        return f"{who} are in the same project{named}."
    if sign is Sign.NEAR_PROMPT:
        least = min(link.confidence for link in links)
        return f"{who} have first prompts that are nearly the same (at least {least:.0%} of their words)."
    return f"{who} have the same name{named}, apart from case, numbers and words like “copy”, and the same author."


def _seconds_of_one_person(chats: KnownChats, places: Collection[int]) -> int | None:
    """How far apart one person made all of them, where that is a double click; else None."""
    if not chats.by_same_person(sorted(places)) or any(chats.records[p].chat.created_at is None for p in places):
        return None
    seconds = _seconds(chats, places)
    return seconds if seconds <= CLICK.total_seconds() else None


def _seconds(chats: KnownChats, places: Collection[int]) -> int:
    """The time between the first and the last, in whole seconds, one at least."""
    made = [made for place in places if (made := chats.records[place].chat.created_at)]
    return max(round((max(made) - min(made)).total_seconds()), 1)


def _who(some: int, whole: int) -> str:
    if some < whole:
        return f"{some} of its {whole} chats"
    return "Both" if whole == 2 else f"All {whole}"


def _subject(some: int, whole: int) -> str:
    """Who, with its verb."""
    if whole == 1:
        return "The chat is"
    return f"{_who(some, whole)} {'is' if some == 1 else 'are'}"
