"""What signals do before a server is ready, and to commands that end by themselves."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def end_at_once_when_asked(*, is_server: bool) -> None:
    """Let SIGTERM end this process at any moment, also as the first process of a container; call this first.

    The system ignores SIGTERM for such a process as long as it has no handler. Nothing is lost by an end at any
    moment: a migration is a transaction, and everything else is taken up from rows. A server that is ready handles
    SIGTERM and SIGINT itself, and takes its leave. `is_server`: SIGINT also ends it while it starts, exit code 0
    says that an end was asked for, and SIGHUP, which logrotate and `systemctl reload` send, does nothing.
    """
    code = 0 if is_server else 128 + signal.SIGTERM

    def end(number: int, _frame: FrameType | None) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code if number == signal.SIGTERM else 128 + number)

    signal.signal(signal.SIGTERM, end)
    if is_server:
        signal.signal(signal.SIGINT, end)
        if hasattr(signal, "SIGHUP") and not _has_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _has_terminal() -> bool:
    """Whether a person sees what this process says: closing that terminal ends it, as it ends other programs."""
    return sys.stderr is not None and sys.stderr.isatty()
