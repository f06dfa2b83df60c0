"""Files that hold prompts, keys or secrets are their owner's alone, from their first byte and under any umask."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from protokeep.core.errors import InvalidInput, NotConfigured, NotReady
from protokeep.store.backup import backup
from protokeep.store.database import Database
from protokeep.store.migrate import migrate
from protokeep.store.private_files import create_file, create_folder, save_file
from protokeep.wiring import build_application, secret_key
from world import settings_of


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask-000", "umask-022", "umask-077"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own, while the process goes by a umask."""
    before = os.umask(request.param)
    yield tmp_path
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """The mode of every file and folder below a folder."""
    return {str(path.relative_to(folder)): f"{stat.S_IMODE(path.stat().st_mode):03o}" for path in folder.rglob("*")}


async def test_database_log_and_secret_are_their_owners_alone(folder: Path) -> None:
    """
    While the application runs, database, WAL, shared memory and secret are 0600, and the folder that it made is 0700.
    """
    settings = settings_of(database_url=f"sqlite:///{folder}/made/for/protokeep.db")
    async with build_application(settings) as application:
        await application.tokens.has_valid_token()
        found = modes(folder)

    assert found == {
        "made": "700",
        "made/for": "700",
        "made/for/protokeep.db": "600",
        "made/for/protokeep.db-shm": "600",
        "made/for/protokeep.db-wal": "600",
        "made/for/protokeep.db.secret": "600",
    }


async def test_a_database_is_private_before_it_holds_anything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The file is 0600 when SQLite opens it for the first time, by a migration and by a connection alike.
    """
    seen: list[str] = []
    connect = sqlite3.connect

    def watched(path: str | Path, *args: object, **more: object) -> sqlite3.Connection:
        if path != ":memory:":  # It is asked, once in a process, what this Python's SQLite can do.
            seen.append(f"{stat.S_IMODE(os.stat(path).st_mode):03o}")
        return connect(path, *args, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", watched)
    await migrate(f"sqlite:///{folder}/migrated.db")
    database = Database(f"sqlite:///{folder}/opened.db")
    async with database.reading():
        pass
    async with database.transaction():
        pass
    await database.close()

    assert seen
    assert set(seen) == {"600"}


async def test_a_database_behind_a_link_is_private_where_the_link_leads(folder: Path) -> None:
    """
    An operator's link to a file that is not there yet leads to a private file.
    """
    (folder / "link.db").symlink_to(folder / "real.db")
    await migrate(f"sqlite:///{folder}/link.db")

    assert modes(folder)["real.db"] == "600"


def test_a_backup_and_its_draft_are_private(folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The draft is 0600 before the first page is copied into it, and the copy is 0600.
    """
    seen: list[dict[str, str]] = []
    connect = sqlite3.connect

    def watched(path: str | Path, *args: object, **more: object) -> sqlite3.Connection:
        seen.append({name: mode for name, mode in modes(folder).items() if name.endswith(".part")})
        return connect(path, *args, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", watched)
    backup(Path(sqlite_url.removeprefix("sqlite:///")), folder / "copy.db")

    assert [list(names.values()) for names in seen] == [["600"], ["600"]]
    assert modes(folder)["copy.db"] == "600"
    assert not list(folder.glob("*.part*"))


def test_a_backup_follows_no_link_of_somebody_else(tmp_path: Path, sqlite_url: str) -> None:
    """
    Where the copy is to be, a link that leads to nothing counts as a file that exists.
    """
    (tmp_path / "copy.db").symlink_to(tmp_path / "elsewhere.db")

    with pytest.raises(InvalidInput, match="exists"):
        backup(Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "copy.db")
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_private_file_takes_the_place_of_nothing(tmp_path: Path) -> None:
    """
    A file or a link that is there already is refused.
    """
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            create_file(tmp_path / name)


def test_a_saved_file_is_private_whole_and_takes_the_place_of_nothing_but_what_is_to_be_replaced(folder: Path) -> None:
    """
    A file that is there stays unless it is to be replaced; then the new one is 0600, whatever the old one was, and a
    link is replaced itself. What is no file is never replaced, and nothing is left of what failed.
    """
    target, old, fifo = folder / "chats.csv", folder / "old.csv", folder / "fifo"
    old.write_text("old")
    old.chmod(0o644)
    os.mkfifo(fifo)
    (folder / "link.csv").symlink_to(old)

    save_file(target, b"new")
    for path in (target, folder / "link.csv"):
        with pytest.raises(FileExistsError):
            save_file(path, b"newer")
    for path in (fifo, folder):
        with pytest.raises(FileExistsError):
            save_file(path, b"newer", replacing=True)
    save_file(folder / "link.csv", b"newest", replacing=True)
    assert (old.read_text(), (folder / "link.csv").is_symlink()) == ("old", False)
    save_file(old, b"newest", replacing=True)

    assert (target.read_text(), old.read_text()) == ("new", "newest")
    found = modes(folder)
    assert {name: found[name] for name in ("chats.csv", "old.csv", "link.csv")} == {
        "chats.csv": "600",
        "old.csv": "600",
        "link.csv": "600",
    }
    assert sorted(found) == ["chats.csv", "fifo", "link.csv", "old.csv"]


def test_folders_that_exist_keep_their_mode(tmp_path: Path) -> None:
    """
    Only folders that are made are 0700.
    """
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "there").chmod(0o755)
    create_folder(tmp_path / "there" / "new")

    assert modes(tmp_path) == {"there": "755", "there/new": "700"}


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    """
    A file of the secret that lost its content is no key that everybody knows.
    """
    settings = settings_of(database_url=f"sqlite:///{tmp_path}/protokeep.db")
    (tmp_path / "protokeep.db.secret").write_text("\n")

    with pytest.raises(NotConfigured, match="is empty"):
        secret_key(settings)


async def test_opening_a_database_again_keeps_the_locks_on_it(sqlite_url: str) -> None:
    """
    A second connection of the same process takes no lock of the first one away: another process stays locked out.
    """
    path = sqlite_url.removeprefix("sqlite:///")
    database = Database(sqlite_url)
    async with database.transaction(), database.reading():
        command = f"import sqlite3; sqlite3.connect({path!r}, timeout=0).execute('BEGIN IMMEDIATE')"
        other = await asyncio.create_subprocess_exec("python3", "-c", command, stderr=asyncio.subprocess.PIPE)
        _, said = await other.communicate()
    await database.close()

    assert b"database is locked" in said


def test_a_backup_that_cannot_be_written_says_so(tmp_path: Path, sqlite_url: str) -> None:
    """
    A folder that is not there is one line, and leaves nothing behind.
    """
    with pytest.raises(NotReady, match="The copy failed"):
        backup(Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "none" / "copy.db")


def test_a_backup_of_a_used_database_is_whole(tmp_path: Path, sqlite_url: str) -> None:
    """
    Writing into a file that was made beforehand gives the same copy.
    """
    backup(Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
