"""Cross-origin calls of the API by pages of other origins, which the operator names one by one.

Pages and `/mcp` take none. No answer allows credentials: a caller of the API shows a token, and never a cookie.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

#: The paths that pages of other origins may call.
API_PATHS = "/api/"
METHODS = ("GET", "POST", "PUT", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer")
ANSWER_HEADERS = ("ETag", "Location", "Retry-After", "X-Request-Id")


class CrossOrigin:
    """Answers preflights of the API, and lets pages of the named origins read its answers."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._api = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            allow_credentials=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PATHS)
        await (self._api if is_api else self._app)(scope, receive, send)
