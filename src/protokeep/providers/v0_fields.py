"""Values of v0's JSON answers, checked: each function returns the value, or None if no caller could use it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from protokeep.core.errors import OutcomeUnknown

MAX_ID = 200


def instant(value: Any) -> datetime | None:
    """A v0 date-time (`...Z`) as an aware instant in UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def text(value: Any, longest: int = 2000) -> str | None:
    """A non-empty text of at most `longest` characters that every database can store."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return None
    return None if any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in value) else value


def id_of(row: Any) -> str | None:
    """The `id` of an object."""
    return text(row.get("id"), MAX_ID) if isinstance(row, dict) else None


def link(value: Any) -> str | None:
    """An http(s) address, which may be shown as a link."""
    address = text(value)
    return address if address and address.startswith(("https://", "http://")) else None


def amount(value: Any) -> float | None:
    """An amount of credits: a number in v2, a number as a text in v1."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e9 else None


def segment(value: str) -> str:
    """An id as one segment of a path, whatever characters it holds. Ids of older rows were not made by v0's API."""
    return quote(value, safe="")


def list_in(page: Any, name: str, described_as: str) -> list[Any]:
    """The list `name` of an object. Raises `OutcomeUnknown`, which names the list as `described_as`."""
    rows = page.get(name) if isinstance(page, dict) else None
    if not isinstance(rows, list):
        raise OutcomeUnknown(f"v0's {described_as} could not be read.", code="bad_answer")
    return rows


def missing_id(accepted: str) -> OutcomeUnknown:
    """The error for a success that lacks the id it must hold."""
    return OutcomeUnknown(f"v0 accepted {accepted} and named no id.", code="bad_answer")
