"""The page's own files: served from the package, under addresses that change with their content."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from protokeep.core.errors import NotFound

router = APIRouter()

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
NAMES = frozenset(
    {
        "app.css",
        "app.js",
        "forms.js",
        "find.js",
        "detail.css",
        "docs.css",
        "order.css",
        "order.js",
        "select.js",
        "shapes.svg",
        "mark.svg",
    }
)


@cache
def _content(name: str) -> tuple[bytes, bytes, str]:
    """(the file, the file compressed, its version)."""
    content = files("protokeep.web").joinpath("static", name).read_bytes()
    return content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:8]


def url_of(name: str) -> str:
    """The address of a file. It changes with the file, so that browsers may cache it for ever."""
    return f"/static/{name}?v={_content(name)[2]}"


@router.get("/static/{name}")
async def static(name: str, request: Request) -> Response:
    """One of the page's own files."""
    if name not in NAMES:
        raise NotFound("There is no such file.")
    content, compressed, version = _content(name)
    # These files hold no secret. Pages do, and are sent as they are: their length would tell what they repeat.
    is_compressed = "gzip" in request.headers.get("accept-encoding", "")
    is_current = request.query_params.get("v") == version
    return Response(
        compressed if is_compressed else content,
        media_type=TYPES[name.rpartition(".")[2]],
        headers={
            "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-cache",
            "ETag": f'"{version}"' if not is_compressed else f'"{version}-gzip"',
            "Vary": "Accept-Encoding",
            **({"Content-Encoding": "gzip"} if is_compressed else {}),
            "Cross-Origin-Resource-Policy": "same-origin",
            # An SVG that is opened by itself is a document: this keeps it from running scripts.
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        },
    )


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    """The mark, at the address that browsers request by themselves."""
    return await static("mark.svg", request)
