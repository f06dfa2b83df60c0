"""A real PgBouncer in front of the PostgreSQL of the tests, where it is installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from postgres import NOBODY, free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
START_SECONDS = 20.0

needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed (Debian: pgbouncer)")


@contextlib.contextmanager
def pooler(url: str, mode: Literal["transaction", "session"], size: int) -> Iterator[str]:
    """The address of `url` through a pooler with `size` sessions at the server."""
    assert PGBOUNCER is not None
    server, port = urlsplit(url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="protokeep-pooler-"))
    settings = (
        f"[databases]\n* = host={server.hostname} port={server.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
        f"listen_port={port}\nunix_socket_dir=\nauth_type=any\npool_mode={mode}\ndefault_pool_size={size}\n"
        f"max_client_conn=500\n"
    )
    # `any` signs everybody in as the user of the database's line.
    settings = settings.replace(f"port={server.port}\n", f"port={server.port} user={server.username}\n", 1)
    (folder / "pooler.ini").write_text(settings)
    account = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    folder.chmod(0o755)
    process = subprocess.Popen(
        [PGBOUNCER, "-q", folder / "pooler.ini"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **account,  # type: ignore[call-overload]
    )
    try:
        _wait_for(port, process)
        yield f"postgresql://{server.username}@127.0.0.1:{port}{server.path}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "PgBouncer ended"
            assert time.monotonic() < ends, "PgBouncer does not answer"
            time.sleep(0.02)
        else:
            return
