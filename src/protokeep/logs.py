"""Logging: constant event names with fields, as text for a terminal or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


#: The fields that hold several lines of our own.
_WITH_LINES = ("exception", "stack")


def escape_controls(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escapes what moves a terminal's cursor or begins another line, in texts that callers and app builders send."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            kept = "\n\t" if name in _WITH_LINES else ""
            event[name] = "".join(one if one.isprintable() or one in kept else ascii(one)[1:-1] for one in value)
    return event


def configure(level: str = "info", form: str = "console") -> None:
    """Write our log lines and those of libraries to stderr. `form`: "console" or "json".

    No line has a prompt or a key among its fields, and no text in one can pretend to be another line.
    """
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
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
                *(structlog.processors.format_exc_info, escape_controls),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    for name in ("httpx2", "httpcore", "uvicorn.access", "pgqueuer", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[level]))
