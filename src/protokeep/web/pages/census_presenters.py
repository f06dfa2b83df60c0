"""The texts and links of the pages of a census: its progress, the account in numbers, chats and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from protokeep.core.census import Census, CensusState, ChatContent, ChatKind
from protokeep.core.census_summary import NEEDLESS as NEEDLESS_REASONS
from protokeep.core.census_summary import CensusSummary, Named, Tally
from protokeep.core.chat_kinds import best_of
from protokeep.core.keep_rules import REASONS, AccountFacts, DeleteRule, Selection, deletion_rule, keep_rule
from protokeep.service.census import OPEN, CensusOverview
from protokeep.store.census_reads import FoundChat, FoundGroup
from protokeep.web.pages import formatting
from protokeep.web.pages.census_filters import ChatQuery
from protokeep.web.pages.clean_up_words import (
    AGES,
    CLAIMS,
    CONTENTS,
    KINDS,
    NEEDLESS,
    account_name,
    chats_text,
    confidence_word,
    quoted,
)
from protokeep.web.pages.presenters import Cover, cover_of

#: Characters of a prompt in the list and beside the other chats of a group.
PROMPT_SHOWN = 160
#: Words of the kind of one chat, where the heading of all of them is another one.
_KIND_OF_ONE = {
    ChatKind.CURRENT: ("In use", "good", "ready"),
    ChatKind.VARIANT: ("Variant", "calm", "queued"),
    ChatKind.DUPLICATE: ("Duplicate", "warn", "differs"),
    ChatKind.EMPTY: ("Empty", "calm", "untracked"),
    ChatKind.FAILED: ("Failed", "bad", "failed"),
}
_CONTENT_OF_ONE = {
    ChatContent.GENERATING: ("Generating", "busy", "making"),
    ChatContent.UNREADABLE: ("Unreadable", "warn", "not_visible"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a table in numbers. `share` is a percentage of the account; `url` None: its chats are not shown."""

    label: str
    number: str
    share: int
    credits: str | None
    url: str | None = None
    reason: str | None = None
    plan_url: str | None = None


@dataclass(frozen=True, slots=True)
class ScanView:
    """How far the newest scan is. `value` and `most` are of the progress bar; `most` None: it is not known."""

    is_open: bool
    sentence: str
    note: str | None
    value: int
    most: int | None
    when: str


