"""Sign-in and sign-out, and the preferences that the browser stores."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import (
    InvalidInput,
    IssuerUnavailable,
    NotAllowed,
    NotAuthenticated,
    NotConfigured,
    NotFound,
    TooMany,
)
from protokeep.core.principals import DEFAULT_WORKSPACE, Principal, Role
from protokeep.core.similar import UnclearProductRule
from protokeep.service.authentication import TOKEN_MAX
from protokeep.service.sign_in import BEGIN_AGAIN, SignInFlow
from protokeep.service.tokens import TokenRefused
from protokeep.web.dependencies import application_of, client_address
from protokeep.web.pages import session as cookies
from protokeep.web.pages.drafts import FormDraft, carried_draft, resubmit_page
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, Preferences, VisitorDep, form_fields, is_on, local_path

router = APIRouter()

#: Where the sign-in service sends browsers back to. It has to be registered there, after our public address.
FINISH = "/sign-in/finish"
#: Hosts that a request may name as ours where no public address is set: nobody else answers under them.
LOOPBACK_HOST = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?")
#: The error codes of the sign-in service (RFC 6749, 4.1.2.1), for people.
ISSUER_ERRORS = {
    "access_denied": "The sign-in service did not let you in, or you went back. Try again, or ask the operator.",
    "temporarily_unavailable": "The sign-in service is busy. Try again in a moment.",
    "server_error": "The sign-in service had an error. Try again in a moment.",
}
OTHER_ISSUER_ERROR = "The sign-in service refused. Try again, or ask the operator of protokeep."
STATUSES: dict[type[Exception], int] = {NotAuthenticated: 401, NotAllowed: 403, IssuerUnavailable: 503, TooMany: 429}


@router.get("/sign-in")
async def sign_in_form(request: Request, code: str = "", next: str = "/") -> Response:
    """A field for a token; for a sign-in link, which carries a code, one button."""
    return await sign_in_page(request, code=code[:200], onward=local_path(next))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Open a session for a token, or for a code that was not used yet."""
    sessions = application_of(request).sessions
    try:
        fields = await form_fields(request)
    except TooMany as error:
        return await sign_in_page(request, fault=str(error), status=429)
    code, token = fields.get("code", ""), fields.get("token", "").strip()
    onward = local_path(fields.get("next"))
    draft = carried_draft(fields)
    try:
        if len(token) > TOKEN_MAX:
            raise TokenRefused
        session_secret = await (sessions.sign_in_by_code(code) if code else sessions.sign_in(token))
    except NotAuthenticated as error:
        _note_failed_sign_in(request, error)
        return await sign_in_page(request, onward=onward, fault=str(error), status=401, draft=draft)
    await _record_sign_in(request, session_secret)
    response: Response = RedirectResponse(onward, 303)
    if draft is not None:
        visitor = await cookies.visitor_of_session(request, session_secret, None)
        response = resubmit_page(request, replace(visitor, cookie_is_old=False), draft)
    cookies.start_session(request, response, session_secret)
    return response


@router.get("/sign-in/begin")
async def begin_sign_on(request: Request, next: str = "/") -> Response:
    """Send the browser to the company's sign-in service."""
    onward = local_path(next)
    try:
        cookie, address = await _sign_in_flow(request).begin(_return_address(request))
    except IssuerUnavailable as error:
        return await sign_in_page(request, onward=onward, fault=str(error), status=503)
    response = RedirectResponse(address, 303, headers={"Cache-Control": "no-store"})
    cookies.set_flow_cookie(request, response, cookie, onward)
    return response


@router.get(FINISH)
async def finish_sign_on(
    request: Request, code: str = "", state: str = "", error: str = "", iss: str | None = None
) -> Response:
    """Take the browser back from the sign-in service: open a session, or show the form with the error."""
    flow = _sign_in_flow(request)
    cookie, onward = cookies.read_flow_cookie(request)
    try:
        request.app.state.rates.sign_in(request)
        if error:
            raise NotAuthenticated(ISSUER_ERRORS.get(error, OTHER_ISSUER_ERROR))
        if not code or not cookie:
            raise NotAuthenticated(BEGIN_AGAIN)
        session_secret = await flow.finish(_return_address(request), cookie, state, code, iss)
    except (NotAuthenticated, NotAllowed, IssuerUnavailable, TooMany) as fault:
        status = next(number for kind, number in STATUSES.items() if isinstance(fault, kind))
        if isinstance(fault, NotAuthenticated | NotAllowed):
            _note_failed_sign_in(request, fault, at_service=True)
        response = await sign_in_page(request, onward=onward, fault=str(fault), status=status)
        cookies.drop_flow_cookie(request, response)
        return response
    await _record_sign_in(request, session_secret)
    response = RedirectResponse(onward, 303)
    cookies.start_session(request, response, session_secret)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, visitor: VisitorDep, fields: FormFieldsDep) -> Response:
    """End this session, or all sessions of this person."""
    sessions = application_of(request).sessions
    if is_on(fields.get("everywhere")):
        await sessions.sign_out_everywhere(visitor.principal)
    else:
        await sessions.sign_out(visitor.principal, visitor.session_secret)
    response = RedirectResponse("/sign-in", 303)
    cookies.end_session(request, response)
    return response


