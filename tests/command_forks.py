"""The command line in a process of its own for each command, without the half second that its imports take.

A process that has imported everything forks itself for each command. Each fork has an environment, a folder, arguments,
streams and an exit code of its own, as a new process has. What an interpreter does before `main` (encodings of streams,
the entry point, a closed output) is left to tests that start real ones: test_environments.py, test_lost_answers.py and
test_moving_in.py.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

#: What commands import when they run.
IMPORTED = ("cli", "client", "wiring", "doctor", "adoption", "jobs", "store.migrate", "store.leave", "web.app")
_HEADER = struct.Struct("!I")


class Forks:
    """The process that forks itself, as its parent has it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        self._turn = threading.Lock()
        source = str(Path(__file__).parents[1] / "src")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PROTOKEEP_", "V0_"))}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__], stdin=theirs.fileno(), env={**environment, "PYTHONPATH": source}
            )

    def start(self, order: Mapping[str, object], streams: Sequence[int]) -> socket.socket:
        """Starts a command. The socket says its process id and, when it has ended, its exit code."""
        ours, theirs = socket.socketpair()
        text = json.dumps(order).encode()
        with theirs, self._turn:
            socket.send_fds(self._orders, [_HEADER.pack(len(text))], [*streams, theirs.fileno()])
            self._orders.sendall(text)
        return ours

    def stop(self) -> None:
        """Ends the process, after all that it started."""
        self._orders.close()
        self._process.wait()


@functools.cache
def _forks() -> Forks:
    forks = Forks()
    atexit.register(forks.stop)
    return forks


def run_command(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
    stdin: str = "",
    seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs `protokeep ARGUMENTS` to its end, in an environment that holds nothing else. Kills it after `seconds`."""
    order = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder or Path.cwd())}
    with contextlib.ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin.encode())
        given.seek(0)
        said = stack.enter_context(_forks().start(order, [given.fileno(), out.fileno(), err.fileno()]))
        with stack.enter_context(said.makefile()) as lines:
            pid = int(lines.readline())
            timer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
            timer.start()
            code = int(lines.readline())
            timer.cancel()
        return subprocess.CompletedProcess(list(arguments), code, _text_of(out), _text_of(err))


class Fork:
    """A command that runs, with what tests use of `asyncio.subprocess.Process`."""

    def __init__(self, said: socket.socket, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._wait(said))

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Raises `ProcessLookupError` if it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    async def _wait(self, said: socket.socket) -> int:
        with said:
            self.returncode = int(await _line(said))
        return self.returncode


async def start_command(arguments: Sequence[str], environment: Mapping[str, str], *, folder: Path, output: int) -> Fork:
    """Starts `protokeep ARGUMENTS`, which has no input and writes both its streams to the file `output`."""
    order = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        said = await asyncio.to_thread(_forks().start, order, [nothing, output, output])
    finally:
        os.close(nothing)
    said.setblocking(False)
    return Fork(said, int(await _line(said)))


async def _line(said: socket.socket) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        more = await asyncio.get_running_loop().sock_recv(said, 1)
        assert more, "the process that forks itself has ended"
        text += more
    return text


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


# In the process that forks itself.


def _serve(orders: socket.socket) -> None:
    """Forks for each order, and says of each fork how it ended, until the parent hangs up."""
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    running: dict[int, socket.socket] = {}
    is_open = True
    while is_open or running:
        ready, _, _ = select.select([woken, *([orders] if is_open else [])], [], [])
        if orders in ready:
            is_open = _fork(orders, running)
        if woken in ready:
            woken.recv(1024)
            _tell_ends(running)


def _fork(orders: socket.socket, running: dict[int, socket.socket]) -> bool:
    """Takes one order. False: the parent has hung up."""
    header, streams, _, _ = socket.recv_fds(orders, _HEADER.size, 4)
    if not header:
        return False
    (size,) = _HEADER.unpack(header)
    order = json.loads(orders.recv(size, socket.MSG_WAITALL))
    answers = socket.socket(fileno=streams.pop())
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (orders, answers, *running.values()):
            other.close()
        _become(order, streams)
    for stream in streams:
        os.close(stream)
    running[pid] = answers
    answers.sendall(f"{pid}\n".encode())
    return True


def _tell_ends(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as answers:
            answers.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(order: dict[str, object], streams: list[int]) -> NoReturn:
    """The command, in this process, to its end."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(order["environment"])  # type: ignore[call-overload]
        os.chdir(str(order["folder"]))
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        sys.argv = ["protokeep", *order["arguments"]]  # type: ignore[misc]
        code = _main()
        sys.stdout.flush()
    finally:
        os._exit(code)


def _main() -> int:
    from protokeep.cli import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    given = socket.socket(fileno=os.dup(0))
    for module in IMPORTED:
        importlib.import_module(f"protokeep.{module}")
    gc.collect()
    gc.freeze()
    _serve(given)
