"""The command line as people run it: real processes, exit codes, and one line that says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from pathlib import Path

import httpx2
import pytest
import typer

from processes import run, started
from protokeep.cli import demo
from protokeep.sandbox import Knobs, Sandbox, running

TOKEN = "a-token-of-the-tests-0123456789"


async def test_serve_create_status_and_watch_work_together(sqlite_url: str, tmp_path: Path) -> None:
    """
    serve, create, status, watch: the exit code tells what became of it, every no is one line, Ctrl-C ends it in time.
    """
    sandbox = Sandbox(knobs=Knobs(generation_seconds=3600))
    values = {"PROTOKEEP_DATABASE_URL": sqlite_url, "PROTOKEEP_SECRET_KEY": "secret", "V0_API_KEY": "key"}
    async with (
        running(sandbox) as v0_url,
        started(tmp_path, "serve", "--port", "0", **values, V0_BASE_URL=v0_url) as serve,
    ):
        url = (await serve.says(r"serving on (http://\S+)")).group(1)
        token = (await run(tmp_path, "token", "create", "--plain", "--user", "ann", **values)).out
        assert re.fullmatch(r"pk_[\w-]{43}\n", token)
        client = {"PROTOKEEP_URL": url, "PROTOKEEP_TOKEN": token.strip()}

        created = await run(tmp_path, "create", "shop", "-", "--json", stdin="A shop\n", **client)
        prototype = json.loads(created.out)
        unfinished, again, missing, stranger, nobody = await asyncio.gather(
            run(tmp_path, "status", "shop", **client),
            run(tmp_path, "create", "shop", "A shop", **client),
            run(tmp_path, "status", "nothing", **client),
            run(tmp_path, "list", "shop", **{**client, "PROTOKEEP_TOKEN": "wrong"}),
            run(tmp_path, "status", "shop", PROTOKEEP_URL=url),
        )
        sandbox.finish(prototype["v0_chat_id"])
        watched = await run(tmp_path, "watch", "shop", **client)
        other = json.loads((await run(tmp_path, "create", "shop", "A shop", "--new", "--json", **client)).out)
        sandbox.finish(other["v0_chat_id"], "error")
        failed = await run(tmp_path, "watch", "shop", **client)
        code = await serve.stop()

    assert (prototype["user_id"], prototype["prompt"], prototype["is_existing"]) == ("ann", "A shop\n", False)
    assert "reused" in again.out
    assert re.search(r"Ready.*shop.*http://", watched.out)
    assert [said.code for said in (created, unfinished, again, watched, failed)] == [0, 5, 0, 0, 3]
    for said, refused, words in (
        (missing, 1, "protokeep create nothing"),
        (stranger, 1, "Ask an admin"),
        (nobody, 2, "PROTOKEEP_TOKEN"),
    ):
        assert (said.code, said.err.startswith("protokeep: ")) == (refused, True)
        assert words in said.err
        assert "Traceback" not in said.err
    assert (code, "Traceback" in serve.text) == (0, False)
    assert sandbox.chats_created == 2


async def test_serve_without_a_key_starts_and_says_so_once(sqlite_url: str, tmp_path: Path) -> None:
    """
    Without V0_API_KEY the server starts and says so once.
    """
    async with started(tmp_path, "serve", "--port", "0", PROTOKEEP_DATABASE_URL=sqlite_url) as process:
        await process.says(r"serving on http://\S+")

        await process.says("nobody can sign in yet. Create a token: protokeep token create --local")
        assert len(re.findall("Set V0_API_KEY", process.text)) == 1


async def test_migrate_twice_is_once_and_prints_its_sql(empty_sqlite_url: str, tmp_path: Path) -> None:
    """
    Twice is once; `--sql` prints the plain SQL.
    """
    values = {"PROTOKEEP_DATABASE_URL": empty_sqlite_url}
    printing = asyncio.create_task(run(tmp_path, "migrate", "--sql"))
    codes = [(await run(tmp_path, "migrate", **values)).code for _ in range(2)]
    printed = await printing

    assert codes == [0, 0]
    for name in ("v0_chat_id", "v0_project_id", "project_status", "project_url", "idx_design_mockups_product_status"):
        assert name in printed.out


async def test_a_command_that_cannot_work_says_in_one_line_what_would(sqlite_url: str, tmp_path: Path) -> None:
    """
    A worker on SQLite, a role that does not exist, a database of another kind: one line that says what would do.
    """
    values = {"PROTOKEEP_DATABASE_URL": sqlite_url}
    worker, role, unknown = await asyncio.gather(
        run(tmp_path, "worker", **values),
        run(tmp_path, "token", "create", "--role", "king", **values),
        run(tmp_path, "token", "list", PROTOKEEP_DATABASE_URL="mysql://x"),
    )

    assert (worker.code, role.code, unknown.code) == (2, 2, 2)
    for said, words in ((worker, "PostgreSQL"), (role, "viewer"), (unknown, "sqlite:///")):
        assert words in said.err
        assert "Traceback" not in said.err


async def test_demo_makes_a_prototype_and_ends_quickly(tmp_path: Path) -> None:
    """
    The demo answers, takes a given token, makes a prototype, and ends within two seconds of Ctrl-C.
    """
    given = ("--port", "0", "--sandbox-port", "0", "--v0-api-version", "1")
    async with started(tmp_path, "demo", *given, PROTOKEEP_DEMO_TOKEN=TOKEN) as demo:
        url = (await demo.says(r"running on (http://\S+)")).group(1)
        await demo.says("Stop with Ctrl-C")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=15) as http:
            body = {"product_id": "shop", "prompt": "A shop"}
            first = await http.post("/api/design/create-project", json=body)
            again = await http.post("/api/design/create-project", json=body)

        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        code = await demo.stop()

    assert (code, "Traceback" in demo.text) == (0, False)


async def test_a_key_for_other_workspaces_is_not_said_to_be_missing(sqlite_url: str, tmp_path: Path) -> None:
    """
    Whose tenants are workspaces has a key for them and none for `default`; without any key the log says what to set.
    """
    values = {"PROTOKEEP_DATABASE_URL": sqlite_url, "PROTOKEEP_ENVIRONMENT_KEY_FOR": "team"}
    async with started(tmp_path, "serve", "--port", "0", V0_API_KEY="a-key-of-the-team", **values) as process:
        await process.says("serving on")
        assert "provider_missing" not in process.text
    async with started(tmp_path, "serve", "--port", "0", **values) as process:
        await process.says("provider_missing.*Set V0_API_KEY")


async def test_the_demo_needs_no_port_but_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """
    The emulated v0 takes a free port where its usual one is taken. A port that was asked for and is taken is named.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "SANDBOX_PORT", port)
        async with contextlib.AsyncExitStack() as stack:
            free = await demo._enter_emulated_v0(stack, None)
            with pytest.raises(typer.Exit):
                await demo._enter_emulated_v0(stack, port)
        with pytest.raises(typer.Exit):
            await demo.run_demo(port, None, tmp_path, 2)

    assert not free.endswith(f":{port}")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"protokeep: port {port} cannot be used (Address already in use).")
    assert ("--sandbox-port 0" in first, "--port 0" in second, str(port) in second) == (True, True, True)
