"""Products that are offered while somebody types: beside the form for a prototype, and in the palette."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from protokeep.core.errors import TooMany, TooSlow
from protokeep.service.gallery import TEXT_MAX, Search
from protokeep.web.dependencies import application_of
from protokeep.web.pages.presenters import CardView, card_view
from protokeep.web.pages.render import HEADERS, fragment
from protokeep.web.pages.session import Visitor, VisitorDep
from protokeep.wiring import Application

router = APIRouter()

#: As many as a person reads at a glance.
OFFERED = 8


@router.get("/find")
async def find(request: Request, visitor: VisitorDep, q: Annotated[str, Query(max_length=TEXT_MAX)] = "") -> Response:
    """The newest products with these words, as options of a list; the newest of all without words."""
    application = application_of(request)
    found, _ = await application.gallery.find(visitor.principal, Search(text=q.strip()), OFFERED, counted=False)
    now = application.keeper.context.clock()
    text = fragment("find.html", cards=[card_view(card, now) for card in found.cards])
    return HTMLResponse(text, headers=HEADERS)


async def offered_products(application: Application, visitor: Visitor) -> list[CardView]:
    """What the form offers where there is no script; nothing while searches are too many."""
    now = application.keeper.context.clock()
    try:
        return [card_view(card, now) for card in await application.gallery.recent_products(visitor.principal)]
    except (TooMany, TooSlow):
        return []
