"""What routes ask for: the parts, the caller, and the headers that change an answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Header, Request, Response

from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated
from protokeep.core.principals import Principal, Role
from protokeep.service import Keeper
from protokeep.wiring import Application

#: Longest `Prefer: wait=n`: shorter than the idle limits of common proxies.
MAX_WAIT = 25


def application_of(request: Request) -> Application:
    """The process's parts."""
    found: Application = request.app.state.parts
    return found


def keeper_of(request: Request) -> Keeper:
    """The one service object."""
    return application_of(request).keeper


def address_of(request: Request) -> str:
    """Where a request came from, for the audit; empty where there is no address."""
    return request.client.host if request.client is not None else ""


async def _keeper(request: Request) -> Keeper:
    # A coroutine, as every dependency here: FastAPI takes a thread for one that is none.
    return keeper_of(request)


def bearer_of(request: Request) -> str:
    """The request's bearer token. Raises `NotAuthenticated`: there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated(
            "Send your token as `Authorization: Bearer <token>`. `protokeep token create` makes one."
        )
    return token


async def principal_of(request: Request) -> Principal:
    """Whom the request's bearer token stands for. Raises `NotAuthenticated`, and `TooMany`."""
    token = bearer_of(request)
    rates = request.app.state.rates
    try:
        principal = await application_of(request).authenticator.check(token)
    except NotAuthenticated:
        rates.sign_in(request)
        raise
    rates.request(principal)
    return replace(principal, address=address_of(request))


async def allowed(request: Request, role: Role) -> Principal:
    """Who asks, if they have at least this role. Raises `NotAuthenticated`, `NotAllowed`."""
    principal = await principal_of(request)
    if not principal.role.covers(role):
        raise NotAllowed(f"This needs a token of role {role.value}; yours is {principal.role.value}.")
    return principal


def needs(role: Role) -> Callable[..., Any]:
    """A dependency that lets through whoever has at least this role."""

    async def check(request: Request) -> Principal:
        return await allowed(request, role)

    return check


KeeperDep = Annotated[Keeper, Depends(_keeper)]
Viewer = Annotated[Principal, Depends(needs(Role.VIEWER))]
Maker = Annotated[Principal, Depends(needs(Role.MAKER))]
Admin = Annotated[Principal, Depends(needs(Role.ADMIN))]


def product_in_path(product_id: str) -> str:
    """The product id of a path that was routed as it was sent. Raises `InvalidInput`."""
    try:
        return unquote(product_id, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput("product_id in the path is not valid UTF-8.", field="product_id") from None


@dataclass(slots=True)
class Prefer:
    """The `Prefer` header (RFC 7240): `wait=n` and `respond-async`; other preferences are ignored."""

    wait: int | None = None
    respond_async: bool = False

    @classmethod
    def of(cls, header: str | None) -> Prefer:
        """What a header says. Raises `InvalidInput`."""
        found = cls()
        for preference in re.split(r"[,;]", header) if header else ():
            name, _, value = preference.strip().partition("=")
            if name.lower() == "respond-async":
                found.respond_async = True
            elif name.lower() == "wait":
                found.wait = _seconds_of(value.strip().strip('"'))
        return found

    def patience(self, otherwise: float) -> float:
        """How many seconds a create may wait for the builder; `otherwise` when nothing was said."""
        if self.respond_async:
            return 0.0
        return otherwise if self.wait is None else float(self.wait)


def _seconds_of(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 0 <= int(value[:6]) <= MAX_WAIT:
        raise InvalidInput(f"Prefer: wait takes whole seconds from 0 to {MAX_WAIT}.", field="Prefer")
    return int(value)


PreferHeader = Annotated[str | None, Header(max_length=500)]


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, written once: what is built here needs no second look by a model."""
    return Response(body, status, headers, "application/json")


def etag_of(*parts: bytes) -> str:
    """A strong validator over what the answer depends on."""
    return '"' + hashlib.blake2b(b",".join(parts), digest_size=12).hexdigest() + '"'


def unchanged(request: Request, etag: str) -> Response | None:
    """304 when the caller has this already."""
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
    return None


def cursor_of(after: tuple[datetime, str] | None) -> str | None:
    """Where the next page begins, as an opaque text."""
    if after is None:
        return None
    moment, mockup_id = after
    text = json.dumps([moment.isoformat(), mockup_id]).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def after_of(cursor: str | None) -> tuple[datetime, str] | None:
    """What a cursor names. Raises `InvalidInput`."""
    if cursor is None:
        return None
    try:
        moment, mockup_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        after = datetime.fromisoformat(moment).astimezone(UTC), str(mockup_id)
        if not re.fullmatch(r"[0-9a-fA-F-]{1,64}", after[1]):
            raise ValueError
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidInput(
            "This cursor is not one of ours. Take next_cursor of the page before, or leave it out.", field="cursor"
        ) from error
    return after
