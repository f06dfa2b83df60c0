"""Fails when a module of `src` is longer than 400 lines, or a function longer than 40: `python tools/lengths.py`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40


def too_long(path: Path) -> Iterator[str]:
    """A line for each thing in a module that is too long."""
    source = path.read_text(encoding="utf-8")
    lines = len(source.splitlines())
    if lines > MODULE_LINES:
        yield f"{path}: {lines} lines, at most {MODULE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    found = [
        line for path in sorted(Path("src").rglob("*.py")) if "versions" not in path.parts for line in too_long(path)
    ]
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)
