"""The filters of the list of chats. All are in the URL; each link changes some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from protokeep.core.foreign_text import is_id
from protokeep.service.census import MOST_TEXT, filters_of
from protokeep.store.census_reads import ChatFilters
from protokeep.web.pages.clean_up_words import AGES, CLAIMS, CONTENTS, KINDS

CHATS = "/clean-up/chats"
#: Words that a filter knows; others filter nothing, so that an old link still works.
CHOICES: Mapping[str, Mapping[str, str]] = {
    "claim": {name: words for name, words in CLAIMS.items() if name != "foreign"},
    "kind": KINDS,
    "content": CONTENTS,
    "age": {name: words for name, words in AGES.items() if name != "unknown"},
    "pinned": {"yes": "Pinned", "no": "Not pinned"},
    "missing": {"yes": "Missing"},
}
SORTS: Mapping[str, str] = {"created": "Newest", "updated": "Changed last", "name": "Name", "credits": "Cost"}
#: From how many days on, and up to how many, a chat has an age.
_DAYS: Mapping[str, tuple[int, int | None]] = {
    "week": (0, 7),
    "month": (7, 30),
    "quarter": (30, 90),
    "year": (90, 365),
    "older": (365, None),
}
_LABELS = {"product": "Product", "group": "Group", "author": "Author"}


@dataclass(frozen=True, slots=True)
class ChatQuery:
    """The filters in a URL; empty ones filter nothing."""

    account: str = ""
    q: str = ""
    product: str = ""
    group: str = ""
    author: str = ""
    claim: str = ""
    kind: str = ""
    content: str = ""
    age: str = ""
    pinned: str = ""
    missing: str = ""
    sort: str = "created"

    @classmethod
    def of(cls, query: QueryParams) -> ChatQuery:
        """Read from the query."""
        chosen = {name: query.get(name, "") for name in CHOICES}
        ids = {name: query.get(name, "").strip() for name in ("group", "author")}
        sort = query.get("sort", "")
        return cls(
            account=query.get("account", "")[:700],
            q=query.get("q", "").strip()[:MOST_TEXT],
            product=query.get("product", "").replace("\x00", "").strip()[:MOST_TEXT],
            sort=sort if sort in SORTS else "created",
            **{name: value for name, value in ids.items() if is_id(value)},
            **{name: value for name, value in chosen.items() if value in CHOICES[name]},
        )

    def chat_filters(self, now: datetime) -> ChatFilters:
        """The filters for the census."""
        least, most = _DAYS.get(self.age, (None, None))
        return filters_of(
            self.q,
            product_id=self.product or None,
            group_id=self.group or None,
            author_id=self.author or None,
            claim=self.claim or None,
            kind=self.kind or None,
            content=self.content or None,
            pinned=self.pinned == "yes" if self.pinned else None,
            missing=self.missing == "yes",
            created_before=now - timedelta(days=least) if least else None,
            created_after=now - timedelta(days=most) if most else None,
        )

    def url(self, **changes: Any) -> str:
        """The list's address with some filters changed; the first page, unless `cursor` is given."""
        cursor = changes.pop("cursor", None)
        changed = replace(self, **changes)
        values = {one.name: getattr(changed, one.name) for one in fields(changed)} | {"cursor": cursor}
        if changed.sort == "created":
            del values["sort"]
        return address(CHATS, **values)

    @property
    def active(self) -> list[tuple[str, str]]:
        """The filters that are on, each with the address of the list without it."""
        found = [(f"“{self.q}”", self.url(q=""))] if self.q else []
        found += [
            (f"{label} {getattr(self, name)[:40]}" if name != "group" else "One group", self.url(**{name: ""}))
            for name, label in _LABELS.items()
            if getattr(self, name)
        ]
        return found + [
            (CHOICES[name][getattr(self, name)], self.url(**{name: ""})) for name in CHOICES if getattr(self, name)
        ]


def address(path: str, **values: str | None) -> str:
    """An address with those values that are not empty."""
    given = {name: value for name, value in values.items() if value}
    return path + (f"?{urlencode(given)}" if given else "")
