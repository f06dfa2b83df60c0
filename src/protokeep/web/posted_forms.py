"""Posted forms: decoded in this place only, as UTF-8, within bounds, and only after their sender was counted."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from protokeep.core.errors import InvalidInput

#: A prompt of 100,000 characters of four bytes each, and the other fields. Our forms send long texts as multipart.
BYTES_MAX = 450_000
#: Our other forms hold a key or a choice, and are urlencoded.
URLENCODED_MAX = 150_000
FIELDS_MAX = 20
#: Longest Content-Type that is looked at: browsers' have less than 100 characters.
CONTENT_TYPE_MAX = 300

MULTIPART = b"multipart/form-data"
URLENCODED = b"application/x-www-form-urlencoded"
#: What separates the parts of a form (RFC 2046, 5.1.1), without blanks.
BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=?-]{1,70}")


class UnsupportedForm(InvalidInput):
    """A body that is no form, or a form in another encoding than UTF-8."""


async def posted_fields(request: Request) -> Mapping[str, str]:
    """The fields of the request's form; read once, and the same ever after.

    A sender without a session is counted like somebody who tries to sign in, before anything is parsed. Raises
    `TooMany`, `UnsupportedForm`, and `InvalidInput` for a form that cannot be read.
    """
    known: Mapping[str, str] | None = getattr(request.state, "posted_fields", None)
    if known is None:
        if getattr(request.state, "visitor", None) is None:
            request.app.state.rates.sign_in(request)
        known = await fields_of(request.headers.get("content-type", ""), await request.body())
        request.state.posted_fields = known
    return known


async def fields_of(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a body with this Content-Type. Raises `UnsupportedForm`, and `InvalidInput` if it is unreadable.

    A codec that the sender names is never used: some take minutes for a megabyte, others give halves of surrogate
    pairs. No browser names one for our forms.
    """
    if not content_type and not body:
        return {}
    kind, options = parse_options_header(content_type) if len(content_type) <= CONTENT_TYPE_MAX else (b"", {})
    if kind not in (MULTIPART, URLENCODED) or options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise UnsupportedForm("Send a form as browsers do: multipart/form-data or urlencoded, in UTF-8.")
    try:
        text = body.decode()
        found = await _of_multipart(body, options) if kind == MULTIPART else _of_urlencoded(text)
        return {name: value for name, value in found if isinstance(value, str)}
    except (ValueError, MultiPartException):
        raise InvalidInput("The form cannot be read. Go back, reload the page, and send it again.") from None


async def _of_multipart(body: bytes, options: Mapping[bytes, bytes]) -> Iterable[tuple[str, Any]]:
    boundary = options.get(b"boundary", b"")
    if not BOUNDARY.fullmatch(boundary):
        raise ValueError("no usable boundary")
    headers = Headers(raw=[(b"content-type", MULTIPART + b"; boundary=" + boundary)])
    parser = MultiPartParser(headers, _stream(body), max_files=0, max_fields=FIELDS_MAX, max_part_size=BYTES_MAX)
    return (await parser.parse()).multi_items()


def _of_urlencoded(text: str) -> Iterable[tuple[str, str]]:
    if len(text) > URLENCODED_MAX:
        raise ValueError("too many escapes to decode at once")
    return parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)


async def _stream(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
