"""A standby of a PostgreSQL server that has fallen behind: it knows what its primary knew when it was made."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from postgres import FAST, NOBODY, PostgresServer, find_binaries

#: What a server needs to have standbys.
PRIMARY = {"wal_level": "replica", "max_wal_senders": "4", "log_min_messages": "fatal"}


class Standby(PostgresServer):
    """Made by `pg_basebackup` from a running primary. Without a stream from it, it stays as old as it is."""

    def __init__(self, primary: PostgresServer, *, follows: bool = False) -> None:
        """`follows`: it streams from the primary, so that it never is older."""
        stream = {"primary_conninfo": primary.url().replace("/postgres", "/")} if follows else {}
        super().__init__({**FAST, **PRIMARY, **stream})
        self._primary = primary

    async def promote(self) -> None:
        """Make it a primary of its own, on a new timeline."""
        await asyncio.to_thread(self.execute, "SELECT pg_promote()")

    def _make(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="protokeep-standby-"))
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
        command = (find_binaries() / "pg_basebackup", "--dbname", self._primary.url(), "--pgdata", folder / "data")
        made = subprocess.run(
            (*command, "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            user=NOBODY if root else None,
            group=NOBODY if root else None,
            extra_groups=[] if root else None,
        )
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"pg_basebackup failed: {made.stderr}")
        signal = folder / "data" / "standby.signal"
        signal.touch()
        if root:
            os.chown(signal, NOBODY, NOBODY)
        return folder
