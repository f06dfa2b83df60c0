"""How soon protokeep answers when it is started from a wheel, as `uvx protokeep demo` does with a warm cache.

The wheel is built and installed, with what `requirements/runtime.txt` pins and nothing else, into an environment of its
own, which is compiled as pip and uv compile it. The set-up is not in the time: it depends on the network.

python -m benchmarks.start
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROOT, cpu_seconds, crowded, median_of, new_port

ROUNDS = 5
PATIENCE_SECONDS = 60


@contextlib.contextmanager
def installed() -> Iterator[Path]:
    """The program `protokeep` in an environment made from the wheel and its pins."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "wheel"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        venv.create(folder / "env", with_pip=True)
        pip = [str(folder / "env" / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt")], check=True)
        subprocess.run([*pip, "--no-deps", "--no-index", *map(str, (folder / "wheel").glob("*.whl"))], check=True)
        yield folder / "env" / "bin" / "protokeep"


def first_answer(program: Path, *arguments: str) -> tuple[float, float]:
    """Seconds from the start of `protokeep ARGUMENTS` to its first 200 of /readyz: passed, and of CPU."""
    port = new_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.environ["PATH"], "HOME": folder}
        began = time.perf_counter()
        command = [str(program), *arguments, "--port", str(port)]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not _is_ready(port):
                if process.poll() is not None or time.perf_counter() - began > PATIENCE_SECONDS:
                    raise RuntimeError(f"{' '.join(command)} did not answer")
                time.sleep(0.005)
            return time.perf_counter() - began, cpu_seconds(process.pid)
        finally:
            process.terminate()
            process.wait()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def megabytes(folder: Path) -> float:
    """What the files of an environment take, without those of pip and setuptools, which an image does without."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = [path for path in files if not {"pip", "setuptools", "pkg_resources"} & set(path.relative_to(folder).parts)]
    return sum(path.stat().st_size for path in kept) / 1e6


def main() -> None:
    """Measure, and print the table."""
    with installed() as program:
        load = crowded()
        first_answer(program, "demo", "--sandbox-port", "0")  # The files are read once, as after any use.
        demos = [first_answer(program, "demo", "--sandbox-port", "0") for _ in range(ROUNDS)]
        servers = [first_answer(program, "serve") for _ in range(ROUNDS)]
        size = megabytes(program.parents[1])
    lines = ["| what | goal | median (range) | CPU: median (range) | met by the best |", "|---|---|---|---|---|"]
    for what, goal, found in (
        ("`protokeep demo` from the wheel to its first answer", 3.0, demos),
        ("`protokeep serve` with a new SQLite database to ready", 1.5, servers),
    ):
        passed, used = [list(column) for column in zip(*found, strict=True)]
        met = "yes" if min(passed) <= goal else "no"
        lines.append(f"| {what} | <= {goal:g} s | {median_of(passed, 2)} s | {median_of(used, 2)} s | {met} |")
    lines.append(f"| files of that environment, which are the image's layers above its base | | {size:.0f} MB | | |")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(f"\n{ROUNDS} starts of each; a start makes its database and migrates it. {load}\n")


if __name__ == "__main__":
    main()
