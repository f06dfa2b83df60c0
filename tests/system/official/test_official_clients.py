"""v0's own clients (npm: v0-sdk 0.16 for v1, v0 3 for v2) against `protokeep sandbox`.

They are no part of what users need: the test runs where they are installed (`make official` does it),

    npm ci --ignore-scripts --prefix tests/system/official

or where PROTOKEEP_OFFICIAL_CLIENTS names a folder with its node_modules; elsewhere it says that it did not.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("PROTOKEEP_OFFICIAL_CLIENTS") or HERE)
FLOWS = ("create async", "poll", "list and page", "find by metadata", "follow-up", "stop", "delete", "errors")


def what_is_missing() -> str | None:
    """Why the official clients cannot run here, in words."""
    if shutil.which("node") is None:
        return "there is no node on this machine"
    missing = [name for name in ("v0", "v0-sdk") if not (FOLDER / "node_modules" / name).is_dir()]
    if missing:
        return (
            f"{' and '.join(missing)} are not in {FOLDER / 'node_modules'}: "
            "npm ci --ignore-scripts --prefix tests/system/official"
        )
    return None


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_v0s_own_clients_work_with_the_emulated_v0(version: str, tmp_path: Path) -> None:
    """
    Create, poll, list and page, find by metadata, follow up, stop, delete, errors: all as the vendor's client does it.
    """
    if reason := what_is_missing():
        pytest.skip(f"v0's OFFICIAL CLIENTS WERE NOT RUN: {reason}")
    command = "from protokeep.cli import app; app(['sandbox', '--port', '0', '--generation-seconds', '0.3'])"
    sandbox = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, stderr=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    try:
        assert sandbox.stderr is not None
        first_line = (await asyncio.wait_for(sandbox.stderr.readline(), 30)).decode()
        url = first_line.split("sandbox on ")[1].split()[0]
        (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
        shutil.copy(HERE / "flows.mjs", tmp_path)
        flows = await asyncio.create_subprocess_exec(
            "node",
            "flows.mjs",
            version,
            url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output, _ = await asyncio.wait_for(flows.communicate(), 60)
    finally:
        sandbox.terminate()
        await sandbox.wait()
    assert [f"{version} {name}: ok" for name in FLOWS] == output.decode().splitlines()
