"""The chats of a census as files: CSV for spreadsheets, in which no cell is a formula, and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from protokeep.store.census_reads import FoundChat

COLUMNS = (
    *("chat_id", "api_version", "name", "prompt", "product_id", "prototype_id", "is_current", "group_id"),
    *("claim", "kind", "content", "author_id", "created_at", "updated_at", "privacy", "is_favorite", "may_delete"),
    *("project_id", "vercel_project_id", "credits", "pinned_by", "pin_reason", "asks_to_be_kept", "is_missing"),
    *("web_url", "demo_url", "has_picture", "fingerprint", "first_seen_at", "last_seen_at"),
)
#: A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection").
FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # noqa: RUF001 - some take wide signs, too


def fields_of(found: FoundChat) -> dict[str, Any]:
    """Everything of a chat that people may see, by the names of `COLUMNS`."""
    record, chat = found.record, found.record.chat
    return {
        "chat_id": chat.chat_id,
        "api_version": chat.api_version,
        "name": chat.name,
        "prompt": record.prompt,
        "product_id": record.product_id,
        "prototype_id": record.mockup_id,
        "is_current": found.is_current,
        "group_id": record.group_id,
        "claim": record.claim.value,
        "kind": record.kind.value if record.kind else None,
        "content": chat.content.value,
        "author_id": chat.author_id,
        "created_at": chat.created_at,
        "updated_at": chat.updated_at,
        "privacy": chat.privacy,
        "is_favorite": chat.is_favorite,
        "may_delete": chat.may_delete,
        "project_id": chat.project_id,
        "vercel_project_id": chat.vercel_project_id,
        "credits": record.credits,
        "pinned_by": record.pinned_by,
        "pin_reason": found.pin_reason,
        "asks_to_be_kept": chat.asks_to_be_kept,
        "is_missing": record.is_missing,
        "web_url": chat.web_url,
        "demo_url": chat.demo_url,
        "has_picture": chat.picture_url is not None,
        "fingerprint": found.fingerprint,
        "first_seen_at": record.first_seen_at,
        "last_seen_at": record.last_seen_at,
    }


async def as_csv(pages: AsyncIterator[Sequence[FoundChat]]) -> AsyncIterator[str]:
    """The chats as CSV (RFC 4180), a page at a time."""
    yield _line(COLUMNS)
    async for page in pages:
        yield "".join(_line([_cell(value) for value in fields_of(found).values()]) for found in page)


async def as_json(pages: AsyncIterator[Sequence[FoundChat]]) -> AsyncIterator[str]:
    """The chats as one JSON object with the list `chats`, a page at a time."""
    yield '{"chats": ['
    separator = "\n"
    async for page in pages:
        for found in page:
            yield separator + json.dumps(fields_of(found), ensure_ascii=False, default=_plain)
            separator = ",\n"
    yield "\n]}\n"


def _plain(value: Any) -> str:
    return str(value.isoformat())


def _cell(value: Any) -> str:
    """A value as a cell: one that would begin a formula has an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_SIGNS) else text


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
