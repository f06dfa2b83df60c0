"""Workspaces, keys and the audit at the command line: a key comes from standard input and is nowhere in clear."""

from __future__ import annotations

import json
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
    assert "v0 accepts it" in key_set.out
    assert rotated.out == "Encrypted again: 1.\n"
    assert "…3f9c  workspace team" in listed.out
    assert "CANNOT" not in listed.out
    assert [line.split()[2] for line in audit.out.splitlines()] == ["key_sealed_anew", "key_set"]
    written = "".join(said.out + said.err for said in everything).encode() + written_in(tmp_path)
    assert b"0123456789-secret" not in written


@pytest.mark.timeout(240)
async def test_a_list_of_peoples_keys_is_imported_line_by_line(database_url: str, tmp_path: Path) -> None:
    """
    Refused, set and unchanged, each said of its line; a second import sets the rest. No key is printed.
    """
    keys = {person: f"v1:{person}:0123456789-secret-3f9c" for person in ("ana", "ben")}
    csv = "user_id,key\n" + "".join(f"{person},{key}\n" for person, key in keys.items())
    as_json = json.dumps([{"user_id": person, "key": key} for person, key in keys.items()])
    sandbox = Sandbox()
    sandbox.set_knobs(fail_next=[{"status": 401}])
    async with running(sandbox) as v0_url:
        values = {
            "PROTOKEEP_DATABASE_URL": database_url,
            "PROTOKEEP_SECRET_KEY": "s" * 40,
            "V0_BASE_URL": v0_url,
            "PROTOKEEP_MASTER_KEYS": MASTERS[0],
        }
        first = await run(tmp_path, "keys", "import", stdin=csv, **values)
        second = await run(tmp_path, "keys", "import", stdin=as_json, **values)
        listed = await run(tmp_path, "keys", "list", **values)

    assert (first.code, second.code) == (1, 0), (first, second)
    assert "line 2: ana: refused. v0 rejected this key" in first.err
    assert first.out.splitlines() == ["line 3: ben: set …3f9c, v0 accepts it", "Set: 1. Unchanged: 0. Refused: 1."]
    assert second.out.splitlines() == [
        "line 1: ana: set …3f9c, v0 accepts it",
        "line 2: ben: unchanged",
        "Set: 1. Unchanged: 1. Refused: 0.",
    ]
    assert [line.split("  ")[2] for line in listed.out.splitlines()] == ["ana's own", "ben's own"]
    assert "0123456789-secret" not in "".join(said.out + said.err for said in (first, second, listed))


@pytest.mark.timeout(240)
async def test_a_list_with_a_line_that_cannot_be_read_stores_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """
    Exit code 2, the line is named, and no call is made; so for bytes that are no text.
    """
    csv = "user_id,key\nana,v1:ana:0123456789-secret\nben,short\n"
    async with running(Sandbox()) as v0_url:
        values = {"PROTOKEEP_DATABASE_URL": sqlite_url, "V0_BASE_URL": v0_url}
        faulty = await run(tmp_path, "keys", "import", stdin=csv, **values)
        listed = await run(tmp_path, "keys", "list", **values)

    assert (faulty.code, faulty.out) == (2, "")
    assert faulty.err.startswith("protokeep: line 3: A key has 8 to 500 characters")
    assert "Nothing was stored" in faulty.err
    assert "has no keys" in listed.out
