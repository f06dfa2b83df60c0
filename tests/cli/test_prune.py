"""`protokeep prune` as an operator calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protokeep.cli import app


def test_prune_counts_and_moves_old_lines_of_the_audit_only_where_a_setting_says_so(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    Without an age no line of the audit may go, and no file is made; with one, a private file holds what went.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", sqlite_url)
    runner = CliRunner()
    refused = runner.invoke(app, ["prune", "--audit-to", "audit.jsonl"])
    assert (refused.exit_code, "PROTOKEEP_AUDIT_DAYS" in refused.stderr) == (2, True)
    assert not (tmp_path / "audit.jsonl").exists()
    monkeypatch.setenv("PROTOKEEP_AUDIT_DAYS", "1")

    dry = json.loads(runner.invoke(app, ["prune", "--dry-run", "--json"]).stdout)
    assert dry == {
        "dry_run": True, "idempotency_keys": 0, "events": 0, "pictures": 0,
        "audit_lines": 0, "audit_file": None, "audit_sha256": None,
    }  # fmt: skip
    done = runner.invoke(app, ["prune", "--audit-to", "audit.jsonl", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["audit_file"] == str(tmp_path / "audit.jsonl")
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600
