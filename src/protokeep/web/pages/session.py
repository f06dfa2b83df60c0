"""Visitors of pages: session cookies, signed forms, and the preferences that the browser stores."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import quote, unquote, urlsplit

from fastapi import Depends, Request, Response
from starlette.datastructures import UploadFile

from protokeep.core.errors import NotAllowed, NotAuthenticated
from protokeep.core.principals import Principal, Role
from protokeep.store.lines import WORKING_FOR
from protokeep.web.dependencies import application_of, client_address

SESSION = "protokeep_session"
FORM = "protokeep_form"
FLOW = "protokeep_flow"
PREFERENCES = "protokeep_page"
YEAR_SECONDS = 365 * 24 * 3600
SESSION_SECONDS = 12 * 3600
FORM_SECONDS = 3600
FLOW_SECONDS = 600
FIELDS_MAX = 20

Theme = Literal["auto", "light", "dark"]


class ForeignForm(NotAllowed):
    """A form without a valid form token: another site has posted it, or the page was open for too long."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of the settings page, stored in a cookie."""

    theme: Theme = "auto"
    keys: bool = True
    live: bool = True

    @classmethod
    def of(cls, request: Request) -> Preferences:
        """The preferences in the request's cookie; defaults for all that is missing or unreadable."""
        flags = request.cookies.get(PREFERENCES, "")[:50].split(".")
        theme: Theme = "dark" if "dark" in flags else "light" if "light" in flags else "auto"
        return cls(theme, "nokeys" not in flags, "nolive" not in flags)

    def save(self, request: Request, response: Response) -> None:
        """Store the preferences in the browser."""
        flags = [self.theme, *([] if self.keys else ["nokeys"]), *([] if self.live else ["nolive"])]
        _set(request, response, PREFERENCES, ".".join(flags), YEAR_SECONDS)

    def with_live(self, live: bool) -> Preferences:
        """These preferences with live updates on or off."""
        return replace(self, live=live)


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who is signed in, and what each of their pages needs."""

    principal: Principal
    form_token: str
    preferences: Preferences
    session_secret: str
    expires_at: datetime
    renewed: bool

    @property
    def can_make(self) -> bool:
        """Whether pages offer to create prototypes."""
        return self.principal.role.covers(Role.MAKER)

    @property
    def can_delete(self) -> bool:
        """Whether pages offer to delete prototypes."""
        return self.principal.role.covers(Role.ADMIN)


def is_secure(request: Request) -> bool:
    """Whether browsers use https: this request does, or the public URL in the settings says so."""
    return request.url.scheme == "https" or application_of(request).settings.is_https


def cookie_name(request: Request, name: str) -> str:
    """The full name of a cookie. Over https the prefix `__Host-` stops other hosts and plain http from setting it."""
    return f"__Host-{name}" if is_secure(request) else name


def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(request, name) if name != PREFERENCES else name,
        value,
        max_age=seconds,
        httponly=True,
        samesite="lax",  # A link in a chat leads to the prototype, not to the sign-in page.
        secure=is_secure(request),
        path="/",
    )


def _drop(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(
        cookie_name(request, name), path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )


async def visitor_of(request: Request) -> Visitor:
    """The visitor of this request. Raises `NotAuthenticated`, which leads a browser to the sign-in form."""
    session_secret = request.cookies.get(cookie_name(request, SESSION), "")
    if not session_secret:
        raise NotAuthenticated("You are not signed in.")
    visitor = await visitor_of_session(request, session_secret)
    await request.app.state.rates.page(visitor.principal)
    WORKING_FOR.set(visitor.principal.workspace_id)
    request.state.visitor = visitor
    return visitor


async def visitor_of_session(request: Request, session_secret: str) -> Visitor:
    """The visitor with this session. Raises `NotAuthenticated`."""
    sessions = application_of(request).sessions
    session = await sessions.check(session_secret)
    return Visitor(
        replace(session.principal, address=client_address(request)),
        sessions.form_token(session_secret),
        Preferences.of(request),
        session_secret,
        session.expires_at,
        session.renewed,
    )


async def maker_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """The visitor, if they may create. Raises `NotAllowed`."""
    if not visitor.can_make:
        raise NotAllowed(
            f"Your role is {visitor.principal.role.value}: you can look at everything here. "
            "To make prototypes, sign in with a token of role maker."
        )
    return visitor


async def admin_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """The visitor, if they may delete. Raises `NotAllowed`."""
    if not visitor.can_delete:
        raise NotAllowed(
            f"Your role is {visitor.principal.role.value}. Deleting takes a token of role admin, because it cannot "
            "be undone."
        )
    return visitor


VisitorDep = Annotated[Visitor, Depends(visitor_of)]
MakerDep = Annotated[Visitor, Depends(maker_of)]
AdminDep = Annotated[Visitor, Depends(admin_of)]


def start_session(request: Request, response: Response, session_secret: str) -> None:
    """Set the session cookie, and drop the cookies of the sign-in."""
    _set(request, response, SESSION, session_secret, SESSION_SECONDS)
    _drop(request, response, FORM)
    _drop(request, response, FLOW)


def renew_session(request: Request, response: Response, visitor: Visitor) -> None:
    """Set the session cookie again, until the renewed session ends."""
    seconds = int((visitor.expires_at - datetime.now(UTC)).total_seconds())
    _set(request, response, SESSION, visitor.session_secret, max(seconds, 1))


def end_session(request: Request, response: Response) -> None:
    """Drop the session cookie and the browser's cache of our pages."""
    _drop(request, response, SESSION)
    response.headers["Clear-Site-Data"] = '"cache"'


