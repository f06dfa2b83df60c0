"""The settings of connections and of what is logged about requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ServingSettings(BaseSettings):
    """Part of `Settings`."""

    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: How long `serve` takes requests after SIGTERM while /readyz answers 503, so that a load balancer notices.
    #: Unset: 1 s with PostgreSQL, where other processes go on serving; 0 s with SQLite.
    drain_seconds: Annotated[float | None, Field(ge=0, le=60)] = None
    #: How long an idle connection stays open: longer than that of the load balancer in front, usually 60 s. A balancer
    #: otherwise sends a request into a connection that is just being closed.
    keep_alive_seconds: Annotated[int, Field(ge=1, le=3600)] = 75
    #: Whether each answered request is a line of the log (`request_answered`); health checks are none.
    access_log: bool = True
