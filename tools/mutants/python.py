"""Mutants of Python source: every change is made on the syntax tree's positions, so that the rest stays as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutants.mutant import Mutant

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
#: Calls whose words and existence no test has to notice.
SILENT = {"log"}


class _Places:
    """Where the nodes of one file stand, as offsets of characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """Syntax trees count columns in bytes."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        end = self.offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return self.offset(node.lineno, node.col_offset), end

    def code(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        start, end = self.span(node)
        return self.text[start:end]


def mutants_of(path: str, text: str) -> list[Mutant]:
    """Every mutant of one file. What stands outside functions is left alone: names, limits and tuning constants."""
    places = _Places(text)
    found: list[Mutant] = []
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name != "__repr__":
            for statement in function.body:
                for start, end, new, what in _of(statement, places):
                    found.append(Mutant(path, start, end, new, what))
    return list({(one.start, one.end, one.new): one for one in found}.values())


Change = tuple[int, int, str, str]


def _of(node: ast.AST, places: _Places) -> Iterator[Change]:
    """The changes at a node, and at all that it consists of."""
    if _is_silent(node):
        return
    yield from _here(node, places)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(node, ast.AnnAssign) and child is node.annotation:
                continue
            yield from _of(child, places)


def _is_silent(node: ast.AST) -> bool:
    """Whether it only speaks: a docstring, a log line, the words of an error."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in SILENT
    return False


def _here(node: ast.AST, places: _Places) -> Iterator[Change]:
    """The changes of one node, without those of the nodes inside it."""
    yield from _expression(node, places)
    yield from _statement(node, places)


def _expression(node: ast.AST, places: _Places) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[op]):
            yield from _comparison(node, op, places)
        case ast.BoolOp():
            yield from _boolean(node, places)
        case ast.UnaryOp(op=ast.Not()):
            yield *places.span(node), places.code(node.operand), "drop `not`"
        case ast.Constant(value=bool() as value):
            yield *places.span(node), str(not value), f"`{value}` becomes `{not value}`"
        case ast.Constant(value=int() as value):
            yield *places.span(node), str(value + 1), f"`{value}` becomes `{value + 1}`"
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            yield from _arithmetic(node, places)
        case ast.Call():
            yield from _call(node, places)


def _statement(node: ast.AST, places: _Places) -> Iterator[Change]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield *places.span(test), f"not ({places.code(test)})", "negate the condition"
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield *places.span(node), "pass", "drop the call"
        case ast.Raise():
            yield *places.span(node), "pass", "drop the `raise`"
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield *places.span(node), "return None", "return None"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _between(left: ast.expr, right: ast.expr, places: _Places) -> tuple[int, int]:
    """Where the operator between two operands stands, with the blanks around it; parentheses are not part of it."""
    start, end = places.span(left)[1], places.span(right)[0]
    while places.text[start] in ")\n":
        start += 1
    while places.text[end - 1] in "(\n":
        end -= 1
    return start, end


def _comparison(node: ast.Compare, op: ast.cmpop, places: _Places) -> Iterator[Change]:
    start, end = _between(node.left, node.comparators[0], places)
    old = places.text[start:end].strip()
    for new in COMPARISONS.get(type(op), ()):
        yield start, end, f" {new} ", f"`{old}` becomes `{new}`"


def _boolean(node: ast.BoolOp, places: _Places) -> Iterator[Change]:
    word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    span = places.span(node)
    codes = [f"({places.code(value)})" for value in node.values]
    yield *span, f" {other} ".join(codes), f"`{word}` becomes `{other}`"
    for dropped, value in enumerate(node.values):
        rest = [code for number, code in enumerate(codes) if number != dropped]
        code = " ".join(places.code(value).split())
        left = rest[0] if len(rest) == 1 else f"({f' {word} '.join(rest)})"
        yield *span, left, f"drop the condition `{code}`"


def _arithmetic(node: ast.BinOp, places: _Places) -> Iterator[Change]:
    if any(isinstance(side, ast.Constant | ast.JoinedStr) and not _is_number(side) for side in (node.left, node.right)):
        return
    start, end = _between(node.left, node.right, places)
    old, new = ("+", "-") if isinstance(node.op, ast.Add) else ("-", "+")
    yield start, end, f" {new} ", f"`{old}` becomes `{new}`"


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _call(node: ast.Call, places: _Places) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id in SWAPPED_CALLS:
        new = SWAPPED_CALLS[node.func.id]
        yield *places.span(node.func), new, f"`{node.func.id}` becomes `{new}`"
    for keyword in node.keywords:
        if keyword.arg is None:
            continue
        start, end = places.span(keyword)
        after = end
        while places.text[after] in " \n":
            after += 1
        if places.text[after] == ",":
            yield start, after + 1, "", f"drop the argument `{keyword.arg}`"
        elif len(node.args) + len(node.keywords) == 1:
            yield start, end, "", f"drop the argument `{keyword.arg}`"
