"""Mutants of SQL files: conditions that are dropped or turned round, comparisons, settings, orders."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mutants.mutant import Mutant

COMPARISON = re.compile(r"(?<![<>!:=])(<=|>=|<>|<|>|=)(?![<>=])")
COMPARED = {"<=": ("<", ">"), ">=": (">", "<"), "<": ("<=", ">"), ">": (">=", "<"), "=": ("<>",), "<>": ("=",)}
#: Where a condition begins.
CONDITION = re.compile(r"\b(WHERE|AND|OR|WHEN|ON)\b(?!\s+CONFLICT)")
#: Where it ends, unless a parenthesis ends it before.
END = re.compile(r"\b(AND|OR|THEN|ORDER|GROUP|LIMIT|RETURNING|UNION|ON|JOIN|LEFT)\b")
WORDS = [
    (re.compile(r"\bIS NULL\b"), "IS NOT NULL"),
    (re.compile(r"\bIS NOT NULL\b"), "IS NULL"),
    (re.compile(r"\bNOT EXISTS\b"), "EXISTS"),
    (re.compile(r"\bDESC\b"), "ASC"),
    (re.compile(r"\bMIN\("), "MAX("),
]


def mutants_of(path: str, text: str) -> list[Mutant]:
    """Every mutant of one statement. Comments and the words in quotes are left alone."""
    code = re.sub(r"--[^\n]*|'[^']*'", lambda found: " " * len(found[0]), text)
    found = [*_conditions(code), *_settings(code), *_words(code)]
    return [Mutant(path, start, end, new, what) for start, end, new, what in dict.fromkeys(found)]


Change = tuple[int, int, str, str]


def _conditions(code: str) -> Iterator[Change]:
    for keyword in CONDITION.finditer(code):
        start, end = keyword.end(), _end_of(code, keyword.end())
        condition = code[start:end].rstrip()
        if not condition.strip() or condition.strip() == "TRUE":
            continue
        end = start + len(condition)
        word = keyword[1]
        shown = " ".join(condition.split())
        if word in ("AND", "OR"):
            yield keyword.start(), end, "", f"drop the condition `{word} {shown}`"
            other = "OR" if word == "AND" else "AND"
            yield keyword.start(), keyword.end(), other, f"`{word}` becomes `{other}`"
        elif word != "WHEN":
            yield start, end, " TRUE", f"drop the condition `{shown}`"
        for comparison in COMPARISON.finditer(condition):
            at = start + comparison.start()
            for new in COMPARED[comparison[1]]:
                yield at, at + len(comparison[1]), new, f"`{shown}` with `{new}`"


def _end_of(code: str, start: int) -> int:
    """Where the condition that begins at `start` ends."""
    depth = 0
    position = start
    while position < len(code):
        if code[position] == "(":
            depth += 1
        elif code[position] == ")":
            depth -= 1
            if depth < 0:
                return position
        elif (
            depth == 0
            and position > start
            and (found := END.match(code, position))
            and not code[position - 1].isalnum()
        ):
            return found.start()
        position += 1
    return position


def _settings(code: str) -> Iterator[Change]:
    """`SET name = value`: the column keeps its value."""
    target = re.search(r"\b(?:UPDATE|INSERT INTO)\s+(\w+)", code)
    for clause in re.finditer(r"\bSET\b", code):
        position = clause.end()
        end = min((found.start() for found in re.finditer(r"\bWHERE\b|\bRETURNING\b", code[position:])), default=None)
        stop = len(code) if end is None else position + end
        for start, after in _items(code, position, stop):
            named = re.match(r"\s*(\w+)\s*=", code[start:after])
            if named is not None and target is not None:
                value = start + named.end()
                shown = " ".join(code[start:after].split())
                yield value, start + len(code[start:after].rstrip()), f" {target[1]}.{named[1]}", f"drop `SET {shown}`"


def _items(code: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The parts between commas that stand in no parentheses."""
    depth, begin = 0, start
    for position in range(start, stop):
        depth += {"(": 1, ")": -1}.get(code[position], 0)
        if code[position] == "," and depth == 0:
            yield begin, position
            begin = position + 1
    yield begin, stop


def _words(code: str) -> Iterator[Change]:
    for pattern, new in WORDS:
        for found in pattern.finditer(code):
            yield found.start(), found.end(), new, f"`{found[0]}` becomes `{new}`"
