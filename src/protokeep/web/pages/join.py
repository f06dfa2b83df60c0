"""The pages of an invitation: who invites to what, and who accepts it. Looking at them uses nothing up."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, LimitReached, NotAuthenticated, TooMany
from protokeep.core.principals import Principal
from protokeep.service.invitations import Joined
from protokeep.store.invitations import Invitation
from protokeep.web.dependencies import application_of, client_address
from protokeep.web.pages import formatting
from protokeep.web.pages import session as cookies
from protokeep.web.pages.account import sign_in_page
from protokeep.web.pages.people import ROLES
from protokeep.web.pages.render import page
from protokeep.web.pages.session import form_fields

router = APIRouter(prefix="/join")


@router.get("")
async def invitation(request: Request, code: str = "") -> Response:
    """What the invitation is to, and the field for a name."""
    return await _join_page(request, code)


@router.post("")
async def accept(request: Request) -> Response:
    """Let the person in, once: they are signed in, and are shown the token that signs them in again."""
    try:
        fields = await form_fields(request)
    except TooMany as error:
        return await sign_in_page(request, fault=str(error), status=429)
    code, name = fields.get("code", ""), fields.get("user_id", "")
    try:
        joined = await application_of(request).invitations.accept(code, name, client_address(request))
    except NotAuthenticated as error:
        return await sign_in_page(request, fault=str(error), status=401)
    except InvalidInput as error:
        fault = str(error).removeprefix("user_id").lstrip(": ")
        return await _join_page(request, code, name=name, fault=f"Your name: {fault}", status=422)
    except LimitReached as error:
        return await _join_page(request, code, name=name, fault=str(error), status=409)
    return await _welcome(request, joined)


async def _join_page(
    request: Request, code: str, *, name: str = "", fault: str | None = None, status: int = 200
) -> Response:
    application = application_of(request)
    try:
        found: Invitation = await application.invitations.find(code)
    except NotAuthenticated as error:
        return await sign_in_page(request, fault=str(error), status=401)
    form_token, cookie = await cookies.sign_in_form_token(request)
    now = application.keeper.context.clock()
    response = page(
        request,
        "join.html",
        visitor=None,
        status=status,
        live=None,
        form_token=form_token,
        code=code,
        invitation=found,
        role=ROLES[found.role],
        until=f"{formatting.day(found.expires_at, now)}, {found.expires_at:%H:%M} UTC",
        given=name,
        fault=fault,
    )
    if cookie is not None:
        cookies.set_form_cookie(request, response, cookie)
    return response


async def _welcome(request: Request, joined: Joined) -> Response:
    application = application_of(request)
    session = await application.sessions.check(joined.session_secret)
    who = session.principal
    principal = Principal(who.workspace_id, who.user_id, who.role, who.token_id, client_address(request))
    context = application.keeper.context
    await context.audit.add(AuditEntry.of(principal, Action.SIGNED_IN, context.clock(), by="invitation"))
    visitor = await cookies.visitor_of_session(request, joined.session_secret, 0)
    response = page(request, "joined.html", visitor=visitor, live=None, token=joined.token)
    cookies.start_session(request, response, joined.session_secret)
    return response
