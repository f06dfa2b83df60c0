"""What people read on the pages of the census and of clean-ups: one word per thing, and no word of the code."""

from __future__ import annotations

import re
from collections.abc import Mapping

from protokeep.core.census import ChatContent, ChatKind, Claim
from protokeep.core.clean_up import ItemState, PlanState
from protokeep.core.keep_rules import DeleteRule, KeepRule, reason_of
from protokeep.core.provider_keys import KeySource, key_source_of
from protokeep.web.pages.own_words import in_own_words

CLAIMS: Mapping[str, str] = {
    Claim.OURS: "Chats of your prototypes",
    Claim.SURPLUS: "Second chats of your prototypes",
    Claim.LOST: "Created by protokeep, but without a prototype now",
    Claim.NOBODY: "Without a product",
    Claim.FOREIGN: "Of other workspaces",
}
KINDS: Mapping[str, str] = {
    ChatKind.CURRENT: "In use",
    ChatKind.VARIANT: "Variants",
    ChatKind.DUPLICATE: "Duplicates",
    ChatKind.EMPTY: "Empty",
    ChatKind.FAILED: "Failed",
    ChatKind.SINGLE: "The only one that asked for this",
    ChatKind.UNDECIDED: "Unfinished or unreadable",
}
CONTENTS: Mapping[str, str] = {
    ChatContent.FINISHED: "Finished",
    ChatContent.GENERATING: "Generating",
    ChatContent.FAILED: "Failed",
    ChatContent.EMPTY: "Empty",
    ChatContent.UNTOLD: "Content not listed",
    ChatContent.UNREADABLE: "Unreadable",
}
AGES: Mapping[str, str] = {
    "week": "Up to a week",
    "month": "Up to a month",
    "quarter": "Up to three months",
    "year": "Up to a year",
    "older": "More than a year",
    "unknown": "Age not known",
}
#: Why nobody needs a chat: the heading, and the kind of a plan that removes it.
NEEDLESS: Mapping[str, tuple[str, DeleteRule]] = {
    "empty": ("Empty", DeleteRule.EMPTY),
    "failed": ("Failed", DeleteRule.FAILED),
    "duplicate": ("Duplicates", DeleteRule.DUPLICATE),
    "surplus": ("Second chats of prototypes", DeleteRule.SUPERSEDED),
}
#: What a plan may remove, as its form says it.
DELETE_KINDS: Mapping[DeleteRule, str] = {
    DeleteRule.DUPLICATE: "Duplicates: another chat asked for the same, and that one stays",
    DeleteRule.FAILED: "Failed chats",
    DeleteRule.EMPTY: "Empty chats, in which nothing was ever generated",
    DeleteRule.SUPERSEDED: "Superseded chats: their product uses another chat instead",
    DeleteRule.NOT_CLAIMED: "Old chats that no product uses, finished ones too",
}
#: The keep rules that an admin may switch off, as the form says them.
KEEP_CHOICES: Mapping[KeepRule, str] = {
    KeepRule.FAVORITE: "Favourites",
    KeepRule.SHARED: "Chats that are shared with others",
    KeepRule.VERCEL: "Chats that are linked to a Vercel project",
    KeepRule.RECENT: "Chats that were changed in the last 30 days",
    KeepRule.SEEN_ONCE: "Chats that only the newest scan has seen",
    KeepRule.NEWEST_OF_GROUP: "The newest finished chat of each group",
}
#: Those that hold always.
KEEP_ALWAYS: tuple[str, ...] = (
    "Chats of prototypes, and the best chat of each product",
    "Pinned chats, and chats with the word “keep” in their name",
    "The last chat of a group",
    "Chats that could not be read, are being generated, or changed after the plan was created",
    "Chats that the v0 API key has no right to delete",
)
#: Label and tone of a plan's state.
PLAN_STATES: Mapping[PlanState, tuple[str, str, str]] = {
    PlanState.DRAFT: ("Draft", "calm", "queued"),
    PlanState.APPROVED: ("Approved", "busy", "ready"),
    PlanState.APPLYING: ("Under way", "busy", "making"),
    PlanState.PAUSED: ("Paused", "warn", "parked"),
    PlanState.DONE: ("Done", "good", "ready"),
    PlanState.CANCELLED: ("Cancelled", "calm", "stopped"),
    PlanState.EXPIRED: ("Expired", "calm", "timed_out"),
}
ITEM_STATES: Mapping[ItemState, str] = {
    ItemState.PLANNED: "To be deleted",
    ItemState.WAITING: "Waits",
    ItemState.ARCHIVED: "Copied, is deleted next",
    ItemState.DELETING: "Being deleted",
    ItemState.DELETED: "Deleted",
    ItemState.SKIPPED: "Skipped, stays",
    ItemState.FAILED: "Refused, stays",
    ItemState.PROTECTED: "Stays",
    ItemState.RESTORING: "Being restored",
    ItemState.RESTORED: "Restored",
}
_OF_CODE = re.compile(r"/api/|`")


def account_name(account: str) -> str:
    """An account as people know it: by whose key it is."""
    known = {
        KeySource.WORKSPACE: "This workspace's v0 account",
        KeySource.ENVIRONMENT: "The server's v0 account",
    }
    return known.get(key_source_of(account), "A v0 account")


def confidence_word(confidence: float) -> str:
    """How sure it is that chats are the same."""
    if confidence >= 0.95:
        return "Certain"
    return "Likely" if confidence >= 0.70 else "Possible"


def rule_reason(rule: str) -> str:
    """The reason that a rule of a plan gives, for people."""
    return quoted(reason_of(rule))


def quoted(text: str) -> str:
    """A sentence in the page's own words, with quotation marks where terminals show code."""
    return re.sub(r"`([^`]*)`", r"“\1”", in_own_words(text))


def without_code(text: str) -> str:
    """An error's sentences but for those that tell programs what to call; all of them if none is left."""
    sentences = re.split(r"(?<=[.:]) (?=[A-Z])", in_own_words(text))
    kept = [sentence for sentence in sentences if not _OF_CODE.search(sentence)]
    return " ".join(kept).rstrip(":") or quoted(text)


def chats_text(number: int) -> str:
    """ "1 chat", "4,000 chats"."""
    return f"{number:,} chat" + ("" if number == 1 else "s")
