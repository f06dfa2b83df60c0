"""Signing in and out, and what the browser remembers."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import IssuerUnavailable, NotAllowed, NotAuthenticated, NotFound, TooMany
from protokeep.core.principals import Principal
from protokeep.service.authentication import TOKEN_MAX
from protokeep.service.refusing import refusal
from protokeep.service.sign_in import BEGIN_AGAIN, SignInFlow
from protokeep.service.tokens import TokenRefused
from protokeep.web.dependencies import address_of, application_of
from protokeep.web.pages import session as cookies
from protokeep.web.pages.drafts import FormDraft, again_page, draft_in
from protokeep.web.pages.render import page
from protokeep.web.pages.session import PostedDep, Preferences, VisitorDep, flag_of, own_path

router = APIRouter()

#: Where the sign-in service sends browsers back to: has to be registered there, after our public address.
FINISH = "/sign-in/finish"
#: What the sign-in service may say (RFC 6749, 4.1.2.1), for people.
SAID = {
    "access_denied": "The sign-in service did not let you in, or you went back. Try again, or ask who runs protokeep.",
    "temporarily_unavailable": "The sign-in service is busy. Try again in a moment.",
    "server_error": "The sign-in service had an error of its own. Try again in a moment.",
}
STATUSES: dict[type[Exception], int] = {NotAuthenticated: 401, NotAllowed: 403, IssuerUnavailable: 503, TooMany: 429}


@router.get("/sign-in")
async def sign_in_form(request: Request, code: str = "", next: str = "/") -> Response:
    """A field for a token; with a code of a sign-in link, one button."""
    return sign_in_page(request, code=code[:200], onward=own_path(next))


@router.post("/sign-in")
async def sign_in(request: Request, fields: PostedDep) -> Response:
    """A token, or a code that works once, becomes a session."""
    sessions = application_of(request).sessions
    code, token = fields.get("code", ""), fields.get("token", "").strip()
    onward = own_path(fields.get("next"))
    kept = draft_in(fields)
    try:
        request.app.state.rates.sign_in(request)
        if len(token) > TOKEN_MAX:
            raise TokenRefused
        held = await (sessions.sign_in_by_code(code) if code else sessions.sign_in(token))
    except TooMany as error:
        return sign_in_page(request, onward=onward, fault=str(error), status=429, kept=kept)
    except NotAuthenticated as error:
        _note_refusal(request, error)
        return sign_in_page(request, onward=onward, fault=str(error), status=401, kept=kept)
    await _note(request, (await sessions.check(held)).principal, Action.SIGNED_IN)
    response: Response = RedirectResponse(onward, 303)
    if kept is not None:
        response = again_page(request, await cookies.visitor_holding(request, held), kept)
    cookies.begin(request, response, held)
    return response


@router.get("/sign-in/begin")
async def begin_sign_on(request: Request, next: str = "/") -> Response:
    """Off to the company's sign-in service."""
    onward = own_path(next)
    try:
        held, address = await _signing_in(request).begin(_return_address(request))
    except IssuerUnavailable as error:
        return sign_in_page(request, onward=onward, fault=str(error), status=503)
    response = RedirectResponse(address, 303, headers={"Cache-Control": "no-store"})
    cookies.keep_flow(request, response, held, onward)
    return response


@router.get(FINISH)
async def finish_sign_on(
    request: Request, code: str = "", state: str = "", error: str = "", iss: str | None = None
) -> Response:
    """Back from the sign-in service: a session, or the form with what went wrong."""
    signing_in = _signing_in(request)
    held, onward = cookies.flow_of(request)
    try:
        request.app.state.rates.sign_in(request)
        if error:
            raise NotAuthenticated(
                SAID.get(error, "The sign-in service refused. Try again, or ask who runs protokeep.")
            )
        if not code or not held:
            raise NotAuthenticated(BEGIN_AGAIN)
        session = await signing_in.finish(_return_address(request), held, state, code, iss)
    except (NotAuthenticated, NotAllowed, IssuerUnavailable, TooMany) as fault:
        status = next(number for kind, number in STATUSES.items() if isinstance(fault, kind))
        if isinstance(fault, NotAuthenticated | NotAllowed):
            _note_refusal(request, fault, at_service=True)
        response = sign_in_page(request, onward=onward, fault=str(fault), status=status)
        cookies.drop_flow(request, response)
        return response
    await _note(request, (await application_of(request).sessions.check(session)).principal, Action.SIGNED_IN)
    response = RedirectResponse(onward, 303)
    cookies.begin(request, response, session)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, visitor: VisitorDep, fields: PostedDep) -> Response:
    """End this session, or every one of this person's."""
    sessions = application_of(request).sessions
    who = replace(visitor.principal, address=address_of(request))
    if flag_of(fields.get("everywhere")):
        await sessions.sign_out_everywhere(who)
    else:
        await sessions.sign_out(who, visitor.held)
    response = RedirectResponse("/sign-in", 303)
    cookies.end(request, response)
    return response


@router.get("/settings")
async def settings(request: Request, visitor: VisitorDep) -> Response:
    """Theme, keys, live updates; who is signed in."""
    return page(request, "settings.html", visitor=visitor, live=None, saved=request.query_params.get("saved") == "1")


@router.post("/settings")
async def save_settings(request: Request, visitor: VisitorDep, fields: PostedDep) -> Response:
    """Remember, in this browser."""
    theme = fields.get("theme")
    chosen = Preferences(
        "dark" if theme == "dark" else "light" if theme == "light" else "auto",
        flag_of(fields.get("keys")),
        flag_of(fields.get("live")),
    )
    response = RedirectResponse("/settings?saved=1", 303)
    chosen.keep(request, response)
    return response


@router.post("/settings/live")
async def switch_live(request: Request, visitor: VisitorDep, fields: PostedDep) -> Response:
    """The switch of the header: live updates on or off."""
    response = RedirectResponse(own_path(fields.get("next")), 303)
    visitor.preferences.with_live(flag_of(fields.get("live"))).keep(request, response)
    return response


async def _note(request: Request, principal: Principal, action: Action) -> None:
    context = application_of(request).keeper.context
    who = replace(principal, address=address_of(request))
    await context.audit.add(AuditEntry.of(who, action, context.clock()))


def _note_refusal(request: Request, error: NotAuthenticated | NotAllowed, *, at_service: bool = False) -> None:
    context = application_of(request).keeper.context
    context.audit.note_refusal(refusal(error, address_of(request), context.clock(), at_service=at_service))


def sign_in_page(
    request: Request,
    *,
    code: str = "",
    onward: str = "/",
    fault: str | None = None,
    status: int = 200,
    kept: FormDraft | None = None,
) -> Response:
    """The form; it carries what somebody had written when their session had ended."""
    form_token, held = cookies.stranger_token(request)
    response = page(
        request,
        "sign_in.html",
        visitor=None,
        status=status,
        form_token=form_token,
        code=code,
        onward=onward,
        fault=fault,
        sign_on=application_of(request).sign_in is not None,
        kept=kept.hidden if kept else {},
        live=None,
    )
    cookies.keep_stranger(request, response, held)
    return response


def _signing_in(request: Request) -> SignInFlow:
    found = application_of(request).sign_in
    if found is None:
        raise NotFound("No sign-in service is set up here. Sign in with a token.")
    return found


def _return_address(request: Request) -> str:
    base = application_of(request).settings.public_url or str(request.base_url)
    return base.rstrip("/") + FINISH
