"""The pages for admins about people: who is here, their tokens, and invitations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.errors import InvalidInput, LimitReached, NotAllowed, NotFound
from protokeep.core.principals import Role
from protokeep.core.validation import person_of, whole_number_of
from protokeep.service.invitations import DAYS_MAX
from protokeep.web.admin import NameCursor
from protokeep.web.dependencies import (
    application_of,
    decode_cursor,
    decode_name_cursor,
    encode_cursor,
    encode_name_cursor,
)
from protokeep.web.invitations import link_of
from protokeep.web.models import Cursor
from protokeep.web.pages import formatting
from protokeep.web.pages.own_words import in_own_words
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, Visitor

router = APIRouter(prefix="/people")

ROWS = 50
DAYS = 7
#: What each role may do, for the forms.
ROLES = {
    Role.VIEWER: "Viewer: can look at everything",
    Role.MAKER: "Maker: can also create and change prototypes",
    Role.ADMIN: "Admin: can also delete, invite people and read the audit",
}


@router.get("")
async def people(request: Request, visitor: AdminDep, cursor: NameCursor = None) -> Response:
    """Everybody of the workspace, and its open invitations."""
    return await _people_page(request, visitor, cursor)


@router.post("/invite")
async def invite(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Make an invitation. Its link is in this answer and nowhere else."""
    form = {name: fields.get(name, "") for name in ("role", "user_id", "days")}
    try:
        days = whole_number_of(form["days"], DAYS_MAX) or 0
        invitations = application_of(request).invitations
        code, _ = await invitations.invite(visitor.principal, _role_of(form["role"]), days, form["user_id"])
    except (InvalidInput, LimitReached) as error:
        return await _people_page(request, visitor, None, status=422, fault=_told(error), form=form)
    return await _people_page(request, visitor, None, link=link_of(request, code))


@router.post("/invitations/take-back")
async def take_back(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Close an open invitation."""
    await application_of(request).invitations.take_back(visitor.principal, fields.get("invitation", "")[:100])
    return RedirectResponse("/people?done=invitation", 303)


@router.post("/revoke")
async def revoke_access(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """End all access of a person: tokens, sessions and invitations. What they made stays."""
    user_id = person_of(fields.get("user_id", ""))
    if user_id == visitor.principal.user_id:
        raise NotAllowed("You cannot end your own access. Ask another admin to do it.")
    await application_of(request).tokens.revoke_access(visitor.principal, user_id)
    return RedirectResponse("/people?done=access", 303)


@router.get("/tokens")
async def tokens(request: Request, visitor: AdminDep, cursor: Cursor = None) -> Response:
    """The workspace's tokens, newest first, and the form for a new one."""
    return await _tokens_page(request, visitor, cursor)


@router.post("/tokens")
async def create_token(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Make a token. It is in this answer and nowhere else."""
    form = {name: fields.get(name, "") for name in ("role", "user_id", "name", "days")}
    try:
        days = _days_of(form["days"])
        text, token = await application_of(request).tokens.create(
            _role_of(form["role"]), name=form["name"], user_id=form["user_id"], days=days, by=visitor.principal
        )
    except (InvalidInput, LimitReached) as error:
        return await _tokens_page(request, visitor, None, status=422, fault=_told(error), form=form)
    return await _tokens_page(request, visitor, None, created={"text": text, "user_id": token.user_id})


@router.post("/tokens/revoke")
async def revoke_token(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Revoke a token by its id, and end the sessions that were opened with it. A second press is no error."""
    token_id = fields.get("token_id", "")[:64]
    try:
        await application_of(request).tokens.revoke(visitor.principal.workspace_id, token_id, by=visitor.principal)
    except NotFound:
        return RedirectResponse("/people/tokens", 303)
    return RedirectResponse("/people/tokens?done=token", 303)


async def _people_page(
    request: Request,
    visitor: Visitor,
    cursor: str | None,
    *,
    status: int = 200,
    fault: str | None = None,
    form: Mapping[str, str] | None = None,
    link: str | None = None,
) -> Response:
    application = application_of(request)
    found, after = await application.tokens.people(visitor.principal, ROWS, decode_name_cursor(cursor))
    now = application.keeper.context.clock()
    return page(
        request,
        "people.html",
        visitor=visitor,
        status=status,
        live=None,
        people=[
            {"person": one, "used": formatting.ago(one.last_used_at, now) if one.last_used_at else None}
            for one in found
        ],
        invitations=[
            {"one": one, "until": f"{formatting.day(one.expires_at, now)}, {one.expires_at:%H:%M} UTC"}
            for one in await application.invitations.list(visitor.principal)
        ],
        older_url=f"/people?{urlencode({'cursor': encode_name_cursor(after)})}" if after else None,
        done=request.query_params.get("done"),
        fault=fault,
        form={"role": Role.MAKER.value, "user_id": "", "days": str(DAYS), **(form or {})},
        link=link,
        roles=ROLES,
        days_max=DAYS_MAX,
    )


async def _tokens_page(
    request: Request,
    visitor: Visitor,
    cursor: str | None,
    *,
    status: int = 200,
    fault: str | None = None,
    form: Mapping[str, str] | None = None,
    created: Mapping[str, str] | None = None,
) -> Response:
    application = application_of(request)
    now = application.keeper.context.clock()
    found, after = await application.tokens.list(visitor.principal.workspace_id, ROWS, decode_cursor(cursor))

    def row(token: Any) -> dict[str, Any]:
        state = "Revoked" if token.revoked_at else "Active" if token.is_valid(now) else "Expired"
        return {
            "token": token,
            "state": state,
            "used": formatting.ago(token.last_used_at, now) if token.last_used_at else "Never",
            "until": formatting.day(token.expires_at, now) if token.expires_at else "Never expires",
        }

    return page(
        request,
        "tokens.html",
        visitor=visitor,
        status=status,
        live=None,
        rows=[row(token) for token in found],
        older_url=f"/people/tokens?{urlencode({'cursor': encode_cursor(after)})}" if after else None,
        done=request.query_params.get("done"),
        fault=fault,
        form={"role": Role.MAKER.value, "user_id": "", "name": "", "days": "", **(form or {})},
        created=created,
        roles=ROLES,
    )


def _role_of(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise InvalidInput("role must be viewer, maker or admin.", field="role") from None


def _days_of(text: str) -> int | None:
    """A number of days; None: as long as a token may last."""
    if not text.strip():
        return None
    days = whole_number_of(text.strip(), 3650)
    if not days:
        raise InvalidInput("days must be a whole number from 1 to 3650, or empty.", field="days")
    return days


def _told(error: InvalidInput | LimitReached) -> str:
    """The fault in words of the form."""
    label = {"user_id": "The name", "name": "The purpose", "days": "The number of days", "role": "The role"}
    field = getattr(error, "field", None) or ""
    text = in_own_words(str(error))
    return label[field] + text.removeprefix(field) if field in label else text
