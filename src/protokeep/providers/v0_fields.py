"""Values of v0's JSON answers, checked: each function returns the value, or None if no caller could use it.

Everything that v0 says passes through here before it becomes a row, a page, a line of a log or part of an address.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from protokeep.core.errors import InvalidInput, OutcomeUnknown
from protokeep.core.foreign_text import address_of, is_id
from protokeep.core.validation import prompt_of

#: The years in which v0 may have made something. At the edges of time, sums of times overflow.
FIRST_YEAR, LAST_YEAR = 2000, 2199
#: Our own entries of a chat's metadata begin with this; v0 takes 50 entries of at most 500 characters.
OUR_METADATA, MAX_ENTRIES, MAX_ENTRY = "protokeep", 50, 500
#: Longer numbers and times are not read as such.
MAX_NUMBER = 64
#: Rows of one list. v0's own pages have at most 150.
MAX_ROWS = 1000
#: Credits beyond this are a mistake.
MAX_AMOUNT = 1e9


def instant(value: Any) -> datetime | None:
    """A v0 date-time (`...Z`) as an aware instant in UTC."""
    if not isinstance(value, str) or len(value) > MAX_NUMBER:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def text(value: Any, longest: int = 2000) -> str | None:
    """A non-empty text of at most `longest` characters that every database can store."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return None
    return None if any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in value) else value


def identifier(value: Any) -> str | None:
    """An id of a chat, a message, a version, a project or a hook."""
    return value if is_id(value) else None


def id_of(row: Any) -> str | None:
    """The `id` of an object."""
    return identifier(row.get("id")) if isinstance(row, dict) else None


def link(value: Any, plain_hosts: Collection[str] = ()) -> str | None:
    """An https address, which may be shown as a link. At `plain_hosts` it may be http as well."""
    parts = address_of(value)
    if parts is None or (parts.scheme != "https" and parts.hostname not in plain_hosts):
        return None
    return str(value)


def prompt(value: Any) -> str | None:
    """A text that a caller might have sent as a prompt."""
    try:
        return prompt_of(value) if isinstance(value, str) else None
    except InvalidInput:
        return None


def our_metadata(metadata: Any) -> dict[str, str] | None:
    """Our own entries of a chat's metadata; None: the metadata cannot be read."""
    if not isinstance(metadata, dict):
        return None
    ours = [(key, value) for key, value in metadata.items() if key.startswith(OUR_METADATA) and len(key) <= MAX_ENTRY]
    return {key: value for key, value in ours[:MAX_ENTRIES] if text(value, MAX_ENTRY) is not None}


def amount(value: Any) -> float | None:
    """An amount of credits, at least 0: a number in v2, a number as a text in v1."""
    if isinstance(value, str) and len(value) > MAX_NUMBER:
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < MAX_AMOUNT else None


def segment(value: str) -> str:
    """An id as one segment of a path, whatever characters it holds. Ids of older rows were not made by v0's API."""
    quoted = quote(value, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")  # "." and ".." would be other paths.


def list_in(page: Any, name: str, described_as: str) -> list[Any]:
    """The list `name` of an object. Raises `OutcomeUnknown`, which names the list as `described_as`."""
    rows = page.get(name) if isinstance(page, dict) else None
    if not isinstance(rows, list) or len(rows) > MAX_ROWS:
        raise OutcomeUnknown(f"v0's {described_as} could not be read.", code="bad_answer")
    return rows


def missing_id(accepted: str) -> OutcomeUnknown:
    """The error for a success that lacks the id it must hold."""
    return OutcomeUnknown(f"v0 accepted {accepted} and named no id.", code="bad_answer")
