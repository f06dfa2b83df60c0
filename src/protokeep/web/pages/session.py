"""Visitors of pages: session cookies, signed forms, and the preferences that the browser stores."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote, unquote, urlsplit

from fastapi import Depends, Request, Response

from protokeep.core.errors import NotAllowed, NotAuthenticated
from protokeep.core.principals import Principal, Role
from protokeep.core.validation import whole_number_of
from protokeep.service.sessions import RENEW_AFTER
from protokeep.store.lines import WORKING_FOR
from protokeep.web.dependencies import application_of, client_address
from protokeep.web.posted_forms import posted_fields

SESSION = "protokeep_session"
FORM = "protokeep_form"
FLOW = "protokeep_flow"
PREFERENCES = "protokeep_page"
YEAR_SECONDS = 365 * 24 * 3600
SESSION_SECONDS = 12 * 3600
FORM_SECONDS = 3600
FLOW_SECONDS = 600
#: Sent by our script when it reads a page again by itself, which is no use of the session by a person.
RELOAD_HEADER = "x-reload"

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
    """A person who is signed in, and what each of their pages needs.

    `cookie_is_old`: the browser was sent the session's cookie so long ago that it has to be sent again.
    """

    principal: Principal
    form_token: str
    preferences: Preferences
    session_secret: str
    expires_at: datetime
    cookie_is_old: bool

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
    return request.scope["scheme"] == "https" or application_of(request).settings.is_https


def cookie_name(request: Request, name: str) -> str:
    """The full name of a cookie. Over https the prefix `__Host-` stops other hosts and plain http from setting it."""
    return f"__Host-{name}" if is_secure(request) else name


def session_cookie(request: Request) -> tuple[str, int | None]:
    """The session's secret in the cookie, and when the cookie was sent, in seconds since 1970; empty without one."""
    session_secret, _, sent_at = request.cookies.get(cookie_name(request, SESSION), "").partition(".")
    return session_secret, whole_number_of(sent_at, sys.maxsize)


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
    return await _visitor(request, renew=RELOAD_HEADER not in request.headers)


async def onlooker_of(request: Request) -> Visitor:
    """The visitor whose page asks by itself, for live events and pictures: that does not renew the session."""
    return await _visitor(request, renew=False)


async def _visitor(request: Request, *, renew: bool) -> Visitor:
    session_secret, sent_at = session_cookie(request)
    if not session_secret:
        raise NotAuthenticated("You are not signed in.")
    visitor = await visitor_of_session(request, session_secret, sent_at, renew=renew)
    request.state.workspace_id = visitor.principal.workspace_id  # For the line of the log.
    await request.app.state.rates.page(visitor.principal)
    WORKING_FOR.set(visitor.principal.workspace_id)
    request.state.visitor = visitor
    return visitor


async def visitor_of_session(
    request: Request, session_secret: str, sent_at: int | None, *, renew: bool = True
) -> Visitor:
    """The visitor with this session, whose cookie was sent at `sent_at`. Raises `NotAuthenticated`."""
    sessions = application_of(request).sessions
    session = await sessions.check(session_secret, renew=renew)
    return Visitor(
        replace(session.principal, address=client_address(request)),
        sessions.form_token(session_secret),
        Preferences.of(request),
        session_secret,
        session.expires_at,
        sent_at is None or not 0 <= _seconds_now(request) - sent_at <= RENEW_AFTER.total_seconds(),
    )


async def maker_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """The visitor, if they may create. Raises `NotAllowed`."""
    if not visitor.can_make:
        raise NotAllowed(
            f"Your role is {visitor.principal.role.value}, so you can look at everything here, but not create or "
            "change prototypes. Ask an admin for the role maker."
        )
    return visitor


async def admin_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """The visitor, if they may delete. Raises `NotAllowed`."""
    if not visitor.can_delete:
        raise NotAllowed(
            f"Your role is {visitor.principal.role.value}, and this page is for admins. Ask an admin of your workspace."
        )
    return visitor


VisitorDep = Annotated[Visitor, Depends(visitor_of)]
OnlookerDep = Annotated[Visitor, Depends(onlooker_of)]
MakerDep = Annotated[Visitor, Depends(maker_of)]
AdminDep = Annotated[Visitor, Depends(admin_of)]


def start_session(request: Request, response: Response, session_secret: str) -> None:
    """Set the session cookie, and drop the cookies of the sign-in."""
    _set_session(request, response, session_secret, SESSION_SECONDS)
    _drop(request, response, FORM)
    _drop(request, response, FLOW)


def renew_cookie(request: Request, response: Response, visitor: Visitor) -> None:
    """Set the session cookie again, until the session ends."""
    seconds = int(visitor.expires_at.timestamp()) - _seconds_now(request)
    _set_session(request, response, visitor.session_secret, max(seconds, 1))


def _set_session(request: Request, response: Response, session_secret: str, seconds: int) -> None:
    # The cookie tells its own age: nothing else knows when this browser was sent it.
    _set(request, response, SESSION, f"{session_secret}.{_seconds_now(request)}", seconds)


def _seconds_now(request: Request) -> int:
    return int(application_of(request).sessions.now().timestamp())


def end_session(request: Request, response: Response) -> None:
    """Drop the session cookie and the browser's cache of our pages."""
    _drop(request, response, SESSION)
    response.headers["Clear-Site-Data"] = '"cache"'


async def sign_in_form_token(request: Request) -> tuple[str, str | None]:
    """The token of a sign-in form, and the form cookie to set with it; None: a valid session signs the form."""
    sessions = application_of(request).sessions
    session_secret = await _valid_session(request)
    if session_secret:
        return sessions.form_token(session_secret), None
    cookie = _form_cookie(request) or sessions.new_form_cookie()
    return sessions.form_token(cookie), cookie


async def _valid_session(request: Request) -> str:
    """The secret of the browser's session; empty if it has none that is valid."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    session_secret = visitor.session_secret if visitor else session_cookie(request)[0]
    if session_secret and visitor is None:
        try:
            await application_of(request).sessions.check(session_secret, renew=False)
        except NotAuthenticated:
            return ""
    return session_secret


def _form_cookie(request: Request) -> str:
    """The browser's form cookie; empty if it has none, or one that is not ours: another site may have planted it."""
    cookie = request.cookies.get(cookie_name(request, FORM), "")
    return cookie if application_of(request).sessions.is_form_cookie(cookie) else ""


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
    """The fields of a form that is signed for this browser: by its session, or by its form cookie if it has none.

    Raises `ForeignForm`, and what `posted_fields` raises.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForeignForm("This form came from another site, so nothing was done.")
    fields = await posted_fields(request)
    cookie = await _valid_session(request) or _form_cookie(request)
    if not cookie or not application_of(request).sessions.is_form_token(cookie, fields.get("form_token", "")):
        raise ForeignForm(
            "This page was open for too long, or in another session. Nothing was done. Reload the page, then try again."
        )
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
