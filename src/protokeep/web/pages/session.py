"""Who looks at a page: cookies, the signature of forms, and what the browser was told to remember."""

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
from protokeep.web.dependencies import address_of, application_of

SESSION = "protokeep_session"
FORM = "protokeep_form"
FLOW = "protokeep_flow"
PREFERENCES = "protokeep_page"
YEAR_SECONDS = 365 * 24 * 3600
FORM_SECONDS = 3600
FLOW_SECONDS = 600
FIELDS_MAX = 20

Theme = Literal["auto", "light", "dark"]


class FormNotOurs(NotAllowed):
    """A form without our signature: from another site, or from a page that was open too long."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the settings page keeps in the browser."""

    theme: Theme = "auto"
    keys: bool = True
    live: bool = True

    @classmethod
    def of(cls, request: Request) -> Preferences:
        """What the cookie says; anything else is the default."""
        words = request.cookies.get(PREFERENCES, "")[:50].split(".")
        theme: Theme = "dark" if "dark" in words else "light" if "light" in words else "auto"
        return cls(theme, "nokeys" not in words, "nolive" not in words)

    def keep(self, request: Request, response: Response) -> None:
        """Let the browser remember."""
        words = [self.theme, *([] if self.keys else ["nokeys"]), *([] if self.live else ["nolive"])]
        _set(request, response, PREFERENCES, ".".join(words), YEAR_SECONDS)

    def with_live(self, on: bool) -> Preferences:
        """With live updates on or off."""
        return replace(self, live=on)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in, and what every page of theirs needs."""

    principal: Principal
    form_token: str
    preferences: Preferences
    held: str
    expires_at: datetime
    renewed: bool

    @property
    def can_make(self) -> bool:
        """Whether actions that create are shown."""
        return self.principal.role.covers(Role.MAKER)

    @property
    def can_delete(self) -> bool:
        """Whether deleting is offered."""
        return self.principal.role.covers(Role.ADMIN)


def is_secure(request: Request) -> bool:
    """Whether browsers reach us over https: this one does, or the address that people are told says so."""
    return request.url.scheme == "https" or application_of(request).settings.is_https


def cookie_name(request: Request, name: str) -> str:
    """Over https the name itself says that no other host and no plain connection may set it."""
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
    """Whoever is signed in. Raises `NotAuthenticated`, which on a page leads to the sign-in form."""
    held = request.cookies.get(cookie_name(request, SESSION), "")
    if not held:
        raise NotAuthenticated("You are not signed in.")
    visitor = await visitor_holding(request, held)
    request.app.state.rates.request(visitor.principal)
    request.state.visitor = visitor
    return visitor


async def visitor_holding(request: Request, held: str) -> Visitor:
    """Whoever's browser holds this. Raises `NotAuthenticated`."""
    sessions = application_of(request).sessions
    session = await sessions.check(held)
    return Visitor(
        replace(session.principal, address=address_of(request)),
        sessions.form_token(held),
        Preferences.of(request),
        held,
        session.expires_at,
        session.renewed,
    )


async def maker_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """Whoever is signed in and may create. Raises `NotAllowed`."""
    if not visitor.can_make:
        raise NotAllowed(
            f"Your role is {visitor.principal.role.value}: you can look at everything here. "
            "To make prototypes, sign in with a token of role maker."
        )
    return visitor


async def admin_of(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """Whoever is signed in and may delete. Raises `NotAllowed`."""
    if not visitor.can_delete:
        raise NotAllowed(
            f"Your role is {visitor.principal.role.value}. Deleting takes a token of role admin, because it cannot "
            "be undone."
        )
    return visitor


VisitorDep = Annotated[Visitor, Depends(visitor_of)]
MakerDep = Annotated[Visitor, Depends(maker_of)]
AdminDep = Annotated[Visitor, Depends(admin_of)]


def begin(request: Request, response: Response, held: str) -> None:
    """Signed in: the browser holds a new secret from now on."""
    _set(request, response, SESSION, held, 12 * 3600)
    _drop(request, response, FORM)
    _drop(request, response, FLOW)


def renew(request: Request, response: Response, visitor: Visitor) -> None:
    """The browser keeps its secret for longer."""
    seconds = int((visitor.expires_at - datetime.now(UTC)).total_seconds())
    _set(request, response, SESSION, visitor.held, max(seconds, 1))


def end(request: Request, response: Response) -> None:
    """Signed out: the browser forgets, and drops what it has kept of the pages."""
    _drop(request, response, SESSION)
    response.headers["Clear-Site-Data"] = '"cache"'


def stranger_token(request: Request) -> tuple[str, str]:
    """What the sign-in form carries, and the secret that the browser holds beside it."""
    held = request.cookies.get(cookie_name(request, FORM), "") or secrets.token_urlsafe(16)
    return application_of(request).sessions.form_token(held), held


def keep_stranger(request: Request, response: Response, held: str) -> None:
    """Let the browser of somebody who is not signed in hold the secret of its form."""
    _set(request, response, FORM, held, FORM_SECONDS)


def keep_flow(request: Request, response: Response, held: str, onward: str) -> None:
    """Let the browser hold what a sign-in elsewhere was begun with, and where it wanted to go."""
    _set(request, response, FLOW, f"{held}:{quote(onward, safe='/')}", FLOW_SECONDS)


def drop_flow(request: Request, response: Response) -> None:
    """A sign-in ends here; its answer is not taken twice."""
    _drop(request, response, FLOW)


def flow_of(request: Request) -> tuple[str, str]:
    """What a sign-in was begun with, and where to go after it."""
    held, _, onward = request.cookies.get(cookie_name(request, FLOW), "").partition(":")
    return held, own_path(unquote(onward))


async def posted(request: Request) -> Mapping[str, str]:
    """The fields of a form of ours. Raises `FormNotOurs`; nothing else of the request counts before."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise FormNotOurs("This form came from another site, so nothing was done.")
    form = await request.form(max_files=0, max_fields=FIELDS_MAX)
    fields = {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    names = (SESSION, FORM)
    held = [request.cookies.get(cookie_name(request, name), "") for name in names]
    given = fields.get("form_token", "")
    sessions = application_of(request).sessions
    if not any(one and sessions.form_token_fits(one, given) for one in held):
        raise FormNotOurs("This page was open for too long, or in another session. Nothing was done; reload it.")
    return fields


PostedDep = Annotated[Mapping[str, str], Depends(posted)]


def own_path(value: str | None, otherwise: str = "/") -> str:
    """`value`, if it is a path of ours and not another place; else `otherwise`."""
    if not value or len(value) > 2000 or not value.startswith("/") or value.startswith("//"):
        return otherwise
    if "\\" in value or any(ord(character) < 33 or ord(character) == 127 for character in value):
        return otherwise
    parts = urlsplit(value)
    return otherwise if parts.scheme or parts.netloc else value


def flag_of(value: str | None) -> bool:
    """Whether a check box or a query switch is on."""
    return value in ("1", "on", "true", "yes")
