"""The pages that arrange products: filters, saved views, the list as a file, favourites, tags and the archive."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from protokeep.core.errors import InvalidInput
from protokeep.core.prototype import Prototype
from protokeep.store.gallery import Card
from protokeep.web.dependencies import application_of
from protokeep.web.pages import filters as filtering
from protokeep.web.pages.audit import plain_cell
from protokeep.web.pages.gallery import newest_event_id, page_slot, prototype_page, require_prototype
from protokeep.web.pages.presenters import card_view, owner_of
from protokeep.web.pages.render import HEADERS, fragment, page
from protokeep.web.pages.session import FormFieldsDep, MakerDep, OnlookerDep, Visitor, VisitorDep, is_on, local_path
from protokeep.wiring import PROVIDERS

router = APIRouter()

#: Rows of the list as a file.
EXPORTED = 2000
EXPORT_COLUMNS = (
    "product", "name", "state", "person", "made", "updated", "variants", "tags", "made_by", "credits", "archived", "id",
)  # fmt: skip


@router.get("/filters")
async def filters_page(request: Request, visitor: VisitorDep) -> Response:
    """Every filter as a page, for browsers without script."""
    return page(request, "filters.html", visitor=visitor, live=None, **await _panel_values(request, visitor))


@router.get("/filters/panel")
async def filters_panel(request: Request, visitor: OnlookerDep) -> Response:
    """The fields of the filters, for the panel of the home page."""
    return HTMLResponse(fragment("filter_panel.html", **await _panel_values(request, visitor)), headers=HEADERS)


async def _panel_values(request: Request, visitor: Visitor) -> dict[str, Any]:
    arrangement = application_of(request).keeper.arrangement
    filters = filtering.Filters.of(request.query_params)
    people = await arrangement.makers(visitor.principal)
    return {
        "filters": filters,
        "sorts": filtering.SORTS,
        "archived": filtering.ARCHIVED,
        "providers": sorted(PROVIDERS),
        "tags": await arrangement.tags(visitor.principal),
        "people": people if filters.person in ("", *people) else [filters.person, *people],
    }


@router.get("/views")
async def views(request: Request, visitor: VisitorDep) -> Response:
    """The visitor's saved views, and a form that saves the filters of this address as another one."""
    return await _views_page(request, visitor, filtering.Filters.of(request.query_params))


@router.post("/views")
async def save_view(request: Request, visitor: VisitorDep, fields: FormFieldsDep) -> Response:
    """Save filters by a name. A view with that name is replaced."""
    filters = filtering.Filters.of_text(fields.get("query", ""))
    address = filters.url(select=False)
    try:
        name = fields.get("name", "")
        await application_of(request).keeper.arrangement.save_view(visitor.principal, name, address.removeprefix("/?"))
    except InvalidInput as error:
        trouble = f"Not saved. {str(error).removeprefix('name').strip().capitalize()}"
        return await _views_page(request, visitor, filters, status=422, trouble=trouble)
    return RedirectResponse(address, 303)


@router.post("/views/remove")
async def remove_view(request: Request, visitor: VisitorDep, fields: FormFieldsDep) -> Response:
    """Remove a saved view. One that is gone is no error."""
    with contextlib.suppress(InvalidInput):  # No view has such a name.
        await application_of(request).keeper.arrangement.delete_view(visitor.principal, fields.get("name", ""))
    return RedirectResponse("/views", 303)


async def _views_page(
    request: Request, visitor: Visitor, filters: filtering.Filters, *, status: int = 200, trouble: str | None = None
) -> Response:
    found = await application_of(request).keeper.arrangement.views(visitor.principal)
    return page(
        request,
        "views.html",
        visitor=visitor,
        status=status,
        live=None,
        views=found,
        trouble=trouble,
        active_filters=filtering.active_filters(filters),
        query=filters.url(select=False).removeprefix("/").removeprefix("?"),
    )


