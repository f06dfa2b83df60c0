"""What a command says when its answer was lost: what asking again does, and the command that asks for the very same."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from protokeep.client import ClientError

#: Exit codes; `EXIT_CODES` says them in `--help`.
EXIT_ERROR, EXIT_USAGE, EXIT_FAILED, EXIT_TIMEOUT, EXIT_UNFINISHED, EXIT_NO_ANSWER = 1, 2, 3, 4, 5, 6
EXIT_CODES = (
    "Exit codes: 0 done (status, watch, open: ready), 1 refused or another error, 2 wrong usage, 3 the prototype "
    "failed, 4 it timed out, 5 it is not finished yet, 6 no server answers, 130 interrupted."
)
DEFAULT_URL = "http://127.0.0.1:8400"


@dataclass(frozen=True, slots=True)
class RetryAdvice:
    """`words`: what may have happened, and what asking again would do. `command`: repeats it without doing more."""

    message: str
    command: str
    idempotency_key: str | None = None

    def __str__(self) -> str:
        return f"{self.message}\n  {self.command}"


def command(name: str, words: tuple[str, ...], options: Mapping[str, str | bool | None], url: str, token: str) -> str:
    """A command as it is typed. The token is not in it; the address is where the environment names another one."""
    parts = ["protokeep", name]
    if url != os.environ.get("PROTOKEEP_URL", DEFAULT_URL):
        options = {**options, "--url": url}
    for option, value in options.items():
        if value is True:
            parts.append(option)
        elif isinstance(value, str):
            parts += [f"{option}={value}"] if value.startswith("-") else [option, value]
    if any(word.startswith("-") and word != "-" for word in words):
        parts.append("--")
    typed = shlex.join([*parts, *words])
    return typed if token == os.environ.get("PROTOKEEP_TOKEN") else f"PROTOKEEP_TOKEN=... {typed}"


@contextlib.contextmanager
def repeatable(again: RetryAdvice, *, as_json: bool = False) -> Iterator[None]:
    """Around the one call of a command that changes something. An answer that is lost ends it with `again`.

    So does Ctrl-C, which leaves as open what has been done.
    """
    from protokeep.client import ClientError

    try:
        yield
    except ClientError as error:
        if not error.may_have_acted:
            raise
        fail(error, again, as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write(f"protokeep: interrupted. {again}\n")
        raise


@contextlib.contextmanager
def written(words: str) -> Iterator[None]:
    """Around printing what came of a change. Where it cannot be written, the answer is lost too: say `words`."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()  # Else the interpreter tries once more, and says so, at its end.
        sys.stderr.write(f"protokeep: the answer could not be written ({error.strerror}). {words}\n")
        raise typer.Exit(EXIT_ERROR) from None


@contextlib.contextmanager
def unsure(words: str) -> Iterator[None]:
    """Around what a command changes in the database or at the builder. An answer that is lost ends it with `words`."""
    from protokeep.core.errors import DatabaseUnavailable, OutcomeUnknown

    try:
        yield
    except (DatabaseUnavailable, OutcomeUnknown) as error:
        if not words:
            raise
        sys.stderr.write(f"protokeep: {error} {words}\n")
        raise typer.Exit(EXIT_ERROR) from None


def fail(error: ClientError, again: RetryAdvice | None = None, *, as_json: bool = False) -> NoReturn:
    """Say what went wrong on standard error, with `--json` on standard output too, and exit."""
    from protokeep.client import NoAnswer

    words = again.message if again else error.advice
    sys.stderr.write(f"protokeep: {error.reason} {again or error.advice}".rstrip() + "\n")
    if as_json:
        told = {
            "error": error.reason,
            "may_have_acted": error.may_have_acted,
            "advice": words or None,
            "idempotency_key": again.idempotency_key if again else error.idempotency_key,
            "repeat": again.command if again else None,
        }
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    raise typer.Exit(EXIT_NO_ANSWER if isinstance(error, NoAnswer) else EXIT_ERROR) from None
