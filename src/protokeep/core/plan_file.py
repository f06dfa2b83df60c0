"""A plan as a file that people edit: CSV or JSON, of which only the action of a chat may be changed.

A spreadsheet executes a cell that begins like a formula, so such a cell gets an apostrophe before it. A file that comes
back is compared with what was written, cell by cell; lines that are missing, or blank, stay as they were.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protokeep.core.clean_up import ItemState, PlanAction, PlanItem
from protokeep.core.errors import InvalidInput
from protokeep.core.foreign_text import one_line
from protokeep.core.keep_rules import ABSOLUTE, REASONS, DeleteRule

#: The columns of a file. Only `action` may be changed.
COLUMNS = (
    "chat_id",
    "action",
    "rule",
    "reason",
    "name",
    "author_id",
    "group_id",
    "credits",
    "api_version",
    "fingerprint",
)
REQUIRED = ("chat_id", "action", "fingerprint")
#: A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "'")  # noqa: RUF001 - some take wide signs, too
#: Faults that one answer names. Further ones are counted.
FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Edit:
    """The action that a line of a file gives a chat."""

    line: int
    chat_id: str
    action: PlanAction


def cells_of(item: PlanItem) -> dict[str, str]:
    """An item as the cells of its line, for people and spreadsheets."""
    values = {
        "chat_id": item.chat_id,
        "action": item.action.value,
        "rule": item.rule,
        "reason": item.reason,
        "name": one_line(item.name),
        "author_id": item.author_id or "",
        "group_id": item.group_id or "",
        "credits": "" if item.credits is None else f"{item.credits:g}",
        "api_version": str(item.api_version),
        "fingerprint": item.fingerprint,
    }
    return {name: guarded(value) for name, value in values.items()}


def guarded(value: str) -> str:
    """`value`, so that no spreadsheet executes it."""
    return f"'{value}" if value.startswith(FORMULA_SIGNS) else value


def write_csv(items: Sequence[PlanItem]) -> str:
    """The items as CSV (RFC 4180), with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(cells_of(item) for item in items)
    return out.getvalue()


def write_json(items: Sequence[PlanItem]) -> str:
    """The items as a JSON list with one object a line."""
    lines = (json.dumps(cells_of(item), ensure_ascii=False) for item in items)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read_edits(content: str, items: Sequence[PlanItem]) -> list[Edit]:
    """The actions that a file gives the chats of a plan. Raises `InvalidInput`, which names the lines at fault."""
    known = {item.chat_id: item for item in items}
    edits: dict[str, Edit] = {}
    faults: list[str] = []
    for line, cells in _lines_of(content):
        try:
            edit = _edit_of(line, cells, known)
            if edit.chat_id in edits:
                raise ValueError(f"the chat is in line {edits[edit.chat_id].line}, too")
            edits[edit.chat_id] = edit
        except ValueError as fault:
            faults.append(f"line {line}: {fault}.")
    refuse(faults)
    if not edits:
        raise InvalidInput("The file has no lines. Send the exported list, with other actions.", field="content")
    return list(edits.values())


def refuse(faults: Sequence[str]) -> None:
    """Raises `InvalidInput` with the faults of a file, if there are any."""
    if faults:
        more = f" And {len(faults) - FAULTS_SHOWN} more." if len(faults) > FAULTS_SHOWN else ""
        shown = " ".join(faults[:FAULTS_SHOWN])
        raise InvalidInput(f"No plan was made. Correct the file, or export it again: {shown}{more}", field="content")


def edited(items: Sequence[PlanItem], edits: Sequence[Edit], by: str) -> list[PlanItem]:
    """The items with the actions of a file. Those that a person changed name the person."""
    actions = {edit.chat_id: edit.action for edit in edits}
    return [_with_action(item, actions.get(item.chat_id, item.action), by) for item in items]


def _with_action(item: PlanItem, action: PlanAction, by: str) -> PlanItem:
    fresh = replace(
        item,
        state=ItemState.PLANNED if action is PlanAction.DELETE else ItemState.PROTECTED,
        due_at=None,
        sent_at=None,
        undo_by=None,
        restored_as=None,
        attempts=0,
        archive_id=None,
        answer=None,
        version=0,
    )
    if action is item.action:
        return fresh
    rule, reason = DeleteRule.CHOSEN.value, REASONS[DeleteRule.CHOSEN]
    if action is PlanAction.KEEP:
        reason = "A person kept it in the list."
    return replace(fresh, action=action, rule=rule, reason=reason, decided_by=by)


def _edit_of(line: int, cells: Mapping[str, str], known: Mapping[str, PlanItem]) -> Edit:
    """Raises `ValueError`, which says what is wrong with the line."""
    lacking = [name for name in REQUIRED if not cells.get(name)]
    if lacking:
        raise ValueError(f"{lacking[0]} is missing")
    chat_id = cells["chat_id"]
    item = known.get(chat_id) or known.get(chat_id.removeprefix("'"))
    if item is None:
        raise ValueError("this chat is not in the plan")
    written = cells_of(item)
    if cells["fingerprint"] != written["fingerprint"]:
        raise ValueError("the fingerprint was changed")
    changed = [name for name in cells if name != "action" and cells[name] != written[name]]
    if changed:
        raise ValueError(f"{changed[0]} was changed, and only action may be")
    try:
        action = PlanAction(cells["action"].strip().lower())
    except ValueError:
        raise ValueError("action has to be keep or delete") from None
    if action is PlanAction.DELETE and item.action is PlanAction.KEEP and item.rule in ABSOLUTE:
        raise ValueError(f"it cannot be deleted. {item.reason.removesuffix('.')}")
    return Edit(line, item.chat_id, action)


def _lines_of(content: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(number of the line, its cells). Raises `InvalidInput` for a file that is neither CSV nor JSON."""
    text = content.removeprefix("\ufeff")
    read: Callable[[str], Iterator[tuple[int, Mapping[str, str]]]] = (
        _json_lines if text.lstrip().startswith("[") else _csv_lines
    )
    try:
        yield from read(text)
    except (csv.Error, ValueError, RecursionError) as error:
        raise InvalidInput(f"The file is not the list that was exported: {error}.", field="content") from error


def _json_lines(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    values: Any = json.loads(text)
    for number, value in enumerate(values, 2):
        if not isinstance(value, dict) or not all(isinstance(cell, str) for cell in value.values()):
            raise ValueError(f"line {number} is not an object of texts")
        _check_columns(list(value))
        yield number, value


def _csv_lines(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter, strict=True)
    columns = [name.strip() for name in next(reader, [])]
    _check_columns(columns)
    lacking = [name for name in REQUIRED if name not in columns]
    if lacking:
        raise ValueError(f"it has no column {lacking[0]}")
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            raise ValueError(f"line {reader.line_num} has {len(row)} cells, and {len(columns)} are expected")
        yield reader.line_num, dict(zip(columns, row, strict=True))


def _check_columns(columns: Sequence[str]) -> None:
    foreign = [name for name in columns if name not in COLUMNS]
    if foreign or len(set(columns)) != len(columns):
        what = one_line(foreign[0], 50) if foreign else "one of them twice"
        raise ValueError(f"its columns are {', '.join(COLUMNS)}, and it has {what}")
