"""What is fetched to build, check and try protokeep is pinned by digest, and runs no script of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OFFICIAL = ROOT / "tests" / "system" / "official"


def test_every_python_package_is_pinned_by_digest() -> None:
    """
    Each requirement names one version and its digests, and no address.
    """
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert [file.stem for file in files] == ["bench", "build", "dev", "docs", "lock", "runtime"]
    for file in files:
        requirements = re.split(r"\n(?=\S)", file.read_text().strip())
        assert [one for one in requirements if "==" not in one or "--hash=sha256:" not in one] == []
        assert "://" not in file.read_text()


def test_every_npm_package_is_pinned_by_digest() -> None:
    """
    The lock file has a digest for each package, holds what package.json asks for, and names no registry.
    """
    lock = json.loads((OFFICIAL / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert lock["packages"][""]["dependencies"] == json.loads((OFFICIAL / "package.json").read_text())["dependencies"]
    assert [name for name, entry in packages.items() if not entry.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


def test_every_installation_checks_digests_and_runs_no_scripts() -> None:
    """
    pip is told to require digests wherever it reads requirements; npm takes the lock file as it is, without scripts.
    """
    recipes = (ROOT / "Makefile").read_text() + (ROOT / "tools" / "setup.sh").read_text()
    installs = [line for line in recipes.splitlines() if "pip install" in line and " -r " in line]

    assert installs
    assert [line for line in installs if "--require-hashes" not in line] == []
    assert re.findall(r"npm (?:ci|install).*", recipes) == [
        "npm ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/system/official"
    ]
