"""Every failure to start is a line that names the setting to change, and an exit code; a good start is a few lines."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog

from owner_schemas import run
from processes import PATIENCE, started
from protokeep import __version__
from protokeep.cli import main, terminal
from protokeep.store import migrate_sqlite, private_files, sqlite
from protokeep.store.migrate import ADVISORY_KEY
from schema_dump import schema_of

SECRET = secrets.token_urlsafe(32)
#: Nobody listens there.
DOWN = {"PROTOKEEP_DATABASE_URL": "postgresql://x:hidden@127.0.0.1:1/z", "PROTOKEEP_SECRET_KEY": SECRET}
IN_A_FOLDER = {"PROTOKEEP_PUBLIC_URL": "https://h/pk"}
SERVE = ("serve", "--port", "0")
#: A text that every user may open, and nobody can read: reading it is an input/output error.
UNREADABLE = "/proc/self/mem"

Prepare = Callable[[Path, pytest.MonkeyPatch], None]


def holds(name: str, content: bytes) -> Prepare:
    def write(folder: Path, _: pytest.MonkeyPatch) -> None:
        (folder / name).write_bytes(content)

    return write


def is_unreadable(name: str) -> Prepare:
    return lambda folder, _: (folder / name).symlink_to(UNREADABLE)


def executed(sql: str) -> Prepare:
    def execute(folder: Path, _: pytest.MonkeyPatch) -> None:
        with sqlite3.connect(folder / "protokeep.db") as file:
            file.execute(sql)
        file.close()

    return execute


def is_junk(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "protokeep.db").write_text("no database, but as long as the head of one " * 20)


def refusing_writes(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    def connect_read_only(*arguments: Any, **named: Any) -> sqlite3.Connection:
        driver = connect(*arguments, **named)
        driver.execute("PRAGMA query_only = ON")
        return driver

    return connect_read_only


def is_read_only(_: Path, patch: pytest.MonkeyPatch) -> None:
    """SQLite refuses writes as it does on a volume that is mounted read-only."""
    for module, name in ((sqlite, "_connect"), (migrate_sqlite, "open_sqlite")):
        patch.setattr(module, name, refusing_writes(getattr(module, name)))


def is_full(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "protokeep.db").unlink()
    opened = migrate_sqlite.open_sqlite

    def open_small(path: Path) -> sqlite3.Connection:
        driver = opened(path)
        driver.execute("PRAGMA max_page_count = 20")
        return driver

    patch.setattr(migrate_sqlite, "open_sqlite", open_small)


def nothing(_folder: Path, _patch: pytest.MonkeyPatch) -> None:
    """The fault is in the arguments or in the environment."""


#: The command, its environment beside the database, what is wrong on the disk, words of the line, the exit code.
CASES: dict[str, tuple[tuple[str, ...], dict[str, str], Prepare, str, int]] = {
    "a port that is taken": (("serve", "--port", "{taken}"), {}, nothing, "PROTOKEEP_PORT", 1),
    "the sandbox's port is taken": (("sandbox", "--port", "{taken}"), {}, nothing, "--port", 1),
    "the demo's port is taken": (("demo", "--port", "{taken}"), {}, nothing, "--port 0", 1),
    "an address of another machine": (
        ("serve", "--host", "192.0.2.1"),
        {"PROTOKEEP_SECRET_KEY": SECRET, "PROTOKEEP_JWT_SECRET": SECRET},
        nothing,
        "PROTOKEEP_HOST",
        1,
    ),
    "serve without its database": (SERVE, DOWN, nothing, "PROTOKEEP_DATABASE_URL", 1),
    "a worker without its database": (("worker",), DOWN, nothing, "PROTOKEEP_DATABASE_URL", 1),
    "migrate without its database": (("migrate",), DOWN, nothing, "PROTOKEEP_DATABASE_URL", 1),
    "tokens without their database": (("token", "list", "--local"), DOWN, nothing, "PROTOKEEP_DATABASE_URL", 1),
    "adopt without its database": (("adopt", "--check"), DOWN, nothing, "PROTOKEEP_DATABASE_URL", 1),
    "PostgreSQL without a secret": (SERVE, {**DOWN, "PROTOKEEP_SECRET_KEY": ""}, nothing, "PROTOKEEP_DATABASE_URL", 1),
    "a path in the public address": (SERVE, IN_A_FOLDER, nothing, "PROTOKEEP_PUBLIC_URL", 2),
    "the same, to doctor": (("doctor",), IN_A_FOLDER, nothing, "PROTOKEEP_PUBLIC_URL", 2),
    "a setting that is no number": (SERVE, {"PROTOKEEP_DRAIN_SECONDS": "soon"}, nothing, "PROTOKEEP_DRAIN_SECONDS", 2),
    ".env cannot be read": (SERVE, {}, is_unreadable(".env"), ".env cannot be read", 2),
    ".env is no text": (("doctor",), {}, holds(".env", b"\xff\xfex=1"), ".env is not text in UTF-8", 2),
    "a folder that cannot be made": (
        SERVE, {"PROTOKEEP_DATABASE_URL": "sqlite:////proc/nothing/x.db"}, nothing, "PROTOKEEP_DATABASE_URL", 1
    ),
    "the demo's folder cannot be made": (
        ("demo", "--port", "0", "--sandbox-port", "0", "--data", "/proc/nothing"), {}, nothing, "/proc/nothing", 1
    ),
    "a file in place of a folder": (
        ("migrate",), {"PROTOKEEP_DATABASE_URL": "sqlite:///protokeep.db/x.db"}, nothing, "PROTOKEEP_DATABASE_URL", 1
    ),
    "a folder in place of the database": (
        SERVE, {"PROTOKEEP_DATABASE_URL": "sqlite:////tmp"}, nothing, "PROTOKEEP_DATABASE_URL", 1
    ),
    "a file that is no database": (SERVE, {}, is_junk, "not an SQLite database", 1),
    "the same, to leave": (("adopt", "--leave"), {}, is_junk, "PROTOKEEP_DATABASE_URL", 1),
    "the secret cannot be read": (SERVE, {}, is_unreadable("protokeep.db.secret"), "PROTOKEEP_SECRET_KEY", 1),
    "the same, to a command": (
        ("token", "list", "--local"), {}, is_unreadable("protokeep.db.secret"), "PROTOKEEP_SECRET_KEY", 1
    ),
    "an empty secret": (SERVE, {}, holds("protokeep.db.secret", b"\n"), "protokeep.db.secret is empty", 1),
    "another secret": (
        SERVE, {}, executed("INSERT INTO protokeep_meta VALUES ('secret_mark', 'x')"), "PROTOKEEP_SECRET_KEY", 1
    ),
    "a database of a newer version": (
        SERVE, {}, executed("INSERT INTO protokeep_alembic_version VALUES ('29991231000000')"),
        "PROTOKEEP_MIGRATE=off", 1,
    ),
    "a volume that is read-only": (
        ("accept-secret",), {}, is_read_only, "readonly database; PROTOKEEP_DATABASE_URL", 1
    ),
    "the same, to serve": (SERVE, {}, is_read_only, "readonly database). PROTOKEEP_DATABASE_URL", 1),
    "a full disk": (SERVE, {}, is_full, "PROTOKEEP_DATABASE_URL", 1),
    "a database that nobody migrated": (
        SERVE, {"PROTOKEEP_MIGRATE": "off"}, executed("DROP TABLE protokeep_meta"), "Run: protokeep migrate", 1
    ),
    "a copy to nowhere": (("backup", "/proc/nothing/x.db"), {}, nothing, "/proc/nothing", 1),
    "a worker beside SQLite": (("worker",), {}, nothing, "PostgreSQL", 2),
}  # fmt: skip


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """Signals, log and notices are those of the tests again afterwards."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    root = logging.getLogger()
    outputs, level, configured = root.handlers, root.level, structlog.get_config()
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
    root.handlers, root.level = outputs, level
    logging.captureWarnings(False)
    structlog.configure(**configured)
    terminal.write_notices_as_json(False)


