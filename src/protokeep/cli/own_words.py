"""The server's sentences in the words of the command line: its addresses and fields are commands and options here."""

from __future__ import annotations

import re

#: What the API calls a thing, and how it is typed here. Longer ones first.
_WORDS = {
    "PUT /api/design/keys/mine": "`protokeep keys set --mine`",
    "DELETE /api/design/keys/mine": "`protokeep keys remove --mine`",
    "PUT /api/design/keys": "`protokeep keys set`",
    "DELETE /api/design/keys": "`protokeep keys remove`",
    "DELETE /api/design/tokens/{token_id}": "`protokeep token revoke TOKEN`",
    "set it with other_account=true": "add --other-account",
    "POST /api/design/tokens": "`protokeep token create`",
    "POST /api/design/create-project": "`protokeep create PRODUCT PROMPT`",
    "GET /api/design/mockups/{product_id}": "`protokeep list PRODUCT`",
    "GET /api/design/archives": "`protokeep archives list`",
    "GET /api/design/census/chats": "`protokeep census chats`",
    "GET /api/design/census/groups": "`protokeep census groups`",
    "POST /api/design/census": "`protokeep census scan`",
    "GET /api/design/plans": "`protokeep plan list`",
    "send product_is_new: true": "add --new-product",
    "ask with create_new=true for one": "add --new to make one",
}
_PATTERN = re.compile("|".join(re.escape(words) for words in _WORDS))


def in_own_words(text: str) -> str:
    """A sentence of the server's, as somebody reads it who types commands."""
    return _PATTERN.sub(lambda found: _WORDS[found[0]], text)
