"""Workspaces, keys and the audit at the command line: a key comes from standard input and is nowhere in clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from processes import run
from protokeep.sandbox import Sandbox, running

TEAM_KEY = "v1:team:0123456789-secret-3f9c"
MASTERS = "x" * 32, "y" * 32


def written_in(folder: Path) -> bytes:
    """All that the database's files hold."""
    return b"".join(file.read_bytes() for file in folder.glob("protokeep.db*"))


@pytest.mark.timeout(240)  # Four processes, on a machine that may be busy.
async def test_a_workspaces_key_is_set_resealed_listed_removed_and_audited(sqlite_url: str, tmp_path: Path) -> None:
    """
    Set, sealed anew, listed, removed, and the audit of it.
    """
    team = ("--workspace", "team")
    async with running(Sandbox()) as v0_url:
        values = {"PROTOKEEP_DATABASE_URL": sqlite_url, "V0_BASE_URL": v0_url, "PROTOKEEP_MASTER_KEYS": MASTERS[0]}
        key_set = await run(tmp_path, "keys", "set", *team, stdin=TEAM_KEY + "\n", **values)
        rotated = await run(tmp_path, "keys", "rotate", **{**values, "PROTOKEEP_MASTER_KEYS": ",".join(MASTERS[::-1])})
        values["PROTOKEEP_MASTER_KEYS"] = MASTERS[1]
        listed = await run(tmp_path, "keys", "list", *team, **values)
        audit = await run(tmp_path, "audit", *team, **values)

    everything = (key_set, rotated, listed, audit)
    assert [said.code for said in everything] == [0] * len(everything), [said.err for said in everything]
    assert "v0 takes it" in key_set.out
    assert rotated.out == "Sealed anew: 1.\n"
    assert "…3f9c  workspace team" in listed.out
    assert "CANNOT" not in listed.out
    assert [line.split()[2] for line in audit.out.splitlines()] == ["key_sealed_anew", "key_set"]
    written = "".join(said.out + said.err for said in everything).encode() + written_in(tmp_path)
    assert b"0123456789-secret" not in written
