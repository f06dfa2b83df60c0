"""The real program in real processes, beside the test's own event loop (where the emulated v0 runs)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import protokeep
from command_forks import Fork, run_command, start_command

#: A process that takes longer than this is broken, however busy the machine is.
PATIENCE = 30.0
#: The promise for Ctrl-C. A machine with more to do than processors keeps it less exactly.
STOP_SECONDS = 2.0
BUSY_STOP_SECONDS = 8.0
#: The command line, as its entry point calls it, from the source under test.
COMMAND = (sys.executable, "-c", "from protokeep.cli import main; main()")


@dataclass
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Running:
    """A process that runs, and its output so far."""

    process: Fork
    lines: list[str] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        return "".join(self.lines)

    async def says(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """Wait until its output matches; the match."""
        ends = time.monotonic() + seconds
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < ends, f"no {pattern!r} in: {self.text}"
            assert self.process.returncode is None, f"ended with {self.process.returncode}: {self.text}"
            await asyncio.sleep(0.02)
        return found

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end, which has to happen in time; its exit code."""
        busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), BUSY_STOP_SECONDS if busy else STOP_SECONDS)


def environment(folder: Path, **values: str) -> dict[str, str]:
    """The environment of a process: nothing of ours but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_"))}
    source = str(Path(protokeep.__file__).parents[1])
    return {**kept, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", "HOME": str(folder), **values}


async def run(folder: Path, *args: str, stdin: str = "", **values: str) -> Ended:
    """Run `protokeep ARGS` in `folder` to its end. A command that takes too long is killed."""
    ended = await asyncio.to_thread(
        run_command, args, environment(folder, **values), folder=folder, stdin=stdin, seconds=PATIENCE
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@contextlib.asynccontextmanager
async def started(folder: Path, *args: str, **values: str) -> AsyncIterator[Running]:
    """Start `protokeep ARGS` in `folder`; killed at the end, if it still runs."""
    output, theirs = os.pipe()
    try:
        process = await start_command(args, environment(folder, **values), folder=folder, output=theirs)
    finally:
        os.close(theirs)
    running = Running(process)

    async def read() -> None:
        lines = asyncio.StreamReader()
        with os.fdopen(output, "rb", buffering=0) as pipe:
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), pipe)
            async for line in lines:
                running.lines.append(line.decode())

    running.reader = asyncio.create_task(read())
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await running.reader


async def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something that other processes do."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        await asyncio.sleep(0.02)
