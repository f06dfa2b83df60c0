"""Logging: constant event names with fields, as text for a terminal or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from protokeep import telemetry
from protokeep.core.foreign_text import one_line, visible

#: Values of several lines: the traceback of an error, and a stack.
_TRACES = frozenset({"exception", "stack"})
#: Characters of a value, and of a trace, whose end says most. Somebody else's words do not fill the disk.
LONGEST, LONGEST_TRACE = 2_000, 50_000
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str = "info", form: str = "console") -> None:
    """Write our log lines and those of libraries to stderr. `form`: "console" or "json".

    No line has a prompt or a key among its fields, and no value can begin a line of its own or steer a terminal: JSON
    escapes what text for a terminal replaces.
    """
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        with_trace,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _bounded,
                *_renderers(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    logging.captureWarnings(True)  # Python itself writes them in several lines.
    for name in ("httpx2", "httpcore", "uvicorn", "alembic", "pgqueuer", "asyncio", "mcp"):
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[level]))


def with_trace(_logger: object, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds the trace to which a line belongs, while traces are made."""
    if trace_id := telemetry.trace_id():
        entry["trace_id"] = trace_id
    return entry


def _renderers(form: str) -> list[Any]:
    if form == "json":
        return [structlog.processors.JSONRenderer()]
    return [_as_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _bounded(_logger: object, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cuts long texts: a library may log whatever a caller sends, a mebibyte of it."""
    for name, value in entry.items():
        if isinstance(value, str):
            entry[name] = value[-LONGEST_TRACE:] if name in _TRACES else value[:LONGEST]
    return entry


def _as_one_line(_logger: object, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Takes line ends and control characters out of texts. The lines of a traceback stay, and are indented."""
    for name, value in entry.items():
        if isinstance(value, str):
            entry[name] = _indented(value) if name in _TRACES else one_line(value)
    return entry


def _indented(trace: str) -> str:
    return "\n".join("    " + visible(line) for line in trace.splitlines())