@dataclass(frozen=True, slots=True)
class ChatView:
    """A chat as a row or a card."""

    id: str
    title: str
    url: str | None
    is_ours: bool
    prompt: str
    cover: Cover
    picture: str | None  #: on our own origin
    chip: tuple[str, str, str] | None
    claim: str
    author: str
    age: str
    created_at: datetime | None
    credits: str | None
    group_url: str | None
    product: str | None
    verdict: str
    pinned_by: str | None
    pin_reason: str | None
    is_missing: bool
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with its chats, the best one first."""

    id: str
    title: str
    facts: str
    confidence: str
    reasons: Sequence[str]
    product: str | None
    product_confidence: str
    chats: Sequence[ChatView]
    more: int
    all_url: str
    adopt_url: str
    plan_url: str
    has_unclaimed: bool


def scan_view(overview: CensusOverview, now: datetime) -> ScanView | None:
    """How far the newest scan is; None: there was none."""
    census = overview.newest
    if census is None:
        return None
    known = overview.expected_calls
    value, most = (census.calls, known) if known else (census.chats, census.expected)
    return ScanView(
        census.state in OPEN,
        _open_sentence(overview, census) if census.state in OPEN else _ended_sentence(census, now),
        quoted(census.problem) if census.problem else None,
        min(value, most) if most else value,
        most or None,
        f"Started {formatting.ago(census.started_at, now)} by {census.requested_by}",
    )


def _open_sentence(overview: CensusOverview, census: Census) -> str:
    of_all = f" of about {census.expected:,}" if census.expected else ""
    seconds = overview.seconds_left
    left = f", about {formatting.span(timedelta(seconds=seconds))} left" if seconds else ""
    sentence = f"The account is being scanned: {chats_text(census.chats)} seen{of_all}{left}. {_phase(census.phase)}"
    return sentence.strip()


def _ended_sentence(census: Census, now: datetime) -> str:
    begun = formatting.ago(census.started_at, now)
    ended = {
        CensusState.DONE: f"Scanned {formatting.ago(census.finished_at or census.started_at, now)}",
        CensusState.FAILED: f"The last scan, {begun}, failed",
        CensusState.CANCELLED: f"The last scan, {begun}, was cancelled",
    }[census.state]
    return f"{ended}: {chats_text(census.chats)} seen in {census.calls:,} calls."


def summary_view(summary: CensusSummary, query: ChatQuery) -> dict[str, Any]:
    """The account in numbers, for the template: headline and tables of bars, each with links to its chats."""
    total = max(summary.total.chats, 1)

    def bars(names: Mapping[str, str], tallies: Mapping[str, Tally], filter_name: str) -> list[Bar]:
        return [
            Bar(
                words,
                f"{tallies[name].chats:,}",
                _share(tallies[name].chats, total),
                formatting.credits_text(tallies[name].credits),
                None if name in ("foreign", "unknown") else query.url(**{filter_name: name}),
            )
            for name, words in names.items()
            if name in tallies and tallies[name].chats
        ]

    needless = sum(tally.chats for tally in summary.needless.values())
    claims = bars(CLAIMS, summary.by_claim, "claim")
    if summary.missing.chats:
        claims.append(
            Bar("Missing in the newest scan", f"{summary.missing.chats:,}", 0, None, query.url(missing="yes"))
        )
    return {
        "total": summary.total.chats,
        "headline": _headline(summary.total.chats, needless),
        "costs": formatting.credits_text(summary.total.credits),
        "pinned": summary.pinned.chats,
        "pinned_url": query.url(pinned="yes"),
        "favorites": summary.favorites.chats,
        "needless": _needless_bars(summary, total, query),
        "tables": [
            ("By product or none", claims),
            ("What they are", bars(KINDS, summary.by_kind, "kind")),
            ("What is in them", bars(CONTENTS, summary.by_content, "content")),
            ("How old they are", bars(AGES, summary.by_age, "age")),
            ("By author", _named(summary.authors, total, query, "author", "Author not known")),
            ("By product", _named(summary.products, total, query, "product", "No product")),
        ],
    }


def _picture_of(chat_id: str, account: str) -> str:
    path = f"/clean-up/chats/{quote(chat_id, safe='')}/picture"
    return f"{path}?{urlencode({'account': account})}" if account else path


def chat_view(found: FoundChat, query: ChatQuery, now: datetime, *, is_best: bool = False) -> ChatView:
    """The texts and links of a chat."""
    record, chat = found.record, found.record.chat
    title = chat.name or "Untitled chat"
    return ChatView(
        id=chat.chat_id,
        title=title,
        url=f"/prototypes/{record.mockup_id}" if record.mockup_id else formatting.safe_link(chat.web_url),
        is_ours=record.mockup_id is not None,
        prompt=formatting.first_words(record.prompt, PROMPT_SHOWN),
        cover=cover_of(formatting.digest_of(record.group_id or chat.chat_id), title, record.prompt),
        picture=_picture_of(chat.chat_id, query.account) if chat.picture_url else None,
        chip=_chip(found),
        claim=CLAIMS[record.claim],
        author=chat.author_id or "Unknown",
        age=formatting.ago(chat.created_at, now) if chat.created_at else "unknown",
        created_at=chat.created_at,
        credits=formatting.credits_text(record.credits),
        group_url=query.url(group=record.group_id) if record.group_id else None,
        product=record.product_id,
        verdict=_verdict(found, now),
        pinned_by=record.pinned_by,
        pin_reason=found.pin_reason,
        is_missing=record.is_missing,
        is_best=is_best,
    )


def group_view(group: FoundGroup, found: Sequence[FoundChat], query: ChatQuery, now: datetime, shown: int) -> GroupView:
    """A group with up to `shown` of its chats, the best one first."""
    in_slots = [one.record.chat.chat_id for one in found if one.is_current]
    best = best_of([one.record for one in found], in_slots).chat.chat_id if found else ""
    ordered = sorted(found, key=lambda one: one.record.chat.chat_id != best)[:shown]
    costs = formatting.credits_text(group.credits)
    unclaimed = f"{group.unclaimed:,} without a product" if group.unclaimed else "all with a product"
    account = {"account": query.account} if query.account else {}
    chosen = urlencode({"group": group.group.id, **account})
    return GroupView(
        id=group.group.id,
        title=group.name or "Untitled chats",
        facts=" · ".join(part for part in (chats_text(group.members), unclaimed, costs) if part),
        confidence=confidence_word(group.group.confidence),
        reasons=[quoted(reason) for reason in group.group.reasons],
        product=group.group.product_id,
        product_confidence=confidence_word(group.group.product_confidence),
        chats=[chat_view(one, query, now, is_best=one.record.chat.chat_id == best) for one in ordered],
        more=max(group.members - len(ordered), 0),
        all_url=query.url(group=group.group.id),
        adopt_url=f"/clean-up/adopt?{chosen}",
        plan_url=f"/clean-up/plans/new?{chosen}",
        has_unclaimed=group.unclaimed > 0,
    )


def accounts_view(overview: CensusOverview, path: str) -> list[tuple[str, str, bool]]:
    """The accounts that may be shown: name, address of the page, and whether it is shown; empty for one alone."""
    if len(overview.accounts) < 2:
        return []
    return [
        (account_name(one), f"{path}?{urlencode({'account': one})}", one == overview.account)
        for one in overview.accounts
    ]


def _headline(total: int, needless: int) -> str:
    if not total:
        return "The account has no chats that you may see."
    if not needless:
        return f"{chats_text(total)}. Each of them seems to be needed."
    return f"{chats_text(total)}. Nothing seems to need {needless:,} of them."


def _needless_bars(summary: CensusSummary, total: int, query: ChatQuery) -> list[Bar]:
    look = {
        "empty": query.url(kind="empty"),
        "failed": query.url(kind="failed"),
        "duplicate": query.url(kind="duplicate"),
        "surplus": query.url(claim="surplus"),
    }
    account = {"account": query.account} if query.account else {}
    return [
        Bar(
            NEEDLESS[name][0],
            f"{tally.chats:,}",
            _share(tally.chats, total),
            formatting.credits_text(tally.credits),
            look[name],
            NEEDLESS_REASONS[name],
            f"/clean-up/plans/new?{urlencode({'kind': NEEDLESS[name][1].value, **account})}",
        )
        for name, tally in summary.needless.items()
        if tally.chats
    ]


def _named(named: Sequence[Named], total: int, query: ChatQuery, filter_name: str, nobody: str) -> list[Bar]:
    return [
        Bar(
            one.name or nobody,
            f"{one.chats:,}",
            _share(one.chats, total),
            formatting.credits_text(one.credits),
            query.url(**{filter_name: one.name}) if one.name else None,
        )
        for one in list(named)[:8]
    ]


def _share(number: int, total: int) -> int:
    """A percentage; what is there at all is seen."""
    return max(round(100 * number / total), 1) if number else 0


def _phase(words: str) -> str:
    words = words.partition(" (")[0]
    return f"{words[:1].upper()}{words[1:].removesuffix('.')}." if words else ""


def _chip(found: FoundChat) -> tuple[str, str, str] | None:
    if found.is_current:
        return _KIND_OF_ONE[ChatKind.CURRENT]
    kind = found.record.kind
    content = found.record.chat.content
    return _CONTENT_OF_ONE.get(content) or (_KIND_OF_ONE.get(kind) if kind else None)


def _verdict(found: FoundChat, now: datetime) -> str:
    """Why a plan would keep the chat, or what speaks against it. Asks the rules of plans, as far as they need no other
    chats."""
    record = found.record
    mine = (record.chat.chat_id,) if record.mockup_id else ()
    keep = keep_rule(record, AccountFacts(records=[record], now=now, prototype_chats=mine))
    if keep is not None:
        return f"Stays: {quoted(REASONS[keep])}"
    rule = deletion_rule(record, Selection(), now)
    if rule is None:
        return "Stays: no rule says that it should go."
    if rule is DeleteRule.SUPERSEDED:
        return "Could go: other chats asked for the same, and the newest finished one stays."
    return f"Could go: {REASONS[rule]}"
