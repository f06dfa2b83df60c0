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
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mutants.mutant import Mutant, sources

#: The tests that are asked. Those of pages, commands and clients reach the same code by longer ways.
TESTS = ["tests/core", "tests/service", "tests/store", "tests/system/recovery", "tests/system/schedules"]
TESTS += [f"tests/web/test_{name}.py" for name in ("audit", "pages", "tokens")]
TESTS += ["tests/identity/test_oidc_flow.py", "tests/system/access/test_workspaces.py"]
CONFIG = """[run]
source = src/protokeep/core, src/protokeep/service, src/protokeep/store
concurrency = thread, greenlet
data_file = {folder}/coverage
"""


#: Those that take longer come after all others.
SLOW_SECONDS = 5
#: Test -> how long it takes, and which lines of which file it runs.
Measured = dict[str, dict[str, Any]]


class Reach:
    """Tests by line, the most specific first: a test that runs little else is most likely about the line."""

    def __init__(self, root: Path, measured: Measured) -> None:
        self._root = root
        self._tests = list(measured)
        slow = [one["seconds"] > SLOW_SECONDS for one in measured.values()]
        breadth = (sum(map(len, one["lines"].values())) for one in measured.values())
        self._breadth = [(is_slow, lines) for is_slow, lines in zip(slow, breadth, strict=True)]
        self._lines: defaultdict[str, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for test, one in enumerate(measured.values()):
            for path, lines in one["lines"].items():
                for line in lines:
                    self._lines[path][line].add(test)

    def tests_of(self, mutant: Mutant, most: int) -> list[str]:
        """At most so many tests to run for a change; of those that differ in their values only, one after the other."""
        if mutant.path.endswith(".sql"):
            found = self._of_query(Path(mutant.path).stem)
        else:
            found = self._of_change(mutant)
        reached = [self._tests[test] for test in self._ordered(found)[:most]]
        return list(dict.fromkeys([*mutant.tests, *reached]))

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
        first, last = _statement(ast.parse(text), mutant.line(text))
        found = self._at(mutant.path, range(first, last + 1))
        # What runs at import is run by no test: then whatever uses the file.
        return found or {test for reached in self._lines[mutant.path].values() for test in reached}

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
        reached = self._lines[path]
        return {test for line in lines for test in reached.get(line, ())}


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
    """The map. Where only some files of tests changed since it was made, only those run again."""
    kept = folder / "reach.json"
    shared, files = _state(root)
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() and not anew else {}
    if known.get("shared") != shared:
        known = {"files": {}, "measured": {}}
    changed = [name for name, digest in files.items() if known["files"].get(name) != digest]
    measured: Measured = {
        test: one
        for test, one in known["measured"].items()
        if (name := test.partition("::")[0]) in files and name not in changed
    }
    if changed:
        print(f"mutants: finding out which lines {len(changed)} files of tests run ...", flush=True)
        measured |= _measured(root, folder, changed)
        kept.write_text(json.dumps({"shared": shared, "files": files, "measured": measured}))
    return Reach(root, measured)


def _state(root: Path) -> tuple[str, dict[str, str]]:
    """(changes with the code and what tests share, file of tests -> changes with it)."""
    helpers = [path for path in sorted((root / "tests").glob("**/*.py")) if not path.name.startswith("test_")]
    shared = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources(root), *helpers])).hexdigest()
    named = [root / name for name in TESTS]
    tests = [path for name in named for path in ([name] if name.suffix else sorted(name.glob("test_*.py")))]
    return shared, {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in tests if path.exists()
    }


def _measured(root: Path, folder: Path, files: Sequence[str]) -> Measured:
    from coverage import CoverageData

    (folder / "measured.ini").write_text(CONFIG.format(folder=folder))
    junit = folder / "junit.xml"
    for old in (junit, folder / "coverage"):
        old.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses", "2", "--cov"]
    command += [f"--cov-config={folder / 'measured.ini'}", "--cov-context=test", "--cov-report=", f"--junitxml={junit}"]
    with (folder / "reach.log").open("w") as log:
        subprocess.run([*command, *files], cwd=root, stdout=log, stderr=log, check=False)
    if not junit.exists() or not (folder / "coverage").exists():
        raise RuntimeError(f"the tests did not run; see {folder / 'reach.log'}")
    passed = dict(_passed(junit))
    data = CoverageData(basename=str(folder / "coverage"))
    data.read()
    measured: Measured = {}
    for file in sorted(data.measured_files()):
        path = str(Path(file).relative_to(root))
        for line, contexts in data.contexts_by_lineno(file).items():
            for test in (context.removesuffix("|run") for context in contexts if context.endswith("|run")):
                if (name := _junit_name(test)) in passed:
                    one = measured.setdefault(test, {"seconds": passed[name], "lines": {}})
                    one["lines"].setdefault(path, []).append(line)
    return measured


def _passed(junit: Path) -> Iterator[tuple[str, float]]:
    """Tests that pass by themselves; one that fails without a change says nothing about changes."""
    for case in ElementTree.parse(junit).getroot().iter("testcase"):  # noqa: S314 - our own file
        if not {"failure", "error", "skipped"} & {child.tag for child in case}:
            yield f"{case.get('classname')}.{case.get('name')}", float(case.get("time", "0"))


def _junit_name(test: str) -> str:
    path, _, rest = test.partition(".py::")
    name, bracket, values = rest.partition("[")
    return f"{path.replace('/', '.')}.{name.replace('::', '.')}{bracket}{values}"
