"""Renders templates, and adds the headers that every page has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from protokeep import __version__
from protokeep.web.pages import assets
from protokeep.web.pages.session import Preferences, Visitor, renew_cookie

#: Scripts, styles and pictures come from our own files only, nothing is inline, and no frame shows or is shown.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "private, no-store",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("protokeep.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(asset=assets.url_of, version=__version__)
    return environment


def fragment(name: str, **values: Any) -> str:
    """A rendered template."""
    return _environment().get_template(name).render(**values)


def address_of(request: Request) -> str:
    """The path and query of a request. The Host header has no say in it."""
    query = request.scope["query_string"].decode("latin-1")
    path: str = request.scope["path"]
    return f"{path}?{query}" if query else path


def page(
    request: Request,
    name: str,
    *,
    visitor: Visitor | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """A rendered page; `visitor` None: nobody is signed in. An old session cookie is sent again."""
    preferences = visitor.preferences if visitor else Preferences.of(request)
    text = fragment(
        name,
        visitor=visitor,
        preferences=preferences,
        path=request.scope["path"],
        here=address_of(request),
        **values,
    )
    response = HTMLResponse(text, status, headers={**HEADERS, **(headers or {})})
    if visitor is not None and visitor.cookie_is_old:
        renew_cookie(request, response, visitor)
    return response