def start(monkeypatch: pytest.MonkeyPatch, folder: Path, case: str, **environment: str) -> int:
    """Run a case in this process; its exit code."""
    arguments, given, prepare, _, _ = CASES[case]
    monkeypatch.chdir(folder)
    for name, value in {"PROTOKEEP_DATABASE_URL": "sqlite:///protokeep.db", **given, **environment}.items():
        monkeypatch.setenv(name, value)
    prepare(folder, monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        return run_here(monkeypatch, *(part.replace("{taken}", port) for part in arguments))


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["protokeep", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("sqlite_url")
def test_a_wrong_start_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    One line that says what to change, after at most one that names the database; no traceback, and the exit code.
    """
    code = start(monkeypatch, tmp_path, case)

    lines = capfd.readouterr().err.splitlines()
    assert code == CASES[case][4]
    assert 1 <= len(lines) <= 2, lines
    assert CASES[case][3] in lines[-1]
    assert all(line.startswith("protokeep: ") for line in lines)
    assert not any(word in line for line in lines for word in ("Traceback", "hidden", SECRET))


#: Commands that open the database themselves.
OPENING = ("migrate", "token list --local", "audit --local", "keys list --local", "prune", "reindex", "serve --port 0")


def test_an_older_protokeep_says_in_one_line_what_to_do_with_a_newer_database(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Every command says it, on both databases, and changes nothing; with PROTOKEEP_MIGRATE=off it works.
    """
    asyncio.run(run(database_url, "INSERT INTO protokeep_alembic_version VALUES ('29991231000000')"))
    before = asyncio.run(schema_of(database_url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", database_url)
    monkeypatch.setenv("PROTOKEEP_SECRET_KEY", SECRET)

    for command in OPENING:
        code = run_here(monkeypatch, *command.split())
        lines = capfd.readouterr().err.splitlines()
        assert (code, len(lines) <= 2) == (1, True), (command, lines)
        assert "A newer protokeep has migrated this database (revision 29991231000000)" in lines[-1]
        assert "PROTOKEEP_MIGRATE=off" in lines[-1]
    assert asyncio.run(schema_of(database_url)) == before

    monkeypatch.setenv("PROTOKEEP_MIGRATE", "off")
    assert run_here(monkeypatch, "token", "list", "--local", "--json") == 0


@pytest.mark.parametrize("case", ["serve without its database", "a path in the public address", "a full disk"])
@pytest.mark.usefixtures("sqlite_url")
def test_a_wrong_start_is_json_where_the_log_is(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Also what is wrong before the log is set up.
    """
    start(monkeypatch, tmp_path, case, PROTOKEEP_LOG_FORMAT="json")

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["error"]
    assert CASES[case][3] in lines[0]["event"]


@pytest.mark.usefixtures("sqlite_url")
def test_a_lost_secret_and_a_copy_are_told_on_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    A database goes by another secret, and a copy by another id, only when a person says so.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", "sqlite:///protokeep.db")
    codes = [run_here(monkeypatch, "token", "create", "--local")]
    (tmp_path / "protokeep.db.secret").write_text(SECRET)
    commands = ("token list --local", "accept-secret", "token list --local", "fork-installation")
    codes += [run_here(monkeypatch, *command.split()) for command in commands]
    capfd.readouterr()
    codes.append(run_here(monkeypatch, "fork-installation", "--yes", "--json"))
    forked = json.loads(capfd.readouterr().out)

    assert codes == [0, 1, 0, 0, 2, 0]
    assert len({forked["installation_id"], forked["forked_from"], ""}) == 3


@pytest.mark.parametrize("command", ["fork-installation --yes", "accept-secret", "prune --dry-run", "reindex"])
def test_where_no_database_is_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    """
    A mistake in the address, or another folder, is told. A new database would leave the one that was meant what it was.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", "sqlite:///mistake.db")

    assert run_here(monkeypatch, *command.split()) == 2
    assert "there is no database" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("sqlite_url")
def test_looking_makes_no_secret_where_one_has_to_be_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    A database was restored without its secret: doctor says so, receipts cannot be checked, and no file is made.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", "sqlite:///protokeep.db")
    run_here(monkeypatch, "token", "create", "--local")
    (tmp_path / "protokeep.db.secret").unlink()
    (tmp_path / "receipts.json").write_text('{"receipts": [], "plan": {"id": "one"}}')
    capfd.readouterr()

    assert run_here(monkeypatch, "doctor") == 1
    assert "made with another secret" in capfd.readouterr().out
    assert run_here(monkeypatch, "plan", "verify-receipts", "receipts.json") == 2
    assert "PROTOKEEP_SECRET_KEY" in capfd.readouterr().err
    assert not (tmp_path / "protokeep.db.secret").exists()


@pytest.mark.usefixtures("sqlite_url")
def test_a_metrics_port_that_is_taken_names_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    The port of the metrics is found taken when the rest is ready, and the line names the other settings.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", "sqlite:///protokeep.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PROTOKEEP_METRICS_PORT", str(taken.getsockname()[1]))
        assert run_here(monkeypatch, "serve", "--port", "0") == 1
    assert "PROTOKEEP_METRICS_PORT" in capfd.readouterr().err


async def test_a_good_start_is_a_few_lines_all_of_them_json(empty_sqlite_url: str, tmp_path: Path) -> None:
    """
    A first start migrates, says which version serves where, outlives SIGHUP, and writes a line for each request.
    """
    values = {"PROTOKEEP_DATABASE_URL": empty_sqlite_url, "PROTOKEEP_LOG_FORMAT": "json", "V0_API_KEY": "key"}
    async with started(tmp_path, "serve", "--port", "0", **values) as serve:
        url = (await serve.says(rf"version {re.escape(__version__)}, serving on (http://[^\s\"]+)")).group(1)
        await serve.says("nobody can sign in yet")
        lines_of_start = len(serve.lines)
        serve.process.send_signal(signal.SIGHUP)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /api/design/mockups/shop?prompt=hidden HTTP/1.1\r\nHost: x\r\nX-Request-ID: one-2\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await serve.says("request_answered")
        code = await serve.stop(signal.SIGTERM)

    assert (code, lines_of_start <= 5) == (0, True), serve.text
    assert b"x-request-id: one-2\r\n" in answer
    lines = [json.loads(line) for line in serve.lines]
    line = next(line for line in lines if line["event"] == "request_answered")
    assert (line["request_id"], line["method"], line["status"], line["workspace"]) == ("one-2", "GET", 401, None)
    assert (line["route"], "hidden" in serve.text) == ("/api/design/mockups/{product_id}", False)


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)], ids=lambda command: command[0])
async def test_sigterm_ends_a_start_that_waits(empty_pg_url: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    """
    Another process holds the lock of migrations, which a start waits for up to a minute.
    """
    values = {"PROTOKEEP_DATABASE_URL": empty_pg_url, "PROTOKEEP_SECRET_KEY": SECRET}
    holder = await asyncpg.connect(empty_pg_url)
    watcher = await asyncpg.connect(empty_pg_url)
    try:
        await holder.execute(f"SELECT pg_advisory_lock({ADVISORY_KEY})")
        async with started(tmp_path, *command, **values) as process:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory%' AND pid <> $1"
            async with asyncio.timeout(PATIENCE):
                while not await watcher.fetchval(asked, watcher.get_server_pid()):
                    await watcher.execute("SELECT pg_sleep(0.02)")
            code = await process.stop(signal.SIGTERM)
    finally:
        await holder.close()
        await watcher.close()

    assert (code, "Traceback" in process.text) == (0, False)


@pytest.mark.parametrize("links", [True, False])
def test_a_draft_takes_its_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """
    Also where the file system has no hard links; a file that is there stays.
    """
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted")))
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)

    private_files.publish(tmp_path / "first", tmp_path / "kept")
    with pytest.raises(FileExistsError):
        private_files.publish(tmp_path / "second", tmp_path / "kept")

    assert (tmp_path / "kept").read_text() == "first"