@router.get("/list.csv")
async def export(request: Request, visitor: VisitorDep) -> Response:
    """The first prototypes of the list as CSV. No cell of it is calculated by a spreadsheet."""
    application = application_of(request)
    search = filtering.Filters.of(request.query_params).search
    found, _ = await application.gallery.find(visitor.principal, search, EXPORTED, counted=False)
    async with page_slot(request, visitor):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(EXPORT_COLUMNS)
        writer.writerows([plain_cell(cell) for cell in _cells_of(card)] for card in found.cards)
    name = f"prototypes-{application.keeper.context.clock():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text.getvalue().encode("utf-8", "replace"), media_type="text/csv", headers=headers)


def _cells_of(card: Card) -> tuple[str, ...]:
    prototype = card.prototype
    credits = prototype.generation.credits if prototype.generation else None
    return (
        prototype.product_id,
        card.product_name or "",
        prototype.state.value,
        owner_of(prototype),
        prototype.created_at.isoformat(),
        prototype.updated_at.isoformat(),
        str(card.variants),
        ", ".join(prototype.tags),
        prototype.provider,
        "" if credits is None else f"{credits:g}",
        prototype.archived_at.isoformat() if prototype.archived_at else "",
        prototype.id,
    )


@router.get("/prototypes/{prototype_id}/menu")
async def card_menu(request: Request, visitor: OnlookerDep, prototype_id: str, next: str = "/") -> Response:
    """What the visitor can do with a card's product, for the menu of the card."""
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    favourites = await application.keeper.arrangement.favourites(visitor.principal)
    view = card_view(Card(prototype, prototype.product_name, 0), application.keeper.context.clock(), None, favourites)
    values = {"card": view, "can_make": visitor.can_make, "form_token": visitor.form_token, "next": local_path(next)}
    return HTMLResponse(fragment("card_menu.html", **values), headers=HEADERS)


@router.post("/prototypes/{prototype_id}/favourite")
async def favourite(request: Request, visitor: VisitorDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Make the prototype's product a favourite of the visitor, or no more."""
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    try:
        is_favourite = is_on(fields.get("favourite"))
        await application.keeper.arrangement.set_favourite(visitor.principal, prototype, favourite=is_favourite)
    except InvalidInput as error:
        return await _not_done(request, visitor, prototype, str(error))
    return _back(fields, prototype)


@router.post("/prototypes/{prototype_id}/tags")
async def tags(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Let the prototype's product have the tags that the field names, with commas between them."""
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    try:
        await application.keeper.arrangement.set_tags(visitor.principal, prototype, tags_of(fields.get("tags", "")))
    except InvalidInput as error:
        reason = str(error).removeprefix("tag ")
        return await _not_done(request, visitor, prototype, f"The tags were not saved. A tag {reason}")
    return _back(fields, prototype)


@router.post("/prototypes/{prototype_id}/archive")
async def archive(request: Request, visitor: MakerDep, fields: FormFieldsDep, prototype_id: str) -> Response:
    """Archive the prototype's product, or bring it back."""
    application = application_of(request)
    prototype = await require_prototype(application, visitor, prototype_id)
    archived = is_on(fields.get("archived"))
    await application.keeper.arrangement.set_archived(visitor.principal, prototype, archived=archived)
    return _back(fields, prototype)


def tags_of(text: str) -> list[str]:
    """The tags in a field, with commas between them."""
    return [tag for tag in text.split(",") if tag.strip()]


def _back(fields: Any, prototype: Prototype) -> Response:
    return RedirectResponse(local_path(fields.get("next"), f"/prototypes/{prototype.id}"), 303)


async def _not_done(request: Request, visitor: Visitor, prototype: Prototype, trouble: str) -> Response:
    since = newest_event_id(request, visitor)
    return await prototype_page(request, visitor, prototype.id, since, status=422, trouble=trouble)