@router.get("/settings")
async def settings(request: Request, visitor: VisitorDep) -> Response:
    """Theme, keyboard shortcuts and live updates; who is signed in; for admins, the settings of the workspace."""
    context = application_of(request).keeper.context
    return page(
        request,
        "settings.html",
        visitor=visitor,
        live=None,
        saved=request.query_params.get("saved"),
        unclear=await context.unclear_products(visitor.principal.workspace_id)
        if visitor.principal.role.covers(Role.ADMIN)
        else None,
        process_asks=context.asks_unclear_product,
    )


@router.post("/settings")
async def save_settings(request: Request, visitor: VisitorDep, fields: FormFieldsDep) -> Response:
    """Store the preferences in this browser."""
    theme = fields.get("theme")
    preferences = Preferences(
        "dark" if theme == "dark" else "light" if theme == "light" else "auto",
        is_on(fields.get("keys")),
        is_on(fields.get("live")),
    )
    response = RedirectResponse("/settings?saved=1", 303)
    preferences.save(request, response)
    return response


@router.post("/settings/workspace")
async def save_workspace_settings(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Set what counts in the workspace. An empty choice: as the server is set up."""
    word = fields.get("unclear_product", "")
    try:
        rule = UnclearProductRule(word) if word else None
    except ValueError:
        raise InvalidInput("unclear_product has to be take, ask or empty.", field="unclear_product") from None
    await application_of(request).keeper.context.workspace_settings.set_unclear_products(visitor.principal, rule)
    return RedirectResponse("/settings?saved=workspace", 303)


@router.post("/settings/live")
async def switch_live(request: Request, visitor: VisitorDep, fields: FormFieldsDep) -> Response:
    """The switch in the page's header: live updates on or off."""
    response = RedirectResponse(local_path(fields.get("next")), 303)
    visitor.preferences.with_live(is_on(fields.get("live"))).save(request, response)
    return response


async def sign_in_page(
    request: Request,
    *,
    code: str = "",
    onward: str = "/",
    fault: str | None = None,
    status: int = 200,
    draft: FormDraft | None = None,
) -> Response:
    """The sign-in form, which leads `onward`. It carries the draft that somebody sent after their session had ended."""
    form_token, cookie = await cookies.sign_in_form_token(request)
    response = page(
        request,
        "sign_in.html",
        visitor=None,
        status=status,
        form_token=form_token,
        code=code,
        onward=onward,
        fault=fault,
        has_sign_in_service=application_of(request).sign_in_flow is not None,
        draft_fields=draft.hidden_fields if draft else {},
        live=None,
    )
    if cookie is not None:
        cookies.set_form_cookie(request, response, cookie)
    return response


def failed_sign_in_entry(
    error: NotAuthenticated | NotAllowed, address: str, at: datetime, *, at_service: bool = False
) -> AuditEntry:
    """The audit entry of a failed sign-in; `at_service`: the browser came back from the sign-in service.

    A token that was once valid belongs to its workspace, whose admins know whose it is. An unknown one is written to
    the default workspace. The entry holds nothing of the token or code itself.
    """
    if isinstance(error, TokenRefused) and error.token is not None:
        token = error.token
        reason = "token_revoked" if token.revoked_at is not None else "token_expired"
        data = {"reason": reason, "whose": token.user_id}
        return AuditEntry(token.workspace_id, at, Action.SIGN_IN_FAILED, "", token.id, address, token.id, data)
    if isinstance(error, TokenRefused):
        reason = "token_unknown"
    elif not at_service:
        reason = "link_unknown"
    else:
        reason = "no_role" if isinstance(error, NotAllowed) else "not_taken"
    return AuditEntry(DEFAULT_WORKSPACE, at, Action.SIGN_IN_FAILED, "", address=address, data={"reason": reason})


async def _record_sign_in(request: Request, session_secret: str) -> None:
    application = application_of(request)
    context = application.keeper.context
    session = await application.sessions.check(session_secret)
    principal: Principal = replace(session.principal, address=client_address(request))
    await context.audit.add(AuditEntry.of(principal, Action.SIGNED_IN, context.clock()))


def _note_failed_sign_in(request: Request, error: NotAuthenticated | NotAllowed, *, at_service: bool = False) -> None:
    context = application_of(request).keeper.context
    entry = failed_sign_in_entry(error, client_address(request), context.clock(), at_service=at_service)
    context.audit.note_failed_sign_in(entry)


def _sign_in_flow(request: Request) -> SignInFlow:
    flow = application_of(request).sign_in_flow
    if flow is None:
        raise NotFound("No sign-in service is set up here. Sign in with a token.")
    return flow


def _return_address(request: Request) -> str:
    """Where the sign-in service sends the browser back to. Raises `NotConfigured` if only the browser names it."""
    base = application_of(request).settings.public_url
    if not base:
        host = request.headers.get("host", "")
        if not LOOPBACK_HOST.fullmatch(host):
            raise NotConfigured(
                "Signing in with a company account is not set up completely. Ask the operator to set "
                "PROTOKEEP_PUBLIC_URL, or sign in with a token."
            )
        base = f"{request.scope['scheme']}://{host}"
    return base.rstrip("/") + FINISH
