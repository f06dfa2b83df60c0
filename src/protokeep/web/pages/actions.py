"""Changing one prototype: a follow-up, a stop, a deletion. And its picture, for whoever has a session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.errors import InvalidInput, KeyInFlight, KeyReused, NotNow, NotReady, ProviderError
from protokeep.web.actions import picture_answer
from protokeep.web.dependencies import application_of
from protokeep.web.pages.detail import detail_values
from protokeep.web.pages.formatting import version_of
from protokeep.web.pages.forms import new_key
from protokeep.web.pages.gallery import newest_event_id, prototype_page, require_prototype
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, MakerDep, VisitorDep

router = APIRouter(prefix="/prototypes/{prototype_id}")

PrototypeId = Annotated[str, Path(max_length=64)]


@router.post("/messages")
async def ask(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: PrototypeId) -> Response:
    """Ask for a change. Sent twice, by a double click or a reload, it is one message."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    found = await require_prototype(application, visitor, prototype_id)
    text = fields.get("message", "").replace("\r\n", "\n")
    key = fields.get("key", "") or new_key()
    kept = {"text": text, "key": key}
    try:
        await application.keeper.iterate(visitor.principal, found.id, text, idempotency_key=key, wait=0.0)
    except KeyReused:
        kept["key"] = new_key()
        status, kept["trouble"] = 409, "This form was sent before with other words. Send it once more to ask for this."
    except InvalidInput as error:
        status, kept["fault"] = 422, "The message" + str(error).removeprefix(error.field or "")
    except NotNow as error:
        status, kept["trouble"] = 409, str(error)
    except (NotReady, KeyInFlight) as error:
        status, kept["trouble"] = 503, str(error)
    else:
        return RedirectResponse(f"/prototypes/{found.id}", 303)
    return await prototype_page(request, visitor, found.id, since, status=status, change=kept)


@router.post("/stop")
async def stop(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: PrototypeId) -> Response:
    """Stop what is being made. What had ended already stays as it is."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    found = await require_prototype(application, visitor, prototype_id)
    try:
        await application.keeper.stop(visitor.principal, found.id)
    except (NotNow, NotReady, ProviderError) as error:
        status = 409 if isinstance(error, NotNow) else 503
        return await prototype_page(request, visitor, found.id, since, status=status, trouble=f"Not stopped. {error}")
    return RedirectResponse(f"/prototypes/{found.id}", 303)


@router.get("/delete")
async def confirm(request: Request, visitor: AdminDep, prototype_id: PrototypeId) -> Response:
    """What would be deleted, and one button that does it."""
    application = application_of(request)
    found = await require_prototype(application, visitor, prototype_id)
    values = await detail_values(application, visitor.principal, found.id)
    return page(request, "delete.html", visitor=visitor, live=None, **values)


@router.post("/delete")
async def delete(request: Request, visitor: AdminDep, fields: FormFieldsDep, prototype_id: PrototypeId) -> Response:
    """Delete it, here and at the builder. What the builder does not delete yet stays in sight, with the reason."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    try:
        left = await application.keeper.delete(visitor.principal, prototype_id)
    except NotNow as error:
        return await prototype_page(request, visitor, prototype_id, since, status=409, trouble=str(error))
    return RedirectResponse("/?deleted=1" if left is None else f"/prototypes/{left.id}", 303)


@router.get("/picture")
async def picture(request: Request, visitor: VisitorDep, prototype_id: PrototypeId, v: str = "") -> Response:
    """The same picture that the API gives, for a browser that is signed in. One that `v` names may be kept a day."""
    kept = await application_of(request).keeper.picture(visitor.principal, prototype_id)
    answer = picture_answer(request, kept)
    if v == version_of(kept.etag):
        answer.headers["Cache-Control"] = "private, max-age=86400"
    return answer
