"""Which tests run which line. Made once by running the tests under coverage, and again when code or tests changed."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mutants.mutant import Mutant, sources

#: The tests that are asked. Those of pages, commands and clients reach the same code by longer ways.
TESTS = ["tests/core", "tests/service", "tests/store", "tests/recovery", "tests/conformance", "tests/properties"]
TESTS += [
    f"tests/access/test_{name}.py"
    for name in ("audit", "caps", "hooks_of_keys", "keys", "refused_sign_ins", "sign_on", "tokens", "vault")
]
TESTS += ["tests/access/test_workspaces.py"]
CONFIG = """[run]
source = src/protokeep/core, src/protokeep/service, src/protokeep/store
concurrency = thread, greenlet
data_file = {folder}/coverage
"""


class Reach:
    """Tests by line, the most specific first: a test that runs little else is most likely about the line."""

    def __init__(self, root: Path, made: dict[str, Any]) -> None:
        self._root = root
        self._tests: list[str] = made["tests"]
        self._seconds: list[float] = made["seconds"]
        self._lines: dict[str, dict[str, list[int]]] = made["lines"]
        self._breadth: defaultdict[int, int] = defaultdict(int)
        for lines in self._lines.values():
            for reached in lines.values():
                for test in reached:
                    self._breadth[test] += 1

    def tests_of(self, mutant: Mutant, budget: float) -> list[str]:
        """The tests to run for a change, for at most so many seconds; a test of each kind of database in turns."""
        if mutant.path.endswith(".sql"):
            found = self._of_query(Path(mutant.path).stem)
        else:
            found = self._of_change(mutant)
        chosen: list[str] = []
        spent = 0.0
        for test in self._ordered(found):
            spent += self._seconds[test]
            if chosen and spent > budget:
                break
            chosen.append(self._tests[test])
        return chosen

    def _ordered(self, found: Iterable[int]) -> list[int]:
        rounds: defaultdict[str, int] = defaultdict(int)
        keyed = []
        for test in sorted(found, key=lambda test: (self._breadth[test], self._tests[test])):
            function = self._tests[test].partition("[")[0]
            keyed.append((rounds[function], self._breadth[test], test))
            rounds[function] += 1
        return [test for _, _, test in sorted(keyed)]

    def _of_change(self, mutant: Mutant) -> set[int]:
        text = (self._root / mutant.path).read_text(encoding="utf-8")
        line = mutant.line(text)
        first, last = _statement(ast.parse(text), line)
        found = self._at(mutant.path, range(first, last + 1))
        # What runs at import is run by no test: then whatever uses the file.
        return found or {test for reached in self._lines.get(mutant.path, {}).values() for test in reached}

    def _of_query(self, name: str) -> set[int]:
        """Tests that run a line which names the query."""
        named = re.compile(rf'"{name}"|statements\.{name}\b')
        found: set[int] = set()
        for path in sorted((self._root / "src/protokeep/store").glob("*.py")):
            if path.name == "statements.py":
                continue
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text)
            for number, line in enumerate(text.splitlines(), 1):
                if named.search(line):
                    first, last = _statement(tree, number)
                    found |= self._at(str(path.relative_to(self._root)), range(first, last + 1))
        return found or self._at("src/protokeep/store/claiming.py", range(1, 1000))

    def _at(self, path: str, lines: Iterable[int]) -> set[int]:
        reached = self._lines.get(path, {})
        return {test for line in lines for test in reached.get(str(line), ())}


def _statement(tree: ast.Module, line: int) -> tuple[int, int]:
    """First and last line of the innermost statement at a line; of one with a body, only its head."""
    best = (line, line)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.end_lineno is not None and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            if line <= max(last, node.lineno) and node.lineno >= best[0] - (line - node.lineno):
                best = (node.lineno, max(last, node.lineno))
    return best


def reach_of(root: Path, folder: Path, *, anew: bool = False) -> Reach:
    """The map, from `folder` when it is still true."""
    kept = folder / "reach.json"
    state = _state(root)
    if not anew and kept.exists():
        made = json.loads(kept.read_text())
        if made["state"] == state:
            return Reach(root, made)
    print("mutants: finding out which tests run which lines (some minutes) ...", flush=True)
    made = {"state": state, **_measured(root, folder)}
    kept.write_text(json.dumps(made))
    return Reach(root, made)


def _state(root: Path) -> str:
    """Changes with the code and the tests."""
    digest = hashlib.sha256()
    tests = (path for name in TESTS for path in ([root / name] if name.endswith(".py") else (root / name).glob("*.py")))
    for path in [*sources(root), *sorted(tests)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _measured(root: Path, folder: Path) -> dict[str, Any]:
    from coverage import CoverageData

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured.ini").write_text(CONFIG.format(folder=folder))
    junit = folder / "junit.xml"
    for old in (junit, folder / "coverage"):
        old.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses", "2", "--cov"]
    command += [f"--cov-config={folder / 'measured.ini'}", "--cov-context=test", "--cov-report=", f"--junitxml={junit}"]
    with (folder / "reach.log").open("w") as log:
        subprocess.run([*command, *TESTS], cwd=root, stdout=log, stderr=log, check=False)
    if not junit.exists() or not (folder / "coverage").exists():
        raise RuntimeError(f"the tests did not run; see {folder / 'reach.log'}")
    passed = dict(_passed(junit))
    data = CoverageData(basename=str(folder / "coverage"))
    data.read()
    tests: dict[str, int] = {}
    lines: dict[str, dict[str, list[int]]] = {}
    for file in sorted(data.measured_files()):
        reached: dict[str, list[int]] = {}
        for line, contexts in data.contexts_by_lineno(file).items():
            named = {context.removesuffix("|run") for context in contexts if context.endswith("|run")}
            known = [test for test in sorted(named) if _junit_name(test) in passed]
            reached[str(line)] = [tests.setdefault(test, len(tests)) for test in known]
        lines[str(Path(file).relative_to(root))] = reached
    seconds = [passed[_junit_name(test)] for test in tests]
    return {"tests": list(tests), "seconds": seconds, "lines": lines}


def _passed(junit: Path) -> Iterator[tuple[str, float]]:
    """Tests that pass by themselves; one that fails without a change says nothing about changes."""
    for case in ElementTree.parse(junit).getroot().iter("testcase"):  # noqa: S314 - our own file
        if not {"failure", "error", "skipped"} & {child.tag for child in case}:
            yield f"{case.get('classname')}.{case.get('name')}", float(case.get("time", "0"))


def _junit_name(test: str) -> str:
    path, _, rest = test.partition(".py::")
    name, bracket, values = rest.partition("[")
    return f"{path.replace('/', '.')}.{name.replace('::', '.')}{bracket}{values}"
