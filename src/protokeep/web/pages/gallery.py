"""The pages for reading: home, a product, a prototype."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from protokeep.core.errors import InvalidInput, NotFound
from protokeep.core.prototype import Prototype, State
from protokeep.core.state_labels import AT_REST, ATTENTION, IN_PROGRESS
from protokeep.service.gallery import CardPage
from protokeep.service.keeper import Keeper
from protokeep.store.gallery import Counts
from protokeep.store.gallery import Cursor as Position
from protokeep.store.prototypes import Page
from protokeep.web.broadcast import Broadcast
from protokeep.web.card_cursors import CardCursor, decode_position, encode_position
from protokeep.web.dependencies import application_of
from protokeep.web.models import Cursor
from protokeep.web.pages import filters as filtering
from protokeep.web.pages.detail import detail_values
from protokeep.web.pages.forms import LIMITS, blank_form, new_key
from protokeep.web.pages.presenters import card_view
from protokeep.web.pages.render import page
from protokeep.web.pages.session import Visitor, VisitorDep
from protokeep.wiring import Application

router = APIRouter()

#: Cards on a page. With the two upper sections full, the page, its style and its module stay under 100 kB.
CARDS = 18
#: The command on the empty home page.
FIRST_COMMAND = 'protokeep create bakery "A landing page for a bakery"'


def newest_event_id(request: Request, visitor: Visitor) -> str:
    """Where the page's live events begin. Taken before the page is read, so that no change falls between the two."""
    broadcast: Broadcast = request.app.state.broadcast
    return broadcast.newest_id(visitor.principal.workspace_id)


def page_slot(request: Request, visitor: Visitor) -> AbstractAsyncContextManager[None]:
    """The slot to make one page of the visitor's workspace."""
    slot: AbstractAsyncContextManager[None] = request.app.state.rates.page_slots.of(visitor.principal.workspace_id)
    return slot


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the home page; `group` is the filter of its link to all cards, None for no link."""

    id: str
    title: str
    group: str | None
    page: CardPage
    states: tuple[State, ...] = ()  #: cards of other states leave it; empty: all stay

    def values(
        self,
        filters: filtering.Filters,
        now: datetime,
        usual: tuple[timedelta, timedelta] | None,
        favourites: Collection[str] = (),
    ) -> dict[str, Any]:
        """The section for the template."""
        return {
            "id": self.id,
            "title": self.title,
            "states": " ".join(self.states),
            "cards": [card_view(card, now, usual, favourites) for card in self.page.cards],
            "all_url": filters.url(state=self.group) if self.group and self.page.after else None,
        }


@router.get("/")
async def home(request: Request, visitor: VisitorDep, cursor: CardCursor = None) -> Response:
    """The home page: what needs attention, what is being made, then the newest; with filters, what matches them."""
    since = newest_event_id(request, visitor)
    gallery = application_of(request).gallery
    filters = filtering.Filters.of(request.query_params)
    after = decode_position(filters.sort, cursor)
    if filters.search.narrows:  # Searches have turns of their own: no page waits for one.
        found, counts = await gallery.find(visitor.principal, filters.search, CARDS, after)
        async with page_slot(request, visitor):
            sections = [Section("found", "Results", None, found, filters.search.states)]
            return await _home_page(request, visitor, filters, sections, counts, since=since, after=after)
    async with page_slot(request, visitor):
        home_page = await gallery.home_page(visitor.principal, CARDS, after)
        sections = [Section("rest", "Newest" if after is None else "Older", None, home_page.rest, AT_REST)]
        if after is None:
            sections[:0] = [
                Section("attention", "Needs attention", "attention", home_page.attention, ATTENTION),
                Section("progress", "In progress", "progress", home_page.progress, IN_PROGRESS),
            ]
        return await _home_page(request, visitor, filters, sections, Counts(home_page.counts), since=since, after=after)


async def _home_page(
    request: Request,
    visitor: Visitor,
    filters: filtering.Filters,
    sections: list[Section],
    counts: Counts,
    *,
    since: str,
    after: Position | None,
) -> Response:
    """The home page with these sections. The last one has further pages."""
    found = sections[-1].page
    usual = await application_of(request).gallery.usual_duration(visitor.principal.workspace_id)
    arrangement = application_of(request).keeper.arrangement
    favourites = await arrangement.favourites(visitor.principal)
    now = application_of(request).keeper.context.clock()
    is_empty = not any(section.page.cards for section in sections)
    upper, within = filtering.tabs(filters, counts)
    return page(
        request,
        "home.html",
        visitor=visitor,
        filters=filters,
        tabs=upper,
        tabs_within=within,
        active_filters=filtering.active_filters(filters),
        columns=filtering.COLUMNS,
        saved_views=await arrangement.views(visitor.principal),
        is_empty=is_empty and not filters.search.narrows and after is None,
        has_cards=not is_empty,
        sections=[section.values(filters, now, usual, favourites) for section in sections],
        newest_url=filters.url() if after else None,
        older_url=filters.url(cursor=encode_position(filters.sort, found.after)) if found.after else None,
        live=None if filters.select else {"on": "home", "since": since, "view": filters.view},
        command=FIRST_COMMAND,
        form=blank_form(),
        deleted=request.query_params.get("deleted") == "1",
        adoption=application_of(request).keeper.adoption_under_way(),
        limits=LIMITS,
    )


@router.get("/p")
@router.get("/p/{product_id:path}")
async def product(request: Request, visitor: VisitorDep, product_id: str = "", cursor: Cursor = None) -> Response:
    """A product's permalink: the whole page of its current prototype, and its variants."""
    product_id = product_id or request.query_params.get("product", "")
    async with page_slot(request, visitor):
        return await _product_page(request, visitor, product_id, cursor)


