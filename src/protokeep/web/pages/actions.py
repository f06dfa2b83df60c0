"""Actions on one prototype (follow-up, stop, deletion), and its picture for browsers with a session."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.errors import (
    InvalidInput,
    KeyInFlight,
    KeyReused,
    NotAllowed,
    NotNow,
    NotReady,
    ProtokeepError,
    ProviderError,
)
from protokeep.store.gallery import Card
from protokeep.web.actions import picture_response
from protokeep.web.dependencies import application_of
from protokeep.web.pages.bin import days_in_bin
from protokeep.web.pages.detail import detail_values
from protokeep.web.pages.formatting import product_path, version_of
from protokeep.web.pages.forms import new_key
from protokeep.web.pages.gallery import newest_event_id, prototype_page, require_prototype
from protokeep.web.pages.own_words import in_own_words
from protokeep.web.pages.presenters import card_view
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, MakerDep, OnlookerDep, Visitor

router = APIRouter(prefix="/prototypes/{prototype_id}")

#: The status of a page that says why nothing was changed; 503 for all others.
STATUSES: dict[type[Exception], int] = {NotAllowed: 403, NotNow: 409, InvalidInput: 422}


@router.post("/messages")
async def send_message(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Send a follow-up. A form that is sent twice, by a double click or a reload, sends one message."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    text = fields.get("message", "").replace("\r\n", "\n")
    key = fields.get("key", "") or new_key()
    form = {"text": text, "key": key}
    try:
        await application.keeper.iterate(visitor.principal, prototype.id, text, idempotency_key=key, wait=0.0)
    except KeyReused:
        form["key"] = new_key()
        status, form["trouble"] = (
            409,
            "You sent this form before with other words. Send it again to ask for this change.",
        )
    except InvalidInput as error:
        status, form["fault"] = 422, "The change" + str(error).removeprefix(error.field or "")
    except NotNow as error:
        status, form["trouble"] = 409, in_own_words(str(error))
    except (NotReady, KeyInFlight) as error:
        status, form["trouble"] = 503, in_own_words(str(error))
    else:
        return RedirectResponse(f"/prototypes/{prototype.id}", 303)
    return await prototype_page(request, visitor, prototype.id, since, status=status, change=form)


@router.post("/stop")
async def stop(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Stop the generation. A prototype that has ended already stays as it is."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    try:
        await application.keeper.stop(visitor.principal, prototype.id)
    except (NotNow, NotReady, ProviderError) as error:
        return await _refused(request, visitor, prototype.id, since, error, f"It was not stopped. {error}")
    return RedirectResponse(f"/prototypes/{prototype.id}", 303)


@router.get("/delete")
async def confirm(request: Request, visitor: AdminDep, prototype_id: str) -> Response:
    """The prototype that would be deleted, and one button that deletes it."""
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    values = await detail_values(application, visitor.principal, prototype.id)
    generation = prototype.generation
    is_to_wait = generation is not None and not generation.is_unwanted and prototype.chat_id is not None
    waits = is_to_wait and bool(application.keeper.context.bin_time)
    successor = await application.keeper.variants.successor(visitor.principal, prototype)
    now = application.keeper.context.clock()
    values["successor"] = card_view(Card(successor, None, 0), now) if successor else None
    return page(
        request, "delete.html", visitor=visitor, live=None, waits=waits, days=days_in_bin(application), **values
    )


@router.post("/delete")
async def delete(request: Request, visitor: AdminDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Put the prototype into the bin, or delete it `now`. It stays visible until its chat is deleted too."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    try:
        at_once = fields.get("now") == "1"
        remaining = await application.keeper.delete(visitor.principal, prototype_id, at_once=at_once)
    except NotNow as error:
        return await _refused(request, visitor, prototype_id, since, error)
    return RedirectResponse("/?deleted=1" if remaining is None else f"/prototypes/{remaining.id}", 303)


@router.post("/make-current")
async def make_current(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Make the prototype the current one of its product. One that is current already stays as it is."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    try:
        made = await application.keeper.variants.make_current(visitor.principal, prototype)
    except NotNow as error:
        return await _refused(request, visitor, prototype.id, since, error)
    return RedirectResponse(product_path(made.product_id), 303)


@router.post("/name")
async def name(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Name the variant; an empty name takes its name away."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    try:
        await application.keeper.variants.name(visitor.principal, prototype, fields.get("name"))
    except (InvalidInput, NotNow) as error:
        trouble = f"The name was not saved. {str(error).removeprefix('name').strip().capitalize()}"
        return await _refused(request, visitor, prototype.id, since, error, trouble)
    return RedirectResponse(f"/prototypes/{prototype.id}", 303)


@router.post("/restore")
async def take_back(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Take the prototype out of the bin. One that is in use stays as it is."""
    since = newest_event_id(request, visitor)
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    try:
        await application.keeper.take_back(visitor.principal, prototype.id)
    except (NotNow, NotAllowed) as error:
        return await _refused(request, visitor, prototype.id, since, error)
    return RedirectResponse(f"/prototypes/{prototype.id}", 303)


@router.get("/picture")
async def picture(request: Request, visitor: OnlookerDep, prototype_id: str, v: str = "") -> Response:
    """The prototype's picture. A browser may cache it for a day if `v` names its present version."""
    stored = await application_of(request).keeper.picture(visitor.principal, prototype_id)
    response = picture_response(request, stored)
    if v == version_of(stored.etag):
        response.headers["Cache-Control"] = "private, max-age=86400"
    return response


async def _refused(
    request: Request, visitor: Visitor, prototype_id: str, since: str, error: ProtokeepError, trouble: str = ""
) -> Response:
    """The prototype's page with why nothing was changed: `trouble`, or the error's own words."""
    status = next((number for kind, number in STATUSES.items() if isinstance(error, kind)), 503)
    return await prototype_page(
        request, visitor, prototype_id, since, status=status, trouble=in_own_words(trouble or str(error))
    )
