"""The guide for owners who move in: every command of it, in its order, in one shell, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chaos.fleet import free_port
from owner_databases import PEOPLE, PRODUCTS, TENANTS, digest, fill, make_generation
from postgres import find_binaries
from processes import environment
from protokeep.sandbox import Knobs, Sandbox, running
from protokeep.sandbox.state import account_id
from schema_dump import schema_of

GUIDE = Path(__file__).parents[2] / "docs" / "moving-in.md"
KEY = "key-of-the-old-system"
#: Printed between two blocks, with the time of the shell.
MARK = "=== block"
#: The shell is given this long: a machine that tests on every processor needs a minute.
SECONDS = 240


def script() -> str:
    """All shell blocks of the guide, with a mark before each."""
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), flags=re.S | re.M)
    marked = [f'echo "{MARK} {number} $SECONDS" >&2\n{block}' for number, block in enumerate(blocks, 1)]
    return "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(marked)


async def test_every_command_of_the_guide_works_from_the_dump_to_going_back(empty_pg_url: str, tmp_path: Path) -> None:
    """
    An owner's database is rehearsed, checked, migrated, served, reused from, and left: schema and rows are as before.
    """
    await make_generation(empty_pg_url, "newest")
    sandbox = Sandbox(knobs=Knobs(generation_seconds=0))
    chats = _old_chats(sandbox, 8)
    ids = await fill(empty_pg_url, 40, chats=chats)
    others = [one for number, one in enumerate(ids) if number >= len(chats)]
    before = await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True, ids=others)

    async with running(sandbox) as v0_url:
        code, output = await _run(script(), tmp_path, _variables(empty_pg_url, v0_url))

    assert code == 0, output
    assert len(re.findall(MARK, output)) >= 9
    assert "reused" in (tmp_path / "first.txt").read_text()
    assert sandbox.chats_created == len(chats)
    assert (await schema_of(empty_pg_url), await digest(empty_pg_url, tracking=True, ids=others)) == before


def _variables(database_url: str, v0_url: str) -> dict[str, str]:
    """What the guide asks its reader to have, and where the emulated v0 is."""
    port = free_port()
    name = f"rehearsal_{uuid.uuid4().hex[:8]}"
    return {
        "DATABASE_URL": database_url.replace("postgresql:", "postgresql+asyncpg:"),
        "REHEARSAL_URL": f"{database_url.rpartition('/')[0]}/{name}",
        "OLD_JWT_SECRET": "a-secret-of-the-old-backend-0123456789",
        "OLD_V0_KEY": KEY,
        "PROTOKEEP_URL": f"http://127.0.0.1:{port}",
        "PROTOKEEP_PORT": str(port),
        "PRODUCT_ID": PRODUCTS[0],
        "USER_ID": PEOPLE[0],
        "TENANT_ID": TENANTS[0],
        "V0_BASE_URL": v0_url,
    }


def _old_chats(sandbox: Sandbox, count: int) -> list[str]:
    """Finished chats of the old system's account at the emulated v0, by v0's API v1."""
    made_at = datetime.now(UTC) - timedelta(days=2)
    account = sandbox.backend.account(account_id(KEY), made_at)
    knobs = sandbox.knobs.changed({"list_delay_seconds": 0})
    return [
        sandbox.backend.create_chat(
            account, "v1", made_at + timedelta(minutes=n), knobs, message="Old", initial_version_id=f"v-{n}"
        ).id
        for n in range(count)
    ]


async def _run(text: str, folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    """The exit code of a shell, and all that it printed."""
    name = variables["REHEARSAL_URL"].rpartition("/")[2]
    text = re.sub(r"\b(DATABASE) rehearsal\b", rf"\1 {name}", text)  # Other test runs rehearse on the same server.
    path = os.pathsep.join([str(Path(sys.executable).parent), str(find_binaries()), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        text,
        cwd=folder,
        env={**environment(folder, **variables), "PATH": path},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode is not None
    return process.returncode, out.decode()
