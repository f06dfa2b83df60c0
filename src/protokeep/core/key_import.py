"""Lists of people and their keys, as an operator pipes them in. No message ever contains a key."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protokeep.core.errors import InvalidInput
from protokeep.core.provider_keys import KeyOwner, key_of
from protokeep.core.validation import person_of, workspace_id_of

#: Bytes and lines of one list: many times the people of a large company.
BYTES_MAX, LINES_MAX = 8 * 1024 * 1024, 20_000
COLUMNS = ("user_id", "key", "workspace")
FORM = (
    "Send CSV whose first line is user_id,key or user_id,key,workspace, or JSON: "
    '[{"user_id": "ana", "key": "...", "workspace": "team"}, ...], where workspace may be missing.'
)


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One person's key. `number`: its line in CSV, or its place in the JSON list."""

    number: int
    owner: KeyOwner
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LineFault:
    """Why a line cannot be used."""

    number: int
    message: str


def read_key_list(text: str, workspace_id: str) -> tuple[list[KeyLine], list[LineFault]]:
    """The lines of a CSV or JSON list, and what is wrong with others. `workspace_id`: of lines that name none.

    Raises `InvalidInput` for text that is no such list.
    """
    text = text.removeprefix("\ufeff").strip()
    entries = _json_entries(text) if text.startswith(("[", "{")) else _csv_entries(text)
    lines: list[KeyLine] = []
    faults: list[LineFault] = []
    numbers: dict[KeyOwner, int] = {}
    for count, (number, entry) in enumerate(entries, 1):
        if count > LINES_MAX:
            raise InvalidInput(f"The list has more than {LINES_MAX:,} lines. Send it in parts.")
        try:
            line = _line_of(number, entry, workspace_id)
            if line.owner in numbers:
                raise InvalidInput(f"This person has a key in line {numbers[line.owner]} already. Keep one of the two.")
        except InvalidInput as error:
            faults.append(LineFault(number, str(error)))
        else:
            numbers[line.owner] = number
            lines.append(line)
    if not lines and not faults:
        raise InvalidInput(f"The list is empty. {FORM}")
    return lines, faults


def _line_of(number: int, entry: Mapping[Any, Any], workspace_id: str) -> KeyLine:
    if not {"user_id", "key"} <= entry.keys() <= set(COLUMNS):
        raise InvalidInput("This line must have the columns user_id and key, may have workspace, and no others.")
    if not all(isinstance(value, str) for value in entry.values()):
        raise InvalidInput("user_id, key and workspace are texts, and none of them is missing in a line.")
    workspace = entry.get("workspace", "").strip() or workspace_id
    owner = KeyOwner(workspace_id_of(workspace), person_of(entry["user_id"].strip()))
    return KeyLine(number, owner, key_of(entry["key"]))


def _json_entries(text: str) -> Iterable[tuple[int, Mapping[Any, Any]]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f": see its line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"The list is not valid JSON{place}. {FORM}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"The JSON must be a list of objects. {FORM}")
    return enumerate(entries, 1)


def _csv_entries(text: str) -> Iterator[tuple[int, Mapping[Any, Any]]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if not {"user_id", "key"} <= set(rows.fieldnames or ()) <= set(COLUMNS):
            raise InvalidInput(f"The first line does not name the columns. {FORM}")
        for row in rows:
            yield rows.line_num, row
    except csv.Error:
        raise InvalidInput(f"The list is not valid CSV: see its line {rows.line_num}. {FORM}") from None
