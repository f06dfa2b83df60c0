"""What a release consists of: a wheel that works with what it names alone, and the same bytes from the same tree."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from protokeep import __version__
from tools import release_notes, sbom

ROOT = Path(__file__).parents[2]
#: What stands between "protokeep" and the demo's answer, on a machine that has much to do.
PATIENCE = 60
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- What comes next.

## [0.2.0] - 2027-01-15

### Changed

- The second.

## [0.1.0] - 2026-12-01

- The first.

[0.1.0]: v0.1.0
"""


@pytest.fixture(scope="module", name="made")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("dist"))


def make_release(folder: Path, **environment: str) -> Path:
    """All files of a release, made in a folder of their own."""
    command = [sys.executable, str(ROOT / "tools" / "dist.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    return folder


def test_the_same_tree_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """
    Wheel, source archive, bill and notes do not depend on the time, the zone, the umask or the order of hashes.
    """
    before = os.umask(0o077)
    try:
        again = make_release(tmp_path / "again", TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    finally:
        os.umask(before)

    names = sorted(path.name for path in made.iterdir())
    assert names == [
        "SHA256SUMS",
        *(f"protokeep-{__version__}{end}" for end in ("-py3-none-any.whl", ".cdx.json", ".notes.md", ".tar.gz")),
    ]
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }


def test_the_wheel_has_every_file_of_the_package_and_no_other(made: Path) -> None:
    """
    SQL, migrations, templates and static files are in the wheel; bytecode and what a run leaves behind are not.
    """
    files = {path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel_of(made)) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in files}


def test_the_bill_of_materials_is_valid_and_names_every_pin(made: Path) -> None:
    """
    The bill satisfies CycloneDX's own schema, has each pinned package with its digests, and nothing that only builds.
    """
    text = (made / f"protokeep-{__version__}.cdx.json").read_text()
    pinned = re.findall(r"^([\w.-]+)(?:\[.*?\])?==([\w.]+)", sbom.RUNTIME.read_text(), re.M)
    bill = json.loads(text)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert [(part["name"], part["version"]) for part in bill["components"]] == pinned
    assert [part["name"] for part in bill["components"] if not part["externalReferences"][0]["hashes"]] == []
    assert "hatchling" not in dict(pinned)
    assert {part["name"]: part["licenses"] for part in bill["components"] if part["name"] == "alembic"} == {
        "alembic": [{"expression": "MIT"}]
    }


def test_notes_are_cut_at_the_next_version() -> None:
    """
    The notes of a version are what stands below its heading; a version that has none gives none.
    """
    assert release_notes.notes_of(CHANGELOG, "0.2.0") == "### Changed\n\n- The second.\n"
    assert release_notes.notes_of(CHANGELOG, "0.1.0") == "- The first.\n"
    assert release_notes.notes_of(CHANGELOG, "Unreleased") == "### Added\n\n- What comes next.\n"
    assert release_notes.notes_of(CHANGELOG, "0.1") is None


def test_a_demo_runs_from_the_wheel_and_its_pins_alone(made: Path, tmp_path: Path) -> None:
    """
    With the wheel and what requirements/runtime.txt pins, and neither extras nor the checkout, the demo serves pages,
    their files and a prototype: what `uvx protokeep demo` and `pipx run protokeep demo` do.
    """
    program = install(wheel_of(made), tmp_path / "env")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    places = "import protokeep, importlib.util as u; print(protokeep.__file__, u.find_spec('agno'))"
    place = subprocess.check_output([program.with_name("python"), "-c", places], cwd=tmp_path, text=True)
    version = subprocess.check_output([program, "--version"], cwd=tmp_path, env=environment, text=True)

    assert place.startswith(str(tmp_path / "env"))
    assert place.endswith(" None\n")
    assert version.split()[-1] == __version__
    with demo_of(program, tmp_path, environment) as (url, token), httpx2.Client(base_url=url, trust_env=False) as http:
        page = http.get("/sign-in")
        asset = re.search(r'href="(/static/[^"]+\.css[^"]*)"', page.text)
        wish = {"product_id": "shop", "prompt": "A landing page for a bakery"}
        answer = http.post("/api/design/create-project", json=wish, headers={"Authorization": f"Bearer {token}"})

        assert asset is not None
        assert http.get(asset[1]).headers["content-type"].startswith("text/css")
        assert answer.status_code in {201, 202}


def wheel_of(made: Path) -> Path:
    """The one wheel of a release."""
    (wheel,) = made.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The program `protokeep` of a new environment that holds the wheel and links to the pinned packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-qq", str(wheel)]
    subprocess.run([*command, "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in re.findall(r"^([\w.-]+)", sbom.RUNTIME.read_text(), re.M):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # It is for another system.
            _link(importlib.metadata.distribution(name), packages)
    return folder / "bin" / "protokeep"


def _link(package: importlib.metadata.Distribution, packages: Path) -> None:
    for file in package.files or ():
        place = packages / file
        if ".." not in file.parts and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(Path(str(file.locate())).resolve())


@contextlib.contextmanager
def demo_of(program: Path, folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The address and the token of a demo that runs."""
    command = [str(program), "demo", "--port", "0", "--sandbox-port", "0"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"PROTOKEEP_URL=(\S+) PROTOKEEP_TOKEN=(\S+)", line):
                break
        else:
            raise AssertionError(f"the demo ended with {process.wait(PATIENCE)} before it printed a token")
        yield found[1], found[2]
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
