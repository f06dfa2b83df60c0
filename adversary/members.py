"""protokeep's real processes: started, put to sleep, woken, killed, and given a clock of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from chaos.fleet import free_port

#: Where Debian's and Ubuntu's package `faketime` puts its library.
FAKETIME = [Path(f"/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1") for machine in ("x86_64", "aarch64")]
STOP_SECONDS = 25.0
COMMAND = (sys.executable, "-c", "from protokeep.cli import main; main()")


def find_faketime() -> Path | None:
    """libfaketime, if this machine has it."""
    return next((path for path in FAKETIME if path.exists()), None)


class Clock:
    """The wall clock of one host, through libfaketime. The monotonic clock stays true."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)

    def step(self, seconds: float) -> None:
        """Put the clock so many seconds ahead of the true time; negative: behind it."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}\n")
        fresh.chmod(0o644)
        fresh.rename(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to live by this clock."""
        library = find_faketime()
        assert library is not None
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


class Member:
    """One `serve` or `worker`; `serve` keeps its port through restarts."""

    def __init__(self, kind: str, name: str, environment: dict[str, str], folder: Path) -> None:
        self.kind = kind
        self.name = name
        self.environment = environment
        self.port = free_port() if kind == "serve" else 0
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id; 0 when there is none."""
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process; does not wait until it is ready."""
        command = [*COMMAND, self.kind, *(("--port", str(self.port)) if self.kind == "serve" else ())]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )

    def sleep(self) -> None:
        """SIGSTOP: it sleeps at whatever line it has reached."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that takes too long."""
        self._signal(signal.SIGTERM)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        self.kill()

    def output(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.log"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)


def clean_environment(**values: str) -> dict[str, str]:
    """The environment without any setting of protokeep's, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **values}
