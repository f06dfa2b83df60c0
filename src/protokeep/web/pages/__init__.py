"""The pages: rendered on the server, complete without JavaScript, and updated live by one small module."""

from __future__ import annotations

from fastapi import FastAPI

from protokeep.core.shares import Shares
from protokeep.web.broadcast import Broadcast
from protokeep.web.pages import (
    account,
    actions,
    adopting,
    arrangement,
    assets,
    audit,
    bin,
    census,
    chosen,
    compare,
    create,
    errors,
    finding,
    gallery,
    join,
    live,
    people,
    plan_policy,
    plans,
    provider_keys,
    similar,
)
from protokeep.web.pages.errors import FOR_PROGRAMS, as_page
from protokeep.wiring import Application

__all__ = ["FOR_PROGRAMS", "as_page", "broadcast_for", "install"]


def install(app: FastAPI) -> None:
    """Add the routes of the pages, and show errors as pages. Wraps the API's error handlers: install those first."""
    for module in (
        account,
        provider_keys,
        people,
        audit,
        join,
        compare,
        arrangement,
        chosen,
        gallery,
        bin,
        census,
        adopting,
        plan_policy,
        plans,
        create,
        similar,
        finding,
        actions,
        live,
        assets,
    ):
        app.include_router(module.router, include_in_schema=False)
    app.include_router(live.api_router)
    errors.install(app)


def broadcast_for(application: Application) -> Broadcast:
    """The live events of this process, with an encoder for every kind of page and for the API."""
    settings = application.settings
    broadcast = Broadcast(
        application.keeper.context.bus,
        application.gallery.card,
        Shares(settings.streams_per_person, settings.streams_per_process),
    )
    live.add_encoders(broadcast, application)
    application.gauges.streams = broadcast.open_streams
    return broadcast