def anonymous_form_token(request: Request) -> tuple[str, str]:
    """The form token of somebody who is not signed in, and the cookie that it is made from."""
    cookie = request.cookies.get(cookie_name(request, FORM), "") or secrets.token_urlsafe(16)
    return application_of(request).sessions.form_token(cookie), cookie


def set_form_cookie(request: Request, response: Response, cookie: str) -> None:
    """Set the cookie that an anonymous form token is made from."""
    _set(request, response, FORM, cookie, FORM_SECONDS)


def set_flow_cookie(request: Request, response: Response, cookie: str, onward: str) -> None:
    """Set the cookie of a sign-in at the sign-in service, with the path to go to after it."""
    _set(request, response, FLOW, f"{cookie}:{quote(onward, safe='/')}", FLOW_SECONDS)


def drop_flow_cookie(request: Request, response: Response) -> None:
    """Drop the flow cookie, so that the same answer cannot be used twice."""
    _drop(request, response, FLOW)


def read_flow_cookie(request: Request) -> tuple[str, str]:
    """The flow cookie, and the path to go to after the sign-in; empty and "/" without one."""
    cookie, _, onward = request.cookies.get(cookie_name(request, FLOW), "").partition(":")
    return cookie, local_path(unquote(onward))


async def form_fields(request: Request) -> Mapping[str, str]:
    """The fields of a form with a valid form token. Raises `ForeignForm`."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForeignForm("This form came from another site, so nothing was done.")
    form = await request.form(max_files=0, max_fields=FIELDS_MAX)
    fields = {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    cookies = [request.cookies.get(cookie_name(request, name), "") for name in (SESSION, FORM)]
    token = fields.get("form_token", "")
    sessions = application_of(request).sessions
    if not any(cookie and sessions.is_form_token(cookie, token) for cookie in cookies):
        raise ForeignForm("This page was open for too long, or in another session. Nothing was done; reload it.")
    return fields


FormFieldsDep = Annotated[Mapping[str, str], Depends(form_fields)]


def local_path(value: str | None, default: str = "/") -> str:
    """`value` if it is a path on this server, else `default`: a link cannot lead anybody to another site."""
    if not value or len(value) > 2000 or not value.startswith("/") or value.startswith("//"):
        return default
    if "\\" in value or any(ord(character) < 33 or ord(character) == 127 for character in value):
        return default
    url = urlsplit(value)
    return default if url.scheme or url.netloc else value


def is_on(value: str | None) -> bool:
    """Whether a check box of a form, or a switch of a query, is on."""
    return value in ("1", "on", "true", "yes")
