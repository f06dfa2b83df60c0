"""Dependencies of routes: the application, the caller, and the headers that change an answer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

from fastapi import Depends, Header, Request, Response

from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated
from protokeep.core.principals import Principal, Role
from protokeep.core.validation import whole_number_of
from protokeep.service import Keeper
from protokeep.store.lines import WORKING_FOR
from protokeep.wiring import Application

#: Longest `Prefer: wait=n` in seconds: shorter than the idle limits of common proxies.
WAIT_MAX = 25
#: How a token begins that a program has not filled in: a variable, an example, or the word before the token.
PLACEHOLDERS = ("$", "{", "<", "Bearer ", "bearer ", "env:")
#: For answers that carry an ETag: a browser keeps them, and asks each time whether they still hold.
MUST_REVALIDATE = {"Cache-Control": "private, no-cache"}


def application_of(request: Request) -> Application:
    """The application that serves this request."""
    application: Application = request.app.state.application
    return application


def keeper_of(request: Request) -> Keeper:
    """The keeper of the application."""
    return application_of(request).keeper


def client_address(request: Request) -> str:
    """The client's address, for the audit; empty for a connection without one."""
    return request.client.host if request.client is not None else ""


async def _keeper(request: Request) -> Keeper:
    # A coroutine, like every dependency here: FastAPI runs others in a thread.
    return keeper_of(request)


def bearer_of(request: Request) -> str:
    """The bearer token of the request. Raises `NotAuthenticated` without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated(
            "Send your token as `Authorization: Bearer <token>`. `protokeep token create` makes one."
        )
    if token.startswith(PLACEHOLDERS):
        raise NotAuthenticated(
            "The token is a placeholder that was not filled in. Put the token itself in its place: it begins with pk_."
        )
    return token


async def principal_of(request: Request) -> Principal:
    """The principal of the request's bearer token. Raises `NotAuthenticated` and `TooMany`."""
    token = bearer_of(request)
    rates = request.app.state.rates
    try:
        principal = await application_of(request).authenticator.check(token)
    except NotAuthenticated:
        rates.sign_in(request)
        raise
    await rates.request(principal)
    WORKING_FOR.set(principal.workspace_id)
    request.state.workspace_id = principal.workspace_id  # For the line of the log.
    return replace(principal, address=client_address(request))


def require_role(role: Role) -> Callable[..., Any]:
    """A dependency: the caller, who has to have at least this role. It carries `role`, for the API's description."""

    async def check(request: Request) -> Principal:
        principal = await principal_of(request)
        if not principal.role.covers(role):
            raise NotAllowed(f"This needs a token of role {role.value}; yours is {principal.role.value}.")
        return principal

    check.role = role  # type: ignore[attr-defined]
    return check


KeeperDep = Annotated[Keeper, Depends(_keeper)]
Viewer = Annotated[Principal, Depends(require_role(Role.VIEWER))]
Maker = Annotated[Principal, Depends(require_role(Role.MAKER))]
Admin = Annotated[Principal, Depends(require_role(Role.ADMIN))]


def product_in_path(product_id: str) -> str:
    """The product id in a path that is still percent-encoded. Raises `InvalidInput`."""
    try:
        return unquote(product_id, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput("product_id in the path is not valid UTF-8.", field="product_id") from None


@dataclass(slots=True)
class Prefer:
    """The preferences `wait=n` and `respond-async` of a `Prefer` header (RFC 7240); others are ignored."""

    wait: int | None = None
    respond_async: bool = False

    @classmethod
    def of(cls, header: str | None) -> Prefer:
        """The preferences in a header; None: no header was sent. One that cannot be met is shortened or ignored."""
        parsed = cls()
        for preference in re.split(r"[,;]", header) if header else ():
            name, _, value = preference.strip().partition("=")
            if name.lower() == "respond-async":
                parsed.respond_async = True
            elif name.lower() == "wait":
                parsed.wait = _seconds_of(value.strip().strip('"'), parsed.wait)
        return parsed

    def wait_seconds(self, default: float) -> float:
        """How many seconds a create may wait for the app builder; `default` without a preference."""
        if self.respond_async:
            return 0.0
        return default if self.wait is None else float(self.wait)


def _seconds_of(value: str, otherwise: int | None) -> int | None:
    """A wait in whole seconds, shortened to the longest one; `otherwise` for a preference that cannot be read."""
    if not (value.isascii() and value.isdigit()):
        return otherwise
    seconds = whole_number_of(value, WAIT_MAX)
    return WAIT_MAX if seconds is None else seconds


PreferHeader = Annotated[str | None, Header(max_length=500)]
KeyHeader = Annotated[str | None, Header(max_length=300)]


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose JSON is written already: no model validates it again."""
    return Response(body, status, headers, "application/json")


def not_modified(request: Request, etag: str) -> Response | None:
    """304 if the caller's `If-None-Match` names `etag` (RFC 9110, 13.1.2); None: the whole answer has to be sent."""
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers={"ETag": etag, **MUST_REVALIDATE})
    return None


def encode_cursor(after: tuple[datetime, str] | None) -> str | None:
    """The opaque cursor of the page after this position; None: there is no further page."""
    if after is None:
        return None
    moment, mockup_id = after
    text = json.dumps([moment.isoformat(), mockup_id]).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def encode_name_cursor(after: str | None) -> str | None:
    """The opaque cursor of the page after this name; None: there is no further page."""
    return None if after is None else base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def decode_name_cursor(cursor: str | None) -> str | None:
    """The name that a cursor stands for; None: the first page. Raises `InvalidInput`."""
    if cursor is None:
        return None
    try:
        name = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise _foreign_cursor() from error
    if not name.isprintable() or encode_name_cursor(name) != cursor:  # Foreign characters were left out.
        raise _foreign_cursor()
    return name


def _foreign_cursor() -> InvalidInput:
    return InvalidInput(
        "This cursor is not one of ours. Take next_cursor of the page before, or leave it out.", field="cursor"
    )


def decode_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """The position that a cursor stands for; None: the first page. Raises `InvalidInput`."""
    if cursor is None:
        return None
    try:
        moment, mockup_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        after = datetime.fromisoformat(moment).astimezone(UTC), str(mockup_id)
        named = UUID(after[1])
        if after[1] not in (str(named), named.hex):  # PostgreSQL may refuse to compare other spellings with ids.
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _foreign_cursor() from error
    return after
