"""Looking: home, a product, a prototype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from protokeep.core.errors import InvalidInput, NotFound
from protokeep.core.prototype import Prototype
from protokeep.service.gallery import CardPage
from protokeep.service.keeper import Keeper
from protokeep.store.gallery import COUNTED, Card
from protokeep.store.prototypes import Page
from protokeep.web.dependencies import after_of, application_of, cursor_of
from protokeep.web.live import Live
from protokeep.web.pages import filters as filtering
from protokeep.web.pages import formatting
from protokeep.web.pages.detail import detail_values
from protokeep.web.pages.forms import LIMITS, blank_form, new_key
from protokeep.web.pages.presenters import card_view
from protokeep.web.pages.render import page
from protokeep.web.pages.session import Visitor, VisitorDep
from protokeep.wiring import PROVIDERS, Application

router = APIRouter()

#: With the two upper sections full, a page with its style and module stays under 100 kB.
CARDS = 18
VARIANTS_SHOWN = 12
#: What makes the first prototype from a terminal.
FIRST_COMMAND = 'protokeep create bakery "A landing page for a bakery"'

Cursor = Annotated[str | None, Query(max_length=300)]


def live_of(request: Request) -> Live:
    """The process's live events."""
    found: Live = request.app.state.live
    return found


@router.get("/")
async def home(request: Request, visitor: VisitorDep, cursor: Cursor = None) -> Response:
    """Everything there is: what needs somebody, what is being made, then the newest; or what the filters leave."""
    since = live_of(request).mark(visitor.principal.workspace_id)
    gallery = application_of(request).gallery
    filters = filtering.Filters.of(request.query_params)
    after = after_of(cursor)
    principal = visitor.principal
    search = filters.search
    sections: list[tuple[str, str, str | None, CardPage]]
    if search.narrows:
        found, counts = await gallery.find(principal, search, CARDS, after)
        sections = [("found", "Results", None, found)]
    else:
        front = await gallery.front(principal, CARDS, after)
        found, counts = front.rest, front.counts
        sections = [
            ("attention", "Needs attention", "attention", front.attention),
            ("progress", "In progress", "progress", front.progress),
            ("rest", "Newest" if after is None else "Older", None, front.rest),
        ]
    usual = await gallery.usual(principal.workspace_id)
    now = application_of(request).keeper.context.clock()
    shown = [
        {
            "id": name,
            "title": title,
            "cards": [card_view(card, now, usual) for card in listed.cards],
            "all_url": filters.url(state=group) if group and listed.after else None,
        }
        for name, title, group, listed in sections
        if listed.cards
    ]
    return page(
        request,
        "home.html",
        visitor=visitor,
        filters=filters,
        tabs=filtering.tabs(filters, counts),
        narrowings=filtering.narrowings(filters),
        total=formatting.count_text(sum(counts.values()), COUNTED),
        is_empty=not shown and not search.narrows and after is None,
        providers=sorted(PROVIDERS),
        sections=shown,
        newest_url=filters.url() if after else None,
        older_url=filters.url(cursor=cursor_of(found.after)) if found.after else None,
        live={"on": "home", "since": since, "view": filters.view},
        command=FIRST_COMMAND,
        form=blank_form(),
        deleted=request.query_params.get("deleted") == "1",
        limits=LIMITS,
    )


@router.get("/p")
@router.get("/p/{product_id:path}")
async def product(request: Request, visitor: VisitorDep, product_id: str = "", cursor: Cursor = None) -> Response:
    """A product's permalink: its current prototype, and all that were made for it."""
    since = live_of(request).mark(visitor.principal.workspace_id)
    parts = application_of(request)
    product_id = product_id or request.query_params.get("product", "")
    current = await current_of(parts.keeper, visitor, product_id)
    found, after = await parts.keeper.list(
        visitor.principal, product_id, Page(VARIANTS_SHOWN, None, None, None, after_of(cursor))
    )
    name = await parts.gallery.product_name(visitor.principal, product_id)
    now = parts.keeper.context.clock()
    usual = await parts.gallery.usual(visitor.principal.workspace_id)
    card = await parts.gallery.card(visitor.principal.workspace_id, current.id)
    path = formatting.product_path(current.product_id)
    older = None
    if after:
        older = f"{path}{'&' if '?' in path else '?'}{urlencode({'cursor': cursor_of(after)})}"
    return page(
        request,
        "product.html",
        visitor=visitor,
        card=card_view(card, now, usual),
        variants=[card_view(Card(one, name, 0), now, usual) for one in found],
        newest_url=path if cursor else None,
        older_url=older,
        live={"on": "product", "since": since, "product": current.product_id},
    )


@router.get("/prototypes/{prototype_id}")
async def prototype(request: Request, visitor: VisitorDep, prototype_id: str) -> Response:
    """One prototype, told whole."""
    since = live_of(request).mark(visitor.principal.workspace_id)
    parts = application_of(request)
    found = await found_of(parts, visitor, prototype_id)
    return await prototype_page(request, visitor, found.id, since)


async def prototype_page(
    request: Request,
    visitor: Visitor,
    prototype_id: str,
    since: str,
    *,
    status: int = 200,
    trouble: str | None = None,
    change: Mapping[str, Any] | None = None,
) -> Response:
    """The page of a prototype; with what went wrong, and what stood in the form for a change."""
    values = await detail_values(application_of(request), visitor.principal, prototype_id)
    values["change"] = {**values["change"], "key": new_key(), **(change or {})}
    return page(
        request,
        "prototype.html",
        visitor=visitor,
        status=status,
        banner=None,
        trouble=trouble,
        live={"on": "prototype", "since": since, "id": prototype_id},
        **values,
    )


async def found_of(parts: Application, visitor: Visitor, prototype_id: str) -> Prototype:
    """One prototype. Raises `NotFound`, which says so when it was deleted."""
    try:
        return await parts.keeper.get(visitor.principal, prototype_id)
    except NotFound:
        deleted = parts.keeper.context.store.was_deleted
        if await deleted(visitor.principal.workspace_id, prototype_id):
            raise NotFound("This prototype was deleted, here and at the builder.") from None
        raise


async def current_of(keeper: Keeper, visitor: Visitor, product_id: str) -> Prototype:
    """The prototype a product has now, whichever builder made it; nothing is asked upstream. Raises `NotFound`."""
    try:
        found, _ = await keeper.list(visitor.principal, product_id, Page(1))
    except InvalidInput:
        found = []
    if not found:
        raise NotFound("This product has no prototype here.")
    context = keeper.context
    current = await context.store.current(visitor.principal.workspace_id, found[0].product_id, found[0].provider)
    return current or found[0]
