"""The service's sentences in the words of the page: addresses of the API and commands are places on the page here."""

from __future__ import annotations

import re

#: What the API or a terminal calls a thing, and where people find it on the page. Longer ones first.
_WORDS = {
    "anyone sets their own with PUT /api/design/keys/mine": "you set your own at the same place",
    "Set V0_API_KEY and restart, or set a key with `protokeep keys set`": "Set one under “v0 API keys” in the settings",
    "(PUT /api/design/keys, or V0_API_KEY)": "(in the settings, under “v0 API keys”)",
    "with PUT /api/design/keys": "in the settings, under “v0 API keys”",
    "Set it again, or add its master key to PROTOKEEP_MASTER_KEYS": "Set it again",
    "Create it with POST /api/design/create-project": "Create it with “New prototype”",
    "Start a scan with POST /api/design/census": "An admin starts a scan there",
    " GET /api/design/census/chats lists its chats.": "",
    " GET /api/design/census/chats lists chats, and GET /api/design/census/groups lists groups.": "",
    " GET /api/design/plans lists the plans.": "",
    "Start one: `protokeep census scan`": "Start one on the page of the account",
    "Set one: `protokeep keys set`": "Set one in the settings, under “v0 API keys”",
    "; ask with create_new=true for one from this prompt": "",
    "set it with other_account=true": "tick the box and save it again",
    "Leave the Idempotency-Key out, or let the operator raise": "Try again later, or ask the operator to raise",
    "The first request with this Idempotency-Key is still being written. Try again.": "Your first click is still being "
    "handled. Try again in a moment.",
    "after the seconds in Retry-After": "in a moment",
}
#: Settings are the operator's; people on the page read what they limit.
_LIMIT = re.compile(r"raise PROTOKEEP_\w+")
_PATTERN = re.compile("|".join(re.escape(words) for words in sorted(_WORDS, key=len, reverse=True)))


def in_own_words(text: str) -> str:
    """A sentence of the service's, as somebody reads it who uses the page."""
    return _LIMIT.sub("raise this limit", _PATTERN.sub(lambda found: _WORDS[found[0]], text))
