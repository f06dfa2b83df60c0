"""`protokeep census`, run as people run it, against a served protokeep and an old account."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from censuses import AT_ONCE
from command_forks import run_command
from live_server import Demo, demo
from protokeep.settings import Settings


def _run(served: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PROTOKEEP_")}
    env |= served.environment | {"PROTOKEEP_TOKEN": served.admin_token}
    return run_command(["census", *arguments], env)


def test_an_account_is_read_looked_at_and_reclaimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The way of an admin: scan and wait, look, pin, adopt, export, and scan once more.
    """
    monkeypatch.setattr(Settings, "timing", property(lambda _: AT_ONCE))
    with demo(tmp_path) as served:
        served.seed(chats=12)
        early = _run(served, "show")
        scanned = _run(served, "scan", "--to-end", "--seconds", "50")
        shown = json.loads(_run(served, "show", "--json").stdout)
        chats = json.loads(_run(served, "chats", "--content", "finished", "--json").stdout)
        first = chats[0]["chat_id"]
        pinned = _run(served, "pin", first, "--reason", "for the board")
        adopted = _run(served, "adopt", "shop", "--chat", first, "--name", "Shop")
        listed = _run(served, "chats", "--product", "shop", "--pinned")
        groups = _run(served, "groups")
        unpinned = _run(served, "unpin", first)
        exported = _run(served, "export", "--format", "json", "--output", str(tmp_path / "chats.json"))
        printed = _run(served, "export").stdout
        saved = json.loads(_run(served, "export", "--output", str(tmp_path / "chats.csv"), "--json").stdout)
        refused = _run(served, "export", "--output", str(tmp_path / "chats.csv"))
        replaced = _run(served, "export", "--output", str(tmp_path / "chats.csv"), "--force")
        listed_json = json.loads(_run(served, "unpin", first, "--json").stdout)
        cancelled = _run(served, "cancel")
        again = json.loads(_run(served, "scan", "--no-wait", "--json").stdout)
        unknown = _run(served, "pin", "nothing")

        assert "not scanned yet" in early.stdout
        assert scanned.returncode == 0, scanned.stderr
        assert "in all" in scanned.stdout
        assert "reading the list of chats" in scanned.stderr
        assert shown["census"]["state"] == "done"
        assert shown["summary"]["total"]["chats"] == 12
        assert (pinned.stdout, unpinned.stdout) == (f"{first}  pinned\n", f"{first}  not pinned\n")
        assert f"{first}  adopted  * the product's prototype" in adopted.stdout
        assert first in listed.stdout
        assert groups.returncode == 0
        assert exported.returncode == 0
        assert len(json.loads((tmp_path / "chats.json").read_text())["chats"]) == 12
        assert (tmp_path / "chats.csv").read_text().splitlines() == printed.splitlines()
        assert (refused.returncode, "exists. Name another file, or add --force." in refused.stderr) == (1, True)
        assert (replaced.returncode, (tmp_path / "chats.csv").stat().st_mode & 0o777) == (0, 0o600)
        assert saved["bytes"] == (tmp_path / "chats.csv").stat().st_size
        assert [(one["chat_id"], one["pinned_by"]) for one in listed_json] == [(first, None)]
        assert "scan done" in cancelled.stdout
        assert (again["state"], again["is_whole"]) == ("running", False)
        assert (unknown.returncode, "`protokeep census chats` lists its chats" in unknown.stderr) == (1, True)
