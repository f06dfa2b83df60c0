"""Advice for lost answers: what asking again would do, and the command that repeats the same request safely."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import typer

from protokeep.cli.options import DEFAULT_URL
from protokeep.cli.own_words import in_own_words
from protokeep.cli.terminal import in_one_line, print_json, print_notice

if TYPE_CHECKING:
    from protokeep.client import ClientError

#: Exit codes, and their description in `--help`.
EXIT_ERROR, EXIT_USAGE, EXIT_FAILED, EXIT_TIMEOUT, EXIT_UNFINISHED, EXIT_NO_ANSWER = 1, 2, 3, 4, 5, 6
EXIT_CODES = (
    "Exit codes: 0 done (status, watch, open: ready), 1 refused or another error, 2 wrong usage, 3 the prototype "
    "failed, 4 it timed out, 5 it is not finished yet, 6 no server answers, 130 interrupted."
)


@dataclass(frozen=True, slots=True)
class RetryAdvice:
    """`message` says what may have happened, and what asking again would do; `command` repeats the request safely."""

    message: str
    command: str
    idempotency_key: str | None = None

    def __str__(self) -> str:
        return f"{self.message}\n  {self.command}"


def shell_command(
    name: str, arguments: tuple[str, ...], options: Mapping[str, str | bool | None], url: str, token: str
) -> str:
    """A `protokeep` command as it is typed in a shell.

    The token is never part of it. The address is, unless the environment or the default names the same one.
    """
    typed = ["protokeep", *name.split()]
    if url != os.environ.get("PROTOKEEP_URL", DEFAULT_URL):
        options = {**options, "--url": url}
    for option, value in options.items():
        if value is True:
            typed.append(option)
        elif isinstance(value, str):
            typed += [f"{option}={value}"] if value.startswith("-") else [option, value]
    if any(argument.startswith("-") and argument != "-" for argument in arguments):
        typed.append("--")
    line = shlex.join([*typed, *arguments])
    is_known = token == os.environ.get("PROTOKEEP_TOKEN") or bool(os.environ.get("PROTOKEEP_TOKEN_FILE"))
    return line if is_known else f"PROTOKEEP_TOKEN=... {line}"


@contextlib.contextmanager
def advise_if_answer_lost(advice: RetryAdvice, *, as_json: bool = False) -> Iterator[None]:
    """Around one request that changes something: if its answer is lost, print `advice` and exit.

    Ctrl-C also leaves the outcome open, so it prints `advice` too.
    """
    from protokeep.client import ClientError

    try:
        yield
    except ClientError as error:
        if not error.may_have_acted:
            raise
        exit_with_error(error, advice, as_json=as_json)
    except KeyboardInterrupt:
        print_notice(f"interrupted. {advice}")
        raise


@contextlib.contextmanager
def advise_if_output_fails(advice: str) -> Iterator[None]:
    """Around printing the result of a change: if it cannot be written, print `advice` on stderr and exit."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()  # Otherwise the interpreter tries to flush again when it exits, and reports that error.
        print_notice(f"the answer could not be written ({error.strerror}). {advice}")
        raise typer.Exit(EXIT_ERROR) from None


@contextlib.contextmanager
def advise_if_outcome_unknown(advice: str) -> Iterator[None]:
    """Around a change in the database or at the provider: if its outcome is unknown, print `advice` and exit."""
    from protokeep.core.errors import DatabaseUnavailable, OutcomeUnknown

    try:
        yield
    except (DatabaseUnavailable, OutcomeUnknown) as error:
        if not advice:
            raise
        print_notice(f"{error} {advice}")
        raise typer.Exit(EXIT_ERROR) from None


def exit_with_error(
    error: ClientError, advice: RetryAdvice | None = None, *, as_json: bool = False, reason: str = ""
) -> NoReturn:
    """Print the error, or `reason` instead, on stderr, with `as_json` also as JSON on stdout, and exit."""
    from protokeep.client import BadSetting, NoAnswer

    message = advice.message if advice else error.advice
    reason = reason or in_own_words(error.reason)
    print_notice(f"{in_one_line(reason)} {advice or error.advice}".rstrip())
    if as_json:
        view = {
            "error": reason,
            "may_have_acted": error.may_have_acted,
            "advice": message or None,
            "idempotency_key": advice.idempotency_key if advice else error.idempotency_key,
            "repeat": advice.command if advice else None,
        }
        print_json(view)
    code = (
        EXIT_NO_ANSWER if isinstance(error, NoAnswer) else EXIT_USAGE if isinstance(error, BadSetting) else EXIT_ERROR
    )
    raise typer.Exit(code) from None
