"""Puts the page into the application."""

from __future__ import annotations

from fastapi import FastAPI

from protokeep.web.live import Live
from protokeep.web.pages import account, assets, browse, change, errors, keys, make, stream
from protokeep.wiring import Parts


def install(app: FastAPI) -> None:
    """Add the page's routes, and let errors on them be pages. Comes after the API's own error handlers."""
    for module in (account, keys, browse, make, change, stream, assets):
        app.include_router(module.router, include_in_schema=False)
    app.include_router(stream.api_router)
    errors.install(app)


def live_for(parts: Parts) -> Live:
    """The live events of this process, worded for pages and for the API."""
    settings = parts.settings
    live = Live(
        parts.keeper,
        parts.gallery,
        per_person=settings.streams_per_person,
        per_process=settings.streams_per_process,
    )
    stream.add_encoders(live, parts)
    return live