async def _product_page(request: Request, visitor: Visitor, product_id: str, cursor: str | None) -> Response:
    since = newest_event_id(request, visitor)
    current = await current_prototype(application_of(request).keeper, visitor, product_id)
    live = {"on": "product", "since": since, "product": current.product_id, "id": current.id}
    return await prototype_page(request, visitor, current.id, since, cursor=cursor, live=live)


@router.get("/prototypes/{prototype_id}")
async def prototype(request: Request, visitor: VisitorDep, prototype_id: str) -> Response:
    """The page of one prototype."""
    since = newest_event_id(request, visitor)
    async with page_slot(request, visitor):
        found = await require_prototype(application_of(request), visitor, prototype_id)
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
    cursor: str | None = None,
    live: Mapping[str, str] | None = None,
) -> Response:
    """The page of a prototype, with an error message (`trouble`) and the values of the follow-up form (`change`)."""
    values = await detail_values(application_of(request), visitor.principal, prototype_id, cursor)
    values["change"] = {**values["change"], "key": new_key(), **(change or {})}
    return page(
        request,
        "prototype.html",
        visitor=visitor,
        status=status,
        banner=None,
        trouble=trouble,
        live=live or {"on": "prototype", "since": since, "id": prototype_id},
        **values,
    )


async def require_prototype(application: Application, visitor: Visitor, prototype_id: str) -> Prototype:
    """A prototype of the visitor's workspace. Raises `NotFound`, whose message says if it was deleted."""
    try:
        return await application.keeper.get(visitor.principal, prototype_id)
    except NotFound:
        was_deleted = application.keeper.context.store.was_deleted
        if await was_deleted(visitor.principal.workspace_id, prototype_id):
            raise NotFound("This prototype was deleted.") from None
        raise NotFound("This prototype does not exist, or was deleted.") from None


async def current_prototype(keeper: Keeper, visitor: Visitor, product_id: str) -> Prototype:
    """The current prototype of a product, whichever app builder made it. Calls no app builder. Raises `NotFound`."""
    try:
        found, _ = await keeper.list(visitor.principal, product_id, Page(1))
    except InvalidInput:
        found = []
    if not found:
        raise NotFound("This product has no prototype yet.")
    context = keeper.context
    current = await context.store.current(visitor.principal.workspace_id, found[0].product_id, found[0].provider)
    return current or found[0]
