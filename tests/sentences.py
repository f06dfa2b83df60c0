"""
Every sentence that a person can meet, with its place: templates, scripts, messages in the code, help of commands and
tools, descriptions of the API, and the documentation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "protokeep"

#: The rooms whose docstrings are read by people: help of commands, descriptions of tools and of the API's routes.
DOCSTRINGS_ARE_READ = ("cli/", "mcp/tools.py", "web/")

#: The emulated v0 speaks as v0 does, and migrations speak SQL.
NOT_OURS = ("sandbox/", "store/migrations/", "store/queries/")

#: An attribute of HTML that is read aloud or shown.
_READ_ATTRIBUTE = re.compile(r'\b(?:aria-label|title|placeholder|alt|data-[a-z-]*(?:say|text|confirm))="([^"]*)"')
_QUOTED = re.compile(r"""'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`""")
_REGISTERS = re.compile(r"\.(command|callback|get|post|put|delete|tool)\(")
_TWO_WORDS = re.compile(r"[A-Za-z']{2,}[.,:;!?]* +[A-Za-z']")


@dataclass(frozen=True, slots=True)
class Sentence:
    """`place` is a file and a line."""

    place: str
    text: str


def every_sentence() -> Iterator[Sentence]:
    """All of them, in the order of the files."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.relative_to(PACKAGE).as_posix().startswith(NOT_OURS):
            yield from _of_module(path)
    for path in sorted((PACKAGE / "web" / "templates").rglob("*.html")):
        yield from _of_template(path)
    for path in sorted((PACKAGE / "web" / "static").rglob("*.js")):
        yield from _of_script(path)
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        yield from _of_page(path)


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{line}"


def _of_module(path: Path) -> Iterator[Sentence]:
    """Texts of two words or more in the code; docstrings only where people read them."""
    tree = ast.parse(path.read_text())
    docstrings = dict(_docstrings(tree))
    name = path.relative_to(PACKAGE).as_posix()
    are_read = name.startswith(DOCSTRINGS_ARE_READ) and not name.startswith("web/pages/")
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            text = "".join(_piece(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = node.value
            if id(node) in docstrings and not (are_read and _is_shown(docstrings[id(node)])):
                continue
        else:
            continue
        if _TWO_WORDS.search(text):
            yield Sentence(_place(path, node.lineno), " ".join(text.split()))


def _piece(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    return "{" + ast.unparse(part.value) + "}" if isinstance(part, ast.FormattedValue) else ""


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, ast.AST]]:
    """Each docstring's constant by its identity, and what it describes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield id(first.value), node


def _is_shown(node: ast.AST) -> bool:
    """Whether a docstring is help of a command, a tool or a route."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return False
    decorators = [ast.unparse(one) for one in node.decorator_list]
    return any(_REGISTERS.search(one) for one in decorators) or (not decorators and _takes_options(node))


def _takes_options(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command that is registered by its group has options; a tool has the context of its call."""
    return re.search(r"\bAsJson\b|\bctx\b", ast.unparse(node.args)) is not None


def _of_template(path: Path) -> Iterator[Sentence]:
    """What is between tags, attributes that are read, and texts inside of expressions."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for code in re.findall(r"{[{%](.*?)[%}]}", line):
            for found in _QUOTED.finditer(code):
                text = next(one for one in found.groups() if one is not None)
                if _TWO_WORDS.search(text):
                    yield Sentence(_place(path, number), text)
        bare = re.sub(r"{%.*?%}|{#.*?#}", " ", re.sub(r"{{.*?}}", "…", line))
        for attribute in _READ_ATTRIBUTE.findall(bare):
            if attribute.strip("… "):
                yield Sentence(_place(path, number), attribute)
        text = " ".join(re.sub(r"</?(?:b|i|a|code|mark|time|kbd|em|strong|span)\b[^>]*>", "", bare).split())
        for piece in re.split(r"<[^>]*>|^[^<]*>", text):
            if re.search(r"[A-Za-z]{2}", piece):
                yield Sentence(_place(path, number), piece.strip())


def _of_script(path: Path) -> Iterator[Sentence]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for found in _QUOTED.finditer(re.sub(r"//.*", "", line)):
            text = next(one for one in found.groups() if one is not None)
            if _TWO_WORDS.search(text):
                yield Sentence(_place(path, number), text)


def _of_page(path: Path) -> Iterator[Sentence]:
    """The lines of a page of documentation, without blocks of code."""
    in_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith("    ") and line.strip():
            yield Sentence(_place(path, number), line.strip())
